#include "cli/progress_display.h"

#include <gtest/gtest.h>

#include "cli/captured_console.h"

namespace tidemill {
namespace {

using Kind = ProgressEvent::Kind;

TEST(ProgressDisplay, WritesOneLineAnAsset) {
  CapturedConsole captured;
  ProgressDisplay display(captured.console);
  display.Show({Kind::kStarted, "departures", "2 new files", 0});
  display.Show({Kind::kRunning, "departures", "100,000 rows", 0});
  display.Show({Kind::kFinished, "departures", "328,521 rows", 0.42});
  display.Show({Kind::kNote, "", "the model's gates refused it", 0});
  EXPECT_EQ(captured.err,
            "✓ departures            328,521 rows         0.42 s   2 new files\n"
            "• the model's gates refused it\n");
  EXPECT_EQ(captured.out, "");
}

TEST(ProgressDisplay, ShowsWhyAnAssetFailed) {
  CapturedConsole captured;
  ProgressDisplay display(captured.console);
  display.Show({Kind::kStarted, "departures", "2 new files", 0});
  display.Show({Kind::kFailed, "departures", "no column 'x'", 1.5});
  EXPECT_EQ(captured.err, "✗ departures            failed               1.50 s   no column 'x'\n");
}

TEST(ProgressDisplay, KeepsALiveLineOnATerminalAndClearsIt) {
  CapturedConsole captured({.out_is_terminal = false, .err_is_terminal = true, .colours = false, .width_columns = 20});
  {
    ProgressDisplay display(captured.console);
    display.Show({Kind::kRunning, "departures", "a text that is longer than the line", 0});
  }
  EXPECT_EQ(captured.err.rfind("\r\x1b[K… departures", 0), 0u);
  EXPECT_EQ(captured.err.substr(captured.err.size() - 4), "\r\x1b[K");
  EXPECT_EQ(captured.err.find("longer"), std::string::npos);
}

}  // namespace
}  // namespace tidemill
