#include "project/definition_files.h"

#include <algorithm>
#include <array>
#include <system_error>

#include "base/text_distance.h"
#include "project/yaml_document.h"

namespace tidemill {
namespace fs = std::filesystem;
namespace {

constexpr std::array kKinds = {AssetKind::kSource, AssetKind::kTable, AssetKind::kFeatureView, AssetKind::kModel};
constexpr size_t kNameLengthMax = 63;

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool IsAssetName(std::string_view name) {
  return !name.empty() && name.size() <= kNameLengthMax && IsLetter(name[0]) &&
         std::all_of(name.begin(), name.end(), [](char c) { return IsLetter(c) || (c >= '0' && c <= '9') || c == '_'; });
}

/// Python lies in other folders too, and is imported from there.
bool IsPythonTable(AssetKind kind, const fs::path& path) { return kind == AssetKind::kTable && path.extension() == ".py"; }

bool IsDefinition(const fs::path& path) {
  return path.extension() == ".yaml" || path.extension() == ".yml" || path.extension() == ".sql";
}

/// Entries of a folder by name, hidden ones left out; empty when there is no such folder.
Result<std::vector<fs::directory_entry>> SortedEntries(const fs::path& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code code;
  if (!fs::exists(folder, code)) return entries;
  fs::directory_iterator at(folder, code);
  for (; !code && at != fs::directory_iterator(); at.increment(code)) {
    if (!at->path().filename().string().starts_with('.')) entries.push_back(*at);
  }
  if (code)
    return UserError("io_error", "can't read the folder '" + folder.filename().string() + "': " + code.message(),
                     "check its permissions");
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.path().filename() < b.path().filename(); });
  return entries;
}

class Lister {
 public:
  Lister(const fs::path& root, std::vector<Error>* errors) : root_(root), errors_(errors) {}

  std::vector<DefinitionFile> List() {
    for (const AssetKind kind : kKinds) ListFolder(kind);
    RefuseMisspelledFolders();
    return std::move(files_);
  }

 private:
  void Report(std::string code, std::string message, const std::string& file, std::string hint) {
    errors_->push_back(UserErrorAt(std::move(code), std::move(message), FilePlace(file), std::move(hint)));
  }

  std::vector<fs::directory_entry> Entries(const fs::path& folder) {
    auto entries = SortedEntries(folder);
    if (!entries.ok()) errors_->push_back(entries.error());
    return entries.ok() ? std::move(entries).value() : std::vector<fs::directory_entry>{};
  }

  void ListFolder(AssetKind kind) {
    const std::string folder(AssetFolder(kind));
    for (const fs::directory_entry& entry : Entries(root_ / folder)) {
      std::error_code code;
      if (entry.is_directory(code)) {
        RefuseNested(entry.path(), folder);
      } else if (IsDefinition(entry.path()) || IsPythonTable(kind, entry.path())) {
        ListFile(kind, folder, entry.path());
      }
    }
  }

  void ListFile(AssetKind kind, const std::string& folder, const fs::path& path) {
    const std::string file = folder + "/" + path.filename().string();
    const std::string name = path.stem().string();
    if (path.extension() == ".yml")
      return Report("wrong_file", "this file would be overlooked: definitions end in .yaml", file,
                    "rename it to " + name + ".yaml");
    if (path.extension() == ".sql" && kind != AssetKind::kTable) {
      return Report("wrong_file", "this file would be overlooked: SQL belongs in tables/", file,
                    "move it to tables/" + name + ".sql");
    }
    if (!IsAssetName(name)) {
      return Report("bad_name", "'" + name + "' can't be the name of a " + std::string(AssetKindName(kind)), file,
                    "the file's name is the asset's name: a letter, then letters, digits or underscores, at most 63");
    }
    files_.push_back({kind, name, file});
  }

  void RefuseNested(const fs::path& folder, const std::string& parent) {
    for (const fs::directory_entry& entry : Entries(folder)) {
      if (!IsDefinition(entry.path())) continue;
      const std::string file = parent + "/" + folder.filename().string() + "/" + entry.path().filename().string();
      Report("wrong_file", "this file would be overlooked: definitions lie directly in " + parent + "/", file,
             "move it to " + parent + "/" + entry.path().filename().string());
    }
  }

  void RefuseMisspelledFolders() {
    std::vector<std::string> folders;
    for (const AssetKind kind : kKinds) folders.emplace_back(AssetFolder(kind));
    for (const fs::directory_entry& entry : Entries(root_)) {
      const std::string name = entry.path().filename().string();
      std::error_code code;
      if (!entry.is_directory(code) || std::find(folders.begin(), folders.end(), name) != folders.end()) continue;
      const std::string meant = ClosestName(name, folders);
      if (meant.empty()) continue;
      const auto inside = Entries(entry.path());
      if (std::none_of(inside.begin(), inside.end(), [](const auto& file) { return IsDefinition(file.path()); })) continue;
      Report("wrong_folder", "the folder '" + name + "' would be overlooked", name, "did you mean '" + meant + "'?");
    }
  }

  const fs::path& root_;
  std::vector<Error>* errors_;
  std::vector<DefinitionFile> files_;
};

}  // namespace

std::string_view AssetFolder(AssetKind kind) {
  switch (kind) {
    case AssetKind::kSource:
      return "sources";
    case AssetKind::kTable:
      return "tables";
    case AssetKind::kFeatureView:
    case AssetKind::kDerivedView:
      return "features";
    case AssetKind::kModel:
      return "models";
  }
  return "";
}

Result<fs::path> FindProjectRoot(const fs::path& folder) {
  std::error_code code;
  const fs::path start = fs::weakly_canonical(fs::absolute(folder, code), code);
  for (fs::path at = start;; at = at.parent_path()) {
    if (fs::is_regular_file(at / kProjectFile, code)) return at;
    if (at == at.parent_path()) break;
  }
  return UserError("no_project", "there is no tidemill.yaml in '" + folder.string() + "' or in a folder above it",
                   "go to the project's folder, or make a new project with 'tidemill init'");
}

std::vector<DefinitionFile> ListDefinitions(const fs::path& root, std::vector<Error>* errors) {
  return Lister(root, errors).List();
}

}  // namespace tidemill
