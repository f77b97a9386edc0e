#pragma once

#include <cstdlib>
#include <utility>
#include <variant>

#include "base/error.h"

namespace tidemill {

/// A value, or the error why there is none. Reading the wrong one aborts, so look at ok() first
/// (or use the macros below). `Result<void>` carries success or an error.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT: implicit on purpose
  Result(Error error) : state_(std::move(error)) {}  // NOLINT: implicit on purpose

  bool ok() const { return state_.index() == 0; }
  const T& value() const& { return Checked(), std::get<0>(state_); }
  T& value() & { return Checked(), std::get<0>(state_); }
  T&& value() && { return Checked(), std::get<0>(std::move(state_)); }
  const T& operator*() const& { return value(); }
  T& operator*() & { return value(); }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  void Checked() const {
    if (!ok()) std::abort();
  }
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose

  bool ok() const { return !error_.has_value(); }
  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;
inline Status Ok() { return {}; }

}  // namespace tidemill

#define TIDEMILL_CONCAT_INNER(a, b) a##b
#define TIDEMILL_CONCAT(a, b) TIDEMILL_CONCAT_INNER(a, b)

/// Returns the error of `expression` (a Status or Result) from the enclosing function, if it has one.
#define TIDEMILL_RETURN_IF_ERROR(expression)                                    \
  do {                                                                          \
    auto tidemill_status = (expression);                                        \
    if (!tidemill_status.ok()) return std::move(tidemill_status).error();       \
  } while (false)

#define TIDEMILL_ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                            \
  if (!result.ok()) return std::move(result).error();                    \
  declaration = std::move(result).value()

/// `TIDEMILL_ASSIGN_OR_RETURN(const auto text, ReadFile(path));`
#define TIDEMILL_ASSIGN_OR_RETURN(declaration, expression) \
  TIDEMILL_ASSIGN_OR_RETURN_INNER(TIDEMILL_CONCAT(tidemill_result_, __LINE__), declaration, expression)
