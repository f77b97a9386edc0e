#pragma once

#include <future>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/algorithm.h"

namespace tidemill {

/// Fits trees with LightGBM: boosted ones, one, or a forest. With `validate`, stops early as the settings say and keeps the best
/// round. Same input and settings, same trees, with any number of `threads`. `sample` are rows (a matrix) whose raw scores by
/// LightGBM itself are wanted for comparison. With `rounds_wanted`, fits on until that many rounds are known to be wanted (early
/// stopping is then off): for a fit beside the one that finds the number.
Result<FittedFunction> FitTrees(const AlgorithmSettings& settings, const FittingRows& train, const FittingRows* validate,
                                std::span<const double> sample, int threads,
                                const std::shared_future<int>* rounds_wanted = nullptr);

/// Reads the trees of LightGBM's text model. Refuses what this project never trains (linear trees, categorical splits, several
/// classes).
Result<std::vector<DecisionTree>> ParseLightgbmTrees(std::string_view text);

}  // namespace tidemill
