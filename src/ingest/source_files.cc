#include "ingest/source_files.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "base/files.h"
#include "base/sha256.h"
#include "base/text_distance.h"

namespace tidemill {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kDigestCache = "source_files.json";
/// A file changed this short a time ago may change again without its time showing it.
constexpr int64_t kSettledAfterNs = 2'000'000'000;

bool HasWildcard(std::string_view text) { return text.find_first_of("*?") != std::string_view::npos; }

/// Files below `folder` that match the parts of a glob; each part is matched against names in one folder.
void ExpandGlob(const fs::path& root, const fs::path& folder, const std::vector<std::string>& parts, size_t part,
                std::set<std::string>* found) {
  std::error_code code;
  if (part == parts.size()) {
    if (fs::is_regular_file(root / folder, code)) found->insert(folder.generic_string());
    return;
  }
  if (!HasWildcard(parts[part])) return ExpandGlob(root, folder / parts[part], parts, part + 1, found);
  if (parts[part] == "**") {
    ExpandGlob(root, folder, parts, part + 1, found);
    for (const auto& entry : fs::directory_iterator(root / folder, code)) {
      if (entry.is_directory(code) && !entry.is_symlink(code))
        ExpandGlob(root, folder / entry.path().filename(), parts, part, found);
    }
    return;
  }
  for (const auto& entry : fs::directory_iterator(root / folder, code)) {
    const std::string name = entry.path().filename().string();
    if (name[0] == '.' && parts[part][0] != '.') continue;
    if (MatchesGlob(name, parts[part])) ExpandGlob(root, folder / name, parts, part + 1, found);
  }
}

std::vector<std::string> Parts(const std::string& glob) {
  std::vector<std::string> parts;
  for (const fs::path& part : fs::path(glob)) parts.push_back(part.string());
  return parts;
}

/// The names in the folder where the glob looks, for a suggestion.
std::string MissingHint(const fs::path& root, const std::string& glob) {
  const fs::path folder = fs::path(glob).parent_path();
  std::error_code code;
  if (!fs::is_directory(root / folder, code)) {
    return HasWildcard(folder.string()) ? "" : fmt::format("there is no folder '{}'", folder.generic_string());
  }
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(root / folder, code)) {
    if (entry.is_regular_file(code)) names.push_back((folder / entry.path().filename()).generic_string());
  }
  std::sort(names.begin(), names.end());
  if (names.empty()) return fmt::format("the folder '{}' is empty", folder.empty() ? "." : folder.generic_string());
  const std::string closest = ClosestName(glob, names);
  if (!closest.empty()) return fmt::format("did you mean '{}'?", closest);
  std::string list;
  for (size_t i = 0; i < std::min<size_t>(names.size(), 10); ++i) list += (i > 0 ? ", " : "") + names[i];
  return fmt::format("there are: {}{}", list, names.size() > 10 ? " ..." : "");
}

int64_t Nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000LL + time.tv_nsec; }

/// What shows that a file was written: no change of its content leaves all of them as they were.
Json Traces(const struct stat& status) {
  return {status.st_size, Nanoseconds(status.st_mtim), Nanoseconds(status.st_ctim), status.st_ino};
}

/// SHA-256 of files by path, kept beside the lake so that unchanged files are not read again. Only a cache:
/// losing it costs time.
class DigestCache {
 public:
  explicit DigestCache(fs::path file) : file_(std::move(file)) {
    const auto text = ReadFile(file_);
    if (text.ok()) entries_ = Json::parse(text.value(), nullptr, false);
    if (!entries_.is_object()) entries_ = Json::object();
  }

  Result<SourceFile> Identify(const fs::path& root, const std::string& shown) {
    const fs::path path = root / shown;
    struct stat status;
    if (stat(path.c_str(), &status) != 0) return UserError("file_missing", "can't read '" + shown + "'");
    const std::string key = fs::absolute(path).lexically_normal().string();
    const Json traces = Traces(status);
    if (const auto entry = entries_.find(key);
        entry != entries_.end() && entry->is_object() && entry->value("traces", Json()) == traces) {
      return SourceFile{shown, entry->value("sha256", ""), status.st_size};
    }
    TIDEMILL_ASSIGN_OR_RETURN(const std::string sha256, Sha256File(path));
    const int64_t now =
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    if (now - Nanoseconds(status.st_ctim) > kSettledAfterNs) {
      entries_[key] = {{"traces", traces}, {"sha256", sha256}};
      changed_ = true;
    }
    return SourceFile{shown, sha256, status.st_size};
  }

  void Save() {
    if (changed_) (void)WriteFileAtomic(file_, entries_.dump(1));
  }

 private:
  fs::path file_;
  Json entries_;
  bool changed_ = false;
};

Json OptionalJson(const auto& value) { return value ? Json(*value) : Json(); }

/// Everything that decides which rows a file gives.
std::string DefinitionDigest(const SourceAsset& source) {
  Json definition = {{"null", source.null_texts}, {"delimiter", source.delimiter}, {"known_at", source.known_at}};
  definition["extra_columns"] = source.contract.extra_columns == ExtraColumns::kIgnore;
  definition["on_violation"] = static_cast<int>(source.contract.on_violation);
  for (const ContractColumn& column : source.contract.columns) {
    definition["columns"].push_back({column.name, TypeName(column.type), column.required, OptionalJson(column.min),
                                     OptionalJson(column.max), OptionalJson(column.length_min), OptionalJson(column.length_max),
                                     column.allowed, column.pattern});
  }
  return Sha256(definition.dump()).substr(0, 16);
}

