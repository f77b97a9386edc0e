#include "feature/expression_compiler.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "feature/expression_names.h"
#include "feature/program/evaluator.h"

namespace tidemill {
namespace {

/// ParseExpression puts this before the text; offsets in trees count it.
constexpr size_t kPrefixBytes = std::string_view("SELECT ").size();

std::optional<size_t> OffsetIn(const Json& tree) {
  if (tree.is_object()) {
    const auto location = tree.find("query_location");
    if (location != tree.end() && location->is_number_unsigned() && location->get<uint64_t>() < (uint64_t{1} << 32))
      return location->get<size_t>();
  }
  if (!tree.is_structured()) return std::nullopt;
  for (const Json& child : tree) {
    if (const auto offset = OffsetIn(child)) return offset;
  }
  return std::nullopt;
}

std::string Text(const Json& tree, const char* member) {
  const auto at = tree.find(member);
  return at != tree.end() && at->is_string() ? at->get<std::string>() : std::string();
}

}  // namespace

Place ExpressionText::PlaceOf(const Json& tree) const {
  Place result = place;
  const std::optional<size_t> offset = OffsetIn(tree);
  const bool one_line = text.find('\n') == std::string::npos;
  if (!offset || *offset < kPrefixBytes || *offset - kPrefixBytes >= text.size() || !one_line || place.column <= 0) return result;
  const auto column = static_cast<size_t>(place.column);
  const bool quoted = column <= place.excerpt.size() && (place.excerpt[column - 1] == '"' || place.excerpt[column - 1] == '\'');
  const size_t start = *offset - kPrefixBytes;
  size_t end = start;
  while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0 || text[end] == '_')) ++end;
  result.column += static_cast<int>(start) + (quoted ? 1 : 0);
  result.length = static_cast<int>(std::max<size_t>(end - start, 1));
  return result;
}

Error ExpressionCompiler::ErrorAt(const Json& tree, std::string code, std::string message, std::string hint) const {
  return UserErrorAt(std::move(code), std::move(message), text_.PlaceOf(tree), std::move(hint));
}

Result<Expression> ExpressionCompiler::CompileResult(const Json& tree) {
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression value, Compile(tree));
  if (value.is_interval) {
    return ErrorAt(tree, "unsupported_expression", "a length of time can't be a feature", "epoch(...) gives its seconds");
  }
  TIDEMILL_ASSIGN_OR_RETURN(value, AsColumnType(tree, std::move(value)));
  return std::move(value.expression);
}

Result<TypedExpression> ExpressionCompiler::Compile(const Json& tree) {
  const std::string kind = Text(tree, "class");
  if (kind == "COLUMN_REF") {
    const Json names = tree.value("column_names", Json::array());
    if (names.empty()) return InternalError("a column without a name in DuckDB's tree");
    return scope_.Column(names.back().get<std::string>(), tree);
  }
  if (kind == "CONSTANT") return Constant(tree);
  if (kind == "CAST") return Cast(tree);
  if (kind == "OPERATOR" || kind == "COMPARISON" || kind == "CONJUNCTION") return Operator(tree);
  if (kind == "BETWEEN") return Between(tree);
  if (kind == "CASE") return Case(tree);
  if (kind == "FUNCTION") return Function(tree);
  if (kind == "WINDOW") {
    return ErrorAt(tree, "unsupported_expression", "OVER is not for features",
                   "list the lengths under 'windows', for instance windows: [7d]");
  }
  if (kind == "SUBQUERY")
    return ErrorAt(tree, "unsupported_expression", "a feature can't hold a query", "write a table for it and join it there");
  return ErrorAt(tree, "unsupported_expression", fmt::format("the kernel has nothing for this ({})", kind),
                 "compute it in a table and use its column");
}

