#include "orchestrate/retrieve.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <chrono>

#include "base/files.h"
#include "base/text_distance.h"
#include "feature/batch/join_output.h"
#include "feature/batch/own_spine.h"
#include "model/input_columns.h"
#include "orchestrate/asset_names.h"
#include "orchestrate/failed_values.h"
#include "orchestrate/join_memory.h"

namespace tidemill {
namespace {

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Status CheckViews(const Workspace& workspace, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (workspace.programs.contains(name) || workspace.derived_plans.contains(name)) continue;
    std::vector<std::string> known;
    for (const auto& [view, unused] : workspace.programs) known.push_back(view);
    for (const auto& [view, unused] : workspace.derived_plans) known.push_back(view);
    return UserError("unknown_view", fmt::format("there is no feature view '{}'", name), SuggestionHint(name, known));
  }
  return Ok();
}

Status CheckTable(Workspace& workspace, const std::string& table, const std::string& view) {
  TIDEMILL_ASSIGN_OR_RETURN(const bool exists, workspace.lake->HasTable(table));
  if (exists) return Ok();
  return UserError("not_run", fmt::format("the table '{}' of view '{}' isn't there yet", table, view),
                   "run 'tidemill run' first");
}

Result<std::vector<ViewJoin>> FindViews(Workspace& workspace, const std::vector<std::string>& names) {
  std::vector<ViewJoin> joins;
  for (const std::string& name : names) {
    const Program& program = workspace.programs.at(name);
    const std::string& table = workspace.project.views.at(name).from;
    TIDEMILL_RETURN_IF_ERROR(CheckTable(workspace, table, name));
    ViewJoin join{&program, MainTable(table), workspace.project.tables.at(table).timestamp, {}, name, {}};
    for (const Field& key : program.keys) join.spine_keys.push_back(key.name);
    joins.push_back(std::move(join));
  }
  return joins;
}

/// The look-ups that views with derived ones among them need; the plan has to outlive them.
Result<std::vector<ViewJoin>> FindPlannedViews(Workspace& workspace, const FeaturePlan& plan) {
  std::vector<ViewJoin> joins;
  for (const FeaturePlan::View& view : plan.views) {
    TIDEMILL_RETURN_IF_ERROR(CheckTable(workspace, view.table, view.program.view));
    joins.push_back({&view.program, MainTable(view.table), view.event_time, view.spine_keys, view.prefix, view.outputs});
  }
  return joins;
}

/// The views' keys under the names that a spine of their own has.
void UseOwnKeys(std::vector<ViewJoin>& views) {
  for (ViewJoin& view : views) view.spine_keys = views[0].spine_keys;
}

/// A spine that is one word names a table or a source.
Status CheckSpine(const Workspace& workspace, const std::string& spine) {
  const bool is_word = std::ranges::all_of(spine, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; });
  if (!is_word || workspace.project.tables.contains(spine) || workspace.project.sources.contains(spine)) return Ok();
  std::vector<std::string> known;
  for (const auto& [table, unused] : workspace.project.tables) known.push_back(table);
  for (const auto& [source, unused] : workspace.project.sources) known.push_back(source);
  return UserError("unknown_table", fmt::format("there is no table '{}'", spine), SuggestionHint(spine, known));
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
  TIDEMILL_RETURN_IF_ERROR(CheckSpine(workspace, options.spine));
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
                              const std::string& name, const Progress& progress, std::chrono::steady_clock::time_point start,
                              const JoinTransform& transform) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto reading, workspace.lake->Connect());
  TIDEMILL_ASSIGN_OR_RETURN(const auto writing, workspace.database->Connect());
  return WriteJoin(
      *reading, *writing, request, path,
      [&](int64_t done, int64_t total) {
        progress({ProgressEvent::Kind::kRunning, name, fmt::format("{} of {} rows", done, total), SecondsSince(start)});
      },
      transform);
}

/// Views with derived ones among them: what is looked up for them, and what is made of it.
struct DerivedJoin {
  FeaturePlan plan;
  std::vector<Field> spine_fields;

  FailureCount count{};

  Result<Columns> Make(Columns joined) {
    const auto joined_rows = static_cast<int64_t>(joined.rows());
    TIDEMILL_RETURN_IF_ERROR(AppendDerived(plan, joined, &count));
    count.rows_before += joined_rows;
    Columns rows;
    for (const Field& field : spine_fields) rows.columns.push_back(std::move(*joined.Find(field.name)));
    Columns none;
    TIDEMILL_RETURN_IF_ERROR(TakeInputs(plan, joined, none, rows));
    return rows;
  }
};

Result<DerivedJoin> PlanDerivedJoin(Workspace& workspace, const std::vector<std::string>& views, const std::string& spine_sql) {
  DerivedJoin join;
  TIDEMILL_ASSIGN_OR_RETURN(const auto session, workspace.lake->Connect());
  TIDEMILL_ASSIGN_OR_RETURN(join.spine_fields, session->Describe(spine_sql));
  TIDEMILL_ASSIGN_OR_RETURN(join.plan,
                            PlanJoin(workspace.project, views, join.spine_fields, workspace.table_fields, *workspace.parser));
  return join;
}

Error NeedsSpine(const std::string& view, const FeaturePlan& plan) {
  std::string columns;
  for (const Field& field : plan.request_fields) columns += (columns.empty() ? "" : ", ") + field.name;
  return UserError("derived_view",
                   fmt::format("'{}' is a derived view: it has no rows of its own that tell entities or times", view),
                   fmt::format("give rows with --spine, with the columns {}", columns));
}

std::string TableName(const std::string& table) { return "lake.features." + QuoteIdentifier(table); }

}  // namespace

Result<RetrieveReport> RetrieveFeatures(Workspace& workspace, const RetrieveOptions& options, Timestamp now,
                                        const Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  FeatureJoinRequest request;
  TIDEMILL_RETURN_IF_ERROR(CheckViews(workspace, options.views));
  const auto is_derived = [&](const std::string& view) { return workspace.derived_plans.contains(view); };
  const auto first_derived = std::find_if(options.views.begin(), options.views.end(), is_derived);
  std::optional<DerivedJoin> derived;
  JoinTransform transform;
  if (first_derived == options.views.end()) {
    TIDEMILL_ASSIGN_OR_RETURN(request.views, FindViews(workspace, options.views));
    TIDEMILL_RETURN_IF_ERROR(SetSpine(workspace, options, now, request));
  } else {
    if (options.spine.empty()) return NeedsSpine(*first_derived, workspace.derived_plans.at(*first_derived));
    TIDEMILL_RETURN_IF_ERROR(SetSpine(workspace, options, now, request));
    TIDEMILL_ASSIGN_OR_RETURN(derived, PlanDerivedJoin(workspace, options.views, request.spine_sql));
    TIDEMILL_ASSIGN_OR_RETURN(request.views, FindPlannedViews(workspace, derived->plan));
    transform = [&derived](Columns joined) { return derived->Make(std::move(joined)); };
  }
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
  auto written = WriteFile(workspace, request, path, name, progress, start, transform);
  if (!written.ok()) return PlaceFailedValues(workspace.project, std::move(written).error());
  report.rows = written->rows;
  report.failures = std::move(written->failures);
  if (derived) report.failures.insert(report.failures.end(), derived->count.failures.begin(), derived->count.failures.end());
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
