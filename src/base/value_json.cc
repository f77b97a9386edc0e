#include "base/value_json.h"

#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include <fmt/format.h>

namespace tidemill {
namespace {

constexpr size_t kShortJsonCharacters = 60;

Error BadValue(const Json& json, std::string_view expected) {
  return UserError("bad_value", fmt::format("expected {}, came {}", expected, ShortJson(json)));
}

Result<Value> IntegerFromJson(const Json& json) {
  if (json.is_number_unsigned() && json.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
    return BadValue(json, "an integer of 64 bits");
  if (json.is_number_integer()) return Value(json.get<int64_t>());
  constexpr double kExact = 9007199254740992.0;  // 2^53: from here on doubles skip integers
  if (json.is_number_float()) {
    const double number = json.get<double>();
    if (std::trunc(number) == number && std::abs(number) < kExact) return Value(static_cast<int64_t>(number));
  }
  return BadValue(json, "an integer");
}

Result<Value> NumberFromJson(const Json& json) {
  if (json.is_number()) return Value(json.get<double>());
  if (json.is_string()) {
    const auto& text = json.get_ref<const std::string&>();
    if (text == "NaN") return Value(std::numeric_limits<double>::quiet_NaN());
    if (text == "Infinity") return Value(std::numeric_limits<double>::infinity());
    if (text == "-Infinity") return Value(-std::numeric_limits<double>::infinity());
  }
  return BadValue(json, "a number");
}

Result<Value> TimestampFromJson(const Json& json) {
  if (json.is_string()) {
    const auto parsed = ParseTimestamp(json.get_ref<const std::string&>());
    if (parsed.ok()) return Value(*parsed);
  }
  return BadValue(json, "a time such as \"2013-05-01T10:00:00Z\"");
}

Result<Value> DateFromJson(const Json& json) {
  if (json.is_string()) {
    const auto parsed = ParseDate(json.get_ref<const std::string&>());
    if (parsed.ok()) return Value(*parsed);
  }
  return BadValue(json, "a date such as \"2013-05-01\"");
}

Result<Value> ListFromJson(const Json& json, Type element) {
  if (!json.is_array()) return BadValue(json, "a list");
  std::vector<Value> values;
  for (const Json& item : json) {
    TIDEMILL_ASSIGN_OR_RETURN(Value value, ValueFromJson(item, element));
    values.push_back(std::move(value));
  }
  return Value(MakeList(element, values));
}

/// What is wrong with a document that nlohmann/json would take: too deep, a key twice.
struct StrictChecker {
  int depth_max = 0;
  std::vector<std::set<std::string>> keys;
  std::string problem;

  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    if (!problem.empty()) return false;
    if (event == Event::object_start || event == Event::array_start) {
      if (depth >= depth_max) problem = fmt::format("it is nested more than {} deep", depth_max);
      if (event == Event::object_start) keys.emplace_back();
    } else if (event == Event::object_end) {
      keys.pop_back();
    } else if (event == Event::key && !keys.back().insert(parsed.get<std::string>()).second) {
      problem = fmt::format("the key {} comes twice", ShortJson(parsed));
    }
    return problem.empty();
  }
};

Error Refused(const StrictChecker& checker) { return UserError("bad_json", "this JSON is refused: " + checker.problem); }

}  // namespace

Json ValueToJson(const Value& value) {
  if (IsNull(value)) return nullptr;
  if (const bool* flag = std::get_if<bool>(&value)) return *flag;
  if (const int64_t* number = std::get_if<int64_t>(&value)) return *number;
  if (const double* number = std::get_if<double>(&value)) {
    if (std::isnan(*number)) return "NaN";
    if (std::isinf(*number)) return *number > 0 ? "Infinity" : "-Infinity";
    return *number;
  }
  if (const Timestamp* time = std::get_if<Timestamp>(&value)) return FormatTimestamp(*time);
  if (const List* list = std::get_if<List>(&value)) {
    Json items = Json::array();
    for (const Value& element : ListElements(*list)) items.push_back(ValueToJson(element));
    return items;
  }
  return FormatValue(value);
}

Result<Value> ValueFromJson(const Json& json, Type type) {
  if (json.is_null()) return Value();
  switch (type) {
    case Type::kBool:
      return json.is_boolean() ? Result<Value>(Value(json.get<bool>())) : BadValue(json, "true or false");
    case Type::kInt64:
      return IntegerFromJson(json);
    case Type::kDouble:
      return NumberFromJson(json);
    case Type::kText:
      return json.is_string() ? Result<Value>(Value(json.get<std::string>())) : BadValue(json, "a text");
    case Type::kTimestamp:
      return TimestampFromJson(json);
    case Type::kDate:
      return DateFromJson(json);
    default:
      return ListFromJson(json, ElementType(type));
  }
}

std::string ShortJson(const Json& json) {
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() <= kShortJsonCharacters) return text;
  size_t end = kShortJsonCharacters;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

Result<Json> ParseJson(std::string_view text, int depth_max) {
  StrictChecker checker{depth_max, {}, ""};
  try {
    Json json = Json::parse(text, std::ref(checker));
    if (checker.problem.empty()) return json;
  } catch (const Json::parse_error& problem) {
    if (!checker.problem.empty()) return Refused(checker);
    std::string why = problem.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while ...": the bracket
    // is for programmers.
    if (const size_t at = why.find("] "); at != std::string::npos) why = why.substr(at + 2);
    return UserError("bad_json", "this is not JSON: " + why);
  } catch (const Json::exception& problem) {  // a number that is out of range
    return UserError("bad_json", std::string("this is not JSON: ") + problem.what());
  }
  return Refused(checker);
}

}  // namespace tidemill
