#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/sqlite_file.h"

namespace tidemill {

/// What Tidemill knows of a lake beyond DuckLake's own catalog: the next sequence number and who reserved
/// some, pinned snapshots, and the digests of data files. A SQLite file of its own beside that catalog, because DuckLake's
/// transactions must not meet other writers there. It travels with the folder. Its format number is the
/// version of the whole lake. Thread-safe.
class LakeSidecar {
 public:
  /// Code "lake_newer" when a newer Tidemill wrote it.
  static Result<std::unique_ptr<LakeSidecar>> Open(const std::filesystem::path& folder);

  /// Whether the lake was made completely.
  Result<bool> Ready();
  Status SetReady();

  /// Whether the tables that Tidemill writes have columns of an earlier version.
  Result<bool> TablesAreOld();
  Status SetTablesNew();

  Result<int64_t> ReserveSequence(int64_t count, std::string_view purpose);
  Status SettleSequences(const std::vector<std::string>& purposes);

  Status Pin(int64_t snapshot, std::string_view owner);
  Result<std::set<int64_t>> Pinned();

  /// Path relative to the data folder -> SHA-256.
  Result<std::map<std::string, std::string>> Digests();
  Status AddDigests(const std::map<std::string, std::string>& digests);
  Status RemoveDigests(const std::set<std::string>& paths);

  /// Writes a copy, as of now, to a file that does not exist yet.
  Status CopyTo(const std::filesystem::path& file);

  static std::filesystem::path FileIn(const std::filesystem::path& folder) { return folder / "tidemill.sqlite"; }

 private:
  explicit LakeSidecar(std::unique_ptr<SqliteFile> file) : file_(std::move(file)) {}
  std::unique_ptr<SqliteFile> file_;
};

}  // namespace tidemill
