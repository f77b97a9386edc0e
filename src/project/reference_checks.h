#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "project/project.h"
#include "project/yaml_document.h"
#include "sql/statement.h"

namespace tidemill {

/// What loading kept beside the assets themselves, for places.
struct LoadedFiles {
  std::map<std::string, AssetKind> names;                         ///< all assets that have a file, broken ones too
  std::map<std::string, YamlNode> documents;                      ///< by asset; only those that fit their schema
  std::map<std::string, std::vector<TableReference>> references;  ///< by table
};

/// Resolves the names by which assets refer to each other, and fills TableAsset::inputs. Problems are appended to `errors`;
/// what refers to a broken file is not reported again.
void ResolveReferences(const LoadedFiles& files, Project* project, std::vector<Error>* errors);

/// Reports each cycle of tables once, spelled out, at the reference that closes it. False when there is one.
bool CheckCycles(const LoadedFiles& files, const Project& project, std::vector<Error>* errors);

/// Refuses models that could read around history: what a model reads of a source with `history: true` must pass through a
/// table that declares known_at. Needs a project without cycles.
void CheckHistory(const LoadedFiles& files, const Project& project, std::vector<Error>* errors);

}  // namespace tidemill
