#include "orchestrate/workspace.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/engine_versions.h"
#include "base/files.h"
#include "feature/compile.h"
#include "ingest/ingest.h"
#include "model/trainer.h"
#include "monitor/monitor.h"
#include "transform/transform.h"

namespace tidemill {
namespace {

/// What, beside definitions, decides results: part of every fingerprint.
std::string EngineVersions() {
  return fmt::format("duckdb {}, lightgbm {}, onnxruntime {}, kernel {}", kDuckDbVersion, kLightgbmVersion, kOnnxRuntimeVersion,
                     KernelVersion());
}

Result<std::unique_ptr<Database>> OpenDatabase(const Project& project, const std::filesystem::path& temporary_folder) {
  DatabaseOptions options;
  options.memory_limit_mb = project.memory_limit_mb;
  options.threads = project.threads;
  options.temporary_folder = temporary_folder.string();
  return Database::Open(options);
}

/// Collects errors of independent parts, so that one pass tells all of them.
class ErrorList {
 public:
  template <class T>
  bool Keep(const Result<T>& result) {
    if (result.ok()) return true;
    Error error = result.error();
    std::vector<Error> others = std::move(error.others);
    error.others.clear();
    errors_.push_back(std::move(error));
    for (Error& other : others) errors_.push_back(std::move(other));
    return false;
  }
  Status Finish() {
    if (errors_.empty()) return Ok();
    Error first = std::move(errors_.front());
    first.others.assign(std::make_move_iterator(errors_.begin() + 1), std::make_move_iterator(errors_.end()));
    return first;
  }

 private:
  std::vector<Error> errors_;
};

Status BindSources(Workspace& workspace) {
  ErrorList errors;
  for (const auto& [name, source] : workspace.project.sources) {
    auto fields = SourceFields(workspace.project, source, workspace.lake.get());
    if (errors.Keep(fields)) workspace.table_fields[name] = std::move(fields).value();
  }
  return errors.Finish();
}

Status BindViewsAndModels(Workspace& workspace) {
  ErrorList errors;
  const Project& project = workspace.project;
  for (const auto& [name, view] : project.views) {
    auto program = CompileView(view, project.tables.at(view.from), workspace.table_fields.at(view.from), *workspace.parser);
    if (errors.Keep(program)) workspace.programs[name] = std::move(program).value();
  }
  TIDEMILL_RETURN_IF_ERROR(errors.Finish());
  for (const AssetNode& node : project.graph) {
    // What is wrong with a derived view is told once, not again for those that use it.
    const bool sound = std::all_of(node.inputs.begin(), node.inputs.end(), [&](const std::string& input) {
      return !project.derived_views.contains(input) || workspace.derived_plans.contains(input);
    });
    if (node.kind != AssetKind::kDerivedView || !sound) continue;
    auto plan = PlanDerivedView(project, node.name, workspace.table_fields, *workspace.parser);
    if (errors.Keep(plan)) workspace.derived_plans[node.name] = std::move(plan).value();
  }
  TIDEMILL_RETURN_IF_ERROR(errors.Finish());
  for (const auto& [name, model] : project.models) {
    auto plan = PlanFeatures(project, model, workspace.table_fields, *workspace.parser);
    if (errors.Keep(plan)) workspace.feature_plans[name] = std::move(plan).value();
    if (!model.retrain_when.empty()) errors.Keep(CheckCondition(model.retrain_when, model.retrain_place, *workspace.parser));
  }
  return errors.Finish();
}

Status Bind(Workspace& workspace) {
  TIDEMILL_ASSIGN_OR_RETURN(workspace.parser, workspace.database->Connect());
  TIDEMILL_RETURN_IF_ERROR(BindSources(workspace));
  TIDEMILL_ASSIGN_OR_RETURN(auto tables, BindTables(workspace.project, workspace.table_fields, *workspace.parser));
  workspace.table_fields.merge(tables);
  TIDEMILL_RETURN_IF_ERROR(BindViewsAndModels(workspace));
  workspace.pushed_views = FindPushedViews(workspace.project, workspace.programs, workspace.table_fields, *workspace.parser);
  workspace.fingerprints = Fingerprints(workspace.project, EngineVersions());
  return Ok();
}

}  // namespace

Result<Workspace> OpenWorkspace(const std::filesystem::path& folder, const Clock& clock) {
  TIDEMILL_ASSIGN_OR_RETURN(Project project, LoadProject(folder));
  const std::filesystem::path state_folder = project.StateFolder();
  return OpenWorkspaceAt(std::move(project), state_folder, clock);
}

Result<Workspace> OpenWorkspaceAt(Project project, const std::filesystem::path& state_folder, const Clock& clock) {
  Workspace workspace;
  workspace.project = std::move(project);
  workspace.state_folder = state_folder;
  TIDEMILL_RETURN_IF_ERROR(MakeFolders(state_folder));
  // Databases of two processes in one folder would write over each other's files.
  TemporaryFolder::RemoveAbandoned(state_folder / "tmp");
  TIDEMILL_ASSIGN_OR_RETURN(workspace.temporary, TemporaryFolder::Make(state_folder / "tmp", "process"));
  TIDEMILL_ASSIGN_OR_RETURN(workspace.database, OpenDatabase(workspace.project, workspace.temporary->path()));
  TIDEMILL_ASSIGN_OR_RETURN(workspace.catalog, Catalog::Open(state_folder / "catalog.sqlite", clock));
  TIDEMILL_ASSIGN_OR_RETURN(workspace.lake, Lake::Open(*workspace.database, {.folder = state_folder / "lake"}));
  TIDEMILL_RETURN_IF_ERROR(Bind(workspace));
  workspace.python = MakePythonWorkers(workspace.project);
  return workspace;
}

OnlineSite SiteOf(const Workspace& workspace) {
  OnlineSite site;
  site.store_folder = workspace.state_folder / "online";
  site.endpoint_file = workspace.state_folder / "server.json";
  for (const auto& [name, source] : workspace.project.sources) site.takes_pushes = site.takes_pushes || source.pushed;
  site.pushed_views = workspace.pushed_views;
  site.cache_bytes = static_cast<size_t>(workspace.project.online.cache_mb) << 20;
  return site;
}

Status CheckProject(const std::filesystem::path& folder) {
  Workspace workspace;
  TIDEMILL_ASSIGN_OR_RETURN(workspace.project, LoadProject(folder));
  TIDEMILL_ASSIGN_OR_RETURN(workspace.database, OpenDatabase(workspace.project, {}));
  return Bind(workspace);
}

}  // namespace tidemill
