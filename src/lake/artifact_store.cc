#include "lake/artifact_store.h"

#include "base/files.h"
#include "base/sha256.h"

namespace tidemill {
namespace {

/// Names come from catalogs and command lines: nothing but a digest may become a path.
bool IsSha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

std::filesystem::path ArtifactStore::PathOf(std::string_view sha256) const { return folder_ / sha256.substr(0, 2) / sha256; }

Result<std::string> ArtifactStore::Put(std::string_view bytes) {
  const std::string sha256 = Sha256(bytes);
  const std::lock_guard lock(writing_);
  if (Get(sha256).ok()) return sha256;
  TIDEMILL_RETURN_IF_ERROR(MakeFolders(PathOf(sha256).parent_path()));
  TIDEMILL_RETURN_IF_ERROR(WriteFileAtomic(PathOf(sha256), bytes));
  return sha256;
}

Result<std::string> ArtifactStore::Get(std::string_view sha256) const {
  const std::string hint = "restore the folder '" + folder_.string() + "' from a backup, or make the artifact anew";
  if (!IsSha256(sha256)) return UserError("artifact_missing", "'" + std::string(sha256) + "' is not the SHA-256 of an artifact");
  auto bytes = ReadFile(PathOf(sha256));
  if (!bytes.ok() && bytes.error().code == "file_missing") {
    return UserError("artifact_missing", "artifact " + std::string(sha256) + " is missing", hint);
  }
  TIDEMILL_RETURN_IF_ERROR(bytes.ok() ? Ok() : Status(bytes.error()));
  if (const std::string now = Sha256(bytes.value()); now != sha256) {
    return UserError("artifact_changed", "artifact " + std::string(sha256) + " was changed: its SHA-256 is now " + now, hint);
  }
  return bytes;
}

}  // namespace tidemill
