#include "catalog/catalog.h"

#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>

#include "base/files.h"
#include "catalog/sqlite_file.h"

namespace tidemill {
namespace {

constexpr std::chrono::seconds kHeartbeatInterval{5};
/// Long enough for the moment in which another process looks whether a lease is alive.
constexpr int kLeaseTimeoutMs = 100;

const SqliteSchema kSchema{.version = 1, .create = R"sql(
CREATE TABLE runs(
  id INTEGER PRIMARY KEY AUTOINCREMENT, command TEXT NOT NULL, status TEXT NOT NULL, project_clock INTEGER NOT NULL,
  started_at INTEGER NOT NULL, ended_at INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '');
CREATE TABLE lease(
  one INTEGER PRIMARY KEY CHECK (one = 1), run_id INTEGER NOT NULL, process INTEGER NOT NULL, heartbeat_at INTEGER NOT NULL);
CREATE TABLE steps(
  id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL, asset TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL,
  rows INTEGER NOT NULL, seconds REAL NOT NULL, error TEXT NOT NULL);
CREATE INDEX steps_by_run ON steps(run_id);
CREATE TABLE asset_states(
  asset TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, inputs TEXT NOT NULL, version TEXT NOT NULL, project_clock INTEGER NOT NULL,
  next_known_at INTEGER, run_id INTEGER NOT NULL, detail TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE model_versions(
  model TEXT NOT NULL, version INTEGER NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL, project_clock INTEGER NOT NULL,
  created_at INTEGER NOT NULL, run_id INTEGER NOT NULL, package_sha256 TEXT NOT NULL, training_set_sha256 TEXT NOT NULL,
  metrics TEXT NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (model, version));
CREATE TABLE alias_changes(
  id INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL, alias TEXT NOT NULL, version INTEGER NOT NULL, at INTEGER NOT NULL,
  reason TEXT NOT NULL, FOREIGN KEY (model, version) REFERENCES model_versions(model, version));
CREATE INDEX alias_changes_by_alias ON alias_changes(model, alias, id);
CREATE TABLE measurements(
  id INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL, version INTEGER NOT NULL, at INTEGER NOT NULL, name TEXT NOT NULL,
  subject TEXT NOT NULL, value REAL, threshold REAL, alert INTEGER NOT NULL, detail TEXT NOT NULL);
CREATE INDEX measurements_by_model ON measurements(model, name, at)
)sql"};

std::string ToText(const Json& json) {
  return json.is_null() ? "null" : json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json ToJson(const SqliteValue& value) { return Json::parse(TextOf(value), nullptr, false); }

SqliteValue OptionalMicros(const std::optional<Timestamp>& time) { return time ? SqliteValue(time->micros) : SqliteValue(); }
SqliteValue OptionalNumber(const std::optional<double>& number) { return number ? SqliteValue(*number) : SqliteValue(); }

RunRecord ToRun(const SqliteRow& row) {
  return {IntegerOf(row[0]),   TextOf(row[1]),      TextOf(row[2]), {IntegerOf(row[3])},
          {IntegerOf(row[4])}, {IntegerOf(row[5])}, TextOf(row[6])};
}

AssetState ToState(const SqliteRow& row) {
  AssetState state{TextOf(row[0]),      TextOf(row[1]), ToJson(row[2]),    TextOf(row[3]),
                   {IntegerOf(row[4])}, std::nullopt,   IntegerOf(row[6]), ToJson(row[7])};
  if (row[5].index() != 0) state.next_known_at = Timestamp{IntegerOf(row[5])};
  return state;
}

ModelVersion ToVersion(const SqliteRow& row) {
  return {TextOf(row[0]),    IntegerOf(row[1]), TextOf(row[2]), TextOf(row[3]), {IntegerOf(row[4])}, {IntegerOf(row[5])},
          IntegerOf(row[6]), TextOf(row[7]),    TextOf(row[8]), ToJson(row[9]), ToJson(row[10])};
}

Measurement ToMeasurement(const SqliteRow& row) {
  Measurement measurement{TextOf(row[0]),   IntegerOf(row[1]), {IntegerOf(row[2])},    TextOf(row[3]), TextOf(row[4]),
                          NumberOf(row[5]), std::nullopt,      IntegerOf(row[7]) != 0, ToJson(row[8])};
  // SQLite stores NaN as null.
  if (row[5].index() == 0) measurement.value = std::numeric_limits<double>::quiet_NaN();
  if (row[6].index() != 0) measurement.threshold = NumberOf(row[6]);
  return measurement;
}

constexpr std::string_view kVersionColumns =
    "model, version, status, reason, project_clock, created_at, run_id, package_sha256, training_set_sha256, "
    "metrics, detail";
constexpr std::string_view kStateColumns = "asset, fingerprint, inputs, version, project_clock, next_known_at, run_id, detail";

/// The lease of a run: a lock on a file, which the system releases however the process ends, and a heartbeat
/// for people.
class Lease {
 public:
  Lease(FileLock lock, int64_t run_id, std::function<void()> beat) : lock_(std::move(lock)), run_id_(run_id) {
    heart_ = std::thread([this, beat = std::move(beat)] {
      std::unique_lock guard(mutex_);
      while (!stop_.wait_for(guard, kHeartbeatInterval, [this] { return stopped_; })) beat();
    });
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    {
      const std::lock_guard guard(mutex_);
      stopped_ = true;
    }
    stop_.notify_all();
    heart_.join();
  }
  int64_t run_id() const { return run_id_; }

 private:
  FileLock lock_;
  int64_t run_id_;
  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopped_ = false;
  std::thread heart_;
};

class SqliteCatalog : public Catalog {
 public:
  SqliteCatalog(std::unique_ptr<SqliteFile> file, std::filesystem::path path, const Clock& clock)
      : file_(std::move(file)), lock_path_(path.string() + ".run.lock"), clock_(clock) {}

  Result<int64_t> BeginRun(std::string_view command, Timestamp project_clock) override;
  Status FinishRun(int64_t run_id, std::string_view status, std::string_view error) override;
  Status AddStep(const StepRecord& step) override;
  Result<std::vector<RunRecord>> Runs(int64_t newest_max) override;
  Result<std::vector<StepRecord>> Steps(int64_t run_id) override;
  Result<std::optional<AssetState>> State(std::string_view asset) override;
  Result<std::vector<AssetState>> States() override;
  Status PutState(const AssetState& state) override;
  Status RemoveState(std::string_view asset) override;
  Result<int64_t> AddModelVersion(const ModelVersion& version, std::string_view alias, std::string_view alias_reason) override;
  Result<ModelVersion> GetModelVersion(std::string_view model, int64_t version) override;
  Result<std::vector<ModelVersion>> ModelVersions(std::string_view model) override;
  Status SetAlias(const AliasChange& change) override;
  Result<std::optional<int64_t>> Alias(std::string_view model, std::string_view alias) override;
  Result<std::vector<AliasChange>> AliasHistory(std::string_view model) override;
  Status AddMeasurements(const std::vector<Measurement>& measurements) override;
  Result<std::vector<Measurement>> Measurements(std::string_view model, std::string_view name) override;

 private:
  Error ActiveRunError();
  Result<int64_t> RecordRun(std::string_view command, Timestamp project_clock);
  Status Write(std::string_view sql, const std::vector<SqliteValue>& values);
  Status InsertAlias(const AliasChange& change);
  Error UnknownVersion(std::string_view model, int64_t version);

  std::unique_ptr<SqliteFile> file_;
  std::filesystem::path lock_path_;
  const Clock& clock_;
  std::mutex lease_mutex_;
  std::unique_ptr<Lease> lease_;  // last: its thread uses file_
};

Status SqliteCatalog::Write(std::string_view sql, const std::vector<SqliteValue>& values) {
  TIDEMILL_ASSIGN_OR_RETURN([[maybe_unused]] const auto rows, file_->Run(sql, values));
  return Ok();
}

Error SqliteCatalog::ActiveRunError() {
  const std::string hint =
      "wait until it has finished, or end that process; the run of a process that is gone is taken over by "
      "itself";
  const auto rows = file_->Run(
      "SELECT r.id, r.command, r.started_at, l.process FROM lease l JOIN runs r ON r.id = l.run_id WHERE "
      "r.status = 'running'");
  if (!rows.ok() || rows.value().empty()) return Unavailable("run_active", "another run is just starting", hint);
  const SqliteRow& run = rows.value().front();
  return Unavailable("run_active",
                     "run " + std::to_string(IntegerOf(run[0])) + " ('" + TextOf(run[1]) + "') is active since " +
                         FormatTimestamp({IntegerOf(run[2])}) + " in process " + std::to_string(IntegerOf(run[3])),
                     hint);
}

Result<int64_t> SqliteCatalog::RecordRun(std::string_view command, Timestamp project_clock) {
  const int64_t now = clock_.Now().micros;
  int64_t id = 0;
  TIDEMILL_RETURN_IF_ERROR(file_->Transact([&]() -> Status {
    // We hold the lock, so whoever was running before is gone.
    TIDEMILL_RETURN_IF_ERROR(
        Write("UPDATE runs SET status = 'orphaned', ended_at = ?1, error = 'its process ended without "
              "finishing it' "
              "WHERE status = 'running'",
              {now}));
    TIDEMILL_ASSIGN_OR_RETURN(const auto rows, file_->Run("INSERT INTO runs(command, status, project_clock, started_at) "
                                                          "VALUES (?, 'running', ?, ?) RETURNING id",
                                                          {std::string(command), project_clock.micros, now}));
    id = IntegerOf(rows.at(0).at(0));
    return Write("INSERT OR REPLACE INTO lease VALUES (1, ?, ?, ?)", {id, int64_t{getpid()}, now});
  }));
  return id;
}

Result<int64_t> SqliteCatalog::BeginRun(std::string_view command, Timestamp project_clock) {
  const std::lock_guard guard(lease_mutex_);
  if (lease_ != nullptr) return ActiveRunError();
  auto lock = FileLock::Acquire(lock_path_, kLeaseTimeoutMs);
  if (!lock.ok()) return lock.error().code == "locked" ? ActiveRunError() : lock.error();
  TIDEMILL_ASSIGN_OR_RETURN(const int64_t id, RecordRun(command, project_clock));
  lease_ = std::make_unique<Lease>(std::move(lock).value(), id, [this, id] {
    // A missed beat is harmless: the lock decides who is alive.
    (void)Write("UPDATE lease SET heartbeat_at = ? WHERE run_id = ?", {clock_.Now().micros, id});
  });
  return id;
}

Status SqliteCatalog::FinishRun(int64_t run_id, std::string_view status, std::string_view error) {
  const std::lock_guard guard(lease_mutex_);
  if (lease_ == nullptr || lease_->run_id() != run_id) {
    return InternalError("run " + std::to_string(run_id) + " was not begun here or is already finished");
  }
  Status written = file_->Transact([&]() -> Status {
    TIDEMILL_RETURN_IF_ERROR(Write("UPDATE runs SET status = ?, error = ?, ended_at = ? WHERE id = ?",
                                   {std::string(status), std::string(error), clock_.Now().micros, run_id}));
    return Write("DELETE FROM lease WHERE run_id = ?", {run_id});
  });
  // Also when the disk is full: then the next run finds this one still "running" without a lock and marks it
  // orphaned.
  lease_.reset();
  return written;
}

Status SqliteCatalog::AddStep(const StepRecord& step) {
  return Write("INSERT INTO steps(run_id, asset, status, reason, rows, seconds, error) VALUES (?, ?, ?, ?, ?, ?, ?)",
               {step.run_id, step.asset, step.status, step.reason, step.rows, step.seconds, step.error});
}

Result<std::vector<RunRecord>> SqliteCatalog::Runs(int64_t newest_max) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto rows,
                            file_->Run("SELECT id, command, status, project_clock, started_at, ended_at, error FROM runs "
                                       "ORDER BY id DESC LIMIT ?",
                                       {newest_max}));
  std::vector<RunRecord> runs;
  for (const SqliteRow& row : rows) runs.push_back(ToRun(row));
  return runs;
}

Result<std::vector<StepRecord>> SqliteCatalog::Steps(int64_t run_id) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto rows, file_->Run("SELECT run_id, asset, status, reason, rows, seconds, error FROM "
                                                        "steps WHERE run_id = ? ORDER BY id",
                                                        {run_id}));
  std::vector<StepRecord> steps;
  for (const SqliteRow& row : rows) {
    steps.push_back(
        {IntegerOf(row[0]), TextOf(row[1]), TextOf(row[2]), TextOf(row[3]), IntegerOf(row[4]), NumberOf(row[5]), TextOf(row[6])});
  }
  return steps;
}

