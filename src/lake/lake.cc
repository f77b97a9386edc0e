#include "lake/lake.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "base/files.h"
#include "base/sha256.h"
#include "lake/artifact_store.h"
#include "lake/data_folder.h"
#include "lake/sidecar.h"

namespace tidemill {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kCatalogFile = "catalog.sqlite";
constexpr int kCommitAttemptsMax = 5;
constexpr Duration kReaderGrace{3600 * kMicrosPerSecond};
/// DuckLake's own tables, attached beside the lake.
constexpr std::string_view kMetadata = "__ducklake_metadata_lake";

struct TableName {
  std::string schema;
  std::string table;
  std::string Text() const { return schema + "." + table; }
};

TableName ParseTableName(std::string_view name) {
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos) return {"main", std::string(name)};
  return {std::string(name.substr(0, dot)), std::string(name.substr(dot + 1))};
}

/// Every data and delete file in DuckLake's catalog: table, path (relative to data/ where DuckLake made it),
/// rows.
std::string DataFilesSql(std::string_view condition) {
  return fmt::format(
      R"sql(
WITH places AS (
  SELECT t.table_id, s.schema_name || '.' || t.table_name AS name, t.begin_snapshot AS table_begin, t.end_snapshot AS table_end,
         CASE WHEN t.path_is_relative::BOOLEAN AND s.path_is_relative::BOOLEAN THEN s.path || t.path ELSE t.path END AS folder
  FROM {0}.ducklake_table t JOIN {0}.ducklake_schema s USING (schema_id)
), files AS (
  SELECT table_id, begin_snapshot, end_snapshot, path, path_is_relative, record_count AS row_count FROM {0}.ducklake_data_file
  UNION ALL
  SELECT table_id, begin_snapshot, end_snapshot, path, path_is_relative, 0 FROM {0}.ducklake_delete_file
)
SELECT arg_max(name, table_begin) AS name, CASE WHEN path_is_relative::BOOLEAN THEN folder || path ELSE path END AS full_path,
       any_value(row_count)::BIGINT AS row_count
FROM files JOIN places USING (table_id) WHERE {1} GROUP BY full_path ORDER BY full_path)sql",
      kMetadata, condition);
}

/// What held at a snapshot.
std::string ValidAt(std::string_view begin, std::string_view end, int64_t snapshot) {
  return fmt::format("{0} <= {2} AND ({1} IS NULL OR {1} > {2})", begin, end, snapshot);
}

bool IsConflict(const Error& error) {
  return error.code == "sql_conflict" || error.message.find("database is locked") != std::string::npos;
}

Error LockedError(const fs::path& folder, int timeout_ms) {
  return Unavailable(
      "locked",
      fmt::format("the lake in '{}' is being written by another process for more than {} s", folder.string(), timeout_ms / 1000),
      "try again when that command has finished");
}

Error SnapshotMissing(int64_t snapshot) {
  return UserError("snapshot_missing", fmt::format("the lake has no snapshot {}", snapshot),
                   "it may have been expired by a compaction; 'tidemill show' lists versions");
}

/// The right to write: one thread of one process at a time.
struct WriteLock {
  std::unique_lock<std::timed_mutex> thread;
  FileLock process;
};

class DuckLake : public Lake {
 public:
  DuckLake(Database& database, LakeOptions options)
      : database_(database), options_(std::move(options)), artifacts_(options_.folder / "artifacts") {}
  ~DuckLake() override;

  Status Attach();

  Result<std::unique_ptr<Session>> Connect() override;
  Result<int64_t> Commit(std::string_view message, const Json& extra, const std::function<Status(Session&)>& change) override;
  Result<int64_t> CurrentSnapshot() override;
  Result<std::vector<SnapshotInfo>> Snapshots() override;
  Result<bool> HasTable(std::string_view table) override;
  Result<std::vector<Field>> Schema(std::string_view table) override;
  Result<int64_t> ReserveSequence(int64_t count, std::string_view purpose) override {
    return sidecar_->ReserveSequence(count, purpose);
  }
  Status SettleSequences(const std::vector<std::string>& purposes) override { return sidecar_->SettleSequences(purposes); }
  Result<std::vector<DataFile>> Files(std::string_view table, int64_t snapshot) override;
  Result<std::vector<DataFileProblem>> Verify(const std::vector<std::string>& tables, int64_t snapshot) override;
  Status Pin(int64_t snapshot, std::string_view owner) override;
  Result<Json> Compact(Duration keep, Timestamp now) override;
  Status CopyTo(const fs::path& target, bool link) override;
  Result<std::string> PutArtifact(std::string_view bytes) override { return artifacts_.Put(bytes); }
  Result<std::string> GetArtifact(std::string_view sha256) override { return artifacts_.Get(sha256); }
  const fs::path& folder() const override { return options_.folder; }