Result<TypedExpression> ExpressionCompiler::Finish(const Json& tree, Expression expression) const {
  const bool constant = expression.kind != Expression::Kind::kColumn && expression.function != "now" &&
                        std::all_of(expression.arguments.begin(), expression.arguments.end(),
                                    [](const Expression& argument) { return argument.kind == Expression::Kind::kConstant; });
  if (!constant || expression.kind == Expression::Kind::kConstant) return TypedExpression{std::move(expression)};
  const Result<Node> node = Prepare(expression, {});
  if (!node.ok()) return ErrorAt(tree, node.error().code, node.error().message, node.error().hint);
  TextPool texts;
  Evaluation evaluation{{}, texts};
  const Value value = ToValue(Evaluate(*node, evaluation), expression.type);
  // What can't be computed is counted wherever it is looked at.
  if (evaluation.failures > 0) return TypedExpression{std::move(expression)};
  return TypedExpression{ConstantOf(value, expression.type)};
}

Result<TypedExpression> ExpressionCompiler::Constant(const Json& tree) const {
  const Json& value = tree["value"];
  const std::string type = value["type"].value("id", "");
  if (value.value("is_null", false)) return TypedExpression{ConstantOf({}, Type::kInt64), false, true};
  const Json& content = value["value"];
  if (type == "VARCHAR") return TypedExpression{ConstantOf(content.get<std::string>(), Type::kText), false, true};
  if (type == "BOOLEAN") return TypedExpression{ConstantOf(content.get<bool>(), Type::kBool), false, true};
  if (type == "DOUBLE" || type == "FLOAT") return TypedExpression{ConstantOf(content.get<double>(), Type::kDouble), false, true};
  if (type == "DECIMAL") return DecimalLiteral(tree, content, value["type"]["type_info"]);
  if (content.is_number_integer() && (!content.is_number_unsigned() || content.get<uint64_t>() <= INT64_MAX)) {
    return TypedExpression{ConstantOf(content.get<int64_t>(), Type::kInt64), false, true};
  }
  return ErrorAt(tree, "bad_literal", fmt::format("the kernel has no constants of type {}", type),
                 "integers have 64 bits; larger numbers need an exponent");
}

Result<TypedExpression> ExpressionCompiler::CastTo(const Json& tree, TypedExpression value, Type type) const {
  if (IsNullLiteral(value)) return TypedExpression{ConstantOf({}, type)};
  if (value.decimal) return FromDecimal(tree, std::move(value), type);
  if (value.is_interval || !CanCast(value.expression.type, type)) {
    return ErrorAt(tree, "argument_types", fmt::format("{} can't be cast to {}", TypesText({&value}), TypeName(type)));
  }
  if (value.expression.type == type) return TypedExpression{std::move(value.expression)};
  const bool text_literal = IsTextLiteral(value);
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression cast, Finish(tree, CallOf("cast", type, {std::move(value.expression)})));
  if (text_literal && IsNull(cast.expression.constant)) {
    return ErrorAt(tree, "bad_literal", fmt::format("this text is not a {}", TypeName(type)));
  }
  return cast;
}

Result<TypedExpression> ExpressionCompiler::Tried(const Json& tree, TypedExpression value) const {
  if (value.expression.kind == Expression::Kind::kConstant) return value;
  const Type type = value.expression.type;
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression tried, Finish(tree, CallOf("try", type, {std::move(value.expression)})));
  value.expression = std::move(tried.expression);
  return value;
}

Result<TypedExpression> ExpressionCompiler::Cast(const Json& tree) {
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression cast, CastOnce(tree));
  return tree.value("try_cast", false) ? Tried(tree, std::move(cast)) : Result<TypedExpression>(std::move(cast));
}

