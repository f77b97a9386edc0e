#pragma once

#include <optional>
#include <string>
#include <vector>

#include "feature/value_failures.h"
#include "model/trainer.h"
#include "monitor/monitor.h"
#include "orchestrate/workspace.h"

namespace tidemill {

/// Names a lake table in SQL as it is now.
TableSql CurrentTables();

/// A model's package, read from the lake's artifacts.
Result<ModelPackage> LoadPackage(Workspace& workspace, const ModelVersion& version);

struct ScoreReport {
  int64_t rows = 0;
};
/// Scores the spine's rows with prediction time in (from, now] that have no score yet with `version`, and adds them to `lake.scores.MODEL`.
Result<ScoreReport> ScoreModel(Workspace& workspace, const std::string& model, int64_t version, Timestamp from, Timestamp now, int64_t run_id);

/// Scored rows with prediction time in (from, now] as monitors read them: the model's inputs, `_seq`, `predicted_at`, `score`, `model_version`, and
/// `label` (0, 1, or null unless known by `now`).
Result<Columns> ReadScoredRows(Workspace& workspace, const std::string& model, Timestamp from, Timestamp now);

/// Measures drift and performance of the live version at `now` and stores the measurements.
Result<MonitorResult> MonitorLiveModel(Workspace& workspace, const std::string& model, const ModelVersion& live, Timestamp now);

struct TrainReport {
  int64_t version = 0;
  bool accepted = false;
  int64_t rows = 0;
  std::vector<ValueFailures> failures{};
  std::string text;  ///< "version 2 accepted: auc 0.781" or which gates refused
};
/// Builds the training set at `now`, trains, evaluates, passes the gates, stores the package and the version, and, when accepted, moves the
/// champion alias.
Result<TrainReport> TrainAndGate(Workspace& workspace, const std::string& model, const std::string& reason, Timestamp now, int64_t run_id);

/// The training rows of a model at `now`, and the split: what TrainAndGate and reproduce share.
struct TrainingInput {
  Columns rows;
  SplitTimes split;
  std::string sha256;  ///< of the rows, every bit of them in order
  std::vector<ValueFailures> failures{};
};
Result<TrainingInput> BuildTrainingInput(const Project& project, const FeaturePlan& plan, Session& session, const TableSql& tables, Timestamp now);

/// Trains and packages; the reference profile for drift goes into the description.
Result<TrainingResult> TrainAndPackage(const ModelAsset& model, const FeaturePlan& plan, const TrainingInput& input, int threads);

/// SHA-256 over names, types, validity and values of all columns in order.
std::string ColumnsSha256(const Columns& columns);

}  // namespace tidemill
