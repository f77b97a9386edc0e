#include "model/trainer.h"

#include <algorithm>
#include <cmath>
#include <future>
#include <numeric>

#include <fmt/format.h>

#include "base/engine_versions.h"
#include "feature/program/program.h"
#include "model/boosted_trees.h"
#include "model/logistic_regression.h"
#include "model/onnx_graph.h"
#include "model/onnx_session.h"
#include "model/predictor.h"
#include "model/preparation.h"
#include "model/row_selection.h"
#include "model/top_precision.h"
#include "stats/classification_metrics.h"

namespace tidemill {
namespace {

constexpr size_t kTrainRowsMin = 20;
constexpr size_t kVerifiedRowsMax = 2000;
constexpr size_t kVerifiedAloneMax = 200;
constexpr size_t kCurvePointsMax = 200;
constexpr size_t kCalibrationBins = 10;

/// value * part / whole without overflow (times of centuries in microseconds).
int64_t Share(int64_t value, int64_t part, int64_t whole) {
  return static_cast<int64_t>(static_cast<__int128>(value) * part / whole);
}

// ---- Rows ----

struct LabelledRows {
  std::vector<size_t> rows;  ///< indexes, in time order as given
  std::vector<int> labels;   ///< by row of the table; meaningful for `rows`
  const Column* times = nullptr;
  const Column* known_at = nullptr;
};

Result<const Column*> FindTime(const Columns& rows, const std::string& name) {
  const Column* column = rows.Find(name);
  if (column == nullptr || column->type != Type::kTimestamp)
    return InternalError(fmt::format("the training rows lack the timestamp '{}'", name));
  return column;
}

Result<int> ReadLabel(const ModelAsset& model, const Column& label, size_t row) {
  if (label.type != Type::kText) {
    const double value = NumericInput(label, row);
    if (value == 0.0 || value == 1.0) return value == 1.0 ? 1 : 0;
  }
  return UserErrorAt("bad_label",
                     fmt::format("the label of model '{}' is {} in a row; it must be true or false, 1 or 0", model.name,
                                 FormatValue(label.At(row))),
                     model.place, "make it a condition, for instance \"amount > 100\"");
}

Result<LabelledRows> ReadLabels(const ModelAsset& model, const Columns& rows) {
  LabelledRows labelled;
  const Column* label = rows.Find("label");
  if (label == nullptr) return InternalError("the training rows lack 'label'");
  TIDEMILL_ASSIGN_OR_RETURN(labelled.times, FindTime(rows, model.timestamp));
  if (rows.Find("label_known_at") != nullptr) {
    TIDEMILL_ASSIGN_OR_RETURN(labelled.known_at, FindTime(rows, "label_known_at"));
  }
  labelled.labels.resize(rows.rows());
  for (size_t row = 0; row < rows.rows(); ++row) {
    if (label->IsNull(row) || labelled.times->IsNull(row)) continue;
    TIDEMILL_ASSIGN_OR_RETURN(labelled.labels[row], ReadLabel(model, *label, row));
    labelled.rows.push_back(row);
  }
  return labelled;
}

struct Windows {
  std::vector<size_t> train, validate, test;
  std::vector<size_t> all;  ///< every labelled row of the split's span
  int64_t left_out = 0;     ///< labels that came too late for their window
};

Windows DivideRows(const LabelledRows& labelled, const SplitTimes& split) {
  Windows windows;
  const auto add = [&](std::vector<size_t>& window, size_t row, Timestamp window_end) {
    if (labelled.known_at != nullptr && !labelled.known_at->IsNull(row) && labelled.known_at->ints[row] > window_end.micros) {
      ++windows.left_out;
    } else {
      window.push_back(row);
    }
  };
  for (const size_t row : labelled.rows) {
    const Timestamp time{labelled.times->ints[row]};
    if (time <= split.begin || time > split.end) continue;
    windows.all.push_back(row);
    if (time <= split.train_end) {
      add(windows.train, row, split.train_end);
    } else if (time <= split.validate_end) {
      add(windows.validate, row, split.validate_end);
    } else {
      windows.test.push_back(row);
    }
  }
  return windows;
}

int64_t CountPositives(const std::vector<int>& labels, const std::vector<size_t>& rows) {
  return std::count_if(rows.begin(), rows.end(), [&](size_t row) { return labels[row] == 1; });
}

Status CheckEnough(const ModelAsset& model, const Windows& windows, const LabelledRows& labelled,
                   const AlgorithmSettings& settings, const SplitTimes& split) {
  const std::string between = fmt::format("between {} and {}", FormatTimestamp(split.begin), FormatTimestamp(split.train_end));
  if (windows.train.size() < kTrainRowsMin) {
    return UserErrorAt(
        "too_few_rows",
        fmt::format("model '{}' has {} labelled rows to train on {}, at least {} are needed", model.name, windows.train.size(),
                    between, kTrainRowsMin),
        model.place,
        windows.left_out > 0
            ? fmt::format("{} rows are left out because their label became known after their window's end", windows.left_out)
            : "lengthen split.train, or move the project clock on until more labels are known");
  }
  const int64_t positives = CountPositives(labelled.labels, windows.train);
  if (positives == 0 || positives == static_cast<int64_t>(windows.train.size())) {
    return UserErrorAt("one_class",
                       fmt::format("all {} training rows of model '{}' {} have the same label, {}", windows.train.size(),
                                   model.name, between, positives == 0 ? 0 : 1),
                       model.place, "check the label's expression, or lengthen split.train");
  }
  if (settings.early_stopping > 0 && windows.validate.empty()) {
    return UserErrorAt("too_few_rows",
                       fmt::format("model '{}' stops early, but its validate window has no labelled rows", model.name),
                       model.place, "lengthen split.validate, or set early_stopping to 0");
  }
  return Ok();
}

/// Names that the graph itself or the tables of scores use.
Status CheckInputNames(const ModelAsset& model, const std::vector<Field>& inputs) {
  if (inputs.empty()) return UserErrorAt("no_inputs", fmt::format("model '{}' has no features", model.name), model.place);
  for (const Field& input : inputs) {
    if (input.name == kScoreOutput || input.name == kRawScoreOutput || input.name.empty() || input.name.front() == '/') {
      return UserErrorAt("reserved_name", fmt::format("an input of model '{}' is named '{}'", model.name, input.name),
                         model.place, "give it another name: {name: expression}");
    }
  }
  return Ok();
}

// ---- Fitting ----

struct FittedModel {
  Preparation preparation;
  FittedFunction fit;
  std::string onnx;
  Json verification;
};

FittingRows MakeFittingRows(const Preparation& preparation, const Columns& rows, const std::vector<size_t>& chosen,
                            const std::vector<int>& labels) {
  FittingRows made{.matrix = preparation.Matrix(rows, chosen), .labels = {}, .width = preparation.width()};
  made.labels.reserve(chosen.size());
  for (const size_t row : chosen) made.labels.push_back(static_cast<float>(labels[row]));
  return made;
}

/// At most `count_max` of the rows, evenly spaced.
std::vector<size_t> EvenSample(const std::vector<size_t>& rows, size_t count_max) {
  const size_t count = std::min(rows.size(), count_max);
  std::vector<size_t> sample(count);
  for (size_t i = 0; i < count; ++i) sample[i] = rows[i * rows.size() / count];
  return sample;
}

/// The packaged graph must answer what the algorithm answers, and one row what many rows answer, to the last bit.
Result<Json> VerifyGraph(const std::string& onnx, const std::vector<Field>& inputs, const Columns& sample,
                         const std::vector<double>& expected) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<OnnxSession> session, OnnxSession::Load(onnx, inputs));
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<const Column*> columns, session->Bind(sample));
  std::vector<float> raw(expected.size()), scores(expected.size());
  TIDEMILL_RETURN_IF_ERROR(session->Run(columns, 0, raw.size(), kRawScoreOutput, raw.data()));
  TIDEMILL_RETURN_IF_ERROR(session->Run(columns, 0, scores.size(), kScoreOutput, scores.data()));
  size_t different = 0;
  for (size_t i = 0; i < expected.size(); ++i) different += raw[i] == static_cast<float>(expected[i]) ? 0 : 1;
  const size_t alone = std::min(expected.size(), kVerifiedAloneMax);
  size_t different_alone = 0;
  for (size_t i = 0; i < alone; ++i) {
    const size_t row = i * expected.size() / alone;
    float score = 0;
    TIDEMILL_RETURN_IF_ERROR(session->Run(columns, row, 1, kScoreOutput, &score));
    different_alone += score == scores[row] ? 0 : 1;
  }
  if (different + different_alone > 0) {
    return InternalError(fmt::format(
        "the packaged graph differs from the algorithm in {} of {} training rows, and from itself in {} of {} rows asked alone",
        different, expected.size(), different_alone, alone));
  }
  return Json{{"rows_equal_to_algorithm", expected.size()}, {"rows_equal_alone", alone}};
}

