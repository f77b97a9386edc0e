#pragma once

#include <string>
#include <vector>

#include "base/columns.h"
#include "model/boosted_trees.h"
#include "model/preparation.h"

namespace tidemill {

inline constexpr std::string_view kScoreOutput = "score";         ///< probability of the positive class: float, [rows, 1]
inline constexpr std::string_view kRawScoreOutput = "raw_score";  ///< log-odds: float, [rows, 1]

/// A model as one ONNX graph, as bytes: the inputs as they are (one tensor [rows, 1] each: string for text, double for all else,
/// see NumericInput and TextInput), their preparation, the trees in double precision, and the logistic function.
///
/// Equal arguments give equal bytes. Every node works row by row, and `raw_score` is the sum of the trees in their order, in
/// double precision, rounded to float once: what LightGBM computes (docs/models.md, "How the graph stays exact").
std::string WriteOnnxGraph(const std::vector<Field>& inputs, const Preparation& preparation,
                           const std::vector<DecisionTree>& trees);

}  // namespace tidemill
