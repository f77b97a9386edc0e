#include "feature/expression_compiler.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "base/text_distance.h"
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

Expression ConstantOf(Value value, Type type) {
  Expression expression;
  expression.type = type;
  expression.constant = std::move(value);
  return expression;
}

bool IsNullLiteral(const TypedExpression& value) {
  return value.is_literal && value.expression.kind == Expression::Kind::kConstant && IsNull(value.expression.constant);
}
bool IsTextLiteral(const TypedExpression& value) { return value.is_literal && value.expression.type == Type::kText; }

Expression CallOf(std::string function, Type type, std::vector<Expression> arguments) {
  Expression expression;
  expression.kind = Expression::Kind::kCall;
  expression.function = std::move(function);
  expression.type = type;
  expression.arguments = std::move(arguments);
  return expression;
}

const std::map<std::string, std::string, std::less<>>& Aliases() {
  static const std::map<std::string, std::string, std::less<>> kAliases = {{"power", "pow"},
                                                                           {"**", "pow"},
                                                                           {"^", "pow"},
                                                                           {"ceiling", "ceil"},
                                                                           {"log", "log10"},
                                                                           {"mod", "%"},
                                                                           {"fmod", "%"},
                                                                           {"lcase", "lower"},
                                                                           {"ucase", "upper"},
                                                                           {"len", "length"},
                                                                           {"char_length", "length"},
                                                                           {"character_length", "length"},
                                                                           {"substring", "substr"},
                                                                           {"prefix", "starts_with"},
                                                                           {"suffix", "ends_with"},
                                                                           {"^@", "starts_with"},
                                                                           {"instr", "strpos"},
                                                                           {"position", "strpos"},
                                                                           {"~~", "like"},
                                                                           {"~~*", "ilike"},
                                                                           {"datediff", "date_diff"},
                                                                           {"datetrunc", "date_trunc"},
                                                                           {"datepart", "date_part"},
                                                                           {"weekday", "dayofweek"},
                                                                           {"dayofmonth", "day"},
                                                                           {"weekofyear", "week"},
                                                                           {"is_nan", "isnan"},
                                                                           {"add", "+"},
                                                                           {"subtract", "-"},
                                                                           {"multiply", "*"},
                                                                           {"divide", "//"}};
  return kAliases;
}

/// Fixed lengths of time. Months and years are not among them.
int64_t IntervalUnitMicros(std::string_view function) {
  constexpr std::array<std::pair<std::string_view, int64_t>, 7> kUnits = {{{"to_weeks", 7 * kMicrosPerDay},
                                                                           {"to_days", kMicrosPerDay},
                                                                           {"to_hours", 3600 * kMicrosPerSecond},
                                                                           {"to_minutes", 60 * kMicrosPerSecond},
                                                                           {"to_seconds", kMicrosPerSecond},
                                                                           {"to_milliseconds", 1000},
                                                                           {"to_microseconds", 1}}};
  for (const auto& [name, micros] : kUnits) {
    if (name == function) return micros;
  }
  return 0;
}

/// The casts to integers narrower than ours keep their range.
std::optional<std::pair<int64_t, int64_t>> IntegerRange(std::string_view type) {
  if (type == "TINYINT") return std::pair<int64_t, int64_t>{-128, 127};
  if (type == "SMALLINT") return std::pair<int64_t, int64_t>{-32768, 32767};
  if (type == "INTEGER") return std::pair<int64_t, int64_t>{-2147483648LL, 2147483647};
  if (type == "UTINYINT") return std::pair<int64_t, int64_t>{0, 255};
  if (type == "USMALLINT") return std::pair<int64_t, int64_t>{0, 65535};
  if (type == "UINTEGER") return std::pair<int64_t, int64_t>{0, 4294967295LL};
  return std::nullopt;
}

std::optional<Type> TypeOfSql(std::string_view type) {
  constexpr std::array<std::pair<std::string_view, Type>, 7> kTypes = {{{"BIGINT", Type::kInt64},
                                                                        {"DOUBLE", Type::kDouble},
                                                                        {"FLOAT", Type::kDouble},
                                                                        {"VARCHAR", Type::kText},
                                                                        {"BOOLEAN", Type::kBool},
                                                                        {"TIMESTAMP", Type::kTimestamp},
                                                                        {"DATE", Type::kDate}}};
  for (const auto& [name, value] : kTypes) {
    if (name == type) return value;
  }
  return std::nullopt;
}