 private:
  fs::path DataFolder() const { return options_.folder / "data"; }
  fs::path CatalogPath() const { return options_.folder / kCatalogFile; }
  Status AttachEngine();
  Status MakeNew();
  Status BringTablesUp();
  Status CheckNotAbandoned();
  Status CheckSnapshot(int64_t snapshot);
  Result<WriteLock> LockForWriting();
  Result<int64_t> TryCommit(std::string_view message, const Json& extra, const std::function<Status(Session&)>& change);
  Result<Columns> Read(const std::string& sql);
  Status RecordNewFiles();
  Result<std::vector<DataFile>> ListDataFiles(std::string_view condition);
  Result<std::vector<DataFileProblem>> Compare(const std::vector<DataFile>& files);
  Result<int64_t> MergeFiles();
  Result<int64_t> ExpireSnapshots(Timestamp before);
  Result<int64_t> DeleteUnusedFiles(Duration keep, Timestamp now);
  Status ForgetGoneFiles();

  Database& database_;
  LakeOptions options_;
  ArtifactStore artifacts_;
  std::unique_ptr<LakeSidecar> sidecar_;
  std::timed_mutex writing_;
  std::mutex reading_;               // of reader_
  std::unique_ptr<Session> reader_;  // for this class' own small queries
  std::set<std::string> settled_;    // data files with a digest; only under the write lock
  bool attached_ = false;
};

DuckLake::~DuckLake() {
  if (!attached_) return;
  reader_.reset();
  if (auto session = database_.Connect(); session.ok()) (void)session.value()->Execute("DETACH lake");
}

Status DuckLake::AttachEngine() {
  TIDEMILL_ASSIGN_OR_RETURN(auto session, database_.Connect());
  // OVERRIDE_DATA_PATH: the folder may have been copied or moved since it was made; paths in the catalog are
  // relative. No inlining: rows would live in the catalog, outside of digests and of ducklake's file lists.
  Status attached =
      session->Execute(fmt::format("ATTACH {} AS lake (DATA_PATH {}, OVERRIDE_DATA_PATH true, DATA_INLINING_ROW_LIMIT 0, "
                                   "META_BUSY_TIMEOUT 10000{})",
                                   QuoteText("ducklake:sqlite:" + CatalogPath().string()), QuoteText(DataFolder().string() + "/"),
                                   !options_.read_only ? ", META_JOURNAL_MODE 'WAL'"
                                   : options_.snapshot ? fmt::format(", READ_ONLY, SNAPSHOT_VERSION {}", *options_.snapshot)
                                                       : ", READ_ONLY"));
  if (!attached.ok() && options_.snapshot && attached.error().message.find("No snapshot found") != std::string::npos) {
    return SnapshotMissing(*options_.snapshot);
  }
  TIDEMILL_RETURN_IF_ERROR(std::move(attached));
  attached_ = true;
  reader_ = std::move(session);
  return Ok();
}

Status DuckLake::CheckSnapshot(int64_t snapshot) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto found, Read(fmt::format("SELECT count(*) FROM {}.ducklake_snapshot WHERE snapshot_id = {}",
                                                               kMetadata, snapshot)));
  return found.columns.at(0).ints.at(0) > 0 ? Ok() : Status(SnapshotMissing(snapshot));
}

Status DuckLake::CheckNotAbandoned() {
  TIDEMILL_ASSIGN_OR_RETURN(const auto tables, Read(fmt::format("SELECT count(*) FROM {}.ducklake_table", kMetadata)));
  if (tables.columns.at(0).ints.at(0) == 0) return Ok();
  return UserError("lake_damaged",
                   fmt::format("'{}' is missing or was not copied", LakeSidecar::FileIn(options_.folder).string()),
                   "copy the whole folder of the lake, or restore it from a backup");
}

