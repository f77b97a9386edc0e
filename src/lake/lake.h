#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "sql/database.h"

namespace tidemill {

struct LakeOptions {
  std::filesystem::path folder;  ///< catalog.sqlite and data/ live here
  bool read_only = false;
  int lock_timeout_ms = 60'000;       ///< how long a commit waits for the commit of another thread or process
  std::optional<int64_t> snapshot{};  ///< the lake as it was then; read-only. Code "snapshot_missing" when there is no such
};

struct SnapshotInfo {
  int64_t id = 0;
  Timestamp created_at;
  std::string author;
  std::string message;
  Json extra;  ///< run, positions of readers
};

/// A file of the lake with its digest when it was written.
struct DataFile {
  std::string table;  ///< "main.flights"
  std::string path;   ///< relative to the lake's data folder
  int64_t rows = 0;
  std::string sha256;
};

struct DataFileProblem {
  std::string table;
  std::string path;
  std::string problem;  ///< "missing", "changed: SHA-256 ... was ..."
};

/// Versioned tables (DuckLake): Parquet files and a SQLite catalog in WAL mode. Every commit is one snapshot,
/// made under a file lock, so several threads and processes may share a lake; readers never wait.
///
/// In sessions made by Connect() the lake is attached as `lake` and `lake.main` is the default schema.
/// Schemas: `main` (sources and tables), `training`, `scores`, `tidemill` (our own: files, quarantine,
/// predictions, digests). Thread-safe. The tables of sources and tables carry `_seq` (BIGINT, unique in the
/// lake, kept for ever) and `_known_at`.
class Lake {
 public:
  /// Opens it, made when missing unless read_only. Codes: "lake_newer" (written by a newer Tidemill),
  /// "lake_missing". A lake copied or moved to another folder opens there.
  static Result<std::unique_ptr<Lake>> Open(Database& database, const LakeOptions& options);
  virtual ~Lake() = default;

  /// A session for reading with the lake attached.
  virtual Result<std::unique_ptr<Session>> Connect() = 0;

  /// Runs `change` in a transaction and commits it as one snapshot with `message` and `extra`; nothing is
  /// left of it when it fails. Rerun by itself when a foreign program's commit conflicted, so `change` must
  /// be repeatable. Returns the snapshot (the current one when nothing was changed). One commit at a time,
  /// `change` included: prepare what takes long before it. `extra` is read after `change`, which may still
  /// add to it. Codes: "locked" (another commit takes longer than the timeout), "disk_full", those of
  /// `change`.
  virtual Result<int64_t> Commit(std::string_view message, const Json& extra, const std::function<Status(Session&)>& change) = 0;

  virtual Result<int64_t> CurrentSnapshot() = 0;
  virtual Result<std::vector<SnapshotInfo>> Snapshots() = 0;
  virtual Result<bool> HasTable(std::string_view table) = 0;  ///< "departures" or "training.late_arrival"
  virtual Result<std::vector<Field>> Schema(std::string_view table) = 0;

  /// Reserves `count` sequence numbers; returns the first. Never given twice, also after a crash, but to the same `purpose`: who
  /// was killed before its commit asks again for the same and gets the same numbers, so that its rows are those of one that
  /// wasn't. Without a purpose nobody can ask again.
  virtual Result<int64_t> ReserveSequence(int64_t count, std::string_view purpose = {}) = 0;
  /// The numbers reserved for these purposes are in a commit: they are not given again. To be told before anything more is
  /// reserved for the same purpose; what was never reserved is skipped.
  virtual Status SettleSequences(const std::vector<std::string>& purposes) = 0;

  /// The data files of a table at a snapshot, with digests.
  virtual Result<std::vector<DataFile>> Files(std::string_view table, int64_t snapshot) = 0;
  /// Compares files with their recorded digests: those of `tables` at `snapshot`, or with no tables of the
  /// whole lake now.
  virtual Result<std::vector<DataFileProblem>> Verify(const std::vector<std::string>& tables, int64_t snapshot) = 0;

  /// Keeps a snapshot from being cleaned up; `owner` names who needs it ("late_arrival@1"). Code
  /// "snapshot_missing".
  virtual Status Pin(int64_t snapshot, std::string_view owner) = 0;
  /// Merges small files, expires unpinned snapshots older than `keep` at `now` (operations clock), never the
  /// newest, and deletes files that nothing needs. Content, content versions and pinned snapshots stay as
  /// they are. Refused with code "data_changed" when a file differs from its digest: merging would hide that.
  /// Returns a summary for people and --json.
  virtual Result<Json> Compact(Duration keep, Timestamp now) = 0;

  /// A copy of the whole lake in another (new or empty) folder, as of one moment, while others may read and
  /// commit here. With `link` the data files, which never change, are hard links where the file system
  /// allows: cheap, for branches.
  virtual Status CopyTo(const std::filesystem::path& target, bool link) = 0;

  /// Bytes stored by their SHA-256 under artifacts/ (model packages, archives). Reading checks it: codes
  /// "artifact_missing", "artifact_changed".
  virtual Result<std::string> PutArtifact(std::string_view bytes) = 0;
  virtual Result<std::string> GetArtifact(std::string_view sha256) = 0;

  virtual const std::filesystem::path& folder() const = 0;
};

/// An order-independent digest of each column of a relation (hash sums of (_seq, value) pairs) and its row
/// count:
/// `{"rows": n, "columns": {"name": "hex", ...}}`. Equal content gives equal text in any version and file
/// layout. Without a column `_seq` the values of a row are tied together by a further entry, "row".
/// `relation_sql` is what may follow FROM. Comparable within one version of the engine.
Result<Json> ContentDigest(Session& session, std::string_view relation_sql);

}  // namespace tidemill
