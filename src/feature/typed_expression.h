#pragma once

#include <optional>
#include <string>
#include <vector>

#include "feature/program/program.h"

/// What the compiler knows about an expression beyond its type, and short ways to make expressions.
namespace tidemill {

/// DECIMAL(width, scale): so many digits in all, and so many of them behind the point. Its values are kept as whole numbers of
/// 10^-scale.
struct DecimalShape {
  int64_t width = 0;
  int64_t scale = 0;
  bool operator==(const DecimalShape&) const = default;
};

/// Decimals of up to so many digits are whole numbers that 64 bits hold.
constexpr int64_t kShortDigits = 18;

/// An expression while it is compiled.
struct TypedExpression {
  Expression expression;
  bool is_interval = false;  ///< an integer of microseconds (or months) that stands for a length of time
  bool is_literal = false;   ///< written as a constant: takes the type of what it meets
  bool is_months = false;    ///< of an interval: it counts months
  std::optional<DecimalShape> decimal = {};  ///< of an expression of type kDecimal
  bool is_zoned = false;     ///< of a timestamp: TIMESTAMP WITH TIME ZONE, which AT TIME ZONE turns into local time
};

Expression ConstantOf(Value value, Type type);
Expression CallOf(std::string function, Type type, std::vector<Expression> arguments);

/// A field of a struct, which is a text that holds JSON: as a text.
TypedExpression FieldOfStruct(TypedExpression value, const std::string& field);

bool IsNullLiteral(const TypedExpression& value);
bool IsTextLiteral(const TypedExpression& value);

/// What an expression is as a decimal: decimals, integers and conditions are one. nullopt for others.
std::optional<DecimalShape> ShapeOf(const TypedExpression& value);
/// What holds both, as DuckDB has it: beyond 38 digits those behind the point give way, in comparisons those before it.
DecimalShape CommonShape(DecimalShape a, DecimalShape b, bool compared);

/// "integer, interval": for messages.
std::string TypesText(const std::vector<const TypedExpression*>& values);

/// Brings a value to a type if that is always possible without losing anything (integer to number, date to timestamp, literals).
bool CoercesTo(const TypedExpression& value, Type type);
/// CoercesTo must hold.
Expression Coerced(TypedExpression value, Type type);

}  // namespace tidemill