Result<std::optional<AssetState>> SqliteCatalog::State(std::string_view asset) {
  TIDEMILL_ASSIGN_OR_RETURN(
      const auto rows,
      file_->Run("SELECT " + std::string(kStateColumns) + " FROM asset_states WHERE asset = ?", {std::string(asset)}));
  if (rows.empty()) return std::optional<AssetState>();
  return std::optional<AssetState>(ToState(rows.front()));
}

Result<std::vector<AssetState>> SqliteCatalog::States() {
  TIDEMILL_ASSIGN_OR_RETURN(const auto rows,
                            file_->Run("SELECT " + std::string(kStateColumns) + " FROM asset_states ORDER BY asset"));
  std::vector<AssetState> states;
  for (const SqliteRow& row : rows) states.push_back(ToState(row));
  return states;
}

Status SqliteCatalog::PutState(const AssetState& state) {
  return Write("INSERT OR REPLACE INTO asset_states(" + std::string(kStateColumns) + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
               {state.asset, state.fingerprint, ToText(state.inputs), state.version, state.project_clock.micros,
                OptionalMicros(state.next_known_at), state.run_id, ToText(state.detail)});
}

Status SqliteCatalog::RemoveState(std::string_view asset) {
  return Write("DELETE FROM asset_states WHERE asset = ?", {std::string(asset)});
}

