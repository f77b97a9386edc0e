#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "feature/program/functions.h"
#include "feature/program/program.h"
#include "feature/typed_expression.h"
#include "feature/zone_offsets.h"

/// From DuckDB's parse tree of an expression to the kernel's: names are mapped, types worked out, implicit casts written out.
namespace tidemill {

/// A text from a user's file that holds an expression, for the places of errors.
struct ExpressionText {
  std::string text;
  Place place;
  ZoneReader* zones = nullptr;  ///< nullptr: time zones are refused
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
  /// The same for a result: a length of time has no column type and is refused, a decimal becomes a number.
  Result<Expression> CompileResult(const Json& tree);

  /// A value as columns and aggregates can hold it: decimals become numbers.
  Result<TypedExpression> AsColumnType(const Json& tree, TypedExpression value) const;

  Error ErrorAt(const Json& tree, std::string code, std::string message, std::string hint = "") const;

 private:
  Result<TypedExpression> Constant(const Json& tree) const;
  Result<TypedExpression> Cast(const Json& tree);
  Result<TypedExpression> CastOnce(const Json& tree);
  /// Null without a failure where the value can't be computed.
  Result<TypedExpression> Tried(const Json& tree, TypedExpression value) const;
  Result<TypedExpression> DecimalLiteral(const Json& tree, const Json& content, const Json& info) const;
  Result<TypedExpression> ToDecimal(const Json& tree, TypedExpression value, DecimalShape shape) const;
  Result<TypedExpression> FromDecimal(const Json& tree, TypedExpression value, Type type) const;
  /// Of arguments among which are decimals; nullopt: they were made what the function of that name takes.
  std::optional<Result<TypedExpression>> DecimalCall(const Json& tree, const std::string& name,
                                                     std::vector<TypedExpression>& arguments) const;
  Result<TypedExpression> DecimalArithmetic(const Json& tree, const std::string& name, std::vector<TypedExpression> arguments) const;
  Result<TypedExpression> UnaryDecimal(const Json& tree, const std::string& name, TypedExpression value) const;
  Result<TypedExpression> CutOffDecimal(const Json& tree, const std::string& name, TypedExpression value) const;
  Result<TypedExpression> RoundDecimal(const Json& tree, TypedExpression value, int64_t digits) const;
  Result<TypedExpression> Operator(const Json& tree);
  Result<TypedExpression> Between(const Json& tree);
  Result<TypedExpression> Case(const Json& tree);
  Result<TypedExpression> Function(const Json& tree);
  /// The named function of compiled arguments.
  Result<TypedExpression> FunctionOf(const Json& tree, std::string name, std::vector<TypedExpression> arguments);
  Result<TypedExpression> ListOperator(const Json& tree, const std::string& type);
  Result<TypedExpression> NullIf(const Json& tree, std::vector<TypedExpression> arguments);
  Result<TypedExpression> PartOfTime(const Json& tree, std::vector<TypedExpression> arguments);
  Result<TypedExpression> TimeZone(const Json& tree, std::vector<TypedExpression> arguments);
  /// strptime and try_strptime: of a format or a list of them.
  Result<TypedExpression> ParsedTime(const Json& tree, std::string name, std::vector<TypedExpression> arguments) const;
  Result<TypedExpression> TimeBucket(const Json& tree, std::vector<TypedExpression> arguments);
  std::optional<Result<TypedExpression>> IntervalCall(const Json& tree, const std::string& name,
                                                      std::vector<TypedExpression>& arguments);

  Result<std::vector<TypedExpression>> CompileAll(const Json& trees);
  /// A call whose arguments are brought to one type first.
  Result<TypedExpression> CallOverOneType(const Json& tree, const std::string& name, std::vector<TypedExpression> arguments);
  Result<TypedExpression> Call(const Json& tree, const std::string& name, std::vector<TypedExpression> arguments) const;
  Result<TypedExpression> CastTo(const Json& tree, TypedExpression value, Type type) const;
  struct OneType {
    Type type = Type::kInt64;
    DecimalShape decimal;  ///< where the type is kDecimal
  };
  Result<OneType> CommonType(const Json& tree, const std::vector<const TypedExpression*>& values, bool compared) const;
  Result<TypedExpression> BringTo(const Json& tree, TypedExpression value, const OneType& type) const;
  /// Refuses constants that the function can't take, such as a bad pattern.
  Status CheckConstants(const Json& tree, const ScalarFunction& function, const Expression& call) const;
  Result<TypedExpression> Finish(const Json& tree, Expression expression) const;

  const ExpressionText& text_;
  ExpressionScope& scope_;
};

}  // namespace tidemill
