#pragma once

#include <map>
#include <string>

#include "cli/console.h"
#include "orchestrate/workspace.h"

namespace tidemill {

/// Shows a long command's progress on stderr: one line an asset when it ends,
///
///     ✓ departures          328,521 rows      0.42 s   2 new files
///
/// and, on a terminal only, a live line of what is running. Use from one thread.
class ProgressDisplay {
 public:
  explicit ProgressDisplay(Console& console) : console_(console) {}
  ~ProgressDisplay() { ClearLive(); }
  void Show(const ProgressEvent& event);
  /// A function that shows events here; must not outlive this.
  Progress AsProgress();

 private:
  void ShowEnd(const ProgressEvent& event, bool good);
  void ShowLive(const ProgressEvent& event);
  void ClearLive();

  Console& console_;
  std::map<std::string, std::string> reasons_;  // of what is running
  int name_width_ = 20;
  bool live_ = false;
};

}  // namespace tidemill
