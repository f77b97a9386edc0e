#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "catalog/catalog.h"
#include "feature/online/store.h"
#include "lake/lake.h"
#include "model/training_set.h"
#include "project/project.h"
#include "serve/owned_store.h"
#include "sql/database.h"
#include "worker/worker_pool.h"

namespace tidemill {

/// What a long command tells while it works. Calls come from one thread at a time.
struct ProgressEvent {
  enum class Kind { kStarted, kRunning, kFinished, kFailed, kNote };
  Kind kind = Kind::kNote;
  std::string asset;   ///< what is being brought up to date
  std::string text;    ///< reason, rows so far, result
  double seconds = 0;
};
using Progress = std::function<void(const ProgressEvent&)>;

/// An opened project with its stores: what commands work on. `state_folder` differs from the project's own in a replay.
/// Not thread-safe; the parts say for themselves.
struct Workspace {
  Project project;
  std::filesystem::path state_folder;
  std::optional<TemporaryFolder> temporary;                 ///< for what doesn't fit into memory; of this process alone
  std::unique_ptr<Database> database;
  std::unique_ptr<Lake> lake;
  std::unique_ptr<Catalog> catalog;
  std::unique_ptr<Session> parser;                          ///< for parsing and binding; has no lake
  std::map<std::string, std::vector<Field>> table_fields;   ///< of sources and tables, bound
  std::map<std::string, FeaturePlan> feature_plans;         ///< of each model
  std::map<std::string, Program> programs;                  ///< of each view
  std::map<std::string, FeaturePlan> derived_plans;         ///< of each derived view
  PushedViews pushed_views;
  std::map<std::string, std::string> fingerprints;
  std::unique_ptr<WorkerPool> python;                       ///< runs Python tables; nullptr without such
};

/// Loads, binds and opens. Everything that `check` would find is found here.
Result<Workspace> OpenWorkspace(const std::filesystem::path& folder, const Clock& clock);
/// The same for an already loaded project with stores in another folder (replay, reproduce).
Result<Workspace> OpenWorkspaceAt(Project project, const std::filesystem::path& state_folder, const Clock& clock);
/// Where the online store of a workspace is, and what its project pushes into it.
OnlineSite SiteOf(const Workspace& workspace);
/// Validation without running: everything of OpenWorkspace but the stores; also leaks by history sources (see ARCHITECTURE, "Times").
Status CheckProject(const std::filesystem::path& folder);

}  // namespace tidemill
