#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/columns.h"
#include "base/result.h"
#include "feature/program/datum.h"

/// The kernel's scalar functions. docs/features.md lists them for users.
namespace tidemill {

struct Node;

/// Where no time was asked: now() is null.
constexpr int64_t kNoTime = std::numeric_limits<int64_t>::min();

/// What an expression is evaluated over.
struct Evaluation {
  std::span<const Datum> inputs;
  TextPool& texts;
  int64_t time = kNoTime;  ///< what now() gives: the time asked, in microseconds
  uint64_t failures = 0;   ///< values that could not be computed, and are null
};

using EvaluateFunction = Datum (*)(const Node& node, Evaluation& evaluation);

/// An expression made ready to run: functions are resolved, constants converted.
struct Node {
  EvaluateFunction evaluate = nullptr;
  Type type = Type::kDouble;
  int column = -1;
  bool is_constant = false;
  Datum constant;
  std::string constant_text;  ///< what `constant` refers to
  std::vector<Node> arguments;
  std::shared_ptr<const void> prepared;  ///< what the function made of its constants: a compiled pattern, a time zone
};

inline Datum Evaluate(const Node& node, Evaluation& evaluation) { return node.evaluate(node, evaluation); }

/// One function for exactly these argument types.
struct ScalarFunction {
  std::string_view name;
  std::vector<Type> parameters;
  Type result = Type::kDouble;
  EvaluateFunction evaluate = nullptr;
  /// Called once when the node is made ready; nullptr: nothing to do. Errors are those of its constants ("bad_literal").
  Status (*prepare)(Node& node) = nullptr;
};

/// Every function with fixed parameters, overloads in the order in which they are tried.
const std::vector<ScalarFunction>& ScalarFunctions();

/// The function for exactly these types, or an error. Beyond ScalarFunctions(), for arguments of one type T:
/// comparisons (=, <>, <, <=, >, >=, is_distinct, is_not_distinct) -> boolean; coalesce, least, greatest (any number) -> T;
/// in -> boolean; is_null, is_not_null -> boolean; try -> T, without counting failures; failed -> boolean: whether it could not
/// be computed; and, or over any number of booleans; concat, concat_ws over any number of
/// texts; list_value over any number of elements. `cast` converts to `result` (the other functions ignore it).
Result<ScalarFunction> ResolveFunction(std::string_view function, std::span<const Type> arguments, Type result);

/// Whether a value of one type can be cast to the other.
bool CanCast(Type from, Type to);

/// Units of date_trunc and date_diff: "year" ... "second".
std::vector<std::string> TimeUnits();

/// Canonical names of all functions, for messages.
std::vector<std::string> FunctionNames();

namespace functions {

const std::vector<ScalarFunction>& Numeric();
const std::vector<ScalarFunction>& Text();
const std::vector<ScalarFunction>& Time();
const std::vector<ScalarFunction>& Calendar();
const std::vector<ScalarFunction>& TimeParsing();
const std::vector<ScalarFunction>& Similarity();
const std::vector<ScalarFunction>& Patterns();
const std::vector<ScalarFunction>& Lists();
const std::vector<ScalarFunction>& JsonTexts();
const std::vector<ScalarFunction>& Decimals();
/// Whether a format of strftime or strptime has that part: 'Z' for %Z.
bool FormatHasPart(std::string_view format, char part);
/// nullptr when there is no such cast.
EvaluateFunction Cast(Type from, Type to);

inline Datum Counted(Datum result, Evaluation& evaluation) {
  evaluation.failures += result.failed ? 1 : 0;
  result.failed = false;
  return result;
}

/// Wraps a plain function of datums: null arguments give null. For `Datum F(const Datum&...)`, or with the texts last.
template <auto F>
Datum Strict1(const Node& node, Evaluation& evaluation) {
  const Datum a = Evaluate(node.arguments[0], evaluation);
  if (a.null) return a;
  if constexpr (requires { F(a, evaluation.texts); }) {
    return Counted(F(a, evaluation.texts), evaluation);
  } else {
    return Counted(F(a), evaluation);
  }
}
template <auto F>
Datum Strict2(const Node& node, Evaluation& evaluation) {
  const Datum a = Evaluate(node.arguments[0], evaluation);
  if (a.null) return a;
  const Datum b = Evaluate(node.arguments[1], evaluation);
  if (b.null) return b;
  if constexpr (requires { F(a, b, evaluation.texts); }) {
    return Counted(F(a, b, evaluation.texts), evaluation);
  } else {
    return Counted(F(a, b), evaluation);
  }
}
template <auto F>
Datum Strict3(const Node& node, Evaluation& evaluation) {
  const Datum a = Evaluate(node.arguments[0], evaluation);
  if (a.null) return a;
  const Datum b = Evaluate(node.arguments[1], evaluation);
  if (b.null) return b;
  const Datum c = Evaluate(node.arguments[2], evaluation);
  if (c.null) return c;
  if constexpr (requires { F(a, b, c, evaluation.texts); }) {
    return Counted(F(a, b, c, evaluation.texts), evaluation);
  } else {
    return Counted(F(a, b, c), evaluation);
  }
}

}  // namespace functions
}  // namespace tidemill