/// What both fits of a training share.
struct FitContext {
  const ModelAsset& model;
  const AlgorithmSettings& settings;
  const std::vector<Field>& inputs;
  const Columns& rows;
  const std::vector<int>& labels;
  int threads = 1;  ///< of each fit
};

/// A linear function has an answer only where every number is there.
Status CheckFilled(const FitContext& context, const Preparation& preparation, const FittingRows& train) {
  for (const PreparedInput& input : preparation.inputs()) {
    if (input.encoding != PreparedInput::Encoding::kNumber || input.fill) continue;
    return UserErrorAt("missing_not_filled",
                       fmt::format("{} can't read missing values, and no step under 'prepare' fills '{}' of model '{}'",
                                   context.settings.name, input.name, context.model.name),
                       context.model.place, "add  - impute: {columns: numeric, with: median}");
  }
  const auto infinite =
      std::find_if(train.matrix.begin(), train.matrix.end(), [](double value) { return !std::isfinite(value); });
  if (infinite != train.matrix.end()) {
    const size_t column = static_cast<size_t>(infinite - train.matrix.begin()) % train.width;
    return UserErrorAt(
        "infinite_number",
        fmt::format("'{}' of model '{}' is infinite in a training row", preparation.ColumnNames()[column], context.model.name),
        context.model.place, "make it null in its table or feature, so that it is filled");
  }
  if (train.width > kLogisticColumnsMax) {
    return UserErrorAt("too_many_columns",
                       fmt::format("model '{}' has {} columns after preparation, {} takes at most {}", context.model.name,
                                   train.width, context.settings.name, kLogisticColumnsMax),
                       context.model.place, "raise other_below, so that rare categories become one");
  }
  return Ok();
}