Status DuckLake::MakeNew() {
  TIDEMILL_ASSIGN_OR_RETURN([[maybe_unused]] const auto lock, LockForWriting());
  TIDEMILL_ASSIGN_OR_RETURN(const bool made_meanwhile, sidecar_->Ready());
  TIDEMILL_RETURN_IF_ERROR(AttachEngine());
  if (made_meanwhile) return Ok();
  TIDEMILL_RETURN_IF_ERROR(CheckNotAbandoned());
  const auto made = TryCommit("new lake", Json::object(), [](Session& session) {
    return session.Execute(
        "CREATE SCHEMA IF NOT EXISTS lake.training; CREATE SCHEMA IF NOT EXISTS lake.scores; CREATE SCHEMA "
        "IF NOT EXISTS "
        "lake.tidemill");
  });
  if (!made.ok()) return made.error();
  return sidecar_->SetReady();
}

/// "at" is a word of DuckDB's SQL, which every query would have to quote: such columns have other names since the first version.
Status DuckLake::BringTablesUp() {
  TIDEMILL_ASSIGN_OR_RETURN(const bool old, sidecar_->TablesAreOld());
  if (!old) return Ok();
  if (options_.read_only) {
    return UserError("lake_older", fmt::format("the lake in '{}' was written by an older Tidemill", options_.folder.string()),
                     "'tidemill run' brings it up to this version");
  }
  const auto renamed = Commit("bring the tables of an older Tidemill up", Json::object(), [](Session& session) -> Status {
    TIDEMILL_ASSIGN_OR_RETURN(const Columns tables,
                              session.Query("SELECT schema_name, table_name FROM duckdb_columns() WHERE database_name = 'lake' AND "
                                            "column_name = 'at' AND schema_name IN ('scores', 'tidemill')"));
    for (size_t row = 0; row < tables.rows(); ++row) {
      const std::string schema(tables.columns[0].Text(row));
      const std::string table(tables.columns[1].Text(row));
      const bool quarantine = schema == "tidemill" && table == "quarantine";
      TIDEMILL_RETURN_IF_ERROR(session.Execute(fmt::format("ALTER TABLE lake.{}.{} RENAME COLUMN \"at\" TO {}", QuoteIdentifier(schema),
                                                           QuoteIdentifier(table), quarantine ? "quarantined_at" : "predicted_at")));
    }
    return Ok();
  });
  return renamed.ok() ? sidecar_->SetTablesNew() : Status(renamed.error());
}

Status DuckLake::Attach() {
  std::error_code code;
  const bool exists = fs::exists(CatalogPath(), code);
  if (!exists && options_.read_only) {
    return UserError("lake_missing", fmt::format("there is no lake in '{}'", options_.folder.string()),
                     "run 'tidemill run' to make it");
  }
  TIDEMILL_RETURN_IF_ERROR(MakeFolders(DataFolder()));
  TIDEMILL_ASSIGN_OR_RETURN(sidecar_, LakeSidecar::Open(options_.folder));
  TIDEMILL_RETURN_IF_ERROR(database_.LoadExtension("sqlite_scanner"));
  TIDEMILL_RETURN_IF_ERROR(database_.LoadExtension("ducklake"));
  TIDEMILL_ASSIGN_OR_RETURN(const bool ready, sidecar_->Ready());
  if (ready && !exists) {
    return UserError("lake_damaged", fmt::format("'{}' is missing", CatalogPath().string()),
                     "copy the whole folder of the lake, or restore it from a backup");
  }
  if (!ready && options_.read_only) {
    return Unavailable("lake_missing", fmt::format("the lake in '{}' is not complete", options_.folder.string()),
                       "run 'tidemill run' to make it");
  }
  if (!ready) return MakeNew();
  TIDEMILL_RETURN_IF_ERROR(AttachEngine());
  return BringTablesUp();
}

Result<std::unique_ptr<Session>> DuckLake::Connect() {
  TIDEMILL_ASSIGN_OR_RETURN(auto session, database_.Connect());
  TIDEMILL_RETURN_IF_ERROR(session->Execute("USE lake.main"));
  return session;
}

Result<WriteLock> DuckLake::LockForWriting() {
  const auto started = std::chrono::steady_clock::now();
  std::unique_lock thread(writing_, std::chrono::milliseconds(options_.lock_timeout_ms));
  if (!thread.owns_lock()) return LockedError(options_.folder, options_.lock_timeout_ms);
  const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started);
  const int left_ms = std::max(0, options_.lock_timeout_ms - static_cast<int>(waited.count()));
  auto process = FileLock::Acquire(options_.folder / "lake.lock", left_ms);
  if (!process.ok()) {
    return process.error().code == "locked" ? LockedError(options_.folder, options_.lock_timeout_ms) : process.error();
  }
  return WriteLock{std::move(thread), std::move(process).value()};
}

