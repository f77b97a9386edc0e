#pragma once

#include <cstdint>
#include <future>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "project/project.h"

namespace tidemill {

/// A binary tree in arrays. A child >= 0 is an inner node, a child < 0 the leaf ~child. Without inner nodes leaf 0 is the answer.
struct DecisionTree {
  std::vector<int> column;            ///< of the matrix, per inner node
  std::vector<double> threshold;      ///< left when value <= threshold
  std::vector<uint8_t> missing_left;  ///< where NaN goes
  std::vector<int> left, right;
  std::vector<double> leaf_value;
};

/// What a model's `algorithm: {lightgbm: {...}}` asks for, checked: an unknown or impossible parameter is an error with a
/// suggestion.
struct BoostingSettings {
  int rounds = 100;
  int early_stopping = 0;  ///< rounds without a better log loss on validate; 0: never stop early
  Json parameters;         ///< all that LightGBM is told about learning, defaults spelled out
};
Result<BoostingSettings> ReadBoostingSettings(const ModelAsset& model);

/// Rows for boosting: a matrix row by row, and labels 0 or 1.
struct BoostingRows {
  std::vector<double> matrix;
  std::vector<float> labels;
  size_t width = 0;
};

/// Fitted trees: their sum is the raw score (log-odds).
struct BoostedTrees {
  std::vector<DecisionTree> trees;
  std::vector<double> column_gain;  ///< total gain of splits by column of the matrix
  int rounds = 0;                   ///< rounds kept
  std::vector<double> raw_sample;   ///< LightGBM's own raw scores of the sample rows given
};

/// Fits with LightGBM. With `validate`, stops early as the settings say and keeps the best round. Same input and settings, same
/// trees, with any number of `threads`. `sample` are rows (a matrix) whose raw scores by LightGBM itself are wanted for
/// comparison. With `rounds_wanted`, fits on until that many rounds are known to be wanted (early stopping is then off): for a
/// fit beside the one that finds the number.
Result<BoostedTrees> FitBoostedTrees(const BoostingSettings& settings, const BoostingRows& train, const BoostingRows* validate,
                                     std::span<const double> sample, int threads,
                                     const std::shared_future<int>* rounds_wanted = nullptr);

/// Reads the trees of LightGBM's text model. Refuses what this project never trains (linear trees, categorical splits, several
/// classes).
Result<std::vector<DecisionTree>> ParseLightgbmTrees(std::string_view text);

}  // namespace tidemill