Result<int64_t> SqliteCatalog::AddModelVersion(const ModelVersion& version, std::string_view alias,
                                               std::string_view alias_reason) {
  int64_t number = 0;
  TIDEMILL_RETURN_IF_ERROR(file_->Transact([&]() -> Status {
    TIDEMILL_ASSIGN_OR_RETURN(
        const auto last, file_->Run("SELECT coalesce(max(version), 0) FROM model_versions WHERE model = ?", {version.model}));
    number = IntegerOf(last.at(0).at(0)) + 1;
    TIDEMILL_RETURN_IF_ERROR(Write(
        "INSERT INTO model_versions(" + std::string(kVersionColumns) + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        {version.model, number, version.status, version.reason, version.project_clock.micros, clock_.Now().micros, version.run_id,
         version.package_sha256, version.training_set_sha256, ToText(version.metrics), ToText(version.detail)}));
    if (alias.empty()) return Ok();
    return InsertAlias({version.model, std::string(alias), number, version.project_clock, std::string(alias_reason)});
  }));
  return number;
}

Error SqliteCatalog::UnknownVersion(std::string_view model, int64_t version) {
  std::string known;
  if (const auto versions = ModelVersions(model); versions.ok()) {
    for (const ModelVersion& one : versions.value()) known += (known.empty() ? "" : ", ") + std::to_string(one.version);
  }
  return UserError("unknown_version", "model '" + std::string(model) + "' has no version " + std::to_string(version),
                   known.empty() ? "no version of it was trained yet" : "its versions are: " + known);
}