Result<TypedExpression> ExpressionCompiler::CastOnce(const Json& tree) {
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression value, Compile(tree["child"]));
  const std::string name = tree["cast_type"].value("id", "");
  if (const auto range = IntegerRange(name)) {
    TIDEMILL_ASSIGN_OR_RETURN(TypedExpression whole, CastTo(tree, std::move(value), Type::kInt64));
    return Finish(tree, CallOf("within", Type::kInt64,
                               {std::move(whole.expression), ConstantOf(range->first, Type::kInt64),
                                ConstantOf(range->second, Type::kInt64)}));
  }
  if (name == "DECIMAL") {
    const Json& info = tree["cast_type"]["type_info"];
    const bool given = info.is_object();
    return ToDecimal(tree, std::move(value),
                     {given ? info.value("width", int64_t{18}) : 18, given ? info.value("scale", int64_t{3}) : 3});
  }
  std::optional<Type> type = TypeOfSql(name);
  if (name == "LIST") {
    const std::string element = tree["cast_type"]["type_info"]["child_type"].value("id", "");
    if (const auto known = TypeOfSql(element); known && element != "FLOAT") type = ListType(*known);
  }
  if (!type) {
    return ErrorAt(
        tree, "unsupported_expression", fmt::format("the kernel has no type {}", name),
        "cast to BIGINT, DOUBLE, DECIMAL, VARCHAR, BOOLEAN, TIMESTAMP or DATE, or to a list of these");
  }
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression cast, CastTo(tree, std::move(value), *type));
  if (name == "TIMESTAMP WITH TIME ZONE") cast.is_zoned = true;
  return name == "FLOAT" ? Finish(tree, CallOf("single_precision", Type::kDouble, {std::move(cast.expression)}))
                         : std::move(cast);
}

Result<std::vector<TypedExpression>> ExpressionCompiler::CompileAll(const Json& trees) {
  std::vector<TypedExpression> values;
  for (const Json& tree : trees) {
    TIDEMILL_ASSIGN_OR_RETURN(TypedExpression value, Compile(tree));
    values.push_back(std::move(value));
  }
  return values;
}

Result<ExpressionCompiler::OneType> ExpressionCompiler::CommonType(const Json& tree, const std::vector<const TypedExpression*>& values,
                                                                  bool compared) const {
  std::optional<Type> common;
  std::optional<DecimalShape> shape;
  bool text = false;
  bool text_column = false;
  for (const TypedExpression* value : values) {
    if (IsNullLiteral(*value)) continue;
    const Type type = value->expression.type;
    if (type == Type::kText) {
      text = true;
      text_column = text_column || !value->is_literal;
      continue;
    }
    const auto number = [](Type t) {
      return t == Type::kBool || t == Type::kInt64 || t == Type::kDouble || t == Type::kDecimal;
    };
    if (const auto own = ShapeOf(*value)) shape = shape ? CommonShape(*shape, *own, compared) : *own;
    const auto time = [](Type t) { return t == Type::kDate || t == Type::kTimestamp; };
    if (!common || *common == type) {
      common = type;
    } else if (number(*common) && number(type)) {
      const auto any = [&](Type wanted) { return *common == wanted || type == wanted; };
      common = any(Type::kDouble) ? Type::kDouble : any(Type::kDecimal) ? Type::kDecimal : Type::kInt64;
    } else if (time(*common) && time(type)) {
      common = Type::kTimestamp;
    } else {
      return ErrorAt(tree, "argument_types", fmt::format("({}) have no type in common", TypesText(values)), "cast one of them");
    }
  }
  // DuckDB compares a text with another type as that type; otherwise only a literal gives way.
  if (text && (!common || (text_column && !compared))) return OneType{Type::kText, {}};
  return OneType{common.value_or(Type::kInt64), shape.value_or(DecimalShape{})};
}

Result<TypedExpression> ExpressionCompiler::BringTo(const Json& tree, TypedExpression value, const OneType& type) const {
  return type.type == Type::kDecimal ? ToDecimal(tree, std::move(value), type.decimal) : CastTo(tree, std::move(value), type.type);
}

