#include "cli/table.h"

#include <gtest/gtest.h>

#include "cli/captured_console.h"

namespace tidemill {
namespace {

TEST(DisplayWidth, CountsWhatATerminalShows) {
  EXPECT_EQ(DisplayWidth(""), 0);
  EXPECT_EQ(DisplayWidth("abc"), 3);
  EXPECT_EQ(DisplayWidth("Zürich"), 6);
  EXPECT_EQ(DisplayWidth("東京"), 4);
  EXPECT_EQ(DisplayWidth("e\xCC\x81"), 1);  // e and a combining accent
  EXPECT_EQ(DisplayWidth("\xFF"), 1);       // not UTF-8
}

TEST(CellText, MakesControlCharactersVisible) {
  EXPECT_EQ(CellText("a\nb\tc\rd", 100), "a\\nb\\tc\\rd");
  EXPECT_EQ(CellText("\x1b[31mred", 100), "\\x1b[31mred");
  EXPECT_EQ(CellText(std::string(1, '\0'), 100), "\\x00");
}

TEST(CellText, CutsOnlyWhatIsTooWide) {
  EXPECT_EQ(CellText("12345", 5), "12345");
  EXPECT_EQ(CellText("123456", 5), "1234…");
  EXPECT_EQ(CellText("東京東京", 5), "東京…");
  EXPECT_EQ(DisplayWidth(CellText("東京東京", 6)), 5);
}

TEST(TableWriter, AlignsCells) {
  CapturedConsole captured;
  TableWriter table(captured.console, {{"name"}, {"rows", true}, {"note"}});
  ASSERT_TRUE(table.Add({"Zürich", "5", "x"}).ok());
  ASSERT_TRUE(table.Add({"a", "12345", ""}).ok());
  ASSERT_TRUE(table.Finish().ok());
  ASSERT_TRUE(captured.console.Flush().ok());
  EXPECT_EQ(captured.out,
            "name     rows  note\n"
            "------  -----  ----\n"
            "Zürich      5  x\n"
            "a       12345\n");
}

TEST(TableWriter, WritesHeadingsWithoutRows) {
  CapturedConsole captured;
  TableWriter table(captured.console, {{"a"}, {"b"}});
  ASSERT_TRUE(table.Finish().ok());
  ASSERT_TRUE(captured.console.Flush().ok());
  EXPECT_EQ(captured.out, "a  b\n-  -\n");
}

TEST(TableWriter, GoesOnAfterTheRowsThatDecideWidths) {
  CapturedConsole captured;
  TableWriter table(captured.console, {{"n", true}});
  for (int i = 0; i < 1500; ++i) ASSERT_TRUE(table.Add({std::to_string(i)}).ok());
  ASSERT_TRUE(table.Finish().ok());
  ASSERT_TRUE(captured.console.Flush().ok());
  EXPECT_EQ(std::count(captured.out.begin(), captured.out.end(), '\n'), 1502);
  EXPECT_NE(captured.out.find("\n  0\n"), std::string::npos);
  EXPECT_NE(captured.out.find("\n1499\n"), std::string::npos);
}

TEST(TableWriter, ColoursOnlyTerminals) {
  CapturedConsole captured({.out_is_terminal = true, .err_is_terminal = false, .colours = true, .width_columns = 80});
  TableWriter table(captured.console, {{"a"}});
  ASSERT_TRUE(table.Add({"NULL"}, {true}).ok());
  ASSERT_TRUE(table.Finish().ok());
  ASSERT_TRUE(captured.console.Flush().ok());
  EXPECT_NE(captured.out.find("\x1b[2mNULL\x1b[0m"), std::string::npos);
  EXPECT_EQ(captured.console.ErrStyle(Style::kBad, "x"), "x");
}

TEST(FormatSeconds, TakesTheUnitThatReadsBest) {
  EXPECT_EQ(FormatSeconds(0.424), "0.42 s");
  EXPECT_EQ(FormatSeconds(59.99), "59.99 s");
  EXPECT_EQ(FormatSeconds(59.999), "1 min 00 s");
  EXPECT_EQ(FormatSeconds(125), "2 min 05 s");
  EXPECT_EQ(FormatSeconds(3725), "1 h 02 min");
  EXPECT_EQ(FormatSeconds(-1), "0.00 s");
}

}  // namespace
}  // namespace tidemill
