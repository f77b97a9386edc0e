#include "model/boosted_trees.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>

#include <LightGBM/c_api.h>
#include <fmt/format.h>

#include "base/text_distance.h"
#include "stats/classification_metrics.h"

namespace tidemill {
namespace {

// ---- Settings ----

enum class ParameterKind { kInteger, kNumber, kBoolean };

struct BoostingParameter {
  std::string_view name;
  ParameterKind kind;
  double least, most;
  bool least_excluded;
  double standard;  ///< LightGBM's own default
};

constexpr double kAnyMost = 1e9;
constexpr BoostingParameter kBoostingParameters[] = {
    {"rounds", ParameterKind::kInteger, 1, 100'000, false, 100},
    {"early_stopping", ParameterKind::kInteger, 0, 100'000, false, 0},
    {"num_leaves", ParameterKind::kInteger, 2, 131'072, false, 31},
    {"learning_rate", ParameterKind::kNumber, 0, 100, true, 0.1},
    {"max_depth", ParameterKind::kInteger, -1, 1000, false, -1},
    {"min_data_in_leaf", ParameterKind::kInteger, 0, kAnyMost, false, 20},
    {"min_sum_hessian_in_leaf", ParameterKind::kNumber, 0, kAnyMost, false, 1e-3},
    {"min_gain_to_split", ParameterKind::kNumber, 0, kAnyMost, false, 0},
    {"lambda_l1", ParameterKind::kNumber, 0, kAnyMost, false, 0},
    {"lambda_l2", ParameterKind::kNumber, 0, kAnyMost, false, 0},
    {"path_smooth", ParameterKind::kNumber, 0, kAnyMost, false, 0},
    {"max_bin", ParameterKind::kInteger, 2, 65'535, false, 255},
    {"feature_fraction", ParameterKind::kNumber, 0, 1, true, 1},
    {"feature_fraction_bynode", ParameterKind::kNumber, 0, 1, true, 1},
    {"bagging_fraction", ParameterKind::kNumber, 0, 1, true, 1},
    {"bagging_freq", ParameterKind::kInteger, 0, 100'000, false, 0},
    {"scale_pos_weight", ParameterKind::kNumber, 0, kAnyMost, true, 1},
    {"is_unbalance", ParameterKind::kBoolean, 0, 1, false, 0},
    {"extra_trees", ParameterKind::kBoolean, 0, 1, false, 0},
    {"seed", ParameterKind::kInteger, 0, 2'147'483'647, false, 7},
};

/// Names that other programs use for the same thing; edit distance would not find them.
constexpr std::pair<std::string_view, std::string_view> kOtherNames[] = {
    {"n_estimators", "rounds"},
    {"num_iterations", "rounds"},
    {"num_boost_round", "rounds"},
    {"num_trees", "rounds"},
    {"early_stopping_rounds", "early_stopping"},
    {"eta", "learning_rate"},
    {"shrinkage_rate", "learning_rate"},
    {"max_leaves", "num_leaves"},
    {"min_child_samples", "min_data_in_leaf"},
    {"min_child_weight", "min_sum_hessian_in_leaf"},
    {"reg_alpha", "lambda_l1"},
    {"reg_lambda", "lambda_l2"},
    {"subsample", "bagging_fraction"},
    {"subsample_freq", "bagging_freq"},
    {"colsample_bytree", "feature_fraction"},
    {"random_state", "seed"},
};

std::vector<std::string> AllowedParameterNames() {
  std::vector<std::string> names{"objective"};
  for (const BoostingParameter& parameter : kBoostingParameters) names.emplace_back(parameter.name);
  return names;
}

Error UnknownParameter(const ModelAsset& model, const std::string& name) {
  std::string hint = SuggestionHint(name, AllowedParameterNames());
  for (const auto& [other, ours] : kOtherNames) {
    if (name == other) hint = fmt::format("it is called '{}' here", ours);
  }
  return UserErrorAt("unknown_parameter", fmt::format("lightgbm has no parameter '{}'", name), model.place, hint);
}

Result<Json> ReadParameter(const ModelAsset& model, const BoostingParameter& parameter, const Value& value) {
  const auto refuse = [&](std::string_view expected) {
    return UserErrorAt("bad_parameter", fmt::format("lightgbm's '{}' is {}", parameter.name, FormatValue(value)), model.place,
                       fmt::format("expected {}", expected));
  };
  if (parameter.kind == ParameterKind::kBoolean) {
    if (const bool* flag = std::get_if<bool>(&value)) return Json(*flag);
    return refuse("true or false");
  }
  const std::string range =
      fmt::format("{} {} {} and at most {}", parameter.kind == ParameterKind::kInteger ? "a whole number" : "a number",
                  parameter.least_excluded ? "above" : "from", parameter.least, parameter.most);
  double number = 0;
  if (const int64_t* whole = std::get_if<int64_t>(&value)) {
    number = static_cast<double>(*whole);
  } else if (const double* real = std::get_if<double>(&value); real != nullptr && parameter.kind == ParameterKind::kNumber) {
    number = *real;
  } else {
    return refuse(range);
  }
  const bool high_enough = parameter.least_excluded ? number > parameter.least : number >= parameter.least;
  if (!high_enough || !(number <= parameter.most)) return refuse(range);
  if (parameter.kind == ParameterKind::kInteger) return Json(static_cast<int64_t>(number));
  return Json(number);
}

Json StandardValue(const BoostingParameter& parameter) {
  switch (parameter.kind) {
    case ParameterKind::kInteger: return static_cast<int64_t>(parameter.standard);
    case ParameterKind::kBoolean: return parameter.standard != 0;
    case ParameterKind::kNumber: return parameter.standard;
  }
  return nullptr;
}

// ---- LightGBM ----

constexpr int kValidationData = 1;

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

/// Column-wise histograms are made by one thread per column, and deterministic=true keeps the other sums in one thread: the same
/// trees with any number of threads (row-wise histograms are sums of one part per thread).
std::string LightgbmParameters(const BoostingSettings& settings, int threads) {
  std::string text =
      fmt::format("objective=binary metric=none verbosity=-1 deterministic=true force_col_wise=true num_threads={}", threads);
  for (const auto& [name, value] : settings.parameters.items()) {
    if (name != "objective" && name != "rounds" && name != "early_stopping") text += fmt::format(" {}={}", name, value.dump());
  }
  return text;
}

Result<DatasetPointer> MakeDataset(const BoostingRows& rows, const std::string& parameters, DatasetHandle reference) {
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
Result<int> RunRoundsUntilKnown(BoosterHandle booster, const BoostingSettings& settings,
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
Result<int> RunRounds(BoosterHandle booster, const BoostingSettings& settings, const BoostingRows* validate) {
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
    case kMissingNone: return static_cast<uint8_t>(0.0 <= threshold);
    case kMissingNan: return static_cast<uint8_t>((decision_type & kDefaultLeftBit) != 0);
    default: return UnreadableTrees("a split that treats zero as missing");
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

Result<BoostingSettings> ReadBoostingSettings(const ModelAsset& model) {
  if (model.algorithm != "lightgbm") {
    return UserErrorAt("unknown_algorithm", fmt::format("unknown algorithm '{}'", model.algorithm), model.place,
                       SuggestionHint(model.algorithm, {"lightgbm"}));
  }
  for (const auto& [name, value] : model.parameters) {
    const std::vector<std::string> allowed = AllowedParameterNames();
    if (std::find(allowed.begin(), allowed.end(), name) == allowed.end()) return UnknownParameter(model, name);
  }
  BoostingSettings settings;
  settings.parameters["objective"] = "binary";
  if (const auto objective = model.parameters.find("objective");
      objective != model.parameters.end() && objective->second != Value("binary")) {
    return UserErrorAt("bad_parameter", fmt::format("objective '{}' is not supported", FormatValue(objective->second)),
                       model.place, "objective: binary; make the label a condition, for instance \"amount > 100\"");
  }
  for (const BoostingParameter& parameter : kBoostingParameters) {
    const auto given = model.parameters.find(std::string(parameter.name));
    Json& resolved = settings.parameters[std::string(parameter.name)];
    resolved = StandardValue(parameter);
    if (given != model.parameters.end()) {
      TIDEMILL_ASSIGN_OR_RETURN(resolved, ReadParameter(model, parameter, given->second));
    }
  }
  // LightGBM silently ignores a fraction without a frequency.
  if (settings.parameters["bagging_fraction"].get<double>() < 1 && !model.parameters.contains("bagging_freq")) {
    settings.parameters["bagging_freq"] = 1;
  }
  settings.rounds = settings.parameters["rounds"].get<int>();
  settings.early_stopping = settings.parameters["early_stopping"].get<int>();
  return settings;
}

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

Result<BoostedTrees> FitBoostedTrees(const BoostingSettings& settings, const BoostingRows& train, const BoostingRows* validate,
                                     std::span<const double> sample, int threads, const std::shared_future<int>* rounds_wanted) {
  SilenceLightgbm();
  const std::string parameters = LightgbmParameters(settings, threads);
  TIDEMILL_ASSIGN_OR_RETURN(const DatasetPointer train_data, MakeDataset(train, parameters, nullptr));
  DatasetPointer validation_data;
  BoosterHandle handle = nullptr;
  TIDEMILL_RETURN_IF_ERROR(CheckLightgbm(LGBM_BoosterCreate(train_data.get(), parameters.c_str(), &handle), "starting"));
  const BoosterPointer booster(handle);
  if (validate != nullptr) {
    TIDEMILL_ASSIGN_OR_RETURN(validation_data, MakeDataset(*validate, parameters, train_data.get()));
    TIDEMILL_RETURN_IF_ERROR(CheckLightgbm(LGBM_BoosterAddValidData(handle, validation_data.get()), "reading validation rows"));
  }
  BoostedTrees fitted;
  if (rounds_wanted != nullptr) {
    TIDEMILL_ASSIGN_OR_RETURN(fitted.rounds, RunRoundsUntilKnown(handle, settings, *rounds_wanted));
  } else {
    TIDEMILL_ASSIGN_OR_RETURN(fitted.rounds, RunRounds(handle, settings, validate));
  }
  TIDEMILL_ASSIGN_OR_RETURN(const std::string text, SaveTrees(handle, fitted.rounds));
  TIDEMILL_ASSIGN_OR_RETURN(fitted.trees, ParseLightgbmTrees(text));
  fitted.column_gain.resize(train.width);
  TIDEMILL_RETURN_IF_ERROR(CheckLightgbm(
      LGBM_BoosterFeatureImportance(handle, fitted.rounds, C_API_FEATURE_IMPORTANCE_GAIN, fitted.column_gain.data()),
      "weighing columns"));
  fitted.raw_sample.resize(sample.size() / train.width);
  int64_t count = 0;
  if (fitted.raw_sample.empty()) return fitted;
  TIDEMILL_RETURN_IF_ERROR(CheckLightgbm(
      LGBM_BoosterPredictForMat(handle, sample.data(), C_API_DTYPE_FLOAT64, static_cast<int32_t>(fitted.raw_sample.size()),
                                static_cast<int32_t>(train.width), 1, C_API_PREDICT_RAW_SCORE, 0, fitted.rounds,
                                fmt::format("num_threads={}", threads).c_str(), &count, fitted.raw_sample.data()),
      "scoring sample rows"));
  return fitted;
}

}  // namespace tidemill