Result<ModelVersion> SqliteCatalog::GetModelVersion(std::string_view model, int64_t version) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto rows, file_->Run("SELECT " + std::string(kVersionColumns) +
                                                            " FROM model_versions WHERE model = ? AND version = ?",
                                                        {std::string(model), version}));
  if (rows.empty()) return UnknownVersion(model, version);
  return ToVersion(rows.front());
}

Result<std::vector<ModelVersion>> SqliteCatalog::ModelVersions(std::string_view model) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto rows,
                            file_->Run("SELECT " + std::string(kVersionColumns) +
                                           " FROM model_versions WHERE ?1 = '' OR model = ?1 ORDER BY model, version",
                                       {std::string(model)}));
  std::vector<ModelVersion> versions;
  for (const SqliteRow& row : rows) versions.push_back(ToVersion(row));
  return versions;
}

Status SqliteCatalog::InsertAlias(const AliasChange& change) {
  return Write("INSERT INTO alias_changes(model, alias, version, at, reason) VALUES (?, ?, ?, ?, ?)",
               {change.model, change.alias, change.version, change.at.micros, change.reason});
}

Status SqliteCatalog::SetAlias(const AliasChange& change) {
  TIDEMILL_ASSIGN_OR_RETURN([[maybe_unused]] const auto version, GetModelVersion(change.model, change.version));
  return InsertAlias(change);
}