Result<std::vector<StoredFile>> ReadStored(const SourceAsset& source, Lake& lake) {
  std::vector<StoredFile> stored;
  TIDEMILL_ASSIGN_OR_RETURN(const bool any, lake.HasTable("tidemill.files"));
  if (!any) return stored;
  TIDEMILL_ASSIGN_OR_RETURN(const auto session, lake.Connect());
  TIDEMILL_ASSIGN_OR_RETURN(
      const auto rows, session->Query(fmt::format("SELECT file, sha256, first_seq, records, definition FROM lake.tidemill.files "
                                                  "WHERE source = {} AND NOT replaced ORDER BY first_seq, file",
                                                  QuoteText(source.name))));
  for (size_t row = 0; row < rows.rows(); ++row) {
    stored.push_back({std::string(rows.columns[0].Text(row)), std::string(rows.columns[1].Text(row)), rows.columns[2].ints[row],
                      rows.columns[3].ints[row], std::string(rows.columns[4].Text(row))});
  }
  return stored;
}

/// Stored contents and present ones (but those that a changed file replaces), in an order of their own.
std::string ContentVersion(const SourceInspection& inspection) {
  std::set<std::string> contents;
  for (const StoredFile& file : inspection.stored) contents.insert(file.sha256);
  for (const StoredFile& file : inspection.replaced) contents.erase(file.sha256);
  for (const SourceFile& file : inspection.status.files) contents.insert(file.sha256);
  std::string text = inspection.definition;
  for (const std::string& content : contents) text += "\n" + content;
  return Sha256(text).substr(0, 32);
}

Result<SourceStatus> InspectPushed(const SourceAsset& source, Lake& lake) {
  SourceStatus status;
  status.content_version = "no pushes";
  TIDEMILL_ASSIGN_OR_RETURN(const bool any, lake.HasTable("tidemill.files"));
  if (!any) return status;
  TIDEMILL_ASSIGN_OR_RETURN(const auto session, lake.Connect());
  TIDEMILL_ASSIGN_OR_RETURN(const auto pushes,
                            session->Query(fmt::format("SELECT concat(count(*), ':', max(first_seq + records - 1)) FROM "
                                                       "lake.tidemill.files WHERE source = {}",
                                                       QuoteText(source.name))));
  status.content_version = "pushes " + std::string(pushes.columns[0].Text(0));
  return status;
}

}  // namespace

bool MatchesGlob(std::string_view text, std::string_view pattern) {
  size_t t = 0, p = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && (pattern[p] == text[t] || (pattern[p] == '?' && text[t] != '/'))) {
      ++t;
      ++p;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (star != std::string_view::npos && text[resume] != '/') {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

Result<std::vector<std::string>> FindSourceFiles(const Project& project, const SourceAsset& source) {
  std::set<std::string> found;
  for (const std::string& glob : source.files) {
    std::set<std::string> matched;
    ExpandGlob(project.root, "", Parts(glob), 0, &matched);
    if (matched.empty()) {
      Place place = source.place;
      return UserErrorAt("file_missing", fmt::format("source '{}': no file matches '{}'", source.name, glob), place,
                         MissingHint(project.root, glob));
    }
    found.merge(matched);
  }
  return std::vector<std::string>(found.begin(), found.end());
}

Result<SourceInspection> InspectInFull(const Project& project, const SourceAsset& source, Lake& lake) {
  SourceInspection inspection;
  inspection.definition = DefinitionDigest(source);
  TIDEMILL_ASSIGN_OR_RETURN(const auto paths, FindSourceFiles(project, source));
  DigestCache cache(lake.folder() / kDigestCache);
  for (const std::string& path : paths) {
    TIDEMILL_ASSIGN_OR_RETURN(auto file, cache.Identify(project.root, path));
    inspection.status.files.push_back(std::move(file));
  }
  cache.Save();
  TIDEMILL_ASSIGN_OR_RETURN(inspection.stored, ReadStored(source, lake));

  std::set<std::string> known, present;
  std::map<std::string, std::string> content_of;
  for (const StoredFile& file : inspection.stored) {
    inspection.redefined = inspection.redefined || file.definition != inspection.definition;
    known.insert(file.sha256);
  }
  for (const SourceFile& file : inspection.status.files) {
    present.insert(file.sha256);
    content_of[file.path] = file.sha256;
  }
  if (inspection.redefined) known.clear();
  for (const StoredFile& file : inspection.stored) {
    const bool changed = content_of.contains(file.path) && content_of[file.path] != file.sha256;
    if (changed && !present.contains(file.sha256)) inspection.replaced.push_back(file);
  }
  for (const SourceFile& file : inspection.status.files) {
    if (known.insert(file.sha256).second) inspection.status.fresh.push_back(file);
  }
  inspection.status.content_version = ContentVersion(inspection);
  return inspection;
}

Result<SourceStatus> InspectSource(const Project& project, const SourceAsset& source, Lake& lake) {
  if (source.pushed) return InspectPushed(source, lake);
  TIDEMILL_ASSIGN_OR_RETURN(auto inspection, InspectInFull(project, source, lake));
  return std::move(inspection.status);
}

}  // namespace tidemill
