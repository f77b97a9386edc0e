#include "model/algorithm.h"

#include <algorithm>
#include <bit>
#include <span>

#include <fmt/format.h>

#include "base/text_distance.h"

namespace tidemill {
namespace {

enum class ParameterKind { kInteger, kNumber, kBoolean };

struct Parameter {
  std::string_view name;
  ParameterKind kind;
  double least, most;
  bool least_excluded;
  double standard;
};

constexpr double kAnyMost = 1e9;
constexpr double kLeavesMost = 131'072;
/// The standards are LightGBM's own.
constexpr Parameter kBoostingParameters[] = {
    {"rounds", ParameterKind::kInteger, 1, 100'000, false, 100},
    {"early_stopping", ParameterKind::kInteger, 0, 100'000, false, 0},
    {"num_leaves", ParameterKind::kInteger, 2, kLeavesMost, false, 31},
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

constexpr Parameter kTreeParameters[] = {
    {"max_depth", ParameterKind::kInteger, -1, 1000, false, -1},
    {"num_leaves", ParameterKind::kInteger, 2, kLeavesMost, false, kLeavesMost},
    {"min_data_in_leaf", ParameterKind::kInteger, 1, kAnyMost, false, 1},
    {"max_bin", ParameterKind::kInteger, 2, 65'535, false, 4095},
};

constexpr Parameter kForestParameters[] = {
    {"trees", ParameterKind::kInteger, 1, 10'000, false, 100},
    {"max_depth", ParameterKind::kInteger, -1, 1000, false, -1},
    {"num_leaves", ParameterKind::kInteger, 2, kLeavesMost, false, kLeavesMost},
    {"min_data_in_leaf", ParameterKind::kInteger, 1, kAnyMost, false, 1},
    {"bagging_fraction", ParameterKind::kNumber, 0, 0.999, true, 0.632},
    {"feature_fraction_bynode", ParameterKind::kNumber, 0, 1, false, 0},
    {"max_bin", ParameterKind::kInteger, 2, 65'535, false, 255},
    {"seed", ParameterKind::kInteger, 0, 2'147'483'647, false, 7},
};

constexpr Parameter kLogisticParameters[] = {
    {"l2", ParameterKind::kNumber, 0, kAnyMost, true, 1},
    {"balanced", ParameterKind::kBoolean, 0, 1, false, 0},
    {"max_iterations", ParameterKind::kInteger, 1, 10'000, false, 100},
};

struct Algorithm {
  std::string_view name;
  std::span<const Parameter> parameters;
};
constexpr Algorithm kAlgorithms[] = {
    {"lightgbm", kBoostingParameters},
    {"decision_tree", kTreeParameters},
    {"random_forest", kForestParameters},
    {"logistic_regression", kLogisticParameters},
};

/// Names that other programs use for the same thing; edit distance would not find them.
constexpr std::pair<std::string_view, std::string_view> kOtherNames[] = {
    {"n_estimators", "rounds"},
    {"n_estimators", "trees"},
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
    {"min_samples_leaf", "min_data_in_leaf"},
    {"max_leaf_nodes", "num_leaves"},
    {"max_features", "feature_fraction_bynode"},
    {"max_samples", "bagging_fraction"},
    {"C", "l2"},
    {"penalty", "l2"},
    {"class_weight", "balanced"},
    {"max_iter", "max_iterations"},
};

std::vector<std::string> ParameterNames(const Algorithm& algorithm) {
  std::vector<std::string> names;
  if (algorithm.name == "lightgbm") names.emplace_back("objective");
  for (const Parameter& parameter : algorithm.parameters) names.emplace_back(parameter.name);
  return names;
}

Status CheckParameterNames(const ModelAsset& model, const Algorithm& algorithm) {
  const std::vector<std::string> allowed = ParameterNames(algorithm);
  const auto is_allowed = [&](std::string_view name) { return std::find(allowed.begin(), allowed.end(), name) != allowed.end(); };
  for (const auto& [name, value] : model.parameters) {
    if (is_allowed(name)) continue;
    std::string hint = SuggestionHint(name, allowed);
    for (const auto& [other, ours] : kOtherNames) {
      if (name == other && is_allowed(ours)) hint = fmt::format("it is called '{}' here", ours);
    }
    return UserErrorAt("unknown_parameter", fmt::format("{} has no parameter '{}'", algorithm.name, name), model.place, hint);
  }
  return Ok();
}

Result<Json> ReadParameter(const ModelAsset& model, const Parameter& parameter, const Value& value) {
  const auto refuse = [&](std::string_view expected) {
    return UserErrorAt("bad_parameter", fmt::format("{}'s '{}' is {}", model.algorithm, parameter.name, FormatValue(value)),
                       model.place, fmt::format("expected {}", expected));
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

Json StandardValue(const Parameter& parameter) {
  switch (parameter.kind) {
    case ParameterKind::kInteger:
      return static_cast<int64_t>(parameter.standard);
    case ParameterKind::kBoolean:
      return parameter.standard != 0;
    case ParameterKind::kNumber:
      return parameter.standard;
  }
  return nullptr;
}

/// Two classes are all there are so far.
Status CheckObjective(const ModelAsset& model) {
  const auto objective = model.parameters.find("objective");
  if (objective == model.parameters.end() || objective->second == Value("binary")) return Ok();
  return UserErrorAt("bad_parameter", fmt::format("objective '{}' is not supported", FormatValue(objective->second)), model.place,
                     "objective: binary; make the label a condition, for instance \"amount > 100\"");
}

}  // namespace

Result<AlgorithmSettings> ReadAlgorithmSettings(const ModelAsset& model) {
  const auto algorithm = std::find_if(std::begin(kAlgorithms), std::end(kAlgorithms),
                                      [&](const Algorithm& one) { return one.name == model.algorithm; });
  if (algorithm == std::end(kAlgorithms)) {
    std::vector<std::string> names;
    for (const Algorithm& one : kAlgorithms) names.emplace_back(one.name);
    return UserErrorAt("unknown_algorithm", fmt::format("unknown algorithm '{}'", model.algorithm), model.place,
                       SuggestionHint(model.algorithm, names));
  }
  TIDEMILL_RETURN_IF_ERROR(CheckParameterNames(model, *algorithm));
  TIDEMILL_RETURN_IF_ERROR(CheckObjective(model));
  AlgorithmSettings settings{.name = model.algorithm, .parameters = Json::object()};
  if (settings.name == "lightgbm") settings.parameters["objective"] = "binary";
  for (const Parameter& parameter : algorithm->parameters) {
    const auto given = model.parameters.find(std::string(parameter.name));
    Json& resolved = settings.parameters[std::string(parameter.name)];
    resolved = StandardValue(parameter);
    if (given != model.parameters.end()) {
      TIDEMILL_ASSIGN_OR_RETURN(resolved, ReadParameter(model, parameter, given->second));
    }
  }
  if (settings.name == "lightgbm") {
    // LightGBM silently ignores a fraction without a frequency.
    if (settings.parameters["bagging_fraction"].get<double>() < 1 && !model.parameters.contains("bagging_freq"))
      settings.parameters["bagging_freq"] = 1;
    settings.rounds = settings.parameters["rounds"].get<int>();
    settings.early_stopping = settings.parameters["early_stopping"].get<int>();
  }
  if (settings.name == "random_forest") settings.rounds = settings.parameters["trees"].get<int>();
  return settings;
}

double Evaluate(const LinearFunction& function, const double* row) {
  std::vector<double> terms(std::bit_ceil(function.weights.size()), 0.0);
  for (size_t i = 0; i < function.weights.size(); ++i) terms[i] = row[i] * function.weights[i];
  for (size_t half = terms.size() / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) terms[i] += terms[i + half];
  }
  return terms.front() + function.intercept;
}

}  // namespace tidemill
