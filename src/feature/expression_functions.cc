#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/text_distance.h"
#include "feature/expression_compiler.h"
#include "feature/expression_names.h"
#include "feature/program/evaluator.h"

/// The part of the compiler that resolves calls of functions.
namespace tidemill {

Result<TypedExpression> ExpressionCompiler::Function(const Json& tree) {
  if (auto aggregate = scope_.Aggregate(tree)) return std::move(*aggregate);
  std::string name = CanonicalFunction(tree.value("function_name", std::string()));
  if (tree.value("distinct", false) || !tree.value("filter", Json()).is_null()) {
    return ErrorAt(tree, "unsupported_expression", fmt::format("'{}' is not an aggregate: it takes no DISTINCT or FILTER", name));
  }
  if (!IsKnownFunction(name)) {
    std::vector<std::string> known = FunctionNames();
    std::erase_if(known, [](const std::string& n) { return std::isalpha(static_cast<unsigned char>(n[0])) == 0; });
    const std::vector<std::string> aggregates = scope_.AggregateNames();
    known.insert(known.end(), aggregates.begin(), aggregates.end());
    const std::string instead = InsteadOf(name);
    return ErrorAt(tree, "unknown_function", fmt::format("the kernel has no function '{}'", name),
                   instead.empty() ? SuggestionHint(name, known) : instead);
  }
  TIDEMILL_ASSIGN_OR_RETURN(std::vector<TypedExpression> arguments, CompileAll(tree.value("children", Json::array())));
  return FunctionOf(tree, std::move(name), std::move(arguments));
}

Result<TypedExpression> ExpressionCompiler::FunctionOf(const Json& tree, std::string name, std::vector<TypedExpression> arguments) {
  const auto is_list = [&](size_t at) { return at < arguments.size() && IsList(arguments[at].expression.type); };
  const auto is_text = [&](size_t at) { return at < arguments.size() && arguments[at].expression.type == Type::kText; };
  if (std::any_of(arguments.begin(), arguments.end(), [](const TypedExpression& a) { return a.decimal.has_value(); })) {
    if (auto result = DecimalCall(tree, name, arguments)) return std::move(*result);
  }
  const bool negated = name == "!~~" || name == "!~~*";
  if (negated) name = name == "!~~" ? "like" : "ilike";
  if (name == "nullif" && arguments.size() == 2) return NullIf(tree, std::move(arguments));
  if (name == "+" && arguments.size() == 1) return std::move(arguments[0]);
  if (name == "date_part") return PartOfTime(tree, std::move(arguments));
  if (auto interval = IntervalCall(tree, name, arguments)) return std::move(*interval);
  if (name == "least" || name == "greatest" || name == "list_value") return CallOverOneType(tree, name, std::move(arguments));
  if (name == "log" && arguments.size() == 1) name = "log10";
  if (name == "timezone") return TimeZone(tree, std::move(arguments));
  if (name == "contains" && is_list(0)) name = "list_contains";
  if (name == "concat" && is_list(0)) name = "list_concat";
  const bool by_name = arguments.size() == 2 && is_text(0) && IsTextLiteral(arguments[1]);
  if (by_name && (name == "struct_extract" || name == "list_extract"))
    return FieldOfStruct(std::move(arguments[0]), std::get<std::string>(arguments[1].expression.constant));
  if (name == "list_extract" && is_text(0)) {
    name = "substr";
    arguments.push_back({ConstantOf(int64_t{1}, Type::kInt64)});
  }
  if (name == "concat" || name == "concat_ws" || (name == "||" && !is_list(0) && !is_list(1))) {
    for (TypedExpression& argument : arguments) {
      TIDEMILL_ASSIGN_OR_RETURN(argument, CastTo(tree, std::move(argument), Type::kText));
    }
  }
  if (name == "strftime" && is_text(0)) std::swap(arguments[0], arguments[1]);
  if (name == "strftime" && arguments.size() == 2 && arguments[0].is_zoned && IsTextLiteral(arguments[1])) {
    // Times with a zone are kept in UTC.
    auto& format = std::get<std::string>(arguments[1].expression.constant);
    for (size_t at = format.find('%'); at != std::string::npos && at + 1 < format.size(); at = format.find('%', at + 2)) {
      if (format[at + 1] == 'Z') format.replace(at, 2, "UTC");
    }
  }
  if (name == "strptime" || name == "try_strptime") return ParsedTime(tree, std::move(name), std::move(arguments));
  const bool zoned = name == "date_trunc" && arguments.size() == 2 && arguments[1].is_zoned;
  if ((name == "date_trunc" || name == "date_diff" || name == "date_sub") && !arguments.empty() && IsTextLiteral(arguments[0])) {
    auto& unit = std::get<std::string>(arguments[0].expression.constant);
    unit = CanonicalUnit(unit);
    const std::vector<std::string> units = TimeUnits();
    if (std::find(units.begin(), units.end(), unit) == units.end()) {
      return ErrorAt(tree, "bad_literal", fmt::format("'{}' is not a unit of time", unit), SuggestionHint(unit, units));
    }
  }
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression result, Call(tree, name, std::move(arguments)));
  result.is_zoned = zoned;
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
  typed.decimal = arguments[0].decimal;
  typed.is_interval = arguments[0].is_interval;
  typed.is_months = arguments[0].is_months;
  typed.is_zoned = arguments[0].is_zoned;
  return typed;
}

