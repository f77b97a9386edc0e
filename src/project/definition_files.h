#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "project/project.h"

namespace tidemill {

/// The file that makes a folder a project.
inline constexpr std::string_view kProjectFile = "tidemill.yaml";

/// A file of the project that defines an asset (or half of one: a table is .sql or .py and, if wanted, .yaml).
struct DefinitionFile {
  AssetKind kind = AssetKind::kSource;
  std::string name;  ///< the file's name without its ending: the asset's name
  std::string path;  ///< relative to the project
};

/// The folder that holds tidemill.yaml: `folder` or the nearest one above it. Code "no_project" when there is none.
Result<std::filesystem::path> FindProjectRoot(const std::filesystem::path& folder);

/// The files of a project's assets, sorted by kind and path. Wrong names and files that would be overlooked (wrong ending,
/// misspelled folder) are appended to `errors`.
std::vector<DefinitionFile> ListDefinitions(const std::filesystem::path& root, std::vector<Error>* errors);

/// The folder of a kind of asset: "sources", "tables", "features", "models".
std::string_view AssetFolder(AssetKind kind);

}  // namespace tidemill
