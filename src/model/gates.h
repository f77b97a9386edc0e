#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/columns.h"
#include "base/json.h"
#include "base/result.h"
#include "model/predictor.h"
#include "model/trainer.h"
#include "project/project.h"

namespace tidemill {

/// Challenger and champion on the same rows, which neither was fitted on.
struct ChampionComparison {
  bool compared = false;
  std::string note;  ///< for people: over which rows, or why there was no comparison
  int64_t rows = 0;
  Json challenger;  ///< EvaluateScores of each; null unless compared
  Json champion;
};

/// Compares on the rows of the challenger's test window that are newer than `champion_trained_until` (ModelPackage::description,
/// "trained_until"). Skipped with a note when fewer than 200 such rows exist, when they have one class only, or when the champion
/// reads inputs that `rows` (those given to TrainModel) does not have. The challenger is judged by its model fitted on train.
Result<ChampionComparison> CompareWithChampion(const ModelAsset& model, const TrainingResult& challenger, const Columns& rows,
                                               Predictor& champion, Timestamp champion_trained_until);

/// The 99th percentile of 200 predictions of one row each, in milliseconds, after a warm-up; rows are taken in turn. 0 when there
/// are none.
Result<double> MeasureLatencyP99Ms(Predictor& predictor, const Columns& rows);

/// `[{"gate": "auc.min", "value": 0.74, "bound": 0.70, "passed": true, "text": "..."}]`, in the order of the model's file. A
/// figure that is null or missing does not pass. `max_drop_from_champion` without a comparison passes, and its text says why.
Json EvaluateGates(const ModelAsset& model, const Json& metrics, const std::optional<ChampionComparison>& comparison,
                   double latency_p99_ms);

/// Whether all of EvaluateGates' results passed.
bool GatesPassed(const Json& gate_results);

}  // namespace tidemill
