#include "monitor/monitor.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include <fmt/format.h>

#include "monitor/condition.h"
#include "stats/classification_metrics.h"

namespace tidemill {
namespace {

/// Below this, distances and metrics are mostly noise: nothing is measured.
constexpr size_t kRowsMin = 200;
/// The data set counts as drifted when at least this share of its columns has (Evidently's default).
constexpr double kDriftedShareOfAlert = 0.5;

struct Metric {
  std::string_view name;
  bool lower_is_better;
  std::optional<double> (*compute)(std::span<const double> scores, std::span<const int> labels);
};
constexpr std::array<Metric, 5> kMetrics = {{{"auc", false, AreaUnderRoc},
                                             {"average_precision", false, AveragePrecision},
                                             {"log_loss", true, LogLoss},
                                             {"brier", true, BrierScore},
                                             {"accuracy", false, Accuracy}}};

bool LowerIsBetter(std::string_view metric) {
  return std::any_of(kMetrics.begin(), kMetrics.end(), [&](const Metric& m) { return m.name == metric && m.lower_is_better; });
}

std::string Rounded(double value) {
  std::string text = fmt::format("{:.4f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

/// What a tick has learned so far; the pieces of it fill `result`.
class Tick {
 public:
  Tick(const ModelAsset& model, int64_t version, Timestamp now) : model_(model), settings_(*model.monitor), version_(version), now_(now) {}

  void Drift(std::vector<ColumnDrift> drifts) {
    if (drifts.empty()) return;
    std::sort(drifts.begin(), drifts.end(), [](const ColumnDrift& a, const ColumnDrift& b) { return a.distance - a.threshold > b.distance - b.threshold; });
    for (const ColumnDrift& drift : drifts) {
      Add("drift.column", drift.column, drift.distance, drift.threshold, drift.drifted, Json::object());
      if (!drift.drifted) continue;
      ++result_.drifted_columns;
      drifted_names_.push_back(drift.column);
    }
    columns_ = static_cast<int64_t>(drifts.size());
    result_.drift_share = static_cast<double>(result_.drifted_columns) / static_cast<double>(columns_);
    result_.drift_alert = result_.drift_share >= kDriftedShareOfAlert;
    const Json detail = {{"columns", columns_}, {"drifted", drifted_names_}};
    Add("drift.share", "", result_.drift_share, kDriftedShareOfAlert, result_.drift_alert, detail);
    Add("drift.columns", "", static_cast<double>(result_.drifted_columns), std::nullopt, false, Json::object());
  }

  void Performance(double value, size_t rows, size_t positives, const Json& metrics_at_gates) {
    const std::string& metric = settings_.performance_metric;
    result_.performance = value;
    JudgeFloor(value);
    JudgeDrop(value, metrics_at_gates);
    result_.performance_alert = !performance_text_.empty();
    const Json detail = {{"rows", rows}, {"positives", positives}, {"window", FormatDuration(settings_.window)}};
    Add("performance." + metric, "", value, threshold_, result_.performance_alert, detail);
    if (performance_text_.empty()) performance_text_ = fmt::format("{} is {} over {}", metric, Rounded(value), FormatDuration(settings_.window));
  }

  ConditionFacts Facts(Duration model_age) const {
    ConditionFacts facts;
    facts.model_age_days = static_cast<double>(model_age.micros) / static_cast<double>(kMicrosPerDay);
    if (result_.performance) {
      facts.performance_value = result_.performance;
      facts.performance_alert = result_.performance_alert;
    }
    if (columns_ > 0) {
      facts.drift_share = result_.drift_share;
      facts.drift_columns = result_.drifted_columns;
      facts.drift_alert = result_.drift_alert;
    }
    return facts;
  }

  /// "drift.share > 0.3: 8 of 19 columns drifted (temp, dewp, 6 more)".
  std::string Explain(const std::string& alternative, const ConditionFacts& facts) const {
    std::vector<std::string> texts;
    for (const std::string& operand : OperandsIn(alternative)) {
      const std::string text = ExplainOperand(operand, facts);
      if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(text);
    }
    return texts.empty() ? alternative : fmt::format("{}: {}", alternative, fmt::join(texts, ", "));
  }

  MonitorResult& result() { return result_; }

 private:
  void Add(std::string name, std::string subject, double value, std::optional<double> threshold, bool alert, Json detail) {
    result_.measurements.push_back({model_.name, version_, now_, std::move(name), std::move(subject), value, threshold, alert, std::move(detail)});
  }

  void JudgeFloor(double value) {
    if (!settings_.alert_below) return;
    threshold_ = settings_.alert_below;
    if (value < *settings_.alert_below) {
      performance_text_ =
          fmt::format("{} {} is below {} over {}", settings_.performance_metric, Rounded(value), Rounded(*settings_.alert_below), FormatDuration(settings_.window));
    }
  }

  void JudgeDrop(double value, const Json& metrics_at_gates) {
    const std::string& metric = settings_.performance_metric;
    if (!settings_.alert_drop || !metrics_at_gates.contains(metric) || !metrics_at_gates.at(metric).is_number()) return;
    const auto at_gates = metrics_at_gates.at(metric).get<double>();
    const double worse = LowerIsBetter(metric) ? value - at_gates : at_gates - value;
    const double bound = LowerIsBetter(metric) ? at_gates + *settings_.alert_drop : at_gates - *settings_.alert_drop;
    if (!threshold_ || (LowerIsBetter(metric) ? bound < *threshold_ : bound > *threshold_)) threshold_ = bound;
    if (worse > *settings_.alert_drop && performance_text_.empty()) {
      performance_text_ = fmt::format("{} {} over {} is {} worse than {} at the gates (allowed {})", metric, Rounded(value), FormatDuration(settings_.window),
                                      Rounded(worse), Rounded(at_gates), Rounded(*settings_.alert_drop));
    }
  }

  std::string ExplainOperand(const std::string& operand, const ConditionFacts& facts) const {
    if (operand == "model.age_days") return fmt::format("the model is {} days old", Rounded(facts.model_age_days));
    if (operand.starts_with("performance.")) return facts.performance_value ? performance_text_ : "performance could not be measured";
    if (columns_ == 0) return "drift could not be measured";
    constexpr size_t kNamesMax = 3;
    std::vector<std::string> names(drifted_names_.begin(), drifted_names_.begin() + static_cast<ptrdiff_t>(std::min(kNamesMax, drifted_names_.size())));
    if (drifted_names_.size() > kNamesMax) names.push_back(fmt::format("{} more", drifted_names_.size() - kNamesMax));
    const std::string list = names.empty() ? "" : fmt::format(" ({})", fmt::join(names, ", "));
    return fmt::format("{} of {} columns drifted{}", result_.drifted_columns, columns_, list);
  }

  const ModelAsset& model_;
  const MonitorSettings& settings_;
  int64_t version_;
  Timestamp now_;
  MonitorResult result_;
  std::optional<double> threshold_;
  std::string performance_text_;
  std::vector<std::string> drifted_names_;  ///< the furthest above its threshold first
  int64_t columns_ = 0;
};

struct Labelled {
  std::vector<double> scores;
  std::vector<int> labels;
};

/// The rows with a score and a label.
Result<Labelled> LabelledRows(const Columns& rows) {
  const Column* score = rows.Find("score");
  const Column* label = rows.Find("label");
  if (score == nullptr || score->type != Type::kDouble || label == nullptr || label->type == Type::kText) {
    return InternalError("monitoring needs the columns score (a number) and label (0 or 1)");
  }
  Labelled labelled;
  for (size_t i = 0; i < rows.rows(); ++i) {
    if (score->IsNull(i) || label->IsNull(i) || std::isnan(score->doubles[i])) continue;
    labelled.scores.push_back(score->doubles[i]);
    labelled.labels.push_back((label->type == Type::kDouble ? label->doubles[i] : static_cast<double>(label->ints[i])) != 0 ? 1 : 0);
  }
  return labelled;
}

Status MeasurePerformance(const MonitorSettings& settings, const Json& metrics_at_gates, const Columns& rows, Tick& tick) {
  if (settings.performance_metric.empty() || rows.columns.empty()) return Ok();
  const auto metric = std::find_if(kMetrics.begin(), kMetrics.end(), [&](const Metric& m) { return m.name == settings.performance_metric; });
  if (metric == kMetrics.end()) return InternalError(fmt::format("there is no metric '{}'", settings.performance_metric));
  TIDEMILL_ASSIGN_OR_RETURN(const Labelled labelled, LabelledRows(rows));
  const auto positives = static_cast<size_t>(std::count(labelled.labels.begin(), labelled.labels.end(), 1));
  if (labelled.labels.size() < kRowsMin || positives == 0 || positives == labelled.labels.size()) return Ok();
  const std::optional<double> value = metric->compute(labelled.scores, labelled.labels);
  if (value) tick.Performance(*value, labelled.labels.size(), positives, metrics_at_gates);
  return Ok();
}

}  // namespace

Result<MonitorResult> MonitorModel(const ModelAsset& model, int64_t version, const Json& reference, const Json& metrics_at_gates,
                                   const Columns& window_rows, Duration model_age, Timestamp now, Session& session) {
  ModelAsset watched = model;
  if (!watched.monitor) watched.monitor.emplace();  // without a `monitor` section a condition may still ask for drift and age
  Tick tick(watched, version, now);
  if (window_rows.rows() >= kRowsMin) {
    TIDEMILL_ASSIGN_OR_RETURN(std::vector<ColumnDrift> drifts, MeasureDrift(reference, window_rows));
    tick.Drift(std::move(drifts));
  }
  TIDEMILL_RETURN_IF_ERROR(MeasurePerformance(*watched.monitor, metrics_at_gates, window_rows, tick));
  MonitorResult& result = tick.result();
  if (model.retrain_when.empty()) return std::move(result);

  const ConditionFacts facts = tick.Facts(model_age);
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<std::string> held, AlternativesThatHold(model.retrain_when, facts, session));
  result.retrain = !held.empty();
  std::vector<std::string> reasons;
  for (const std::string& alternative : held) reasons.push_back(tick.Explain(alternative, facts));
  result.reason = fmt::format("{}", fmt::join(reasons, "; "));
  return std::move(result);
}

}  // namespace tidemill
