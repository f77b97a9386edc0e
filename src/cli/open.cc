#include "cli/open.h"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

namespace tidemill {

Result<std::filesystem::path> FindProjectFolder(const std::filesystem::path& folder) {
  std::error_code ignored;
  const std::filesystem::path start = std::filesystem::weakly_canonical(std::filesystem::absolute(folder, ignored), ignored);
  for (std::filesystem::path at = start; !at.empty(); at = at.parent_path()) {
    if (std::filesystem::exists(at / "tidemill.yaml", ignored)) return at;
    if (at == at.root_path()) break;
  }
  return UserError("project_missing", fmt::format("there is no tidemill.yaml in '{}' or above it", folder.string()),
                   "go to a project's folder, name one with --project, or make one with 'tidemill init'");
}

namespace {

Result<OpenedLake> OpenLakeOf(const std::string& project, bool read_only, std::optional<int64_t> snapshot) {
  TIDEMILL_ASSIGN_OR_RETURN(const StatePaths state, FindState(project));
  OpenedLake opened;
  DatabaseOptions options;
  options.threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  TIDEMILL_ASSIGN_OR_RETURN(opened.database, Database::Open(options));
  LakeOptions lake_options;
  lake_options.folder = state.lake();
  lake_options.read_only = read_only;
  lake_options.snapshot = snapshot;
  auto lake = Lake::Open(*opened.database, lake_options);
  if (!lake.ok()) {
    Error error = std::move(lake).error();
    if (error.code == "lake_missing") error.hint = "'tidemill run' makes it";
    return error;
  }
  opened.lake = std::move(lake).value();
  TIDEMILL_ASSIGN_OR_RETURN(opened.session, opened.lake->Connect());
  return opened;
}

}  // namespace

Result<StatePaths> FindState(const std::string& folder) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::filesystem::path root, FindProjectFolder(folder));
  return StatePaths{root / ".tidemill"};
}

Result<OpenedLake> OpenLakeForReading(const std::string& project, std::optional<int64_t> snapshot) {
  return OpenLakeOf(project, true, snapshot);
}

Result<OpenedLake> OpenLakeForWriting(const std::string& project) {
  TIDEMILL_ASSIGN_OR_RETURN(const StatePaths state, FindState(project));
  if (!std::filesystem::exists(state.lake())) {
    return UserError("lake_missing", fmt::format("there is no lake in '{}'", state.folder.string()), "'tidemill run' makes it");
  }
  return OpenLakeOf(project, false, std::nullopt);
}

Result<std::unique_ptr<Catalog>> OpenCatalog(const CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(const StatePaths state, FindState(context.project));
  if (!std::filesystem::exists(state.catalog())) {
    return UserError("catalog_missing", fmt::format("nothing has run yet in '{}'", state.folder.parent_path().string()),
                     "'tidemill run' brings the project up to date");
  }
  return Catalog::Open(state.catalog(), context.clock);
}

}  // namespace tidemill
