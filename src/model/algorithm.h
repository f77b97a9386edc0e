#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "project/project.h"

/// What a model may learn with: settings, and what comes out of fitting. docs/models.md describes the algorithms.
namespace tidemill {

/// What a model's `algorithm: {NAME: {...}}` asks for, checked: an unknown or impossible parameter is an error with a suggestion.
struct AlgorithmSettings {
  std::string name;        ///< lightgbm, decision_tree, random_forest, logistic_regression
  int rounds = 1;          ///< trees at most
  int early_stopping = 0;  ///< rounds without a better log loss on validate; 0: never stop early
  Json parameters;         ///< all that the algorithm is told, defaults spelled out

  bool IsLinear() const { return name == "logistic_regression"; }
};
Result<AlgorithmSettings> ReadAlgorithmSettings(const ModelAsset& model);

/// Rows to fit on: a matrix row by row, and labels 0 or 1.
struct FittingRows {
  std::vector<double> matrix;
  std::vector<float> labels;
  size_t width = 0;
};

/// A binary tree in arrays. A child >= 0 is an inner node, a child < 0 the leaf ~child. Without inner nodes leaf 0 is the answer.
struct DecisionTree {
  std::vector<int> column;            ///< of the matrix, per inner node
  std::vector<double> threshold;      ///< left when value <= threshold
  std::vector<uint8_t> missing_left;  ///< where NaN goes
  std::vector<int> left, right;
  std::vector<double> leaf_value;
};

/// The raw score is the sum of the trees in their order, or that divided by their number.
struct TreeEnsemble {
  std::vector<DecisionTree> trees;
  bool averaged = false;
  bool log_odds = true;  ///< what the raw score is; else a probability
};

/// The raw score, in log-odds, is the sum of the products, added up by halves (see Evaluate), plus the intercept.
struct LinearFunction {
  std::vector<double> weights;  ///< by column of the matrix
  double intercept = 0;
};

/// The products are padded with zeros to a power of two; then the second half is added to the first one, until one number is
/// left. Each step is a rounded operation of its own, which an ONNX graph repeats to the bit whatever the number of rows.
double Evaluate(const LinearFunction& function, const double* row);

using ScoreFunction = std::variant<TreeEnsemble, LinearFunction>;

/// What an algorithm has learned.
struct FittedFunction {
  ScoreFunction function;
  std::vector<double> column_weight;  ///< how much each column of the matrix matters: gain of splits, or |weight| times deviation
  int rounds = 1;                     ///< trees kept
  std::vector<double> raw_sample;     ///< the algorithm's own raw scores of the sample rows given
};

}  // namespace tidemill
