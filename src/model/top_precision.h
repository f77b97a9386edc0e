#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/columns.h"
#include "base/json.h"
#include "base/result.h"
#include "project/project.h"

namespace tidemill {

/// The name of a gate's figure among the metrics: "auc", "precision_at_100".
std::string MetricName(const Gate& gate);

/// Adds the figure of each precision_at_k gate of the model to `metrics`: over `chosen` rows of `rows`, with a score and a label
/// for each of them. Rows with a null in the entity are left out. Code: "unknown_column".
Status AddPrecisionAtK(const ModelAsset& model, const Columns& rows, std::span<const size_t> chosen,
                       const std::vector<double>& scores, const std::vector<int>& labels, Json& metrics);

}  // namespace tidemill
