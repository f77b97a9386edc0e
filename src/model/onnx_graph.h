#pragma once

#include <string>
#include <vector>

#include "base/columns.h"
#include "model/algorithm.h"
#include "model/preparation.h"

namespace tidemill {

inline constexpr std::string_view kScoreOutput = "score";  ///< probability of the positive class: float, [rows, 1]
inline constexpr std::string_view kRawScoreOutput =
    "raw_score";  ///< log-odds, of single trees and forests the probability: float, [rows, 1]

/// A model as one ONNX graph, as bytes: the inputs as they are (one tensor [rows, 1] each: string for text, double for all else,
/// see NumericInput and TextInput), their preparation, the trees or weights in double precision, and the logistic function.
///
/// Equal arguments give equal bytes. Every node works row by row, and `raw_score` is the function's value in double precision,
/// rounded to float once: what the algorithm itself computes (docs/models.md, "How the graph stays exact").
std::string WriteOnnxGraph(const std::vector<Field>& inputs, const Preparation& preparation, const ScoreFunction& function);

}  // namespace tidemill