Result<FittedFunction> FitLinear(const FitContext& context, const Preparation& preparation, const FittingRows& train,
                                 std::span<const double> sample) {
  TIDEMILL_RETURN_IF_ERROR(CheckFilled(context, preparation, train));
  auto fitted = FitLogisticRegression(context.settings, train, sample);
  if (!fitted.ok() && fitted.error().code == "not_converged") {
    Error error = std::move(fitted).error();
    error.place = context.model.place;
    return error;
  }
  return fitted;
}

/// `validate_rows`, `rounds_wanted`: see FitTrees; null where they don't apply.
Result<FittedModel> FitAndVerify(const FitContext& context, const std::vector<size_t>& fit_rows,
                                 const std::vector<size_t>* validate_rows, const std::shared_future<int>* rounds_wanted) {
  FittedModel fitted;
  TIDEMILL_ASSIGN_OR_RETURN(fitted.preparation, Preparation::Fit(context.model, context.inputs, context.rows, fit_rows));
  const std::vector<size_t> sample_rows = EvenSample(fit_rows, kVerifiedRowsMax);
  const std::vector<double> sample = fitted.preparation.Matrix(context.rows, sample_rows);
  {
    const FittingRows train = MakeFittingRows(fitted.preparation, context.rows, fit_rows, context.labels);
    FittingRows validate;
    if (validate_rows != nullptr) validate = MakeFittingRows(fitted.preparation, context.rows, *validate_rows, context.labels);
    if (context.settings.IsLinear()) {
      TIDEMILL_ASSIGN_OR_RETURN(fitted.fit, FitLinear(context, fitted.preparation, train, sample));
    } else {
      TIDEMILL_ASSIGN_OR_RETURN(fitted.fit, FitTrees(context.settings, train, validate_rows != nullptr ? &validate : nullptr,
                                                     sample, context.threads, rounds_wanted));
    }
  }
  fitted.onnx = WriteOnnxGraph(context.inputs, fitted.preparation, fitted.fit.function);
  TIDEMILL_ASSIGN_OR_RETURN(
      fitted.verification,
      VerifyGraph(fitted.onnx, context.inputs, SelectRows(context.rows, context.inputs, sample_rows), fitted.fit.raw_sample));
  return fitted;
}