Result<int64_t> DuckLake::Commit(std::string_view message, const Json& extra, const std::function<Status(Session&)>& change) {
  if (options_.read_only) return InternalError("a lake opened for reading only was asked to commit");
  TIDEMILL_ASSIGN_OR_RETURN([[maybe_unused]] const auto lock, LockForWriting());
  for (int attempt = 1;; ++attempt) {
    auto committed = TryCommit(message, extra, change);
    if (committed.ok() || !IsConflict(committed.error()) || attempt == kCommitAttemptsMax) return committed;
    std::this_thread::sleep_for(std::chrono::milliseconds(10 << attempt));
  }
}

/// Under the write lock.
Result<int64_t> DuckLake::TryCommit(std::string_view message, const Json& extra, const std::function<Status(Session&)>& change) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto session, Connect());
  TIDEMILL_RETURN_IF_ERROR(session->Execute("BEGIN"));
  Status done = change(*session);
  if (done.ok()) {
    done = session->Execute(fmt::format("CALL lake.set_commit_message('tidemill', {}, extra_info => {})", QuoteText(message),
                                        QuoteText(extra.dump(-1, ' ', false, Json::error_handler_t::replace))));
  }
  // Before the commit, so that no committed file can be without a digest, or not on the disk yet, after a
  // crash.
  if (done.ok()) done = RecordNewFiles();
  if (done.ok()) done = session->Execute("COMMIT");
  if (!done.ok()) {
    (void)session->Execute("ROLLBACK");  // fails when a failed COMMIT has ended the transaction already
    return std::move(done).error();
  }
  TIDEMILL_ASSIGN_OR_RETURN(const auto last, session->Query("FROM lake.last_committed_snapshot()"));
  if (last.rows() == 1 && !last.columns[0].IsNull(0)) return last.columns[0].ints[0];
  return CurrentSnapshot();
}

Status DuckLake::RecordNewFiles() {
  TIDEMILL_ASSIGN_OR_RETURN(auto paths, ListFiles(DataFolder()));
  std::erase_if(paths, [this](const std::string& path) { return settled_.contains(path); });
  if (paths.empty()) return Ok();
  TIDEMILL_ASSIGN_OR_RETURN(const auto known, sidecar_->Digests());
  for (const auto& [path, sha256] : known) settled_.insert(path);
  std::erase_if(paths, [this](const std::string& path) { return settled_.contains(path); });
  TIDEMILL_ASSIGN_OR_RETURN(const auto digests, SettleFiles(DataFolder(), paths));
  TIDEMILL_RETURN_IF_ERROR(sidecar_->AddDigests(digests));
  settled_.merge(paths);
  return Ok();
}

Result<Columns> DuckLake::Read(const std::string& sql) {
  const std::lock_guard lock(reading_);
  return reader_->Query(sql);
}

Result<int64_t> DuckLake::CurrentSnapshot() {
  TIDEMILL_ASSIGN_OR_RETURN(const auto result, Read("FROM lake.current_snapshot()"));
  return result.columns.at(0).ints.at(0);
}

Result<std::vector<SnapshotInfo>> DuckLake::Snapshots() {
  TIDEMILL_ASSIGN_OR_RETURN(const auto result,
                            Read("SELECT snapshot_id, snapshot_time, coalesce(author, ''), coalesce(commit_message, ''), "
                                 "coalesce(commit_extra_info, 'null') FROM lake.snapshots() ORDER BY snapshot_id"));
  std::vector<SnapshotInfo> snapshots;
  for (size_t row = 0; row < result.rows(); ++row) {
    const auto text = [&](size_t column) { return std::string(result.columns[column].Text(row)); };
    snapshots.push_back({result.columns[0].ints[row], Timestamp{result.columns[1].ints[row]}, text(2), text(3),
                         Json::parse(text(4), nullptr, false)});
  }
  return snapshots;
}

Result<bool> DuckLake::HasTable(std::string_view table) {
  const TableName name = ParseTableName(table);
  TIDEMILL_ASSIGN_OR_RETURN(const auto result,
                            Read(fmt::format("SELECT count(*) FROM {0}.ducklake_table t JOIN {0}.ducklake_schema s USING "
                                             "(schema_id) WHERE t.end_snapshot IS NULL "
                                             "AND s.end_snapshot IS NULL AND s.schema_name = {1} AND t.table_name = {2}",
                                             kMetadata, QuoteText(name.schema), QuoteText(name.table))));
  return result.columns.at(0).ints.at(0) > 0;
}

