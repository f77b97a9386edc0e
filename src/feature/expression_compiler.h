#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "feature/program/program.h"

/// From DuckDB's parse tree of an expression to the kernel's: names are mapped, types worked out, implicit casts written out.
namespace tidemill {

/// An expression while it is compiled.
struct TypedExpression {
  Expression expression;
  bool is_interval = false;  ///< an integer of microseconds that stands for a length of time
  bool is_literal = false;   ///< written as a constant: takes the type of what it meets
};

/// A text from a user's file that holds an expression, for the places of errors.
struct ExpressionText {
  std::string text;
  Place place;
  /// Where a part of its parse tree was written.
  Place PlaceOf(const Json& tree) const;
};

/// What names mean where an expression stands.
class ExpressionScope {
 public:
  virtual ~ExpressionScope() = default;
  virtual Result<TypedExpression> Column(const std::string& name, const Json& tree) = 0;
  /// nullopt: not an aggregate function, or (an error) aggregates can't be here.
  virtual std::optional<Result<TypedExpression>> Aggregate(const Json& tree) = 0;
  /// What may be aggregated with, for suggestions.
  virtual std::vector<std::string> AggregateNames() const { return {}; }
};

class ExpressionCompiler {
 public:
  ExpressionCompiler(const ExpressionText& text, ExpressionScope& scope) : text_(text), scope_(scope) {}

  /// Codes: unknown_function, argument_types, unsupported_expression, bad_literal, and those of the scope.
  Result<TypedExpression> Compile(const Json& tree);
  /// The same for a result: a length of time has no column type and is refused.
  Result<Expression> CompileResult(const Json& tree);

  Error ErrorAt(const Json& tree, std::string code, std::string message, std::string hint = "") const;

 private:
  Result<TypedExpression> Constant(const Json& tree) const;
  Result<TypedExpression> Cast(const Json& tree);
  Result<TypedExpression> Operator(const Json& tree);
  Result<TypedExpression> Between(const Json& tree);
  Result<TypedExpression> Case(const Json& tree);
  Result<TypedExpression> Function(const Json& tree);
  Result<TypedExpression> NullIf(const Json& tree, std::vector<TypedExpression> arguments);
  Result<TypedExpression> PartOfTime(const Json& tree, std::vector<TypedExpression> arguments);
  std::optional<Result<TypedExpression>> IntervalCall(const Json& tree, const std::string& name,
                                                      std::vector<TypedExpression>& arguments);

  Result<std::vector<TypedExpression>> CompileAll(const Json& trees);
  /// A call whose arguments are brought to one type first.
  Result<TypedExpression> CallOverOneType(const Json& tree, const std::string& name, std::vector<TypedExpression> arguments);
  Result<TypedExpression> Call(const Json& tree, const std::string& name, std::vector<TypedExpression> arguments);
  Result<TypedExpression> CastTo(const Json& tree, TypedExpression value, Type type) const;
  Result<Type> CommonType(const Json& tree, const std::vector<const TypedExpression*>& values, bool compared) const;
  Result<TypedExpression> Finish(const Json& tree, Expression expression) const;

  const ExpressionText& text_;
  ExpressionScope& scope_;
};

/// The kernel's name of a scalar function that users may write in several ways ("power", "**" -> "pow").
std::string CanonicalFunction(std::string_view name);
/// Brings a value to a type if that is always possible without losing anything (integer to number, date to timestamp, literals).
bool CoercesTo(const TypedExpression& value, Type type);
/// CoercesTo must hold.
Expression Coerced(TypedExpression value, Type type);

}  // namespace tidemill