/// The model that is evaluated (fitted on train) and the one that is packaged (the same, or fitted again on all rows with as many
/// rounds).
struct FittedPair {
  FittedModel evaluated;
  std::optional<FittedModel> refitted;
};

/// Both fits run side by side, each in one thread for every two allowed: quicker on two cores than one fit in two threads that
/// wait for each other several times a round, and unharmed by other work on the machine.
Result<FittedPair> FitBoth(const FitContext& context, const Windows& windows) {
  std::shared_future<int> rounds_wanted;
  std::future<Result<FittedModel>> refit;
  std::promise<int>
      rounds;  // the last, so that it goes first: when this function is left early, the other fit must not wait for it
  rounds_wanted = rounds.get_future().share();
  if (context.model.refit_all) {
    refit = std::async(std::launch::async, [&] { return FitAndVerify(context, windows.all, nullptr, &rounds_wanted); });
  }
  auto evaluated =
      FitAndVerify(context, windows.train, context.settings.early_stopping > 0 ? &windows.validate : nullptr, nullptr);
  rounds.set_value(evaluated.ok() ? evaluated->fit.rounds : 0);
  FittedPair pair;
  if (refit.valid()) {
    auto refitted = refit.get();
    if (evaluated.ok() && !refitted.ok()) return std::move(refitted).error();
    if (refitted.ok()) pair.refitted = std::move(refitted).value();
  }
  if (!evaluated.ok()) return std::move(evaluated).error();
  pair.evaluated = std::move(evaluated).value();
  return pair;
}

// ---- Description ----

Json DescribeInputs(const std::vector<Field>& inputs) {
  Json list = Json::array();
  for (const Field& input : inputs) list.push_back({{"name", input.name}, {"type", TypeName(input.type)}});
  return list;
}

/// Each input's share of what its columns weigh (gain of splits, or |coefficient| times deviation), largest first.
Json ImportanceShares(const Preparation& preparation, const std::vector<double>& column_weight) {
  const std::vector<size_t> owners = preparation.InputOfColumn();
  std::vector<double> weights(preparation.inputs().size(), 0.0);
  double total = 0;
  for (size_t i = 0; i < column_weight.size(); ++i) {
    weights[owners[i]] += column_weight[i];
    total += column_weight[i];
  }
  std::vector<size_t> order(weights.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return weights[a] > weights[b]; });
  Json shares = Json::object();
  for (const size_t i : order) shares[preparation.inputs()[i].name] = total > 0 ? weights[i] / total : 0.0;
  return shares;
}

/// What a linear function multiplies each prepared column with, and what it adds.
Json DescribeCoefficients(const Preparation& preparation, const LinearFunction& function) {
  Json coefficients = Json::object();
  const std::vector<std::string> names = preparation.ColumnNames();
  for (size_t i = 0; i < names.size(); ++i) coefficients[names[i]] = function.weights[i];
  return Json{{"intercept", function.intercept}, {"columns", std::move(coefficients)}};
}

