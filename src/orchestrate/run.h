#pragma once

#include <optional>
#include <string>
#include <vector>

#include "orchestrate/workspace.h"

namespace tidemill {

struct PlanStep {
  std::string asset;
  AssetKind kind = AssetKind::kSource;
  std::string action;   ///< ingest, compute, append, materialize, train, score, monitor
  std::string state;    ///< new, stale, behind
  std::string reason;   ///< "the window of feature 'dep_delay_mean' changed", "2 new files", "input departures is newer"
};

/// What a run at the project clock `now` would do, and why; changes nothing. Empty: nothing to do.
Result<std::vector<PlanStep>> MakePlan(Workspace& workspace, Timestamp now, const std::vector<std::string>& assets);

struct RunOptions {
  Timestamp now;
  std::vector<std::string> assets;  ///< empty: all
  std::string command;              ///< for the catalog
  bool materialize = true;          ///< bring the online store up to date too
};

struct RunSummary {
  int64_t run_id = 0;
  std::vector<StepRecord> steps;
  double seconds = 0;
  bool nothing_to_do = false;
  std::vector<std::string> notes;   ///< alerts, retrainings, gates that refused
};

/// Brings everything (or the named assets and what they need) up to date at `now`, in one run of the catalog. Order in a run: sources,
/// tables, views (online store), scores with the live model, monitoring, training (stale, or the model's condition), gates,
/// alias "champion". A step that fails stops what depends on it; the rest goes on; the error lists all.
/// Safe to repeat after a kill at any moment: what was committed is kept, the rest is redone.
Result<RunSummary> RunProject(Workspace& workspace, const RunOptions& options, const Progress& progress);

}  // namespace tidemill