Result<std::vector<Field>> DuckLake::Schema(std::string_view table) {
  const TableName name = ParseTableName(table);
  const std::lock_guard lock(reading_);
  return reader_->Describe(fmt::format("SELECT * FROM lake.{}.{}", QuoteIdentifier(name.schema), QuoteIdentifier(name.table)));
}

Result<std::vector<DataFile>> DuckLake::ListDataFiles(std::string_view condition) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto result, Read(DataFilesSql(condition)));
  TIDEMILL_ASSIGN_OR_RETURN(const auto digests, sidecar_->Digests());
  std::vector<DataFile> files;
  for (size_t row = 0; row < result.rows(); ++row) {
    DataFile file{std::string(result.columns[0].Text(row)), std::string(result.columns[1].Text(row)), result.columns[2].ints[row],
                  ""};
    if (const auto found = digests.find(file.path); found != digests.end()) file.sha256 = found->second;
    files.push_back(std::move(file));
  }
  return files;
}

Result<std::vector<DataFile>> DuckLake::Files(std::string_view table, int64_t snapshot) {
  return ListDataFiles(fmt::format("name = {} AND {} AND {}", QuoteText(ParseTableName(table).Text()),
                                   ValidAt("begin_snapshot", "end_snapshot", snapshot),
                                   ValidAt("table_begin", "table_end", snapshot)));
}

Result<std::vector<DataFileProblem>> DuckLake::Compare(const std::vector<DataFile>& files) {
  std::vector<DataFileProblem> problems;
  for (const DataFile& file : files) {
    std::error_code code;
    if (!fs::exists(DataFolder() / file.path, code)) {
      problems.push_back({file.table, file.path, "missing"});
      continue;
    }
    TIDEMILL_ASSIGN_OR_RETURN(const std::string now, Sha256File(DataFolder() / file.path));
    if (now == file.sha256) continue;
    problems.push_back({file.table, file.path,
                        file.sha256.empty() ? "not written by Tidemill: its SHA-256 was never recorded"
                                            : fmt::format("changed: SHA-256 is {}, was {}", now, file.sha256)});
  }
  return problems;
}

Result<std::vector<DataFileProblem>> DuckLake::Verify(const std::vector<std::string>& tables, int64_t snapshot) {
  std::vector<DataFile> files;
  if (tables.empty()) {
    TIDEMILL_ASSIGN_OR_RETURN(files, ListDataFiles("true"));
  }
  for (const std::string& table : tables) {
    TIDEMILL_ASSIGN_OR_RETURN(auto more, Files(table, snapshot));
    files.insert(files.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  }
  return Compare(files);
}

Status DuckLake::Pin(int64_t snapshot, std::string_view owner) {
  // Under the write lock, so that a clean-up cannot run between the look and the pin.
  TIDEMILL_ASSIGN_OR_RETURN([[maybe_unused]] const auto lock, LockForWriting());
  TIDEMILL_RETURN_IF_ERROR(CheckSnapshot(snapshot));
  return sidecar_->Pin(snapshot, owner);
}

Result<int64_t> DuckLake::MergeFiles() {
  int64_t merged = 0;
  TIDEMILL_ASSIGN_OR_RETURN(
      [[maybe_unused]] const int64_t snapshot, TryCommit("compact", Json::object(), [&merged](Session& session) -> Status {
        TIDEMILL_ASSIGN_OR_RETURN(const auto tables, session.Query("CALL ducklake_merge_adjacent_files('lake')"));
        const Column* processed = tables.Find("files_processed");
        for (size_t row = 0; processed != nullptr && row < tables.rows(); ++row) merged += processed->ints[row];
        return Ok();
      }));
  return merged;
}

Result<int64_t> DuckLake::ExpireSnapshots(Timestamp before) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto snapshots, Snapshots());
  TIDEMILL_ASSIGN_OR_RETURN(const auto pinned, sidecar_->Pinned());
  std::string versions;
  int64_t count = 0;
  for (const SnapshotInfo& snapshot : snapshots) {
    const bool newest = &snapshot == &snapshots.back();
    if (newest || pinned.contains(snapshot.id) || snapshot.created_at >= before) continue;
    versions += (count++ > 0 ? "," : "") + std::to_string(snapshot.id);
  }
  if (count == 0) return count;
  TIDEMILL_ASSIGN_OR_RETURN(const auto session, Connect());
  TIDEMILL_RETURN_IF_ERROR(session->Execute(fmt::format("CALL ducklake_expire_snapshots('lake', versions => [{}])", versions)));
  return count;
}

