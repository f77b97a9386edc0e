#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "feature/batch/join_plan.h"
#include "feature/batch/view_joiner.h"
#include "sql/database.h"

namespace tidemill {

/// What SpillView works on.
struct SpillRequest {
  const JoinPlan* plan = nullptr;
  const JoinPlan::View* view = nullptr;
  std::string spine_table;  ///< a temporary table: its rowids are positions in the spine
  std::string relation;     ///< of the view's rows that can matter, with `condition` still to apply
  std::string condition;
  int threads = 2;
  size_t rows_at_once = 0;        ///< of the view that may be held
  size_t rows_max = 0;            ///< above it there is an error rather than a process that is killed
  size_t spine_rows_at_once = 0;  ///< that may be answered before they are written
  std::filesystem::path folder;   ///< for files, which go away with the joiner
  std::function<bool()> stopped;
};

/// The features of a view whose rows don't fit into memory, computed ahead: the database sorts rows and spine by parts of the
/// entities (out of core), each part is held and answers its spine rows, and the answers are written to a file each part, in the
/// spine's order. Where one part is too large by itself, it is cut along time, as far as the view's reach allows. The joiner
/// reads the files side by side, so blocks must be joined in the spine's order, once.
/// Codes: "out_of_memory" when a part can't be cut further, "duplicate_rows", "disk_full", "interrupted", those of the session.
Result<std::unique_ptr<ViewJoiner>> SpillView(Session& session, const SpillRequest& request);

}  // namespace tidemill
