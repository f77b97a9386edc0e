#include "orchestrate/retrieve.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/files.h"
#include "base/text_distance.h"
#include "feature/batch/join_output.h"
#include "feature/batch/own_spine.h"
#include "orchestrate/asset_names.h"
#include "orchestrate/failed_values.h"
#include "orchestrate/join_memory.h"

namespace tidemill {
namespace {

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Result<std::vector<ViewJoin>> FindViews(Workspace& workspace, const std::vector<std::string>& names) {
  std::vector<ViewJoin> joins;
  for (const std::string& name : names) {
    const auto program = workspace.programs.find(name);
    if (program == workspace.programs.end()) {
      std::vector<std::string> known;
      for (const auto& [view, unused] : workspace.programs) known.push_back(view);
      return UserError("unknown_view", fmt::format("there is no feature view '{}'", name), SuggestionHint(name, known));
    }
    const std::string& table = workspace.project.views.at(name).from;
    TIDEMILL_ASSIGN_OR_RETURN(const bool exists, workspace.lake->HasTable(table));
    if (!exists) {
      return UserError("not_run", fmt::format("the table '{}' of view '{}' isn't there yet", table, name),
                       "run 'tidemill run' first");
    }
    ViewJoin join{&program->second, MainTable(table), workspace.project.tables.at(table).timestamp, {}, name, {}};
    for (const Field& key : program->second.keys) join.spine_keys.push_back(key.name);
    joins.push_back(std::move(join));
  }
  return joins;
}

/// The views' keys under the names that a spine of their own has.
void UseOwnKeys(std::vector<ViewJoin>& views) {
  for (ViewJoin& view : views) view.spine_keys = views[0].spine_keys;
}

Status SetSpine(Workspace& workspace, const RetrieveOptions& options, Timestamp now, FeatureJoinRequest& request) {
  if (options.spine.empty()) {
    UseOwnKeys(request.views);
    request.time_column = kOwnSpineTime;
    if (options.at) {
      TIDEMILL_ASSIGN_OR_RETURN(request.spine_sql, EntitiesAt(request.views, *options.at));
    } else {
      TIDEMILL_ASSIGN_OR_RETURN(request.spine_sql,
                                ChangesBetween(request.views, options.from.value_or(Timestamp{}), options.until.value_or(now)));
    }
    return Ok();
  }
  request.time_column = options.time;
  const auto table = workspace.project.tables.find(options.spine);
  const bool is_source = workspace.project.sources.contains(options.spine);
  if (table == workspace.project.tables.end() && !is_source) {
    request.spine_sql = options.spine;
  } else {
    request.spine_sql = fmt::format("SELECT * EXCLUDE (_seq, _known_at) FROM {}", MainTable(options.spine));
    if (request.time_column.empty() && !is_source) request.time_column = table->second.timestamp;
  }
  if (!request.time_column.empty()) return Ok();
  return UserError("time_missing", "it isn't said which column of the spine is the time", "name it with --time");
}

/// Writes the join to a file; progress on the way.
Result<WrittenJoin> WriteFile(Workspace& workspace, const FeatureJoinRequest& request, const std::filesystem::path& path,
                          const std::string& name, const Progress& progress, std::chrono::steady_clock::time_point start) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto reading, workspace.lake->Connect());
  TIDEMILL_ASSIGN_OR_RETURN(const auto writing, workspace.database->Connect());
  return WriteJoin(*reading, *writing, request, path, [&](int64_t done, int64_t total) {
    progress({ProgressEvent::Kind::kRunning, name, fmt::format("{} of {} rows", done, total), SecondsSince(start)});
  });
}

std::string TableName(const std::string& table) { return "lake.features." + QuoteIdentifier(table); }

}  // namespace

Result<RetrieveReport> RetrieveFeatures(Workspace& workspace, const RetrieveOptions& options, Timestamp now,
                                        const Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  FeatureJoinRequest request;
  TIDEMILL_ASSIGN_OR_RETURN(request.views, FindViews(workspace, options.views));
  TIDEMILL_RETURN_IF_ERROR(SetSpine(workspace, options, now, request));
  request.now = now;
  TIDEMILL_ASSIGN_OR_RETURN(const JoinMemory memory, JoinMemory::Share(workspace));
  request.resources = memory.resources();

  const bool to_table = !options.table.empty();
  const std::string name = to_table ? "features." + options.table : options.file.string();
  const std::filesystem::path folder = memory.resources().temporary_folder;
  TIDEMILL_RETURN_IF_ERROR(MakeFolders(folder));
  TIDEMILL_ASSIGN_OR_RETURN(const TemporaryFolder staging, TemporaryFolder::Make(folder, "retrieve"));
  const std::filesystem::path path = to_table ? staging.path() / "rows.parquet" : options.file;
  RetrieveReport report;
  auto written = WriteFile(workspace, request, path, name, progress, start);
  if (!written.ok()) return PlaceFailedValues(workspace.project, std::move(written).error());
  report.rows = written->rows;
  report.failures = std::move(written->failures);
  const std::string stored = fmt::format("read_parquet({})", QuoteText(path.string()));
  TIDEMILL_ASSIGN_OR_RETURN(report.columns, workspace.parser->Describe("SELECT * FROM " + stored));
  if (to_table) {
    const Json extra = {{"features", options.table}, {"views", options.views}, {"now", FormatTimestamp(now)}};
    TIDEMILL_ASSIGN_OR_RETURN(
        report.snapshot, workspace.lake->Commit("features of " + options.table, extra, [&](Session& session) -> Status {
          TIDEMILL_RETURN_IF_ERROR(session.Execute("CREATE SCHEMA IF NOT EXISTS lake.features"));
          return session.Execute(fmt::format("CREATE OR REPLACE TABLE {} AS SELECT * FROM {}", TableName(options.table), stored));
        }));
  }
  report.seconds = SecondsSince(start);
  return report;
}

}  // namespace tidemill
