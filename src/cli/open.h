#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "catalog/catalog.h"
#include "cli/command.h"
#include "lake/lake.h"
#include "sql/database.h"

namespace tidemill {

/// The folder with tidemill.yaml: `folder` or the nearest one above it. Code "project_missing".
Result<std::filesystem::path> FindProjectFolder(const std::filesystem::path& folder);

/// Where things lie below a state folder.
struct StatePaths {
  std::filesystem::path folder;
  std::filesystem::path lake() const { return folder / "lake"; }
  std::filesystem::path catalog() const { return folder / "catalog.sqlite"; }
  std::filesystem::path online() const { return folder / "online"; }
  std::filesystem::path endpoint() const { return folder / "server.json"; }
  std::filesystem::path replays() const { return folder / "replays"; }
};
/// Of the project that `folder` is in.
Result<StatePaths> FindState(const std::string& folder);

/// A lake opened with its engine: for commands that need neither the project's definitions nor the catalog.
struct OpenedLake {
  std::unique_ptr<Database> database;
  std::unique_ptr<Lake> lake;
  std::unique_ptr<Session> session;
};

/// Opens the lake of a project for reading, as it is now or at a snapshot. Code "lake_missing" when nothing
/// has run yet.
Result<OpenedLake> OpenLakeForReading(const std::string& project, std::optional<int64_t> snapshot);
/// The same for changing it; never makes one.
Result<OpenedLake> OpenLakeForWriting(const std::string& project);

/// The catalog of the project. Code "catalog_missing" when nothing has run yet.
Result<std::unique_ptr<Catalog>> OpenCatalog(const CommandContext& context);

}  // namespace tidemill
