#include "feature/program/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "feature/program/compiled_program.h"
#include "feature/program/decimals.h"
#include "feature/program/evaluator.h"

namespace tidemill {
namespace {

constexpr int kFormat = 1;

// ---- writing

Json NumberToJson(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

Json ConstantToJson(const Value& value) {
  switch (value.index()) {
    case 1:
      return std::get<bool>(value);
    case 2:
      return std::get<int64_t>(value);
    case 3:
      return NumberToJson(std::get<double>(value));
    case 4:
      return std::get<std::string>(value);
    case 5:
      return std::get<Timestamp>(value).micros;
    case 6:
      return std::get<Date>(value).days;
    case 7: {
      Json items = Json::array();
      for (const Value& element : ListElements(std::get<List>(value))) items.push_back(ConstantToJson(element));
      return items;
    }
    default:
      return nullptr;
  }
}

Json FieldsToJson(const std::vector<Field>& fields) {
  Json result = Json::array();
  for (const Field& field : fields) result.push_back({{"name", field.name}, {"type", TypeName(field.type)}});
  return result;
}

}  // namespace

Json ExpressionToJson(const Expression& expression) {
  Json result = {{"type", TypeName(expression.type)}};
  if (expression.kind == Expression::Kind::kColumn) {
    result["column"] = expression.column;
  } else if (expression.kind == Expression::Kind::kConstant) {
    result["constant"] = ConstantToJson(expression.constant);
  } else {
    result["call"] = expression.kind == Expression::Kind::kCase ? "case" : expression.function;
    result["arguments"] = Json::array();
    for (const Expression& argument : expression.arguments) result["arguments"].push_back(ExpressionToJson(argument));
  }
  return result;
}

Json AggregateToJson(const Aggregate& aggregate) {
  Json result = {{"function", aggregate.function}, {"type", TypeName(aggregate.type)}, {"arguments", Json::array()}};
  for (const Expression& argument : aggregate.arguments) result["arguments"].push_back(ExpressionToJson(argument));
  if (aggregate.filter) result["filter"] = ExpressionToJson(*aggregate.filter);
  if (aggregate.window) result["window_us"] = aggregate.window->micros;
  if (aggregate.delay.micros != 0) result["delay_us"] = aggregate.delay.micros;
  if (aggregate.hop) result["hop_us"] = aggregate.hop->micros;
  if (aggregate.session) result["session_us"] = aggregate.session->micros;
  if (aggregate.max_events) result["max_events"] = *aggregate.max_events;
  return result;
}

namespace {

Json OutputToJson(const Output& output) {
  Json result = {{"name", output.name}, {"expression", ExpressionToJson(output.expression)}};
  if (!IsNull(output.default_value)) result["default"] = ConstantToJson(output.default_value);
  return result;
}

// ---- reading: every access is checked, since programs come from files

Result<Json> Member(const Json& json, const char* name) {
  if (!json.is_object() || !json.contains(name)) return BadProgram(fmt::format("'{}' is missing", name));
  return json[name];
}
Result<std::string> TextMember(const Json& json, const char* name) {
  TIDEMILL_ASSIGN_OR_RETURN(const Json member, Member(json, name));
  if (!member.is_string()) return BadProgram(fmt::format("'{}' is not a text", name));
  return member.get<std::string>();
}
Result<Type> TypeMember(const Json& json) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::string name, TextMember(json, "type"));
  return ParseType(name);
}
Result<Json> ListMember(const Json& json, const char* name) {
  TIDEMILL_ASSIGN_OR_RETURN(Json member, Member(json, name));
  if (!member.is_array()) return BadProgram(fmt::format("'{}' is not a list", name));
  return member;
}
Result<std::optional<Duration>> DurationMember(const Json& json, const char* name) {
  if (!json.contains(name)) return std::optional<Duration>();
  const Json& member = json[name];
  constexpr int64_t kDurationMax = 36'500 * kMicrosPerDay;  // so that sums of a few of them can't overflow
  if (!member.is_number_integer() || member.get<int64_t>() < 0 || member.get<int64_t>() > kDurationMax)
    return BadProgram(fmt::format("'{}' is not a duration", name));
  return std::optional<Duration>(Duration{member.get<int64_t>()});
}

Result<Value> ConstantFromJson(const Json& json, Type type);

Result<Value> ListFromJson(const Json& json, Type element) {
  if (!json.is_array()) return BadProgram("a constant does not have its type");
  std::vector<Value> values;
  for (const Json& item : json) {
    TIDEMILL_ASSIGN_OR_RETURN(Value value, ConstantFromJson(item, element));
    values.push_back(std::move(value));
  }
  return Value(MakeList(element, values));
}

Result<Value> ConstantFromJson(const Json& json, Type type) {
  const Error error = BadProgram("a constant does not have its type");
  if (json.is_null()) return Value();
  switch (type) {
    case Type::kBool:
      return json.is_boolean() ? Result<Value>(json.get<bool>()) : error;
    case Type::kInt64:
      return json.is_number_integer() ? Result<Value>(json.get<int64_t>()) : error;
    case Type::kText:
      return json.is_string() ? Result<Value>(json.get<std::string>()) : error;
    case Type::kTimestamp:
      return json.is_number_integer() ? Result<Value>(Timestamp{json.get<int64_t>()}) : error;
    case Type::kDate:
      if (!json.is_number_integer() || json.get<int64_t>() != static_cast<int32_t>(json.get<int64_t>())) return error;
      return Value(Date{json.get<int32_t>()});
    case Type::kDecimal:
      return json.is_string() && ParseWhole(json.get<std::string>()) ? Result<Value>(json.get<std::string>()) : error;
    case Type::kDouble:
      break;
    default:
      return ListFromJson(json, ElementType(type));
  }
  if (json.is_number()) return Value(json.get<double>());
  if (json == "nan") return Value(std::numeric_limits<double>::quiet_NaN());
  if (json == "inf") return Value(std::numeric_limits<double>::infinity());
  if (json == "-inf") return Value(-std::numeric_limits<double>::infinity());
  return error;
}

Result<std::vector<Field>> FieldsFromJson(const Json& json, const char* name) {
  TIDEMILL_ASSIGN_OR_RETURN(const Json list, ListMember(json, name));
  std::vector<Field> fields;
  for (const Json& item : list) {
    TIDEMILL_ASSIGN_OR_RETURN(std::string field_name, TextMember(item, "name"));
    TIDEMILL_ASSIGN_OR_RETURN(const Type type, TypeMember(item));
    fields.push_back({std::move(field_name), type});
  }
  return fields;
}

Result<Expression> ExpressionFromJson(const Json& json, int depth);

Result<std::vector<Expression>> ArgumentsFromJson(const Json& json, int depth) {
  TIDEMILL_ASSIGN_OR_RETURN(const Json list, ListMember(json, "arguments"));
  std::vector<Expression> arguments;
  for (const Json& item : list) {
    TIDEMILL_ASSIGN_OR_RETURN(Expression argument, ExpressionFromJson(item, depth));
    arguments.push_back(std::move(argument));
  }
  return arguments;
}

Result<Expression> ExpressionFromJson(const Json& json, int depth) {
  if (depth > kExpressionDepthMax) return BadProgram("an expression is too deep");
  Expression expression;
  if (json.is_object() && json.value("type", Json()) == TypeName(Type::kDecimal)) {
    expression.type = Type::kDecimal;
  } else {
    TIDEMILL_ASSIGN_OR_RETURN(expression.type, TypeMember(json));
  }
  if (json.contains("column")) {
    if (!json["column"].is_number_integer()) return BadProgram("'column' is not a number");
    expression.kind = Expression::Kind::kColumn;
    expression.column = json["column"].get<int>();
  } else if (json.contains("constant")) {
    TIDEMILL_ASSIGN_OR_RETURN(expression.constant, ConstantFromJson(json["constant"], expression.type));
  } else {
    TIDEMILL_ASSIGN_OR_RETURN(expression.function, TextMember(json, "call"));
    TIDEMILL_ASSIGN_OR_RETURN(expression.arguments, ArgumentsFromJson(json, depth + 1));
    expression.kind = expression.function == "case" ? Expression::Kind::kCase : Expression::Kind::kCall;
    if (expression.kind == Expression::Kind::kCase) expression.function.clear();
  }
  return expression;
}

Result<Aggregate> AggregateFromJson(const Json& json) {
  Aggregate aggregate;
  TIDEMILL_ASSIGN_OR_RETURN(aggregate.function, TextMember(json, "function"));
  TIDEMILL_ASSIGN_OR_RETURN(aggregate.type, TypeMember(json));
  TIDEMILL_ASSIGN_OR_RETURN(aggregate.arguments, ArgumentsFromJson(json, 1));
  if (json.contains("filter")) {
    TIDEMILL_ASSIGN_OR_RETURN(aggregate.filter, ExpressionFromJson(json["filter"], 1));
  }
  TIDEMILL_ASSIGN_OR_RETURN(aggregate.window, DurationMember(json, "window_us"));
  TIDEMILL_ASSIGN_OR_RETURN(const std::optional<Duration> delay, DurationMember(json, "delay_us"));
  aggregate.delay = delay.value_or(Duration{0});
  TIDEMILL_ASSIGN_OR_RETURN(aggregate.hop, DurationMember(json, "hop_us"));
  TIDEMILL_ASSIGN_OR_RETURN(aggregate.session, DurationMember(json, "session_us"));
  if (json.contains("max_events")) {
    if (!json["max_events"].is_number_integer()) return BadProgram("'max_events' is not a number");
    aggregate.max_events = json["max_events"].get<int64_t>();
  }
  return aggregate;
}

Result<Output> OutputFromJson(const Json& json) {
  Output output;
  TIDEMILL_ASSIGN_OR_RETURN(output.name, TextMember(json, "name"));
  TIDEMILL_ASSIGN_OR_RETURN(const Json expression, Member(json, "expression"));
  TIDEMILL_ASSIGN_OR_RETURN(output.expression, ExpressionFromJson(expression, 1));
  if (json.contains("default")) {
    TIDEMILL_ASSIGN_OR_RETURN(output.default_value, ConstantFromJson(json["default"], output.expression.type));
  }
  return output;
}

Result<std::vector<Output>> OutputsFromJson(const Json& json) {
  TIDEMILL_ASSIGN_OR_RETURN(const Json list, ListMember(json, "outputs"));
  std::vector<Output> outputs;
  for (const Json& item : list) {
    TIDEMILL_ASSIGN_OR_RETURN(Output output, OutputFromJson(item));
    outputs.push_back(std::move(output));
  }
  return outputs;
}

Status CheckFormat(const Json& json) {
  TIDEMILL_ASSIGN_OR_RETURN(const Json format, Member(json, "format"));
  if (format != kFormat) return BadProgram("it was written by another version");
  return Ok();
}

std::vector<Type> TypesOf(const std::vector<Field>& fields) {
  std::vector<Type> types;
  for (const Field& field : fields) types.push_back(field.type);
  return types;
}

}  // namespace