Result<std::optional<int64_t>> SqliteCatalog::Alias(std::string_view model, std::string_view alias) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto rows,
                            file_->Run("SELECT version FROM alias_changes WHERE model = ? AND alias = ? ORDER BY id DESC LIMIT 1",
                                       {std::string(model), std::string(alias)}));
  if (rows.empty()) return std::optional<int64_t>();
  return std::optional<int64_t>(IntegerOf(rows[0][0]));
}

Result<std::vector<AliasChange>> SqliteCatalog::AliasHistory(std::string_view model) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto rows, file_->Run("SELECT model, alias, version, at, reason FROM alias_changes WHERE ?1 "
                                                        "= '' OR model = ?1 ORDER BY id",
                                                        {std::string(model)}));
  std::vector<AliasChange> changes;
  for (const SqliteRow& row : rows) {
    changes.push_back({TextOf(row[0]), TextOf(row[1]), IntegerOf(row[2]), {IntegerOf(row[3])}, TextOf(row[4])});
  }
  return changes;
}

Status SqliteCatalog::AddMeasurements(const std::vector<Measurement>& measurements) {
  return file_->Transact([&]() -> Status {
    for (const Measurement& one : measurements) {
      TIDEMILL_RETURN_IF_ERROR(
          Write("INSERT INTO measurements(model, version, at, name, subject, value, threshold, alert, detail) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                {one.model, one.version, one.at.micros, one.name, one.subject, one.value, OptionalNumber(one.threshold),
                 int64_t{one.alert}, ToText(one.detail)}));
    }
    return Ok();
  });
}

Result<std::vector<Measurement>> SqliteCatalog::Measurements(std::string_view model, std::string_view name) {
  TIDEMILL_ASSIGN_OR_RETURN(
      const auto rows, file_->Run("SELECT model, version, at, name, subject, value, threshold, alert, detail FROM measurements "
                                  "WHERE (?1 = '' OR model = ?1) AND (?2 = '' OR name = ?2) ORDER BY at, id",
                                  {std::string(model), std::string(name)}));
  std::vector<Measurement> measurements;
  for (const SqliteRow& row : rows) measurements.push_back(ToMeasurement(row));
  return measurements;
}

}  // namespace

Result<std::unique_ptr<Catalog>> Catalog::Open(const std::filesystem::path& file, const Clock& clock) {
  TIDEMILL_ASSIGN_OR_RETURN(auto opened, SqliteFile::Open(file, kSchema, "catalog_newer"));
  return std::unique_ptr<Catalog>(new SqliteCatalog(std::move(opened), file, clock));
}

}  // namespace tidemill
