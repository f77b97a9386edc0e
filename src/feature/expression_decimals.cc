#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "feature/expression_compiler.h"
#include "feature/program/decimals.h"

/// The part of the compiler that types decimals as DuckDB does, and turns what is done with them into functions over whole
/// numbers.
namespace tidemill {
namespace {

Expression WholeNumber(int64_t value) { return ConstantOf(value, Type::kInt64); }

TypedExpression AsDecimal(TypedExpression value, DecimalShape shape) {
  value.decimal = shape;
  return value;
}

/// As many digits as an integer can have; one that is written out has 32 bits where they do.
DecimalShape ShapeOfInteger(const TypedExpression& value) {
  const auto* written = value.is_literal ? std::get_if<int64_t>(&value.expression.constant) : nullptr;
  return {written != nullptr && *written == static_cast<int32_t>(*written) ? 10 : 19, 0};
}

/// Before and behind the point.
int64_t DigitsOfBoth(DecimalShape a, DecimalShape b) {
  return std::max(a.width - a.scale, b.width - b.scale) + std::max(a.scale, b.scale);
}

bool IsCutOff(const std::string& name) { return name == "floor" || name == "ceil" || name == "trunc"; }

/// Results that 64 bits hold stay there, as DuckDB has it: of decimals of up to so many digits, unless so many stand behind the
/// point.
int64_t ShortOrFull(int64_t width, int64_t widest, bool may_be_short) {
  return width > kShortDigits && widest <= kShortDigits && may_be_short ? kShortDigits
                                                                        : std::min<int64_t>(width, kDecimalDigitsMax);
}

}  // namespace

std::optional<DecimalShape> ShapeOf(const TypedExpression& value) {
  if (value.decimal) return value.decimal;
  if (IsNullLiteral(value) || value.is_interval) return std::nullopt;
  if (value.expression.type == Type::kInt64) return ShapeOfInteger(value);
  return value.expression.type == Type::kBool ? std::optional(DecimalShape{1, 0}) : std::nullopt;
}

DecimalShape CommonShape(DecimalShape a, DecimalShape b, bool compared) {
  const int64_t before = std::max(a.width - a.scale, b.width - b.scale);
  const int64_t scale = std::max(a.scale, b.scale);
  const int64_t width = std::min<int64_t>(before + scale, kDecimalDigitsMax);
  return {width, compared ? scale : std::min(scale, width - before)};
}

Result<TypedExpression> ExpressionCompiler::DecimalLiteral(const Json& tree, const Json& content, const Json& info) const {
  __int128 whole = 0;
  if (content.is_object()) {
    whole = (static_cast<__int128>(content.value("upper", int64_t{0})) << 64) | content.value("lower", uint64_t{0});
  } else if (content.is_number_integer()) {
    whole = content.get<int64_t>();
  } else {
    return ErrorAt(tree, "bad_literal", "this number can't be read", "write it with an exponent, for instance 1.5e20");
  }
  TypedExpression literal{ConstantOf(FormatWhole(whole), Type::kDecimal), false, true};
  return AsDecimal(std::move(literal), {info.value("width", int64_t{18}), info.value("scale", int64_t{0})});
}

Result<TypedExpression> ExpressionCompiler::ToDecimal(const Json& tree, TypedExpression value, DecimalShape shape) const {
  if (IsNullLiteral(value)) return AsDecimal({ConstantOf({}, Type::kDecimal)}, shape);
  if (value.expression.type == Type::kBool) {
    TIDEMILL_ASSIGN_OR_RETURN(value, CastTo(tree, std::move(value), Type::kInt64));
  }
  Expression last = WholeNumber(shape.scale);
  if (value.decimal) {
    const int64_t by = shape.scale - value.decimal->scale;
    if (by == 0 && shape.width >= value.decimal->width) return AsDecimal(std::move(value), shape);
    last = WholeNumber(by);
  } else if (const Type type = value.expression.type;
             value.is_interval || (type != Type::kInt64 && type != Type::kDouble && type != Type::kText)) {
    return ErrorAt(tree, "argument_types", fmt::format("{} can't be cast to decimal", TypesText({&value})));
  }
  const bool text_literal = IsTextLiteral(value);
  TIDEMILL_ASSIGN_OR_RETURN(
      TypedExpression decimal,
      Finish(tree, CallOf("decimal", Type::kDecimal, {std::move(value.expression), WholeNumber(shape.width), std::move(last)})));
  if (text_literal && IsNull(decimal.expression.constant)) {
    return ErrorAt(tree, "bad_literal", fmt::format("this text is not a number of {} digits", shape.width), "write it as 12.34");
  }
  return AsDecimal(std::move(decimal), shape);
}

Result<TypedExpression> ExpressionCompiler::FromDecimal(const Json& tree, TypedExpression value, Type type) const {
  const Expression scale = WholeNumber(value.decimal->scale);
  Expression& decimal = value.expression;
  switch (type) {
    case Type::kDouble:
      return Finish(tree, CallOf("decimal_to_number", type, {std::move(decimal), scale}));
    case Type::kInt64:
      return Finish(tree, CallOf("decimal_to_integer", type, {std::move(decimal), scale}));
    case Type::kText:
      return Finish(tree, CallOf("decimal_to_text", type, {std::move(decimal), WholeNumber(value.decimal->width), scale}));
    case Type::kBool:
      return Finish(tree, CallOf("<>", type, {std::move(decimal), ConstantOf(std::string("0"), Type::kDecimal)}));
    default:
      return ErrorAt(tree, "argument_types", fmt::format("decimal can't be cast to {}", TypeName(type)));
  }
}

Result<TypedExpression> ExpressionCompiler::AsColumnType(const Json& tree, TypedExpression value) const {
  return value.decimal ? FromDecimal(tree, std::move(value), Type::kDouble) : Result<TypedExpression>(std::move(value));
}

std::optional<Result<TypedExpression>> ExpressionCompiler::DecimalCall(const Json& tree, const std::string& name,
                                                                       std::vector<TypedExpression>& arguments) const {
  constexpr std::array<std::string_view, 4> kArithmetic = {"+", "-", "*", "%"};
  constexpr std::array<std::string_view, 7> kBroughtToOneType = {"nullif",    "least",  "greatest", "list_value",
                                                                 "concat_ws", "concat", "||"};
  const bool lists = std::any_of(arguments.begin(), arguments.end(), [](const auto& a) { return IsList(a.expression.type); });
  if (!lists && std::find(kBroughtToOneType.begin(), kBroughtToOneType.end(), name) != kBroughtToOneType.end())
    return std::nullopt;
  if (arguments.size() == 1 && (name == "+" || name.starts_with("to_"))) return std::nullopt;
  const bool all_decimal = std::all_of(arguments.begin(), arguments.end(), [](const auto& a) { return ShapeOf(a).has_value(); });
  const bool all = all_decimal && !(name == "%" && arguments.size() == 2 &&
                                    DigitsOfBoth(*ShapeOf(arguments[0]), *ShapeOf(arguments[1])) > kDecimalDigitsMax);
  if (all && arguments.size() == 2 && std::find(kArithmetic.begin(), kArithmetic.end(), name) != kArithmetic.end())
    return DecimalArithmetic(tree, name, std::move(arguments));
  if (all && arguments.size() == 1 && (name == "-" || name == "abs")) return UnaryDecimal(tree, name, std::move(arguments[0]));
  if (all && arguments.size() == 1 && name == "sign")
    return Finish(tree, CallOf("sign", Type::kInt64, {std::move(arguments[0].expression)}));
  if (all && arguments.size() == 1 && IsCutOff(name)) return CutOffDecimal(tree, name, std::move(arguments[0]));
  const bool rounded = name == "round" && arguments[0].decimal;
  if (rounded && arguments.size() == 1) return RoundDecimal(tree, std::move(arguments[0]), 0);
  if (rounded && arguments.size() == 2 && !arguments[1].decimal) {
    const auto* digits = std::get_if<int64_t>(&arguments[1].expression.constant);
    if (digits != nullptr) return RoundDecimal(tree, std::move(arguments[0]), *digits);
  }
  // Other functions, division among them, are for numbers.
  for (TypedExpression& argument : arguments) {
    auto number = AsColumnType(tree, std::move(argument));
    if (!number.ok()) return number;
    argument = std::move(number).value();
  }
  return std::nullopt;
}

Result<TypedExpression> ExpressionCompiler::DecimalArithmetic(const Json& tree, const std::string& name,
                                                              std::vector<TypedExpression> arguments) const {
  const DecimalShape a = *ShapeOf(arguments[0]);
  const DecimalShape b = *ShapeOf(arguments[1]);
  const int64_t widest = std::max(a.width, b.width);
  if (name == "*") {
    const int64_t scale = a.scale + b.scale;
    if (scale > kDecimalDigitsMax) {
      return ErrorAt(
          tree, "argument_types",
          fmt::format("this product has {} digits behind the point, and decimals have at most {}", scale, kDecimalDigitsMax),
          "cast one of them to DOUBLE, or to a DECIMAL with fewer");
    }
    const int64_t width = ShortOrFull(a.width + b.width, widest, scale < kShortDigits);
    TIDEMILL_ASSIGN_OR_RETURN(arguments[0], ToDecimal(tree, std::move(arguments[0]), a));
    TIDEMILL_ASSIGN_OR_RETURN(arguments[1], ToDecimal(tree, std::move(arguments[1]), b));
    TIDEMILL_ASSIGN_OR_RETURN(
        TypedExpression product,
        Finish(tree, CallOf("*", Type::kDecimal,
                            {std::move(arguments[0].expression), std::move(arguments[1].expression), WholeNumber(width)})));
    return AsDecimal(std::move(product), {width, scale});
  }
  const int64_t scale = std::max(a.scale, b.scale);
  const int64_t before = std::max(a.width - a.scale, b.width - b.scale);
  const bool remainder = name == "%";
  const DecimalShape shape = {ShortOrFull(std::max(before + scale, widest) + (remainder ? 0 : 1), widest, true), scale};
  for (TypedExpression& argument : arguments) {
    TIDEMILL_ASSIGN_OR_RETURN(argument, ToDecimal(tree, std::move(argument), shape));
  }
  Expression call = CallOf(name, Type::kDecimal, {std::move(arguments[0].expression), std::move(arguments[1].expression)});
  if (!remainder) call.arguments.push_back(WholeNumber(shape.width));
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression result, Finish(tree, std::move(call)));
  return AsDecimal(std::move(result), shape);
}