Json DescribeVersions(const AlgorithmSettings& settings) {
  Json versions{{"tidemill", TIDEMILL_VERSION}, {"kernel", KernelVersion()}, {"onnxruntime", OnnxRuntimeVersion()}};
  if (settings.IsLinear()) {
    versions["eigen"] = EigenVersion();
  } else {
    versions["lightgbm"] = kLightgbmVersion;
  }
  return versions;
}

Json DescribeSplit(const ModelAsset& model, const SplitTimes& split) {
  return Json{{"begin", FormatTimestamp(split.begin)},
              {"train_end", FormatTimestamp(split.train_end)},
              {"validate_end", FormatTimestamp(split.validate_end)},
              {"end", FormatTimestamp(split.end)},
              {"refit", model.refit_all ? "all" : "none"},
              {"note", split.note}};
}

Json DescribeModel(const ModelAsset& model, const std::vector<Field>& inputs, const AlgorithmSettings& settings,
                   const SplitTimes& split, const Windows& windows, const FittedModel& fitted, const TrainingResult& result) {
  Json description;
  description["format"] = 1;
  description["model"] = model.name;
  description["label"] = model.label;
  description["inputs"] = DescribeInputs(inputs);
  description["preparation"] = fitted.preparation.ToJson();
  description["algorithm"] = model.algorithm;
  description["parameters"] = settings.parameters;
  description["rounds_kept"] = fitted.fit.rounds;
  description["split"] = DescribeSplit(model, split);
  description["trained_until"] = FormatTimestamp(result.trained_until);
  description["rows"] = Json{{"train", windows.train.size()},
                             {"validate", windows.validate.size()},
                             {"test", windows.test.size()},
                             {"label_too_late", windows.left_out},
                             {"fitted", model.refit_all ? windows.all.size() : windows.train.size()}};
  description["metrics"] = result.metrics;
  description["importances"] = result.importances;
  description["verification"] = fitted.verification;
  description["versions"] = DescribeVersions(settings);
  if (const auto* linear = std::get_if<LinearFunction>(&fitted.fit.function)) {
    description["coefficients"] = DescribeCoefficients(fitted.preparation, *linear);
  }
  return description;
}

Status ScoreTestRows(const ModelAsset& model, const FittedModel& fitted, const std::vector<Field>& inputs, const Columns& rows,
                     const std::vector<int>& labels, int threads, TrainingResult& result) {
  const ModelPackage evaluated{.onnx = fitted.onnx, .description = Json{{"inputs", DescribeInputs(inputs)}}};
  TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<Predictor> predictor, Predictor::Load(evaluated, threads));
  TIDEMILL_ASSIGN_OR_RETURN(result.test_scores, predictor->Predict(SelectRows(rows, inputs, result.test_rows)));
  std::vector<int> test_labels;
  for (const size_t row : result.test_rows) test_labels.push_back(labels[row]);
  result.metrics = EvaluateScores(result.test_scores, test_labels);
  result.curves = ComputeCurves(result.test_scores, test_labels);
  return AddPrecisionAtK(model, rows, result.test_rows, result.test_scores, test_labels, result.metrics);
}

}  // namespace

namespace {
double Days(int64_t micros) { return static_cast<double>(micros) / static_cast<double>(kMicrosPerDay); }
}  // namespace