std::string_view KernelVersion() { return "3"; }

std::optional<Duration> Program::Reach() const {
  Duration reach{0};
  for (const Aggregate& aggregate : aggregates) {
    if (aggregate.window) {
      const int64_t hop = aggregate.hop.value_or(Duration{0}).micros;
      reach = std::max(reach, Duration{aggregate.delay.micros + aggregate.window->micros + hop});
    } else if (!ttl) {
      return std::nullopt;
    } else {
      reach = *ttl;
      break;
    }
  }
  return ttl ? std::min(reach, *ttl) : reach;
}

std::vector<Field> Program::OutputFields() const {
  std::vector<Field> fields;
  for (const Output& output : outputs) fields.push_back({output.name, output.expression.type});
  return fields;
}

Json Program::ToJson() const {
  Json result = {{"format", kFormat}, {"view", view}, {"keys", FieldsToJson(keys)}, {"columns", FieldsToJson(columns)}};
  result["aggregates"] = Json::array();
  for (const Aggregate& aggregate : aggregates) result["aggregates"].push_back(AggregateToJson(aggregate));
  result["outputs"] = Json::array();
  for (const Output& output : outputs) result["outputs"].push_back(OutputToJson(output));
  if (ttl) result["ttl_us"] = ttl->micros;
  result["lookback_us"] = lookback.micros;
  if (lateness) result["lateness_us"] = lateness->micros;
  if (fails_on_error) result["on_error"] = "fail";
  return result;
}

