#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/columns.h"
#include "base/result.h"
#include "project/project.h"

namespace tidemill {

/// What is wrong with one value of a row.
struct Violation {
  size_t column = 0;   ///< of the contract
  std::string kind;    ///< the same for values that are wrong in the same way: "dep_delay: not an integer"
  std::string reason;  ///< for people, with the value: "dep_delay: 'x12' is not an integer"
};

/// Turns rows of text (or of typed values) into typed columns and finds what breaks the contract.
///
/// Texts that mean null give null. Blanks around numbers, times and booleans do not count. An integer may be
/// written "5.0" or "+5", never "5.5" or "5e3": nothing is rounded. "NaN" and "inf" are not numbers (name
/// them in `null:` if they stand for nothing). Times without a zone are UTC. Not thread-safe.
class RowChecker {
 public:
  /// Code "bad_pattern" with the place of the column.
  static Result<RowChecker> Make(std::vector<ContractColumn> columns, std::vector<std::string> null_texts);
  ~RowChecker();
  RowChecker(RowChecker&& other) noexcept;

  /// Empty columns to append rows to.
  Columns MakeBatch() const;
  /// Appends a row; `cells` are in the order of the contract. Bad values become null and are told in
  /// `violations`.
  void Append(const std::vector<std::string_view>& cells, Columns* batch, std::vector<Violation>* violations) const;
  /// The same for values that have types already (Parquet).
  void AppendValues(const std::vector<Value>& values, Columns* batch, std::vector<Violation>* violations) const;

  const std::vector<ContractColumn>& columns() const;

 private:
  struct Impl;
  explicit RowChecker(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Takes the last rows away again, down to `rows`.
void Truncate(size_t rows, Columns* batch);

/// Without spaces and tabs at both ends.
std::string_view TrimBlanks(std::string_view text);

/// The value that a text stands for in a type, or monostate when it is none (see RowChecker for what is
/// accepted).
Value ParseCell(std::string_view text, Type type);

}  // namespace tidemill