/// "hours" and "HOUR" mean hour; "dow" and the like have names of their own.
std::string CanonicalUnit(std::string unit) {
  std::transform(unit.begin(), unit.end(), unit.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  static const std::map<std::string, std::string> kNames = {
      {"dow", "dayofweek"}, {"weekday", "dayofweek"}, {"doy", "dayofyear"}, {"dayofmonth", "day"}, {"weekofyear", "week"},
      {"h", "hour"},        {"m", "minute"},          {"min", "minute"},    {"mins", "minute"},    {"s", "second"},
      {"sec", "second"},    {"secs", "second"},       {"d", "day"},         {"w", "week"},         {"y", "year"}};
  if (const auto known = kNames.find(unit); known != kNames.end()) return known->second;
  if (unit.size() > 1 && unit.back() == 's') unit.pop_back();
  return unit;
}

std::string TypesText(const std::vector<const TypedExpression*>& values) {
  std::string text;
  for (const TypedExpression* value : values) {
    text += text.empty() ? "" : ", ";
    text += value->is_interval ? "interval" : TypeName(value->expression.type);
  }
  return text;
}

bool IsKnownFunction(const std::string& name) {
  constexpr std::array<std::string_view, 7> kCompiledAway = {"nullif",    "date_part", "!~~",        "!~~*",
                                                             "to_months", "to_years",  "to_quarters"};
  const std::vector<std::string> names = FunctionNames();
  return std::find(names.begin(), names.end(), name) != names.end() || IntervalUnitMicros(name) != 0 ||
         std::find(kCompiledAway.begin(), kCompiledAway.end(), name) != kCompiledAway.end();
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

std::string CanonicalFunction(std::string_view name) {
  const auto known = Aliases().find(name);
  return known == Aliases().end() ? std::string(name) : known->second;
}

bool CoercesTo(const TypedExpression& value, Type type) {
  const Type from = value.expression.type;
  if (IsNullLiteral(value)) return true;
  if (value.is_interval) return false;
  if (from == type || (from == Type::kInt64 && type == Type::kDouble) || (from == Type::kDate && type == Type::kTimestamp))
    return true;
  return IsTextLiteral(value) && (type == Type::kTimestamp || type == Type::kDate);
}

Expression Coerced(TypedExpression value, Type type) {
  if (IsNullLiteral(value)) return ConstantOf({}, type);
  if (value.expression.type == type) return std::move(value.expression);
  if (value.expression.kind == Expression::Kind::kConstant && type == Type::kDouble) {
    return ConstantOf(static_cast<double>(std::get<int64_t>(value.expression.constant)), type);
  }
  return CallOf("cast", type, {std::move(value.expression)});
}

Error ExpressionCompiler::ErrorAt(const Json& tree, std::string code, std::string message, std::string hint) const {
  return UserErrorAt(std::move(code), std::move(message), text_.PlaceOf(tree), std::move(hint));
}

Result<Expression> ExpressionCompiler::CompileResult(const Json& tree) {
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression value, Compile(tree));
  if (value.is_interval) {
    return ErrorAt(tree, "unsupported_expression", "a length of time can't be a feature", "epoch(...) gives its seconds");
  }
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
  const bool constant = expression.kind != Expression::Kind::kColumn &&
                        std::all_of(expression.arguments.begin(), expression.arguments.end(),
                                    [](const Expression& argument) { return argument.kind == Expression::Kind::kConstant; });
  if (!constant || expression.kind == Expression::Kind::kConstant) return TypedExpression{std::move(expression)};
  const Result<Node> node = Prepare(expression, {});
  if (!node.ok()) return ErrorAt(tree, node.error().code, node.error().message, node.error().hint);
  TextPool texts;
  Evaluation evaluation{{}, texts};
  return TypedExpression{ConstantOf(ToValue(Evaluate(*node, evaluation), expression.type), expression.type)};
}

Result<TypedExpression> ExpressionCompiler::Constant(const Json& tree) const {
  const Json& value = tree["value"];
  const std::string type = value["type"].value("id", "");
  if (value.value("is_null", false)) return TypedExpression{ConstantOf({}, Type::kInt64), false, true};
  const Json& content = value["value"];
  if (type == "VARCHAR") return TypedExpression{ConstantOf(content.get<std::string>(), Type::kText), false, true};
  if (type == "BOOLEAN") return TypedExpression{ConstantOf(content.get<bool>(), Type::kBool), false, true};
  if (type == "DOUBLE" || type == "FLOAT") return TypedExpression{ConstantOf(content.get<double>(), Type::kDouble), false, true};
  if (type == "DECIMAL") {
    // 1.5 is 15 and a scale of 1; read as text so that it is rounded once.
    const int scale = value["type"]["type_info"].value("scale", 0);
    const bool wide = content.is_object();
    if (wide && content.value("upper", int64_t{0}) != 0) {
      return ErrorAt(tree, "bad_literal", "this number has too many digits", "write it with an exponent, for instance 1.5e20");
    }
    const std::string digits = wide ? content.value("lower", Json(0)).dump() : content.dump();
    const std::string number = fmt::format("{}e-{}", digits, scale);
    double parsed = 0;
    std::from_chars(number.data(), number.data() + number.size(), parsed);
    return TypedExpression{ConstantOf(parsed, Type::kDouble), false, true};
  }
  if (content.is_number_integer() && (!content.is_number_unsigned() || content.get<uint64_t>() <= INT64_MAX)) {
    return TypedExpression{ConstantOf(content.get<int64_t>(), Type::kInt64), false, true};
  }
  return ErrorAt(tree, "bad_literal", fmt::format("the kernel has no constants of type {}", type),
                 "integers have 64 bits; larger numbers need an exponent");
}

Result<TypedExpression> ExpressionCompiler::CastTo(const Json& tree, TypedExpression value, Type type) const {
  if (IsNullLiteral(value)) return TypedExpression{ConstantOf({}, type)};
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

Result<TypedExpression> ExpressionCompiler::Cast(const Json& tree) {
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression value, Compile(tree["child"]));
  const std::string name = tree["cast_type"].value("id", "");
  if (const auto range = IntegerRange(name)) {
    TIDEMILL_ASSIGN_OR_RETURN(TypedExpression whole, CastTo(tree, std::move(value), Type::kInt64));
    return Finish(tree, CallOf("within", Type::kInt64,
                               {std::move(whole.expression), ConstantOf(range->first, Type::kInt64),
                                ConstantOf(range->second, Type::kInt64)}));
  }
  const auto type = TypeOfSql(name);
  if (!type) {
    return ErrorAt(
        tree, "unsupported_expression", fmt::format("the kernel has no type {}", name),
        name == "DECIMAL" ? "round(x, 2) keeps two decimals" : "cast to BIGINT, DOUBLE, VARCHAR, BOOLEAN, TIMESTAMP or DATE");
  }
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression cast, CastTo(tree, std::move(value), *type));
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

Result<Type> ExpressionCompiler::CommonType(const Json& tree, const std::vector<const TypedExpression*>& values,
                                            bool compared) const {
  std::optional<Type> common;
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
    const auto number = [](Type t) { return t == Type::kBool || t == Type::kInt64 || t == Type::kDouble; };
    const auto time = [](Type t) { return t == Type::kDate || t == Type::kTimestamp; };
    if (!common || *common == type) {
      common = type;
    } else if (number(*common) && number(type)) {
      common = *common == Type::kDouble || type == Type::kDouble ? Type::kDouble : Type::kInt64;
    } else if (time(*common) && time(type)) {
      common = Type::kTimestamp;
    } else {
      return ErrorAt(tree, "argument_types", fmt::format("({}) have no type in common", TypesText(values)), "cast one of them");
    }
  }
  // DuckDB compares a text with another type as that type; otherwise only a literal gives way.
  if (text && (!common || (text_column && !compared))) return Type::kText;
  return common.value_or(Type::kInt64);
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
  const bool compared = name != "coalesce" && name != "least" && name != "greatest";
  TIDEMILL_ASSIGN_OR_RETURN(const Type type, CommonType(tree, pointers, compared));
  std::vector<Expression> brought;
  for (TypedExpression& argument : arguments) {
    argument.is_interval = false;
    TIDEMILL_ASSIGN_OR_RETURN(TypedExpression cast, CastTo(tree, std::move(argument), type));
    brought.push_back(std::move(cast.expression));
  }
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression result,
                            Finish(tree, CallOf(name, compared ? Type::kBool : type, std::move(brought))));
  result.is_interval = !compared && intervals > 0;
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
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<TypedExpression> parts,
                            CompileAll(Json::array({tree["input"], tree["lower"], tree["upper"]})));
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
  TIDEMILL_ASSIGN_OR_RETURN(const Type type, CommonType(tree, pointers, false));
  Expression result;
  result.kind = Expression::Kind::kCase;
  result.type = type;
  for (size_t i = 0; i < values.size(); ++i) {
    TIDEMILL_ASSIGN_OR_RETURN(TypedExpression value, CastTo(tree, std::move(values[i]), type));
    if (i < conditions.size()) result.arguments.push_back(std::move(conditions[i]));
    result.arguments.push_back(std::move(value.expression));
  }
  return Finish(tree, std::move(result));
}

