#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace tidemill {

/// The alias of the version that is live: it scores, answers requests and is watched.
inline constexpr std::string_view kChampionAlias = "champion";

/// One execution of `run`, or one tick of `replay`.
struct RunRecord {
  int64_t id = 0;
  std::string command;      ///< what was asked, for people
  std::string status;       ///< running, succeeded, failed, orphaned
  Timestamp project_clock;  ///< the project's now
  Timestamp started_at;     ///< operations clock
  Timestamp ended_at;
  std::string error;
};

/// One asset's part of a run.
struct StepRecord {
  int64_t run_id = 0;
  std::string asset;
  std::string status;  ///< succeeded, failed, skipped
  std::string reason;  ///< why it ran
  int64_t rows = 0;
  double seconds = 0;
  std::string error;
};

/// What is known of an asset's last successful update.
struct AssetState {
  std::string asset;
  std::string fingerprint;
  Json inputs;                             ///< input asset -> content version read
  std::string version;                     ///< its own content version, an opaque text
  Timestamp project_clock;                 ///< the clock it was brought up to
  std::optional<Timestamp> next_known_at;  ///< the earliest row that was not yet known then; nullopt: none
  int64_t run_id = 0;
  Json detail;  ///< for the owner of the asset kind
};

struct ModelVersion {
  std::string model;
  int64_t version = 0;  ///< 1, 2, ... ; given by AddModelVersion
  std::string status;   ///< accepted, rejected
  std::string reason;   ///< why it was trained
  Timestamp project_clock;
  Timestamp created_at;  ///< operations clock; not part of the package
  int64_t run_id = 0;
  std::string package_sha256;
  std::string training_set_sha256;
  Json metrics;  ///< name -> number, on the test window
  Json detail;   ///< description, gates with results, input versions, pinned snapshots, archive
};

/// A figure measured at a project time.
struct Measurement {
  std::string model;
  int64_t version = 0;
  Timestamp at;         ///< project clock
  std::string name;     ///< "drift.share", "drift.column", "performance.auc" ...
  std::string subject;  ///< column, or ""
  double value = 0;
  std::optional<double> threshold;
  bool alert = false;
  Json detail;
};

struct AliasChange {
  std::string model;
  std::string alias;
  int64_t version = 0;
  Timestamp at;  ///< project clock
  std::string reason;
};

/// What happened: runs, versions, aliases, measurements. One SQLite file in WAL mode; every write is a
/// transaction, so a process killed at any moment leaves a whole catalog. Thread-safe; several processes may
/// read and write.
class Catalog {
 public:
  /// Makes the file when missing. Code "catalog_newer" when a newer Tidemill wrote it.
  static Result<std::unique_ptr<Catalog>> Open(const std::filesystem::path& file, const Clock& clock);
  virtual ~Catalog() = default;

  /// Starts a run under the one lease of the project; code "run_active" (with who and since when) when
  /// another run's lease is alive. A run whose lease is dead is marked orphaned first. The lease is kept
  /// alive by this object's own thread until FinishRun or destruction, and dies with the process (a lock on a
  /// file, plus a heartbeat).
  virtual Result<int64_t> BeginRun(std::string_view command, Timestamp project_clock) = 0;
  virtual Status FinishRun(int64_t run_id, std::string_view status, std::string_view error) = 0;
  virtual Status AddStep(const StepRecord& step) = 0;
  virtual Result<std::vector<RunRecord>> Runs(int64_t newest_max) = 0;
  virtual Result<std::vector<StepRecord>> Steps(int64_t run_id) = 0;

  virtual Result<std::optional<AssetState>> State(std::string_view asset) = 0;
  virtual Result<std::vector<AssetState>> States() = 0;
  virtual Status PutState(const AssetState& state) = 0;
  virtual Status RemoveState(std::string_view asset) = 0;

  /// Stores a version and, with `alias`, points that alias at it, in one transaction. Returns its number.
  virtual Result<int64_t> AddModelVersion(const ModelVersion& version, std::string_view alias, std::string_view alias_reason) = 0;
  virtual Result<ModelVersion> GetModelVersion(std::string_view model, int64_t version) = 0;
  virtual Result<std::vector<ModelVersion>> ModelVersions(std::string_view model) = 0;  ///< oldest first; "" : of all models
  virtual Status SetAlias(const AliasChange& change) = 0;
  virtual Result<std::optional<int64_t>> Alias(std::string_view model, std::string_view alias) = 0;
  virtual Result<std::vector<AliasChange>> AliasHistory(std::string_view model) = 0;

  virtual Status AddMeasurements(const std::vector<Measurement>& measurements) = 0;
  /// Oldest first; empty arguments mean all.
  virtual Result<std::vector<Measurement>> Measurements(std::string_view model, std::string_view name) = 0;
};

}  // namespace tidemill