Result<int64_t> DuckLake::DeleteUnusedFiles(Duration keep, Timestamp now) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto session, Connect());
  // A query that runs now in another process may still need what was replaced a moment ago.
  const Duration grace = std::min(keep, kReaderGrace);
  const std::string which =
      grace.micros <= 0 ? "cleanup_all => true" : "older_than => TIMESTAMPTZ '" + FormatSqlTimestamp(now - grace) + "+00'";
  TIDEMILL_ASSIGN_OR_RETURN(const auto old, session->Query(fmt::format("CALL ducklake_cleanup_old_files('lake', {})", which)));
  // What killed processes left. Nobody is writing: we hold the lock.
  TIDEMILL_ASSIGN_OR_RETURN(const auto orphans,
                            session->Query("CALL ducklake_delete_orphaned_files('lake', cleanup_all => true)"));
  return static_cast<int64_t>(old.rows() + orphans.rows());
}

Status DuckLake::ForgetGoneFiles() {
  TIDEMILL_ASSIGN_OR_RETURN(const auto present, ListFiles(DataFolder()));
  TIDEMILL_ASSIGN_OR_RETURN(const auto listed, ListDataFiles("true"));
  TIDEMILL_ASSIGN_OR_RETURN(const auto digests, sidecar_->Digests());
  std::set<std::string> gone;
  for (const auto& [path, sha256] : digests) {
    if (!present.contains(path)) gone.insert(path);
  }
  for (const DataFile& file : listed) gone.erase(file.path);  // lost, not cleaned up: Verify must still say so
  for (const std::string& path : gone) settled_.erase(path);
  return sidecar_->RemoveDigests(gone);
}

Result<Json> DuckLake::Compact(Duration keep, Timestamp now) {
  if (options_.read_only) return InternalError("a lake opened for reading only was asked to compact");
  TIDEMILL_ASSIGN_OR_RETURN([[maybe_unused]] const auto lock, LockForWriting());
  TIDEMILL_ASSIGN_OR_RETURN(const auto problems, Verify({}, 0));
  if (!problems.empty()) {
    return UserError("data_changed",
                     fmt::format("data file '{}' of {} is {}", problems[0].path, problems[0].table, problems[0].problem),
                     "restore the file from a backup; 'tidemill lake verify' lists all of them");
  }
  TIDEMILL_ASSIGN_OR_RETURN(const int64_t merged, MergeFiles());
  TIDEMILL_ASSIGN_OR_RETURN(const int64_t expired, ExpireSnapshots(now - keep));
  TIDEMILL_ASSIGN_OR_RETURN(const int64_t deleted, DeleteUnusedFiles(keep, now));
  TIDEMILL_RETURN_IF_ERROR(ForgetGoneFiles());
  return Json{{"files_merged", merged}, {"snapshots_expired", expired}, {"files_deleted", deleted}};
}

Status DuckLake::CopyTo(const fs::path& target, bool link) {
  std::error_code code;
  if (fs::exists(target / kCatalogFile, code) || fs::exists(LakeSidecar::FileIn(target), code)) {
    return UserError("lake_exists", fmt::format("there is a lake in '{}' already", target.string()), "choose an empty folder");
  }
  TIDEMILL_ASSIGN_OR_RETURN([[maybe_unused]] const auto lock, LockForWriting());
  TIDEMILL_RETURN_IF_ERROR(CopyFolder(DataFolder(), target / "data", link));
  if (fs::exists(options_.folder / "artifacts", code)) {
    TIDEMILL_RETURN_IF_ERROR(CopyFolder(options_.folder / "artifacts", target / "artifacts", link));
  }
  TIDEMILL_RETURN_IF_ERROR(CopyLiveCatalog(CatalogPath(), target / kCatalogFile));
  // Last: it says that the lake is whole.
  return sidecar_->CopyTo(LakeSidecar::FileIn(target));
}

}  // namespace

Result<std::unique_ptr<Lake>> Lake::Open(Database& database, const LakeOptions& options) {
  LakeOptions absolute = options;
  std::error_code code;
  absolute.folder = fs::absolute(options.folder, code).lexically_normal();
  absolute.read_only = options.read_only || options.snapshot.has_value();
  auto lake = std::make_unique<DuckLake>(database, std::move(absolute));
  TIDEMILL_RETURN_IF_ERROR(lake->Attach());
  return std::unique_ptr<Lake>(std::move(lake));
}

}  // namespace tidemill
