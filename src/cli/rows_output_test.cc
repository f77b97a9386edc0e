#include "cli/rows_output.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "cli/captured_console.h"
#include "sql/testing.h"

namespace tidemill {
namespace {

class WriteRowsTest : public testing::SessionTest {
 protected:
  std::string Write(const std::string& sql, const RowsOutput& output, bool* truncated = nullptr) {
    CapturedConsole captured;
    const auto written = WriteRows(captured.console, *session_, sql, output);
    if (!written.ok()) return "error: " + written.error().message;
    if (truncated != nullptr) *truncated = *written;
    EXPECT_TRUE(captured.console.Flush().ok());
    return captured.out;
  }
};

constexpr const char* kMixed =
    "SELECT * FROM (VALUES (1, 'a,b', 1.5::DOUBLE, TIMESTAMP '2013-05-01 10:00:00', true), (NULL, '', NULL, "
    "NULL, false)) t(n, text, x, time, flag)";

TEST_F(WriteRowsTest, Table) {
  EXPECT_EQ(Write(kMixed, {}),
            "   n  text     x  time                  flag\n"
            "----  ----  ----  --------------------  -----\n"
            "   1  a,b    1.5  2013-05-01T10:00:00Z  true\n"
            "NULL        NULL  NULL                  false\n");
}

TEST_F(WriteRowsTest, CsvTellsNullFromEmpty) {
  EXPECT_EQ(Write(kMixed, {.form = RowsForm::kCsv, .rows_max = {}, .hidden = {}}),
            "n,text,x,time,flag\n"
            "1,\"a,b\",1.5,2013-05-01T10:00:00Z,true\n"
            ",\"\",,,false\n");
}

TEST_F(WriteRowsTest, JsonIsOneDocument) {
  const std::string text = Write(kMixed, {.form = RowsForm::kJson, .rows_max = {}, .hidden = {}});
  const Json json = Json::parse(text, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << text;
  EXPECT_EQ(json["columns"][3], Json({{"name", "time"}, {"type", "timestamp"}}));
  EXPECT_EQ(json["rows"][0], Json({{"n", 1}, {"text", "a,b"}, {"x", 1.5}, {"time", "2013-05-01T10:00:00Z"}, {"flag", true}}));
  EXPECT_TRUE(json["rows"][1]["n"].is_null());
  EXPECT_FALSE(json["truncated"].get<bool>());
}

TEST_F(WriteRowsTest, JsonKeepsNumbersThatItLacks) {
  const Json json = Json::parse(
      Write("SELECT 'nan'::DOUBLE AS a, '-inf'::DOUBLE AS b", {.form = RowsForm::kJson, .rows_max = {}, .hidden = {}}));
  EXPECT_EQ(json["rows"][0], Json({{"a", "NaN"}, {"b", "-Infinity"}}));
}

TEST_F(WriteRowsTest, StopsAtTheLimitAndSaysSo) {
  bool truncated = false;
  EXPECT_EQ(Write("SELECT range AS n FROM range(1000000000)", {.form = RowsForm::kCsv, .rows_max = 2, .hidden = {}}, &truncated),
            "n\n0\n1\n");
  EXPECT_TRUE(truncated);
  EXPECT_EQ(Write("SELECT range AS n FROM range(2)", {.form = RowsForm::kCsv, .rows_max = 2, .hidden = {}}, &truncated),
            "n\n0\n1\n");
  EXPECT_FALSE(truncated);
}

TEST_F(WriteRowsTest, HeadingWithoutRows) {
  EXPECT_EQ(Write("SELECT 1 AS one WHERE false", {.form = RowsForm::kCsv, .rows_max = {}, .hidden = {}}), "one\n");
  const Json json = Json::parse(Write("SELECT 1 AS one WHERE false", {.form = RowsForm::kJson, .rows_max = {}, .hidden = {}}));
  EXPECT_TRUE(json["rows"].empty());
}

TEST_F(WriteRowsTest, LeavesHiddenColumnsOut) {
  RowsOutput output;
  output.form = RowsForm::kCsv;
  output.hidden = [](std::string_view name) { return name == "b"; };
  EXPECT_EQ(Write("SELECT 1 AS a, 2 AS b, 3 AS c", output), "a,c\n1,3\n");
}

TEST_F(WriteRowsTest, AClosedReaderEndsTheStatement) {
  Console closed([](std::string_view) -> Status { return Unavailable("output_closed", "gone"); },
                 [](std::string_view) { return Ok(); }, {});
  const auto written =
      WriteRows(closed, *session_, "SELECT range FROM range(1000000000)", {.form = RowsForm::kCsv, .rows_max = {}, .hidden = {}});
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code, "output_closed");
}

TEST_F(WriteRowsTest, PassesErrorsOn) { EXPECT_NE(Write("SELECT nothing FROM nowhere", {}).find("error: "), std::string::npos); }

}  // namespace
}  // namespace tidemill