Result<TypedExpression> ExpressionCompiler::CallOverOneType(const Json& tree, const std::string& name,
                                                            std::vector<TypedExpression> arguments) {
  std::vector<const TypedExpression*> pointers;
  size_t intervals = 0;
  for (const TypedExpression& argument : arguments) {
    pointers.push_back(&argument);
    intervals += argument.is_interval ? 1 : 0;
  }
  if (intervals > 0 && intervals < arguments.size()) {
    return ErrorAt(tree, "argument_types", fmt::format("({}) have no type in common", TypesText(pointers)),
                   "compare with INTERVAL 2 hours and the like");
  }
  const bool gives_list = name == "list_value";
  const bool compared = name != "coalesce" && name != "least" && name != "greatest" && !gives_list;
  const bool months = intervals > 0 && arguments[0].is_months;
  const bool zoned =
      !compared && std::any_of(arguments.begin(), arguments.end(), [](const TypedExpression& a) { return a.is_zoned; });
  if (intervals > 0 && (gives_list || std::any_of(arguments.begin(), arguments.end(),
                                                  [months](const TypedExpression& a) { return a.is_months != months; }))) {
    return ErrorAt(tree, "argument_types", fmt::format("({}) have no type in common", TypesText(pointers)),
                   "months and days differ in length; epoch(...) turns a fixed length of time into seconds");
  }
  TIDEMILL_ASSIGN_OR_RETURN(OneType common, CommonType(tree, pointers, compared));
  const Type type = gives_list && common.type == Type::kDecimal ? Type::kDouble : common.type;
  if (gives_list && IsList(type))
    return ErrorAt(tree, "argument_types", "the kernel has no lists of lists", "list_concat(a, b) makes one list of them");
  std::vector<Expression> brought;
  for (TypedExpression& argument : arguments) {
    argument.is_interval = false;
    TIDEMILL_ASSIGN_OR_RETURN(TypedExpression cast, BringTo(tree, std::move(argument), common));
    if (gives_list) {
      TIDEMILL_ASSIGN_OR_RETURN(cast, AsColumnType(tree, std::move(cast)));
    }
    brought.push_back(std::move(cast.expression));
  }
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression result, Finish(tree, CallOf(name,
                                                                        compared     ? Type::kBool
                                                                        : gives_list ? ListType(type)
                                                                                     : type,
                                                                        std::move(brought))));
  if (result.expression.type == Type::kDecimal) result.decimal = common.decimal;
  result.is_interval = !compared && intervals > 0;
  result.is_months = result.is_interval && months;
  result.is_zoned = zoned && !gives_list;
  return result;
}

Result<TypedExpression> ExpressionCompiler::Operator(const Json& tree) {
  const std::string type = Text(tree, "type");
  static const std::map<std::string, std::string> kNames = {{"COMPARE_EQUAL", "="},
                                                            {"COMPARE_NOTEQUAL", "<>"},
                                                            {"COMPARE_LESSTHAN", "<"},
                                                            {"COMPARE_GREATERTHAN", ">"},
                                                            {"COMPARE_LESSTHANOREQUALTO", "<="},
                                                            {"COMPARE_GREATERTHANOREQUALTO", ">="},
                                                            {"COMPARE_DISTINCT_FROM", "is_distinct"},
                                                            {"COMPARE_NOT_DISTINCT_FROM", "is_not_distinct"},
                                                            {"COMPARE_IN", "in"},
                                                            {"COMPARE_NOT_IN", "in"},
                                                            {"OPERATOR_COALESCE", "coalesce"},
                                                            {"OPERATOR_NOT", "not"},
                                                            {"OPERATOR_IS_NULL", "is_null"},
                                                            {"OPERATOR_IS_NOT_NULL", "is_not_null"},
                                                            {"CONJUNCTION_AND", "and"},
                                                            {"CONJUNCTION_OR", "or"}};
  const auto name = kNames.find(type);
  if (type == "OPERATOR_TRY") {
    TIDEMILL_ASSIGN_OR_RETURN(TypedExpression value, Compile(tree["children"][0]));
    return Tried(tree, std::move(value));
  }
  if (type == "ARRAY_EXTRACT" || type == "ARRAY_SLICE" || type == "ARRAY_CONSTRUCTOR" || type == "STRUCT_EXTRACT")
    return ListOperator(tree, type);
  if (name == kNames.end()) {
    return ErrorAt(tree, "unsupported_expression", fmt::format("the kernel has nothing for this ({})", type),
                   "compute it in a table and use its column");
  }
  const bool comparison = tree.contains("left");
  TIDEMILL_ASSIGN_OR_RETURN(
      std::vector<TypedExpression> arguments,
      CompileAll(comparison ? Json::array({tree["left"], tree["right"]}) : tree.value("children", Json::array())));
  if (type == "OPERATOR_IS_NULL" || type == "OPERATOR_IS_NOT_NULL") {
    return Finish(tree, CallOf(name->second, Type::kBool, {std::move(arguments[0].expression)}));
  }
  if (type == "OPERATOR_NOT" || type.starts_with("CONJUNCTION")) {
    std::vector<Expression> conditions;
    for (TypedExpression& argument : arguments) {
      TIDEMILL_ASSIGN_OR_RETURN(TypedExpression condition, CastTo(tree, std::move(argument), Type::kBool));
      conditions.push_back(std::move(condition.expression));
    }
    return Finish(tree, CallOf(name->second, Type::kBool, std::move(conditions)));
  }
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression result, CallOverOneType(tree, name->second, std::move(arguments)));
  return type == "COMPARE_NOT_IN" ? Finish(tree, CallOf("not", Type::kBool, {std::move(result.expression)})) : std::move(result);
}

