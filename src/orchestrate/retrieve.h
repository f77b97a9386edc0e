#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "feature/value_failures.h"
#include "orchestrate/workspace.h"

namespace tidemill {

/// Features asked for in bulk.
struct RetrieveOptions {
  std::vector<std::string> views;
  std::string spine;                     ///< a table of the project or a SELECT; "": the views' own entities
  std::string time;                      ///< column of the spine; "": the `timestamp` of the table
  std::optional<Timestamp> at;           ///< without a spine: all entities at this time
  std::optional<Timestamp> from, until;  ///< without a spine: every change in (from, until]
  std::filesystem::path file;            ///< Parquet; "" : not wanted
  std::string table;                     ///< in the lake's schema `features`; "" : not wanted
};

struct RetrieveReport {
  int64_t rows = 0;
  double seconds = 0;
  std::vector<Field> columns;
  std::optional<int64_t> snapshot;  ///< that made the table
  std::vector<ValueFailures> failures{};
};

/// Joins views to a spine point in time, and stores the result. Progress tells the rows done; its asset is the file or table.
/// Codes: "unknown_view", "derived_view" (one needs a spine), those of PlanJoin, "time_missing", "not_run" (a view's table isn't
/// there yet), those of FeatureJoin and the lake.
Result<RetrieveReport> RetrieveFeatures(Workspace& workspace, const RetrieveOptions& options, Timestamp now,
                                        const Progress& progress);

}  // namespace tidemill