Result<TypedExpression> ExpressionCompiler::Function(const Json& tree) {
  if (auto aggregate = scope_.Aggregate(tree)) return std::move(*aggregate);
  std::string name = CanonicalFunction(Text(tree, "function_name"));
  if (tree.value("distinct", false) || !tree.value("filter", Json()).is_null()) {
    return ErrorAt(tree, "unsupported_expression", fmt::format("'{}' is not an aggregate: it takes no DISTINCT or FILTER", name));
  }
  if (!IsKnownFunction(name)) {
    std::vector<std::string> known = FunctionNames();
    std::erase_if(known, [](const std::string& n) { return std::isalpha(static_cast<unsigned char>(n[0])) == 0; });
    const std::vector<std::string> aggregates = scope_.AggregateNames();
    known.insert(known.end(), aggregates.begin(), aggregates.end());
    return ErrorAt(tree, "unknown_function", fmt::format("the kernel has no function '{}'", name), SuggestionHint(name, known));
  }
  TIDEMILL_ASSIGN_OR_RETURN(std::vector<TypedExpression> arguments, CompileAll(tree.value("children", Json::array())));
  const bool negated = name == "!~~" || name == "!~~*";
  if (negated) name = name == "!~~" ? "like" : "ilike";
  if (name == "nullif" && arguments.size() == 2) return NullIf(tree, std::move(arguments));
  if (name == "+" && arguments.size() == 1) return std::move(arguments[0]);
  if (name == "date_part") return PartOfTime(tree, std::move(arguments));
  if (auto interval = IntervalCall(tree, name, arguments)) return std::move(*interval);
  if (name == "least" || name == "greatest") return CallOverOneType(tree, name, std::move(arguments));
  if (name == "||" || name == "concat") {
    for (TypedExpression& argument : arguments) {
      TIDEMILL_ASSIGN_OR_RETURN(argument, CastTo(tree, std::move(argument), Type::kText));
    }
  }
  if ((name == "date_trunc" || name == "date_diff") && !arguments.empty() && IsTextLiteral(arguments[0])) {
    auto& unit = std::get<std::string>(arguments[0].expression.constant);
    unit = CanonicalUnit(unit);
    const std::vector<std::string> units = TimeUnits();
    if (std::find(units.begin(), units.end(), unit) == units.end()) {
      return ErrorAt(tree, "bad_literal", fmt::format("'{}' is not a unit of time", unit), SuggestionHint(unit, units));
    }
  }
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression result, Call(tree, name, std::move(arguments)));
  return negated ? Finish(tree, CallOf("not", Type::kBool, {std::move(result.expression)})) : std::move(result);
}

