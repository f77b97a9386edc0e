#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/columns.h"
#include "base/json.h"
#include "base/result.h"
#include "catalog/catalog.h"
#include "project/project.h"
#include "sql/database.h"

namespace tidemill {

/// The distribution of each input of a model in its training set, kept in the package's description so that drift can be
/// measured without the training rows: bin edges (Doane) or category shares, and per-chunk distances for the thresholds.
Json ProfileReference(const Columns& rows, const std::vector<Field>& inputs, std::optional<double> threshold);

struct ColumnDrift {
  std::string column;
  double distance = 0;
  double threshold = 0;
  bool drifted = false;
};

/// Jensen-Shannon distance, base 2, of each column of `rows` from the reference (docs/monitoring.md names the definition).
Result<std::vector<ColumnDrift>> MeasureDrift(const Json& reference, const Columns& rows);

/// What a tick of monitoring found, and whether the model's own condition for retraining holds.
struct MonitorResult {
  std::vector<Measurement> measurements;
  bool drift_alert = false;
  bool performance_alert = false;
  double drift_share = 0;
  int64_t drifted_columns = 0;
  std::optional<double> performance;
  bool retrain = false;
  std::string reason;  ///< "performance.alert: auc 0.714 is below 0.72 over 28d"
};

/// `window_rows`: the scored rows of the last window with the model's inputs, `score`, and `label` (null where not known by now).
/// `metrics_at_gates`: of the live version. `model_age`: since its training clock.
Result<MonitorResult> MonitorModel(const ModelAsset& model, int64_t version, const Json& reference, const Json& metrics_at_gates,
                                   const Columns& window_rows, Duration model_age, Timestamp now, Session& session);

/// Checks a `retrain.when` condition: operands performance.alert, performance.value, drift.share, drift.columns, drift.alert, model.age_days;
/// and, or, not, comparisons. Errors carry the place and the allowed operands.
Status CheckCondition(std::string_view condition, const Place& place, Session& session);

}  // namespace tidemill