Result<TypedExpression> ExpressionCompiler::UnaryDecimal(const Json& tree, const std::string& name, TypedExpression value) const {
  const DecimalShape shape = *value.decimal;
  const bool literal = value.is_literal;
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression result, Finish(tree, CallOf(name, Type::kDecimal, {std::move(value.expression)})));
  result.is_literal = literal;
  return AsDecimal(std::move(result), shape);
}

Result<TypedExpression> ExpressionCompiler::CutOffDecimal(const Json& tree, const std::string& name,
                                                          TypedExpression value) const {
  const DecimalShape shape = *value.decimal;
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression whole,
                            Finish(tree, CallOf(name, Type::kDecimal, {std::move(value.expression), WholeNumber(shape.scale)})));
  return AsDecimal(std::move(whole), {shape.width, 0});
}

Result<TypedExpression> ExpressionCompiler::RoundDecimal(const Json& tree, TypedExpression value, int64_t digits) const {
  const DecimalShape shape = *value.decimal;
  if (digits >= shape.scale) return value;
  if (digits >= 0) {
    // As many digits as before: 9.99 becomes 10.0.
    TIDEMILL_ASSIGN_OR_RETURN(TypedExpression rounded, ToDecimal(tree, std::move(value), {kDecimalDigitsMax, digits}));
    return AsDecimal(std::move(rounded), {shape.width, digits});
  }
  // DuckDB gives 0 where it would round all digits away, even 95 to hundreds in a DECIMAL(2, 0).
  const int64_t zeros = -digits >= shape.width - shape.scale ? kDecimalDigitsMax + 1 : -digits;
  TIDEMILL_ASSIGN_OR_RETURN(
      TypedExpression rounded,
      Finish(tree, CallOf("round", Type::kDecimal, {std::move(value.expression), WholeNumber(shape.scale), WholeNumber(zeros)})));
  return AsDecimal(std::move(rounded), {shape.width, 0});
}

}  // namespace tidemill