/// As DuckDB does: CASE WHEN a = b THEN NULL ELSE a END.
Result<TypedExpression> ExpressionCompiler::NullIf(const Json& tree, std::vector<TypedExpression> arguments) {
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression equal, CallOverOneType(tree, "=", arguments));
  Expression result;
  result.kind = Expression::Kind::kCase;
  result.type = arguments[0].expression.type;
  result.arguments = {std::move(equal.expression), ConstantOf({}, result.type), std::move(arguments[0].expression)};
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression typed, Finish(tree, std::move(result)));
  typed.is_interval = arguments[0].is_interval;
  return typed;
}

Result<TypedExpression> ExpressionCompiler::PartOfTime(const Json& tree, std::vector<TypedExpression> arguments) {
  if (arguments.size() != 2 || !IsTextLiteral(arguments[0])) {
    return ErrorAt(tree, "argument_types", "date_part needs the name of a part and a time", "for instance date_part('hour', t)");
  }
  const std::string part = CanonicalUnit(std::get<std::string>(arguments[0].expression.constant));
  static const std::vector<std::string> kParts = {"year",   "quarter",   "month", "week",   "day",    "dayofweek",
                                                  "isodow", "dayofyear", "hour",  "minute", "second", "epoch"};
  if (std::find(kParts.begin(), kParts.end(), part) == kParts.end()) {
    return ErrorAt(tree, "bad_literal", fmt::format("'{}' is not a part of a time", part), SuggestionHint(part, kParts));
  }
  arguments.erase(arguments.begin());
  if (auto interval = IntervalCall(tree, part, arguments)) return std::move(*interval);
  return Call(tree, part, std::move(arguments));
}

