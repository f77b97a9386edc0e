#pragma once

#include "orchestrate/run.h"

namespace tidemill {

struct ReplayOptions {
  Timestamp from, until;
  Duration every{7 * kMicrosPerDay};
  std::string model;  ///< "" : the only one
};

struct ReplayMonth {
  std::string month;  ///< "2013-05"
  int64_t rows = 0;   ///< predicted and labelled by the end
  double positive_share = 0;
  int64_t drifted_features = 0;  ///< at the last tick of the month
  std::optional<double> auc_first, auc_live, average_precision_first, average_precision_live;
  std::vector<std::string> retrainings;  ///< "2013-07-15: performance.alert ..., accepted as version 3"
};

struct ReplayReport {
  std::string folder;       ///< of the branch, kept for `report`
  std::vector<ReplayMonth> months;
  int64_t ticks = 0, alerts = 0, retrainings = 0, promotions = 0;
  double seconds = 0;
  Json ToJson() const;
};

/// Moves the project's clock through history in a branch of its own (.tidemill/replays/NAME: lake, catalog, online store), tick by
/// tick, and does what the schedule would have done with only what was known by then. Never touches production; mutes alerts.
Result<ReplayReport> ReplayProject(Workspace& production, const ReplayOptions& options, const Clock& clock, const Progress& progress);

}  // namespace tidemill