Result<TypedExpression> ExpressionCompiler::PartOfTime(const Json& tree, std::vector<TypedExpression> arguments) {
  if (arguments.size() != 2 || !IsTextLiteral(arguments[0])) {
    return ErrorAt(tree, "argument_types", "date_part needs the name of a part and a time", "for instance date_part('hour', t)");
  }
  const std::string part = CanonicalUnit(std::get<std::string>(arguments[0].expression.constant));
  static const std::vector<std::string> kParts = {"year",   "quarter",   "month", "week",   "day",    "dayofweek",
                                                  "isodow", "dayofyear", "hour",  "minute", "second", "epoch",
                                                  "isoyear", "decade", "century", "millennium", "yearweek", "millisecond",
                                                  "microsecond"};
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
  bool months = IntervalUnitMonths(name) != 0;
  const auto interval_result = [&months](Result<TypedExpression> result) -> Result<TypedExpression> {
    if (result.ok()) result.value().is_interval = true;
    if (result.ok()) result.value().is_months = months;
    return result;
  };
  if (const int64_t unit = months ? IntervalUnitMonths(name) : IntervalUnitMicros(name); unit != 0 && arguments.size() == 1) {
    TypedExpression factor{ConstantOf(unit, Type::kInt64)};
    auto count = CastTo(tree, arguments[0], Type::kInt64);
    if (!count.ok()) return count;
    return interval_result(Call(tree, "*", {std::move(count).value(), std::move(factor)}));
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
  if (name == "time_bucket") return TimeBucket(tree, std::move(arguments));
  months = std::any_of(arguments.begin(), arguments.end(), [](const TypedExpression& a) { return a.is_interval && a.is_months; });
  if (name == "epoch") {
    if (months) return refused;
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
  if (both && arguments[0].is_months != arguments[1].is_months) return refused;
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
  const bool zoned = arguments[0].is_zoned;
  auto moved = Call(tree, months ? "add_months" : "add_micros", std::move(arguments));
  if (moved.ok()) moved.value().is_zoned = zoned;
  return moved;
}

Result<TypedExpression> ExpressionCompiler::ParsedTime(const Json& tree, std::string name,
                                                       std::vector<TypedExpression> arguments) const {
  std::vector<Value> formats;
  if (arguments.size() == 2 && arguments[1].expression.kind == Expression::Kind::kConstant) {
    const Value& constant = arguments[1].expression.constant;
    if (const auto* list = std::get_if<List>(&constant)) {
      formats = ListElements(*list);
    } else {
      formats = {constant};
    }
  }
  const auto any_has = [&](char part) {
    return std::any_of(formats.begin(), formats.end(), [part](const Value& format) {
      const auto* text = std::get_if<std::string>(&format);
      return text != nullptr && functions::FormatHasPart(*text, part);
    });
  };
  const bool named = any_has('Z');
  const bool zoned = named || any_has('z');
  if (named) {
    if (text_.zones == nullptr) return InternalError("nobody can be asked about time zones here");
    TIDEMILL_ASSIGN_OR_RETURN(List zones, text_.zones->ReadFixed());
    arguments[1] = {ConstantOf(MakeList(Type::kText, formats), Type::kTextList)};
    arguments.push_back({ConstantOf(std::move(zones), Type::kTextList)});
  }
  const bool tries = name == "try_strptime";
  if (tries && arguments.size() == 2 && !IsList(arguments[1].expression.type)) name = "strptime";
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression time, Call(tree, name, std::move(arguments)));
  if (tries) {
    TIDEMILL_ASSIGN_OR_RETURN(time, Tried(tree, std::move(time)));
  }
  time.is_zoned = zoned;
  return time;
}

/// time_bucket(width, t[, origin or offset]): the beginning of the stretch of that width that t is in, counted from an origin.
Result<TypedExpression> ExpressionCompiler::TimeBucket(const Json& tree, std::vector<TypedExpression> arguments) {
  const bool known = (arguments.size() == 2 || arguments.size() == 3) && arguments[0].is_interval && !arguments[1].is_interval;
  if (!known) {
    return ErrorAt(tree, "argument_types", "time_bucket needs a width and a time, and perhaps an origin or an offset",
                   "for instance time_bucket(INTERVAL 15 minutes, t)");
  }
  const bool months = arguments[0].is_months;
  const bool of_date = arguments[1].expression.type == Type::kDate;
  const bool offset = arguments.size() == 3 && arguments[2].is_interval;
  if (offset && (months || arguments[2].is_months))
    return ErrorAt(tree, "unsupported_expression", "a bucket of months takes no offset", "add and subtract it around time_bucket");
  arguments[0].is_interval = false;
  // Weeks begin on Monday, months with the first.
  constexpr int64_t kMonday = 946'857'600'000'000;         // 2000-01-03
  constexpr int64_t kFirstOfMonth = 946'684'800'000'000;   // 2000-01-01
  const TypedExpression usual{ConstantOf(Timestamp{months ? kFirstOfMonth : kMonday}, Type::kTimestamp)};
  if (arguments.size() == 2) arguments.push_back(usual);
  if (offset) {
    arguments[2].is_interval = false;
    TIDEMILL_ASSIGN_OR_RETURN(arguments[2], Call(tree, "add_micros", {usual, std::move(arguments[2])}));
  }
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression bucket,
                            Call(tree, months ? "month_bucket" : "micros_bucket", std::move(arguments)));
  return of_date ? CastTo(tree, std::move(bucket), Type::kDate) : Result<TypedExpression>(std::move(bucket));
}

