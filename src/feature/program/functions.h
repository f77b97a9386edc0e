#pragma once

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

/// What an expression is evaluated over.
struct Evaluation {
  std::span<const Datum> inputs;
  TextPool& texts;
};

using EvaluateFunction = Datum (*)(const Node& node, Evaluation& evaluation);

/// An expression made ready to run: functions are resolved, constants converted.
struct Node {
  EvaluateFunction evaluate = nullptr;
  Type type = Type::kDouble;
  int column = -1;
  Datum constant;
  std::string constant_text;  ///< what `constant` refers to
  std::vector<Node> arguments;
};

inline Datum Evaluate(const Node& node, Evaluation& evaluation) { return node.evaluate(node, evaluation); }

/// One function for exactly these argument types.
struct ScalarFunction {
  std::string_view name;
  std::vector<Type> parameters;
  Type result = Type::kDouble;
  EvaluateFunction evaluate = nullptr;
};

/// Every function with fixed parameters, overloads in the order in which they are tried.
const std::vector<ScalarFunction>& ScalarFunctions();

/// The function for exactly these types, or an error. Beyond ScalarFunctions(), for arguments of one type T:
/// comparisons (=, <>, <, <=, >, >=, is_distinct, is_not_distinct) -> boolean; coalesce, least, greatest (any number) -> T;
/// in -> boolean; is_null, is_not_null -> boolean; and, or over any number of booleans; concat over any number of texts.
/// `cast` converts to `result` (the other functions ignore it).
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
/// nullptr when there is no such cast.
EvaluateFunction Cast(Type from, Type to);

/// Wraps a plain function of datums: null arguments give null. For `Datum F(const Datum&...)`, or with the texts last.
template <auto F>
Datum Strict1(const Node& node, Evaluation& evaluation) {
  const Datum a = Evaluate(node.arguments[0], evaluation);
  if (a.null) return a;
  if constexpr (requires { F(a, evaluation.texts); }) {
    return F(a, evaluation.texts);
  } else {
    return F(a);
  }
}
template <auto F>
Datum Strict2(const Node& node, Evaluation& evaluation) {
  const Datum a = Evaluate(node.arguments[0], evaluation);
  if (a.null) return a;
  const Datum b = Evaluate(node.arguments[1], evaluation);
  if (b.null) return b;
  if constexpr (requires { F(a, b, evaluation.texts); }) {
    return F(a, b, evaluation.texts);
  } else {
    return F(a, b);
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
    return F(a, b, c, evaluation.texts);
  } else {
    return F(a, b, c);
  }
}

}  // namespace functions
}  // namespace tidemill
