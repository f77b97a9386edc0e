#include "model/gates.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <fmt/format.h>

#include "model/row_selection.h"
#include "model/top_precision.h"

namespace tidemill {
namespace {

constexpr size_t kComparedRowsMin = 200;
constexpr size_t kWarmUpCalls = 20;
constexpr size_t kTimedCalls = 200;

bool LowerIsBetter(std::string_view metric) { return metric == "log_loss" || metric == "brier" || metric == "latency_p99_ms"; }

/// The first of the predictor's inputs that the rows lack; "" when they have all.
std::string LackingInput(const Predictor& predictor, const Columns& rows) {
  for (const Field& input : predictor.inputs()) {
    if (rows.Find(input.name) == nullptr) return input.name;
  }
  return "";
}

ChampionComparison NotCompared(std::string note) {
  ChampionComparison comparison;
  comparison.note = std::move(note);
  return comparison;
}

/// The places in `test_rows` of the rows after `time`.
std::vector<size_t> PlacesAfter(const TrainingResult& challenger, const Column& times, Timestamp time) {
  std::vector<size_t> places;
  for (size_t place = 0; place < challenger.test_rows.size(); ++place) {
    if (times.ints[challenger.test_rows[place]] > time.micros) places.push_back(place);
  }
  return places;
}

std::optional<double> NumberAt(const Json& metrics, const std::string& name) {
  if (!metrics.is_object()) return std::nullopt;
  const auto found = metrics.find(name);
  if (found == metrics.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

Json GateResult(const std::string& gate, std::optional<double> value, double bound, bool passed, std::string text) {
  return Json{{"gate", gate},
              {"value", value ? Json(*value) : Json(nullptr)},
              {"bound", bound},
              {"passed", passed},
              {"text", std::move(text)}};
}

Json BoundGate(const std::string& metric, std::string_view side, std::optional<double> value, double bound) {
  const std::string gate = fmt::format("{}.{}", metric, side);
  if (!value) return GateResult(gate, value, bound, false, fmt::format("{} could not be measured", metric));
  const bool passed = side == "min" ? *value >= bound : *value <= bound;
  const std::string_view relation = side == "min" ? (passed ? "is at least" : "is below") : (passed ? "is at most" : "is above");
  return GateResult(gate, value, bound, passed, fmt::format("{} {:.4f} {} {}", metric, *value, relation, bound));
}

Json DropGate(const std::string& metric, const std::optional<ChampionComparison>& comparison, double bound) {
  const std::string gate = metric + ".max_drop_from_champion";
  if (!comparison) return GateResult(gate, std::nullopt, bound, true, "there is no champion to compare with");
  if (!comparison->compared)
    return GateResult(gate, std::nullopt, bound, true, fmt::format("not compared: {}", comparison->note));
  const std::optional<double> challenger = NumberAt(comparison->challenger, metric);
  const std::optional<double> champion = NumberAt(comparison->champion, metric);
  if (!challenger || !champion)
    return GateResult(gate, std::nullopt, bound, false, fmt::format("{} could not be measured", metric));
  const double drop = LowerIsBetter(metric) ? *challenger - *champion : *champion - *challenger;
  const bool passed = drop <= bound;
  return GateResult(
      gate, drop, bound, passed,
      fmt::format("{} {:.4f} against the champion's {:.4f} on the same {} rows: {} {:.4f}, at most {} is allowed", metric,
                  *challenger, *champion, comparison->rows, drop > 0 ? "worse by" : "better by", std::abs(drop), bound));
}

}  // namespace

Result<ChampionComparison> CompareWithChampion(const ModelAsset& model, const TrainingResult& challenger, const Columns& rows,
                                               Predictor& champion, Timestamp champion_trained_until) {
  const Column* times = rows.Find(model.timestamp);
  const Column* label = rows.Find("label");
  if (times == nullptr || label == nullptr) return InternalError("the rows to compare on lack their time or label");
  if (const std::string lacking = LackingInput(champion, rows); !lacking.empty()) {
    return NotCompared(fmt::format("the champion reads '{}', which the new model's rows do not have", lacking));
  }
  const std::vector<size_t> places = PlacesAfter(challenger, *times, champion_trained_until);
  if (places.size() < kComparedRowsMin) {
    return NotCompared(fmt::format("only {} test rows are newer than the champion's training data, {} are needed", places.size(),
                                   kComparedRowsMin));
  }
  std::vector<size_t> chosen;
  std::vector<double> challenger_scores;
  std::vector<int> labels;
  for (const size_t place : places) {
    const size_t row = challenger.test_rows[place];
    chosen.push_back(row);
    challenger_scores.push_back(challenger.test_scores[place]);
    labels.push_back(label->type == Type::kDouble ? label->doubles[row] != 0 : label->ints[row] != 0);
  }
  const auto positives = static_cast<size_t>(std::count(labels.begin(), labels.end(), 1));
  if (positives == 0 || positives == labels.size()) {
    return NotCompared(
        fmt::format("all {} test rows newer than the champion's training data have the same label", labels.size()));
  }
  auto champion_scores = champion.Predict(SelectRows(rows, champion.inputs(), chosen));
  if (!champion_scores.ok())
    return NotCompared(fmt::format("the champion can't read the new model's rows: {}", champion_scores.error().message));
  ChampionComparison comparison;
  comparison.compared = true;
  comparison.rows = static_cast<int64_t>(labels.size());
  comparison.note = fmt::format("{} test rows after {}", labels.size(), FormatTimestamp(champion_trained_until));
  comparison.challenger = EvaluateScores(challenger_scores, labels);
  comparison.champion = EvaluateScores(*champion_scores, labels);
  TIDEMILL_RETURN_IF_ERROR(AddPrecisionAtK(model, rows, chosen, challenger_scores, labels, comparison.challenger));
  TIDEMILL_RETURN_IF_ERROR(AddPrecisionAtK(model, rows, chosen, *champion_scores, labels, comparison.champion));
  return comparison;
}

Result<double> MeasureLatencyP99Ms(Predictor& predictor, const Columns& rows) {
  if (rows.rows() == 0) return 0.0;
  if (const std::string lacking = LackingInput(predictor, rows); !lacking.empty()) {
    return InternalError(fmt::format("the rows to time predictions with lack '{}'", lacking));
  }
  std::vector<Columns> requests;
  for (size_t i = 0; i < std::min(kTimedCalls, rows.rows()); ++i) {
    requests.push_back(SelectRows(rows, predictor.inputs(), std::span(&i, 1)));
  }
  std::vector<double> times_ms;
  for (size_t call = 0; call < kWarmUpCalls + kTimedCalls; ++call) {
    const auto start = std::chrono::steady_clock::now();
    const auto scores = predictor.Predict(requests[call % requests.size()]);
    if (!scores.ok()) return scores.error();
    if (call >= kWarmUpCalls)
      times_ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(times_ms.begin(), times_ms.end());
  return times_ms[(times_ms.size() * 99 + 99) / 100 - 1];
}

Json EvaluateGates(const ModelAsset& model, const Json& metrics, const std::optional<ChampionComparison>& comparison,
                   double latency_p99_ms) {
  Json results = Json::array();
  for (const Gate& gate : model.gates) {
    const std::string metric = MetricName(gate);
    const std::optional<double> value = metric == "latency_p99_ms" ? std::optional(latency_p99_ms) : NumberAt(metrics, metric);
    if (gate.min) results.push_back(BoundGate(metric, "min", value, *gate.min));
    if (gate.max) results.push_back(BoundGate(metric, "max", value, *gate.max));
    if (gate.max_drop_from_champion) results.push_back(DropGate(metric, comparison, *gate.max_drop_from_champion));
  }
  return results;
}

bool GatesPassed(const Json& gate_results) {
  return std::all_of(gate_results.begin(), gate_results.end(), [](const Json& result) { return result.value("passed", false); });
}

}  // namespace tidemill
