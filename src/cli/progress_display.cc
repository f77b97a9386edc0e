#include "cli/progress_display.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/table.h"

namespace tidemill {
namespace {

constexpr int kResultWidth = 16;

std::string LeftAligned(std::string text, int width) {
  const int missing = width - DisplayWidth(text);
  if (missing > 0) text.append(static_cast<size_t>(missing), ' ');
  return text;
}

}  // namespace

Progress ProgressDisplay::AsProgress() {
  return [this](const ProgressEvent& event) { Show(event); };
}

void ProgressDisplay::Show(const ProgressEvent& event) {
  switch (event.kind) {
    case ProgressEvent::Kind::kStarted:
      reasons_[event.asset] = event.text;
      name_width_ = std::max(name_width_, DisplayWidth(event.asset));
      ShowLive(event);
      return;
    case ProgressEvent::Kind::kRunning:
      ShowLive(event);
      return;
    case ProgressEvent::Kind::kFinished:
      ShowEnd(event, true);
      return;
    case ProgressEvent::Kind::kFailed:
      ShowEnd(event, false);
      return;
    case ProgressEvent::Kind::kNote:
      ClearLive();
      console_.Tell(fmt::format("{} {}\n", console_.ErrStyle(Style::kCaution, "•"),
                                event.asset.empty() ? event.text : event.asset + ": " + event.text));
      return;
  }
}

void ProgressDisplay::ShowEnd(const ProgressEvent& event, bool good) {
  ClearLive();
  std::string reason = reasons_[event.asset];
  reasons_.erase(event.asset);
  const std::string mark = good ? console_.ErrStyle(Style::kGood, "✓") : console_.ErrStyle(Style::kBad, "✗");
  std::string line = fmt::format("{} {}  ", mark, LeftAligned(CellText(event.asset, 60), name_width_));
  // A failure's text is a sentence; it stands at the end where it has room.
  line += LeftAligned(good ? CellText(event.text, 60) : "failed", kResultWidth);
  line += fmt::format("  {:>9}", FormatSeconds(event.seconds));
  const std::string& last = good ? reason : event.text;
  if (!last.empty()) line += "   " + console_.ErrStyle(good ? Style::kDim : Style::kPlain, CellText(last, 400));
  line.erase(line.find_last_not_of(' ') + 1);
  console_.Tell(line + "\n");
}

void ProgressDisplay::ShowLive(const ProgressEvent& event) {
  if (!console_.options().err_is_terminal) return;
  const std::string line = fmt::format("… {}  {}", LeftAligned(event.asset, name_width_), event.text);
  console_.Tell("\r\x1b[K" + CellText(line, console_.options().width_columns - 2));
  live_ = true;
}

void ProgressDisplay::ClearLive() {
  if (live_) console_.Tell("\r\x1b[K");
  live_ = false;
}

}  // namespace tidemill
