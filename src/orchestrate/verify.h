#pragma once

#include "orchestrate/workspace.h"

namespace tidemill {

/// An input whose online value is not the one that batch computed.
struct OnlineDifference {
  std::string row;    ///< the spine's key and the time, for people
  std::string input;  ///< or "score"
  std::string batch;
  std::string online;
};

struct VerifyReport {
  std::string model;
  int64_t version = 0;
  int64_t rows = 0;  ///< compared
  int64_t rows_different = 0;
  std::vector<OnlineDifference> differences;  ///< at most 100
  double seconds = 0;
  Json ToJson() const;
};

/// Recomputes online answers for rows of the last day of `lake.scores.<model>` (`sample` of them, 0: all) and compares every
/// input and the score bit for bit.
Result<VerifyReport> VerifyOnline(Workspace& workspace, const std::string& model, int64_t sample, Timestamp now);

}  // namespace tidemill
