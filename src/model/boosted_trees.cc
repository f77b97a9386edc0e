#include "model/boosted_trees.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>

#include <LightGBM/c_api.h>
#include <fmt/format.h>

#include "stats/classification_metrics.h"

namespace tidemill {
namespace {

constexpr int kValidationData = 1;
constexpr int kHistogramPoolMb = 128;  ///< LightGBM would keep the histograms of all leaves at once

/// LightGBM prints to standard output, where only data belongs; its errors come back through LGBM_GetLastError.
void SilenceLightgbm() {
  LGBM_RegisterLogCallback([](const char*) {});
}

Status CheckLightgbm(int code, std::string_view doing) {
  if (code == 0) return Ok();
  return InternalError(fmt::format("LightGBM failed while {}: {}", doing, LGBM_GetLastError()));
}

struct FreeDataset {
  void operator()(void* handle) const { LGBM_DatasetFree(handle); }
};
struct FreeBooster {
  void operator()(void* handle) const { LGBM_BoosterFree(handle); }
};
using DatasetPointer = std::unique_ptr<void, FreeDataset>;
using BoosterPointer = std::unique_ptr<void, FreeBooster>;

/// One tree that is grown as CART grows it: with L2 loss, no start value and full steps, a leaf's value is the share of
/// positives, and a split's gain is what it takes off the variance, which for two classes is the Gini impurity times a constant.
std::string TreeParameters(const AlgorithmSettings& settings, const FittingRows& train) {
  const auto rows = static_cast<int64_t>(train.labels.size());
  const int64_t leaves = std::clamp<int64_t>(settings.parameters["num_leaves"].get<int64_t>(), 2, std::max<int64_t>(rows, 2));
  return fmt::format(
      "objective=regression boost_from_average=false learning_rate=1 num_leaves={} max_depth={} min_data_in_leaf={} max_bin={} "
      "min_sum_hessian_in_leaf=0 min_data_in_bin=1 bin_construct_sample_cnt={} histogram_pool_size={}",
      leaves, settings.parameters["max_depth"].get<int>(), settings.parameters["min_data_in_leaf"].get<int64_t>(),
      settings.parameters["max_bin"].get<int>(), std::max<int64_t>(rows, 1), kHistogramPoolMb);
}

/// Trees of that kind, each on a part of the rows, and each split on a part of the columns: as many as the root of their number.
std::string ForestParameters(const AlgorithmSettings& settings, const FittingRows& train) {
  double columns = settings.parameters["feature_fraction_bynode"].get<double>();
  if (columns == 0) columns = 1 / std::sqrt(static_cast<double>(std::max<size_t>(train.width, 1)));
  return fmt::format("{} boosting=rf bagging_freq=1 bagging_fraction={} feature_fraction_bynode={} seed={}",
                     TreeParameters(settings, train), settings.parameters["bagging_fraction"].get<double>(), columns,
                     settings.parameters["seed"].get<int64_t>());
}

std::string BoostingParameters(const AlgorithmSettings& settings) {
  std::string text = "objective=binary";
  for (const auto& [name, value] : settings.parameters.items()) {
    if (name != "objective" && name != "rounds" && name != "early_stopping") text += fmt::format(" {}={}", name, value.dump());
  }
  return text;
}

/// Column-wise histograms are made by one thread per column, and deterministic=true keeps the other sums in one thread: the same
/// trees with any number of threads (row-wise histograms are sums of one part per thread).
std::string LightgbmParameters(const AlgorithmSettings& settings, const FittingRows& train, int threads) {
  const std::string own = settings.name == "decision_tree"   ? TreeParameters(settings, train)
                          : settings.name == "random_forest" ? ForestParameters(settings, train)
                                                             : BoostingParameters(settings);
  return fmt::format("{} metric=none verbosity=-1 deterministic=true force_col_wise=true num_threads={}", own, threads);
}

Result<DatasetPointer> MakeDataset(const FittingRows& rows, const std::string& parameters, DatasetHandle reference) {
  DatasetHandle handle = nullptr;
  const auto row_count = static_cast<int32_t>(rows.labels.size());
  TIDEMILL_RETURN_IF_ERROR(
      CheckLightgbm(LGBM_DatasetCreateFromMat(rows.matrix.data(), C_API_DTYPE_FLOAT64, row_count,
                                              static_cast<int32_t>(rows.width), 1, parameters.c_str(), reference, &handle),
                    "reading rows"));
  DatasetPointer dataset(handle);
  TIDEMILL_RETURN_IF_ERROR(
      CheckLightgbm(LGBM_DatasetSetField(handle, "label", rows.labels.data(), row_count, C_API_DTYPE_FLOAT32), "reading labels"));
  return dataset;
}

/// The log loss on validate, summed in the rows' order: LightGBM's own metric is a sum of one part per thread.
Result<double> ValidationLoss(BoosterHandle booster, const std::vector<int>& labels, std::vector<double>& scores) {
  int64_t count = 0;
  TIDEMILL_RETURN_IF_ERROR(
      CheckLightgbm(LGBM_BoosterGetPredict(booster, kValidationData, &count, scores.data()), "scoring validation rows"));
  return LogLoss(scores, labels).value_or(std::numeric_limits<double>::infinity());
}

bool IsReady(const std::shared_future<int>& future) {
  return future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

/// Adds rounds until somebody else knows how many are wanted. The first trees of a long fit are those of a short one, so nothing
/// is lost but the rounds beyond.
Result<int> RunRoundsUntilKnown(BoosterHandle booster, const AlgorithmSettings& settings,
                                const std::shared_future<int>& rounds_wanted) {
  int rounds = 0;
  while (rounds < settings.rounds && !(IsReady(rounds_wanted) && rounds >= rounds_wanted.get())) {
    int finished = 0;
    TIDEMILL_RETURN_IF_ERROR(CheckLightgbm(LGBM_BoosterUpdateOneIter(booster, &finished), "fitting"));
    if (finished != 0) break;
    ++rounds;
  }
  return std::max(1, std::min(rounds, rounds_wanted.get()));
}

/// Adds rounds until there are enough, or the loss on validate has not fallen for `early_stopping` rounds, or nothing is left to
/// split. Returns how many to keep.
Result<int> RunRounds(BoosterHandle booster, const AlgorithmSettings& settings, const FittingRows* validate) {
  std::vector<int> labels;
  std::vector<double> scores;
  if (validate != nullptr) {
    labels.assign(validate->labels.begin(), validate->labels.end());
    scores.resize(labels.size());
  }
  int best_round = 0;
  double best_loss = std::numeric_limits<double>::infinity();
  for (int round = 1; round <= settings.rounds; ++round) {
    int finished = 0;
    TIDEMILL_RETURN_IF_ERROR(CheckLightgbm(LGBM_BoosterUpdateOneIter(booster, &finished), "fitting"));
    if (finished != 0) return std::max(1, validate != nullptr ? best_round : round - 1);
    if (validate == nullptr) continue;
    TIDEMILL_ASSIGN_OR_RETURN(const double loss, ValidationLoss(booster, labels, scores));
    if (loss < best_loss) {
      best_loss = loss;
      best_round = round;
    } else if (round - best_round >= settings.early_stopping) {
      break;
    }
  }
  return validate != nullptr ? std::max(1, best_round) : settings.rounds;
}

Result<std::string> SaveTrees(BoosterHandle booster, int rounds) {
  std::string text(1 << 20, '\0');
  for (;;) {
    int64_t needed = 0;
    TIDEMILL_RETURN_IF_ERROR(CheckLightgbm(LGBM_BoosterSaveModelToString(booster, 0, rounds, C_API_FEATURE_IMPORTANCE_GAIN,
                                                                         static_cast<int64_t>(text.size()), &needed, text.data()),
                                           "saving trees"));
    const bool complete = needed <= static_cast<int64_t>(text.size());
    text.resize(static_cast<size_t>(needed));
    if (complete) return text;
  }
}

// ---- The text model ----

Error UnreadableTrees(std::string_view why) { return InternalError(fmt::format("LightGBM's text model can't be read: {}", why)); }

template <class Number>
Result<std::vector<Number>> ParseNumbers(std::string_view list) {
  std::vector<Number> numbers;
  const char* at = list.data();
  const char* const end = at + list.size();
  while (at < end) {
    Number number{};
    const auto [next, code] = std::from_chars(at, end, number);
    if (code != std::errc())
      return UnreadableTrees(fmt::format("'{}' is not a number", std::string_view(at, std::min(end, at + 30))));
    numbers.push_back(number);
    at = next;
    while (at < end && *at == ' ') ++at;
  }
  return numbers;
}

/// The value of `key=` in a tree's block of lines; "" when there is none.
std::string_view TreeEntry(std::string_view block, std::string_view key) {
  const std::string start = fmt::format("\n{}=", key);
  const size_t at = block.find(start);
  if (at == std::string_view::npos) return {};
  const size_t begin = at + start.size();
  return block.substr(begin, block.find('\n', begin) - begin);
}

constexpr int kCategoricalBit = 1;
constexpr int kDefaultLeftBit = 2;
constexpr int kMissingTypeShift = 2;
enum MissingType { kMissingNone = 0, kMissingZero = 1, kMissingNan = 2 };

/// A split that met no missing value in training treats NaN as zero.
Result<uint8_t> MissingGoesLeft(int decision_type, double threshold) {
  if ((decision_type & kCategoricalBit) != 0) return UnreadableTrees("a split by categories");
  switch ((decision_type >> kMissingTypeShift) & 3) {
    case kMissingNone:
      return static_cast<uint8_t>(0.0 <= threshold);
    case kMissingNan:
      return static_cast<uint8_t>((decision_type & kDefaultLeftBit) != 0);
    default:
      return UnreadableTrees("a split that treats zero as missing");
  }
}

Result<DecisionTree> ParseTree(std::string_view block) {
  DecisionTree tree;
  TIDEMILL_ASSIGN_OR_RETURN(tree.leaf_value, ParseNumbers<double>(TreeEntry(block, "leaf_value")));
  if (TreeEntry(block, "is_linear") == "1") return UnreadableTrees("a linear tree");
  if (tree.leaf_value.empty()) return UnreadableTrees("a tree without leaves");
  if (tree.leaf_value.size() == 1) return tree;
  TIDEMILL_ASSIGN_OR_RETURN(tree.column, ParseNumbers<int>(TreeEntry(block, "split_feature")));
  TIDEMILL_ASSIGN_OR_RETURN(tree.threshold, ParseNumbers<double>(TreeEntry(block, "threshold")));
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<int> decisions, ParseNumbers<int>(TreeEntry(block, "decision_type")));
  TIDEMILL_ASSIGN_OR_RETURN(tree.left, ParseNumbers<int>(TreeEntry(block, "left_child")));
  TIDEMILL_ASSIGN_OR_RETURN(tree.right, ParseNumbers<int>(TreeEntry(block, "right_child")));
  const size_t inner = tree.leaf_value.size() - 1;
  if (tree.column.size() != inner || tree.threshold.size() != inner || decisions.size() != inner || tree.left.size() != inner ||
      tree.right.size() != inner) {
    return UnreadableTrees("a tree's lists differ in length");
  }
  for (size_t i = 0; i < inner; ++i) {
    TIDEMILL_ASSIGN_OR_RETURN(const uint8_t missing_left, MissingGoesLeft(decisions[i], tree.threshold[i]));
    tree.missing_left.push_back(missing_left);
  }
  return tree;
}

}  // namespace

Result<std::vector<DecisionTree>> ParseLightgbmTrees(std::string_view text) {
  if (text.find("\nnum_class=1\n") == std::string_view::npos) return UnreadableTrees("it does not have one class");
  std::vector<DecisionTree> trees;
  size_t begin = text.find("\nTree=");
  const size_t end = std::min(text.find("\nend of trees"), text.size());
  while (begin < end) {
    const size_t next = std::min(text.find("\nTree=", begin + 1), end);
    TIDEMILL_ASSIGN_OR_RETURN(DecisionTree tree, ParseTree(text.substr(begin, next - begin)));
    trees.push_back(std::move(tree));
    begin = next;
  }
  if (trees.empty()) return UnreadableTrees("it has no trees");
  return trees;
}

Result<FittedFunction> FitTrees(const AlgorithmSettings& settings, const FittingRows& train, const FittingRows* validate,
                                std::span<const double> sample, int threads, const std::shared_future<int>* rounds_wanted) {
  SilenceLightgbm();
  const std::string parameters = LightgbmParameters(settings, train, threads);
  TIDEMILL_ASSIGN_OR_RETURN(const DatasetPointer train_data, MakeDataset(train, parameters, nullptr));
  DatasetPointer validation_data;
  BoosterHandle handle = nullptr;
  TIDEMILL_RETURN_IF_ERROR(CheckLightgbm(LGBM_BoosterCreate(train_data.get(), parameters.c_str(), &handle), "starting"));
  const BoosterPointer booster(handle);
  if (validate != nullptr) {
    TIDEMILL_ASSIGN_OR_RETURN(validation_data, MakeDataset(*validate, parameters, train_data.get()));
    TIDEMILL_RETURN_IF_ERROR(CheckLightgbm(LGBM_BoosterAddValidData(handle, validation_data.get()), "reading validation rows"));
  }
  FittedFunction fitted;
  TreeEnsemble ensemble{.trees = {}, .averaged = settings.name == "random_forest", .log_odds = settings.name == "lightgbm"};
  if (rounds_wanted != nullptr) {
    TIDEMILL_ASSIGN_OR_RETURN(fitted.rounds, RunRoundsUntilKnown(handle, settings, *rounds_wanted));
  } else {
    TIDEMILL_ASSIGN_OR_RETURN(fitted.rounds, RunRounds(handle, settings, validate));
  }
  TIDEMILL_ASSIGN_OR_RETURN(const std::string text, SaveTrees(handle, fitted.rounds));
  TIDEMILL_ASSIGN_OR_RETURN(ensemble.trees, ParseLightgbmTrees(text));
  // LightGBM calls the sum of a forest's trees its raw score; their mean is what it predicts.
  const int score = ensemble.averaged ? C_API_PREDICT_NORMAL : C_API_PREDICT_RAW_SCORE;
  fitted.function = std::move(ensemble);
  fitted.column_weight.resize(train.width);
  TIDEMILL_RETURN_IF_ERROR(CheckLightgbm(
      LGBM_BoosterFeatureImportance(handle, fitted.rounds, C_API_FEATURE_IMPORTANCE_GAIN, fitted.column_weight.data()),
      "weighing columns"));
  fitted.raw_sample.resize(sample.size() / train.width);
  int64_t count = 0;
  if (fitted.raw_sample.empty()) return fitted;
  TIDEMILL_RETURN_IF_ERROR(CheckLightgbm(
      LGBM_BoosterPredictForMat(handle, sample.data(), C_API_DTYPE_FLOAT64, static_cast<int32_t>(fitted.raw_sample.size()),
                                static_cast<int32_t>(train.width), 1, score, 0, fitted.rounds,
                                fmt::format("num_threads={}", threads).c_str(), &count, fitted.raw_sample.data()),
      "scoring sample rows"));
  return fitted;
}

}  // namespace tidemill