Result<TypedExpression> ExpressionCompiler::Between(const Json& tree) {
  TIDEMILL_ASSIGN_OR_RETURN(std::vector<TypedExpression> parts,
                            CompileAll(Json::array({tree["input"], tree["lower"], tree["upper"]})));
  const bool decimals = std::any_of(parts.begin(), parts.end(), [](const TypedExpression& part) { return part.decimal.has_value(); });
  if (decimals) {
    TIDEMILL_ASSIGN_OR_RETURN(const OneType type, CommonType(tree, {&parts[0], &parts[1], &parts[2]}, true));
    for (TypedExpression& part : parts) {
      TIDEMILL_ASSIGN_OR_RETURN(part, BringTo(tree, std::move(part), type));
    }
  }
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression lower, CallOverOneType(tree, ">=", {parts[0], parts[1]}));
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression upper, CallOverOneType(tree, "<=", {parts[0], parts[2]}));
  return Finish(tree, CallOf("and", Type::kBool, {std::move(lower.expression), std::move(upper.expression)}));
}

Result<TypedExpression> ExpressionCompiler::Case(const Json& tree) {
  std::vector<Expression> conditions;
  std::vector<TypedExpression> values;
  for (const Json& check : tree["case_checks"]) {
    TIDEMILL_ASSIGN_OR_RETURN(TypedExpression when, Compile(check["when_expr"]));
    TIDEMILL_ASSIGN_OR_RETURN(TypedExpression condition, CastTo(check["when_expr"], std::move(when), Type::kBool));
    conditions.push_back(std::move(condition.expression));
    TIDEMILL_ASSIGN_OR_RETURN(TypedExpression then, Compile(check["then_expr"]));
    values.push_back(std::move(then));
  }
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression otherwise, Compile(tree["else_expr"]));
  values.push_back(std::move(otherwise));
  std::vector<const TypedExpression*> pointers;
  for (const TypedExpression& value : values) pointers.push_back(&value);
  TIDEMILL_ASSIGN_OR_RETURN(const OneType type, CommonType(tree, pointers, false));
  Expression result;
  result.kind = Expression::Kind::kCase;
  result.type = type.type;
  for (size_t i = 0; i < values.size(); ++i) {
    TIDEMILL_ASSIGN_OR_RETURN(TypedExpression value, BringTo(tree, std::move(values[i]), type));
    if (i < conditions.size()) result.arguments.push_back(std::move(conditions[i]));
    result.arguments.push_back(std::move(value.expression));
  }
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression chosen, Finish(tree, std::move(result)));
  if (type.type == Type::kDecimal) chosen.decimal = type.decimal;
  return chosen;
}

}  // namespace tidemill
