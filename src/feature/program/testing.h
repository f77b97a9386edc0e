#pragma once

#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "feature/program/program.h"

/// Short ways to write programs in tests.
namespace tidemill::testing {

inline Expression Col(int column, Type type) {
  Expression expression;
  expression.kind = Expression::Kind::kColumn;
  expression.column = column;
  expression.type = type;
  return expression;
}
inline Expression Const(Value value, Type type) {
  Expression expression;
  expression.constant = std::move(value);
  expression.type = type;
  return expression;
}
inline Expression Call(std::string function, Type type, std::vector<Expression> arguments) {
  Expression expression;
  expression.kind = Expression::Kind::kCall;
  expression.function = std::move(function);
  expression.type = type;
  expression.arguments = std::move(arguments);
  return expression;
}

/// Equal to the last bit; all NaN count as one.
inline bool SameBits(const Value& a, const Value& b) {
  const double* x = std::get_if<double>(&a);
  const double* y = std::get_if<double>(&b);
  if (x == nullptr || y == nullptr) return a == b;
  return (std::isnan(*x) && std::isnan(*y)) || std::bit_cast<uint64_t>(*x) == std::bit_cast<uint64_t>(*y);
}

}  // namespace tidemill::testing