/// Lengths of time exist only between calls: made by to_hours() and the like or by subtracting times, and used up by adding
/// to times, comparing, or epoch(). nullopt: no length of time is involved.
std::optional<Result<TypedExpression>> ExpressionCompiler::IntervalCall(const Json& tree, const std::string& name,
                                                                        std::vector<TypedExpression>& arguments) {
  const auto is_time = [](const TypedExpression& a) {
    return a.expression.type == Type::kTimestamp || a.expression.type == Type::kDate;
  };
  const auto interval_result = [](Result<TypedExpression> result) -> Result<TypedExpression> {
    if (result.ok()) result.value().is_interval = true;
    return result;
  };
  if (const int64_t unit = IntervalUnitMicros(name); unit != 0 && arguments.size() == 1) {
    TypedExpression factor{ConstantOf(unit, Type::kInt64)};
    auto count = CastTo(tree, arguments[0], Type::kInt64);
    if (!count.ok()) return count;
    return interval_result(Call(tree, "*", {std::move(count).value(), std::move(factor)}));
  }
  if (name == "to_months" || name == "to_years" || name == "to_quarters") {
    return ErrorAt(tree, "unsupported_expression", "months and years differ in length", "use days, or date_diff('month', a, b)");
  }
  if (name == "-" && arguments.size() == 2 && is_time(arguments[0]) && is_time(arguments[1]) &&
      (arguments[0].expression.type == Type::kTimestamp || arguments[1].expression.type == Type::kTimestamp)) {
    return interval_result(Call(tree, "micros_between", std::move(arguments)));
  }
  const bool any = std::any_of(arguments.begin(), arguments.end(), [](const TypedExpression& a) { return a.is_interval; });
  if (!any) return std::nullopt;
  std::vector<const TypedExpression*> pointers;
  for (const TypedExpression& argument : arguments) pointers.push_back(&argument);
  const Error refused = ErrorAt(tree, "argument_types", fmt::format("'{}' does not take ({})", name, TypesText(pointers)),
                                "epoch(...) turns a length of time into seconds");
  if (name == "epoch") {
    arguments[0].is_interval = false;
    return Call(tree, "/",
                {std::move(arguments[0]), TypedExpression{ConstantOf(static_cast<double>(kMicrosPerSecond), Type::kDouble)}});
  }
  if (name == "-" && arguments.size() == 1) {
    arguments[0].is_interval = false;
    return interval_result(Call(tree, "-", std::move(arguments)));
  }
  if (arguments.size() != 2) return refused;
  const bool both = arguments[0].is_interval && arguments[1].is_interval;
  if (both && (name == "+" || name == "-")) {
    for (TypedExpression& argument : arguments) argument.is_interval = false;
    return interval_result(Call(tree, name, std::move(arguments)));
  }
  if (name == "+" && arguments[0].is_interval) std::swap(arguments[0], arguments[1]);
  if ((name != "+" && name != "-") || !is_time(arguments[0]) || !arguments[1].is_interval) return refused;
  arguments[1].is_interval = false;
  if (name == "-") {
    auto negative = Call(tree, "-", {std::move(arguments[1])});
    if (!negative.ok()) return negative;
    arguments[1] = std::move(negative).value();
  }
  return Call(tree, "add_micros", std::move(arguments));
}

Result<TypedExpression> ExpressionCompiler::Call(const Json& tree, const std::string& name,
                                                 std::vector<TypedExpression> arguments) {
  std::vector<Type> types;
  std::vector<const TypedExpression*> pointers;
  for (const TypedExpression& argument : arguments) {
    types.push_back(argument.expression.type);
    pointers.push_back(&argument);
  }
  const ScalarFunction* chosen = nullptr;
  for (const ScalarFunction& candidate : ScalarFunctions()) {
    if (candidate.name != name || candidate.parameters.size() != arguments.size()) continue;
    const bool fits = std::equal(arguments.begin(), arguments.end(), candidate.parameters.begin(), CoercesTo);
    const bool exact = candidate.parameters == types;
    if (fits && (chosen == nullptr || exact)) chosen = &candidate;
  }
  if (chosen != nullptr) {
    Expression call = CallOf(name, chosen->result, {});
    for (size_t i = 0; i < arguments.size(); ++i) {
      TIDEMILL_ASSIGN_OR_RETURN(TypedExpression cast, CastTo(tree, std::move(arguments[i]), chosen->parameters[i]));
      call.arguments.push_back(std::move(cast.expression));
    }
    return Finish(tree, std::move(call));
  }
  const auto function = ResolveFunction(name, types, types.empty() ? Type::kDouble : types[0]);
  if (!function.ok()) {
    const bool unknown = function.error().code == "unknown_function";
    return ErrorAt(tree, function.error().code,
                   unknown ? function.error().message : fmt::format("'{}' does not take ({})", name, TypesText(pointers)),
                   function.error().hint);
  }
  Expression call = CallOf(name, function->result, {});
  for (TypedExpression& argument : arguments) call.arguments.push_back(std::move(argument.expression));
  return Finish(tree, std::move(call));
}

}  // namespace tidemill