/// t AT TIME ZONE zone: of a time with a zone the local time there, of one without the moment at which clocks there show it.
Result<TypedExpression> ExpressionCompiler::TimeZone(const Json& tree, std::vector<TypedExpression> arguments) {
  if (arguments.size() != 2 || !IsTextLiteral(arguments[0])) {
    return ErrorAt(tree, "argument_types", "the zone has to be a constant, and it needs a time",
                   "for instance t AT TIME ZONE 'UTC' AT TIME ZONE 'America/New_York'");
  }
  if (text_.zones == nullptr) return InternalError("nobody can be asked about time zones here");
  const auto& zone = std::get<std::string>(arguments[0].expression.constant);
  auto offsets = text_.zones->Read(zone);
  if (!offsets.ok()) return ErrorAt(tree, offsets.error().code, offsets.error().message, offsets.error().hint);
  const bool to_local = arguments[1].is_zoned;
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression time, CastTo(tree, std::move(arguments[1]), Type::kTimestamp));
  TypedExpression data{ConstantOf(std::move(offsets).value(), Type::kInt64List)};
  TIDEMILL_ASSIGN_OR_RETURN(TypedExpression moved,
                            Call(tree, to_local ? "utc_to_zone" : "zone_to_utc", {std::move(time), std::move(data)}));
  moved.is_zoned = !to_local;
  return moved;
}

/// x[1], x[1:2], ARRAY[1, 2].
Result<TypedExpression> ExpressionCompiler::ListOperator(const Json& tree, const std::string& type) {
  const Json children = tree.value("children", Json::array());
  std::vector<TypedExpression> arguments;
  for (size_t i = 0; i < children.size(); ++i) {
    // A bound that is left out is an empty list in DuckDB's tree.
    const bool open = i > 0 && type == "ARRAY_SLICE" && children[i].value("class", "") == "CONSTANT" &&
                      children[i]["value"]["type"].value("id", "") == "LIST";
    if (open) {
      arguments.push_back({ConstantOf(i == 1 ? int64_t{1} : std::numeric_limits<int64_t>::max(), Type::kInt64)});
      continue;
    }
    TIDEMILL_ASSIGN_OR_RETURN(TypedExpression argument, Compile(children[i]));
    arguments.push_back(std::move(argument));
  }
  if (type == "STRUCT_EXTRACT") return FunctionOf(tree, "struct_extract", std::move(arguments));
  if (type == "ARRAY_EXTRACT") return FunctionOf(tree, "list_extract", std::move(arguments));
  if (type == "ARRAY_SLICE") return FunctionOf(tree, "list_slice", std::move(arguments));
  return FunctionOf(tree, "list_value", std::move(arguments));
}

Result<TypedExpression> ExpressionCompiler::Call(const Json& tree, const std::string& name,
                                                 std::vector<TypedExpression> arguments) const {
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
    const ScalarFunction& function = *chosen;
    Expression call = CallOf(name, function.result, {});
    for (size_t i = 0; i < arguments.size(); ++i) {
      TIDEMILL_ASSIGN_OR_RETURN(TypedExpression cast, CastTo(tree, std::move(arguments[i]), function.parameters[i]));
      call.arguments.push_back(std::move(cast.expression));
    }
    TIDEMILL_RETURN_IF_ERROR(CheckConstants(tree, function, call));
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

Status ExpressionCompiler::CheckConstants(const Json& tree, const ScalarFunction& function, const Expression& call) const {
  if (function.prepare == nullptr) return Ok();
  Node node;
  for (const Expression& argument : call.arguments) {
    Node part;
    part.type = argument.type;
    if (argument.kind == Expression::Kind::kConstant) {
      TIDEMILL_ASSIGN_OR_RETURN(part, Prepare(argument, {}));
    }
    node.arguments.push_back(std::move(part));
  }
  const Status checked = function.prepare(node);
  return checked.ok() ? Ok() : Status(ErrorAt(tree, checked.error().code, checked.error().message, checked.error().hint));
}

}  // namespace tidemill