Result<Program> Program::FromJson(const Json& json) {
  Program program;
  TIDEMILL_RETURN_IF_ERROR(CheckFormat(json));
  TIDEMILL_ASSIGN_OR_RETURN(program.view, TextMember(json, "view"));
  TIDEMILL_ASSIGN_OR_RETURN(program.keys, FieldsFromJson(json, "keys"));
  TIDEMILL_ASSIGN_OR_RETURN(program.columns, FieldsFromJson(json, "columns"));
  TIDEMILL_ASSIGN_OR_RETURN(const Json aggregates, ListMember(json, "aggregates"));
  for (const Json& item : aggregates) {
    TIDEMILL_ASSIGN_OR_RETURN(Aggregate aggregate, AggregateFromJson(item));
    program.aggregates.push_back(std::move(aggregate));
  }
  TIDEMILL_ASSIGN_OR_RETURN(program.outputs, OutputsFromJson(json));
  TIDEMILL_ASSIGN_OR_RETURN(program.ttl, DurationMember(json, "ttl_us"));
  TIDEMILL_ASSIGN_OR_RETURN(const std::optional<Duration> lookback, DurationMember(json, "lookback_us"));
  program.lookback = lookback.value_or(Duration{0});
  TIDEMILL_ASSIGN_OR_RETURN(program.lateness, DurationMember(json, "lateness_us"));
  if (json.contains("on_error")) {
    if (json["on_error"] != "fail") return BadProgram("'on_error' is not known");
    program.fails_on_error = true;
  }
  const auto compiled = CompiledProgram::Make(program);
  if (!compiled.ok()) return compiled.error();
  return program;
}

Json RowProgram::ToJson() const {
  Json result = {{"format", kFormat}, {"columns", FieldsToJson(columns)}, {"outputs", Json::array()}};
  for (const Output& output : outputs) result["outputs"].push_back(OutputToJson(output));
  return result;
}

Result<RowProgram> RowProgram::FromJson(const Json& json) {
  RowProgram program;
  TIDEMILL_RETURN_IF_ERROR(CheckFormat(json));
  TIDEMILL_ASSIGN_OR_RETURN(program.columns, FieldsFromJson(json, "columns"));
  TIDEMILL_ASSIGN_OR_RETURN(program.outputs, OutputsFromJson(json));
  for (const Output& output : program.outputs) {
    const Result<Node> node = Prepare(output.expression, TypesOf(program.columns));
    if (!node.ok()) return node.error();
    if (node->type == Type::kDecimal) return BadProgram("the output '" + output.name + "' is a decimal");
  }
  return program;
}

}  // namespace tidemill