Result<SplitTimes> PlanSplit(const ModelAsset& model, Timestamp first_row, Timestamp now) {
  const int64_t asked = model.train.micros + model.validate.micros + model.test.micros;
  const int64_t available = now.micros - first_row.micros + 1;  // `begin` is exclusive: the first row lies after it
  if (model.train.micros <= 0 || asked <= 0) {
    return UserErrorAt("bad_split", fmt::format("model '{}' has no time to train on", model.name), model.place,
                       "give split.train a duration, for instance 90d");
  }
  if (now < first_row) {
    return UserErrorAt("too_little_history",
                       fmt::format("the first row for model '{}' is at {}, after the project clock {}", model.name,
                                   FormatTimestamp(first_row), FormatTimestamp(now)),
                       model.place, "move the project clock on with --now");
  }
  SplitTimes split;
  split.end = now;
  const int64_t judged = model.validate.micros + model.test.micros;
  if (available < asked && available - judged >= judged) {
    // Enough to judge as asked: only what is learned from is less. `train: all` always comes here.
    split.validate_end = now - model.test;
    split.train_end = split.validate_end - model.validate;
    split.begin = now - Duration{available};
    if (model.train < kAllHistory)
      split.note = fmt::format("{:.1f} days to learn from instead of the {:.1f} asked for", Days(available - judged),
                               Days(model.train.micros));
    return split;
  }
  const int64_t span = std::min(asked, available);
  split.validate_end = now - Duration{Share(model.test.micros, span, asked)};
  split.train_end = split.validate_end - Duration{Share(model.validate.micros, span, asked)};
  split.begin = now - Duration{span};
  if (span < asked) {
    split.note = fmt::format("{:.1f} days of history instead of the {:.1f} asked for: all windows are shorter in proportion",
                             Days(span), Days(asked));
  }
  return split;
}

Json EvaluateScores(const std::vector<double>& scores, const std::vector<int>& labels) {
  const auto figure = [](const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); };
  Json metrics;
  metrics["auc"] = figure(AreaUnderRoc(scores, labels));
  metrics["average_precision"] = figure(AveragePrecision(scores, labels));
  metrics["log_loss"] = figure(LogLoss(scores, labels));
  metrics["brier"] = figure(BrierScore(scores, labels));
  metrics["accuracy"] = figure(Accuracy(scores, labels));
  metrics["positives"] = std::count_if(labels.begin(), labels.end(), [](int label) { return label != 0; });
  metrics["rows"] = labels.size();
  return metrics;
}

EvaluationCurves ComputeCurves(const std::vector<double>& scores, const std::vector<int>& labels) {
  return {.roc = RocCurve(scores, labels, kCurvePointsMax),
          .precision_recall = PrecisionRecallCurve(scores, labels, kCurvePointsMax),
          .calibration = CalibrationCurve(scores, labels, kCalibrationBins)};
}

Result<TrainingResult> TrainModel(const ModelAsset& model, const std::vector<Field>& inputs, const Columns& rows,
                                  const SplitTimes& split, int threads) {
  TIDEMILL_ASSIGN_OR_RETURN(const AlgorithmSettings settings, ReadAlgorithmSettings(model));
  TIDEMILL_RETURN_IF_ERROR(CheckInputNames(model, inputs));
  TIDEMILL_ASSIGN_OR_RETURN(const LabelledRows labelled, ReadLabels(model, rows));
  const Windows windows = DivideRows(labelled, split);
  TIDEMILL_RETURN_IF_ERROR(CheckEnough(model, windows, labelled, settings, split));

  const FitContext context{model, settings, inputs, rows, labelled.labels, std::max(1, threads / 2)};
  TIDEMILL_ASSIGN_OR_RETURN(const FittedPair fits, FitBoth(context, windows));
  TrainingResult result;
  result.test_rows = windows.test;
  TIDEMILL_RETURN_IF_ERROR(ScoreTestRows(model, fits.evaluated, inputs, rows, labelled.labels, threads, result));
  const FittedModel& fitted = fits.refitted ? *fits.refitted : fits.evaluated;
  const std::vector<size_t>& fitted_on = fits.refitted ? windows.all : windows.train;
  for (const size_t row : fitted_on) result.trained_until = std::max(result.trained_until, Timestamp{labelled.times->ints[row]});
  result.rows_train = static_cast<int64_t>(windows.train.size());
  result.rows_validate = static_cast<int64_t>(windows.validate.size());
  result.rows_test = static_cast<int64_t>(windows.test.size());
  result.importances = ImportanceShares(fitted.preparation, fitted.fit.column_weight);
  result.package.onnx = fitted.onnx;
  result.package.description = DescribeModel(model, inputs, settings, split, windows, fitted, result);
  return result;
}

}  // namespace tidemill
