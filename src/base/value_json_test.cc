#include "base/value_json.h"

#include <cmath>

#include <gtest/gtest.h>

namespace tidemill {
namespace {

TEST(ValueJson, EveryValueComesBackTheSame) {
  const std::pair<Type, Value> cases[] = {
      {Type::kBool, Value()},
      {Type::kBool, Value(true)},
      {Type::kInt64, Value(int64_t{0})},
      {Type::kInt64, Value(INT64_MIN)},
      {Type::kInt64, Value(INT64_MAX)},
      {Type::kDouble, Value(0.1)},
      {Type::kDouble, Value(-0.0)},
      {Type::kDouble, Value(5e-324)},
      {Type::kDouble, Value(1.7976931348623157e308)},
      {Type::kDouble, Value(INFINITY)},
      {Type::kDouble, Value(-INFINITY)},
      {Type::kText, Value(std::string("Zürich \"\n"))},
      {Type::kTimestamp, Value(ParseTimestamp("2013-05-01T10:00:00.000001Z").value())},
      {Type::kDate, Value(ParseDate("1969-12-31").value())},
      {Type::kInt64List, Value(MakeList(Type::kInt64, {int64_t{1}, Value(), INT64_MIN}))},
      {Type::kDoubleList, Value(MakeList(Type::kDouble, {0.1, INFINITY}))},
      {Type::kTextList, Value(MakeList(Type::kText, {}))},
      {Type::kTimestampList, Value(MakeList(Type::kTimestamp, {Timestamp{1}}))},
  };
  for (const auto& [type, value] : cases) {
    const std::string text = ValueToJson(value).dump();
    SCOPED_TRACE(text);
    const auto parsed = ParseJson(text);
    ASSERT_TRUE(parsed.ok());
    const auto back = ValueFromJson(*parsed, type);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_TRUE(*back == value);
    if (const double* number = std::get_if<double>(&value)) {
      EXPECT_EQ(std::signbit(*number), std::signbit(std::get<double>(*back)));
    }
  }
  EXPECT_TRUE(std::isnan(std::get<double>(ValueFromJson(ValueToJson(Value(NAN)), Type::kDouble).value())));
}

TEST(ValueFromJson, ConvertsNothingSilently) {
  struct Case {
    const char* json;
    Type type;
    const char* expected;  // nullptr: taken
  };
  const Case cases[] = {
      {"1", Type::kBool, "expected true or false, came 1"},
      {"1", Type::kInt64List, "expected a list, came 1"},
      {"[1, \"2\"]", Type::kInt64List, "expected an integer, came \"2\""},
      {"[1, 2.0, null]", Type::kInt64List, nullptr},
      {"\"5\"", Type::kInt64, "expected an integer, came \"5\""},
      {"5.5", Type::kInt64, "expected an integer, came 5.5"},
      {"5.0", Type::kInt64, nullptr},
      {"9223372036854775808", Type::kInt64, "expected an integer of 64 bits"},
      {"1e300", Type::kInt64, "expected an integer"},
      {"true", Type::kInt64, "expected an integer, came true"},
      {"5", Type::kDouble, nullptr},
      {"\"five\"", Type::kDouble, "expected a number, came \"five\""},
      {"5", Type::kText, "expected a text, came 5"},
      {"\"2013-02-30\"", Type::kDate, "expected a date"},
      {"1367402400", Type::kTimestamp, "expected a time"},
      {"[1,2]", Type::kText, "expected a text, came [1,2]"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.json);
    const auto value = ValueFromJson(Json::parse(c.json), c.type);
    ASSERT_EQ(value.ok(), c.expected == nullptr);
    if (c.expected != nullptr) {
      EXPECT_NE(value.error().message.find(c.expected), std::string::npos) << value.error().message;
    }
  }
}

TEST(ShortJson, CutsBetweenCharacters) {
  const std::string text = ShortJson(std::string(100, 'x'));
  EXPECT_EQ(text, "\"" + std::string(59, 'x') + "...");
  for (size_t lead = 0; lead < 4; ++lead) {
    std::string umlauts(lead, 'x');
    for (int i = 0; i < 50; ++i) umlauts += "ü";
    EXPECT_EQ(Json(ShortJson(umlauts)).dump().empty(), false);  // throws where a character is cut
  }
}

TEST(ParseJson, IsStrict) {
  EXPECT_TRUE(ParseJson(R"({"a": {"b": 1}, "c": {"b": 2}})").ok());
  const std::pair<std::string, const char*> cases[] = {
      {"", "this is not JSON"},
      {"{} {}", "this is not JSON"},
      {"{'a': 1}", "this is not JSON"},
      {"NaN", "this is not JSON"},
      {"\"\xFF\"", "this is not JSON"},
      {R"({"a": 1, "a": 2})", "the key \"a\" comes twice"},
      {R"([{"b": {"a": 1, "a": 2}}])", "the key \"a\" comes twice"},
      {std::string(33, '[') + std::string(33, ']'), "more than 32 deep"},
      {std::string(1'000'000, '['), "more than 32 deep"},
  };
  for (const auto& [text, expected] : cases) {
    SCOPED_TRACE(text.substr(0, 40));
    const auto json = ParseJson(text);
    ASSERT_FALSE(json.ok());
    EXPECT_EQ(json.error().code, "bad_json");
    EXPECT_NE(json.error().message.find(expected), std::string::npos) << json.error().message;
  }
  EXPECT_TRUE(ParseJson(std::string(32, '[') + std::string(32, ']')).ok());
}

}  // namespace
}  // namespace tidemill
