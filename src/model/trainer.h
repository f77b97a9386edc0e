#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/columns.h"
#include "base/json.h"
#include "base/result.h"
#include "project/project.h"

namespace tidemill {

/// Where the time windows of a split lie: train (begin, train_end], validate (train_end, validate_end], test (validate_end, end].
/// Forward in time, never a random split. When less history exists than asked, the windows shrink in proportion and `note` says
/// so.
struct SplitTimes {
  Timestamp begin, train_end, validate_end, end;
  std::string note;
};
/// Code "too_little_history" when there is nothing before `now`.
Result<SplitTimes> PlanSplit(const ModelAsset& model, Timestamp first_row, Timestamp now);

struct EvaluationCurves {
  std::vector<std::pair<double, double>> roc;               ///< (false positive rate, true positive rate), at most 200 points
  std::vector<std::pair<double, double>> precision_recall;  ///< (recall, precision)
  std::vector<std::pair<double, double>> calibration;       ///< (mean score, share of positives) of ten bins
};

/// A trained model, packaged.
struct ModelPackage {
  std::string onnx;  ///< one graph, preparation included: named feature columns in, "score" out
  Json description;  ///< inputs (name, type), preparation, algorithm, parameters, split, rows, metrics, importances, reference
                     ///< profile; no wall-clock times
  /// What is stored and compared byte for byte: both, in one deterministic container.
  std::string Serialize() const;
  static Result<ModelPackage> Parse(std::string_view bytes);
};

struct TrainingResult {
  ModelPackage package;  ///< refitted on everything when the model says so
  Json metrics;          ///< on the test window, by the model fitted on train (early stopping on validate)
  EvaluationCurves curves;
  Json importances;  ///< input -> share of total gain, or of |coefficient| times deviation
  int64_t rows_train = 0, rows_validate = 0, rows_test = 0;
  Timestamp trained_until;          ///< prediction time of the newest row that the package was fitted on; also in the description
  std::vector<size_t> test_rows;    ///< the test window, as indexes into the rows given
  std::vector<double> test_scores;  ///< theirs, by the model fitted on train: what `metrics` are made of
};

/// Prepares, fits, evaluates, refits, packages. `rows` are BuildRows' columns; rows without a label are left out, and so are rows
/// of a window whose label became known only after the window's end (in production they could not have been learned from by
/// then). Deterministic: the same rows and settings give the same bytes, on any number of cores. `threads` 1..n only changes the
/// time it takes.
Result<TrainingResult> TrainModel(const ModelAsset& model, const std::vector<Field>& inputs, const Columns& rows,
                                  const SplitTimes& split, int threads);

/// Binary classification metrics: auc, average_precision, log_loss, brier, accuracy, positives, rows. Null where undefined (one
/// class only).
Json EvaluateScores(const std::vector<double>& scores, const std::vector<int>& labels);
EvaluationCurves ComputeCurves(const std::vector<double>& scores, const std::vector<int>& labels);

}  // namespace tidemill
