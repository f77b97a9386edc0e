#include "ingest/row_checker.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <limits>

namespace tidemill {
namespace {

ContractColumn Named(std::string name, Type type) {
  ContractColumn column;
  column.name = std::move(name);
  column.type = type;
  return column;
}

/// The one reason why a cell is refused, or "" and its value.
std::string Reason(const ContractColumn& column, std::string_view cell, Value* value = nullptr) {
  const auto checker = RowChecker::Make({column}, {"", "NA"});
  EXPECT_TRUE(checker.ok());
  Columns batch = checker.value().MakeBatch();
  std::vector<Violation> violations;
  checker.value().Append({cell}, &batch, &violations);
  EXPECT_EQ(batch.rows(), 1u);
  if (value != nullptr) *value = batch.columns[0].At(0);
  if (violations.empty()) return "";
  EXPECT_TRUE(batch.columns[0].IsNull(0));
  return violations[0].reason;
}

TEST(RowCheckerTest, ReadsAndRefusesValuesOfEachType) {
  struct Case {
    Type type;
    std::string_view text, value, reason;
  };
  const Case cases[] = {
      {Type::kInt64, "12", "12", ""},
      {Type::kInt64, "-7", "-7", ""},
      {Type::kInt64, "+7", "7", ""},
      {Type::kInt64, " 12 ", "12", ""},
      {Type::kInt64, "5.0", "5", ""},
      {Type::kInt64, "5.", "5", ""},
      {Type::kInt64, "9223372036854775807", "9223372036854775807", ""},
      {Type::kInt64, "9223372036854775808", "", "c: '9223372036854775808' is not an integer"},
      {Type::kInt64, "5.5", "", "c: '5.5' is not an integer"},
      {Type::kInt64, "5e3", "", "c: '5e3' is not an integer"},
      {Type::kInt64, "x12", "", "c: 'x12' is not an integer"},
      {Type::kInt64, "0x12", "", "c: '0x12' is not an integer"},
      {Type::kInt64, "1 2", "", "c: '1 2' is not an integer"},
      {Type::kInt64, "--1", "", "c: '--1' is not an integer"},
      {Type::kInt64, "+-1", "", "c: '+-1' is not an integer"},
      {Type::kInt64, "+", "", "c: '+' is not an integer"},
      {Type::kInt64, ".", "", "c: '.' is not an integer"},
      {Type::kInt64, "NA", "", ""},
      {Type::kInt64, " NA", "", ""},
      {Type::kInt64, "  ", "", ""},
      {Type::kDouble, "1e3", "1000", ""},
      {Type::kDouble, "-.5", "-0.5", ""},
      {Type::kDouble, "NaN", "", "c: 'NaN' is not a number"},
      {Type::kDouble, "inf", "", "c: 'inf' is not a number"},
      {Type::kDouble, "1,5", "", "c: '1,5' is not a number"},
      {Type::kDouble, "1e999", "", "c: '1e999' is not a number"},
      {Type::kBool, "TRUE", "true", ""},
      {Type::kBool, "0", "false", ""},
      {Type::kBool, "maybe", "", "c: 'maybe' is not true or false"},
      {Type::kDate, "2013-02-28", "2013-02-28", ""},
      {Type::kDate, "2013-02-30", "", "c: '2013-02-30' is not a date: there is no such day"},
      {Type::kDate, "28.02.2013", "", "c: '28.02.2013' is not a date"},
      {Type::kDate, "2013-02-28 10:00", "", "c: '2013-02-28 10:00' is not a date"},
      {Type::kTimestamp, "2013-02-28T10:00:00Z", "2013-02-28T10:00:00Z", ""},
      {Type::kTimestamp, "2013-02-28 10:00:00+02:00", "2013-02-28T08:00:00Z", ""},
      {Type::kTimestamp, "2013-02-29T10:00:00Z", "", "c: '2013-02-29T10:00:00Z' is not a time: there is no such day"},
      {Type::kTimestamp, "2013-02-28T25:00:00Z", "", "c: '2013-02-28T25:00:00Z' is not a time"},
      {Type::kText, " as it is ", " as it is ", ""},
      {Type::kText, "caf\xE9", "", "c: 'caf\\xE9' is not UTF-8 text: byte 0xE9"},
      {Type::kText, "NA", "", ""},
      {Type::kText, " NA", " NA", ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    Value value;
    EXPECT_EQ(Reason(Named("c", c.type), c.text, &value), c.reason);
    EXPECT_EQ(FormatValue(value), c.value);
  }
}

TEST(RowCheckerTest, ExplainsEachRule) {
  ContractColumn required = Named("carrier", Type::kText);
  required.required = true;
  EXPECT_EQ(Reason(required, "NA"), "carrier: missing, but required");

  ContractColumn range = Named("dep_delay", Type::kInt64);
  range.min = -120;
  range.max = 2880;
  EXPECT_EQ(Reason(range, "-121"), "dep_delay: -121 is not between -120 and 2880");
  EXPECT_EQ(Reason(range, "-120"), "");
  EXPECT_EQ(Reason(range, "2880"), "");
  EXPECT_EQ(Reason(range, "NA"), "");
  range.max.reset();
  EXPECT_EQ(Reason(range, "-121"), "dep_delay: -121 is below -120");

  ContractColumn share = Named("share", Type::kDouble);
  share.max = 0.5;
  EXPECT_EQ(Reason(share, "0.75"), "share: 0.75 is above 0.5");

  ContractColumn origin = Named("origin", Type::kText);
  origin.allowed = {"EWR", "JFK", "LGA"};
  EXPECT_EQ(Reason(origin, "XXX"), "origin: 'XXX' is not one of EWR, JFK, LGA");
  EXPECT_EQ(Reason(origin, "JFK"), "");
  ContractColumn engines = Named("engines", Type::kInt64);
  engines.allowed = {"4", "2"};
  EXPECT_EQ(Reason(engines, "2.0"), "");
  EXPECT_EQ(Reason(engines, "3"), "engines: '3' is not one of 4, 2");

  ContractColumn code = Named("carrier", Type::kText);
  code.length_min = code.length_max = 2;
  EXPECT_EQ(Reason(code, "ABC"), "carrier: 'ABC' has 3 characters, expected 2");
  EXPECT_EQ(Reason(code, "\xC3\xBC\xC3\xBC"), "");
  code.length_max.reset();
  EXPECT_EQ(Reason(code, "A"), "carrier: 'A' has 1 character, expected at least 2");

  ContractColumn tail = Named("tailnum", Type::kText);
  tail.pattern = "[A-Z0-9]+";
  EXPECT_EQ(Reason(tail, "N123"), "");
  EXPECT_EQ(Reason(tail, "N123-x"), "tailnum: 'N123-x' does not match [A-Z0-9]+");
}

TEST(RowCheckerTest, ShortensLongValues) {
  const std::string value = fmt::format("{}\xC3\xBC{}", std::string(39, 'x'), std::string(1000, 'y'));
  const std::string reason = Reason(Named("c", Type::kInt64), value);
  EXPECT_EQ(reason, fmt::format("c: '{}...' is not an integer", std::string(39, 'x')));
}

TEST(RowCheckerTest, RefusesABrokenPatternWithItsPlace) {
  ContractColumn column = Named("c", Type::kText);
  column.pattern = "[A-";
  column.place = {.file = "sources/a.yaml", .line = 4, .excerpt = ""};
  const auto checker = RowChecker::Make({column}, {""});
  ASSERT_FALSE(checker.ok());
  EXPECT_EQ(checker.error().code, "bad_pattern");
  EXPECT_EQ(checker.error().place->line, 4);
}

TEST(RowCheckerTest, ChecksTypedValues) {
  ContractColumn number = Named("n", Type::kDouble);
  number.min = 0;
  ContractColumn required = Named("r", Type::kInt64);
  required.required = true;
  const auto checker = RowChecker::Make({number, required, Named("d", Type::kDate)}, {""}).value().columns().size();
  EXPECT_EQ(checker, 3u);
  const auto made = RowChecker::Make({number, required, Named("d", Type::kDate)}, {""});
  Columns batch = made.value().MakeBatch();
  std::vector<Violation> violations;
  made.value().AppendValues({int64_t{3}, int64_t{4}, std::string("2013-01-01")}, &batch, &violations);
  EXPECT_TRUE(violations.empty());
  EXPECT_EQ(FormatValue(batch.columns[0].At(0)), "3");
  EXPECT_EQ(FormatValue(batch.columns[2].At(0)), "2013-01-01");
  made.value().AppendValues({-1.0, {}, Timestamp{5}}, &batch, &violations);
  ASSERT_EQ(violations.size(), 3u);
  EXPECT_EQ(violations[0].reason, "n: -1 is below 0");
  EXPECT_EQ(violations[1].reason, "r: missing, but required");
  EXPECT_EQ(violations[2].reason, "d: '1970-01-01T00:00:00.000005Z' is not a date");
  violations.clear();
  made.value().AppendValues({std::numeric_limits<double>::quiet_NaN(), 2.0, {}}, &batch, &violations);
  EXPECT_EQ(violations.size(), 1u);  // 2.0 is an integer, NaN is no number
}

TEST(RowCheckerTest, TruncateTakesRowsBack) {
  const auto checker = RowChecker::Make({Named("t", Type::kText), Named("n", Type::kDouble), Named("i", Type::kInt64)}, {""});
  Columns batch = checker.value().MakeBatch();
  std::vector<Violation> violations;
  for (const char* text : {"ab", "cd", "ef"}) checker.value().Append({text, "1.5", "2"}, &batch, &violations);
  Truncate(1, &batch);
  checker.value().Append({"x", "2.5", "NA?"}, &batch, &violations);
  EXPECT_EQ(batch.rows(), 2u);
  EXPECT_EQ(batch.columns[0].Text(1), "x");
  EXPECT_EQ(batch.columns[0].Text(0), "ab");
  EXPECT_EQ(batch.columns[1].doubles.size(), 2u);
}

}  // namespace
}  // namespace tidemill
