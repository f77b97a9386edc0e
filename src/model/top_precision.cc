#include "model/top_precision.h"

#include <algorithm>

#include <fmt/format.h>

#include "stats/classification_metrics.h"

namespace tidemill {
namespace {

Result<std::vector<const Column*>> EntityColumns(const ModelAsset& model, const Gate& gate, const Columns& rows) {
  std::vector<const Column*> columns;
  for (const std::string& name : gate.entity) {
    const Column* column = rows.Find(name);
    if (column == nullptr) {
      return UserErrorAt("unknown_column", fmt::format("'{}' is not in the key of the spine '{}'", name, model.spine), gate.place,
                         fmt::format("add it to 'key' in tables/{}.yaml", model.spine));
    }
    columns.push_back(column);
  }
  return columns;
}

/// The rows' entities, numbered in the order of their values, so that ties do not depend on the order of rows.
std::vector<uint32_t> NumberEntities(const std::vector<const Column*>& columns, std::span<const size_t> chosen) {
  const auto less = [&](size_t a, size_t b) {
    for (const Column* column : columns) {
      const Value left = column->At(a);
      const Value right = column->At(b);
      if (left != right) return left < right;
    }
    return false;
  };
  std::vector<size_t> order(chosen.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return less(chosen[a], chosen[b]); });
  std::vector<uint32_t> numbers(chosen.size(), 0);
  for (size_t i = 1; i < order.size(); ++i) {
    numbers[order[i]] = numbers[order[i - 1]] + (less(chosen[order[i - 1]], chosen[order[i]]) ? 1 : 0);
  }
  return numbers;
}

int64_t PeriodOf(int64_t micros, Duration per) {
  const int64_t period = micros / per.micros;
  return period * per.micros > micros ? period - 1 : period;
}

Status AddOne(const ModelAsset& model, const Gate& gate, const Columns& rows, std::span<const size_t> chosen,
              const std::vector<double>& scores, const std::vector<int>& labels, Json& metrics) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<const Column*> columns, EntityColumns(model, gate, rows));
  const Column* times = rows.Find(model.timestamp);
  if (times == nullptr) return InternalError(fmt::format("the rows lack '{}'", model.timestamp));
  const std::vector<uint32_t> entities = NumberEntities(columns, chosen);
  std::vector<double> known_scores;
  std::vector<int> known_labels;
  std::vector<PeriodEntity> places;
  for (size_t i = 0; i < chosen.size(); ++i) {
    if (std::any_of(columns.begin(), columns.end(), [&](const Column* column) { return column->IsNull(chosen[i]); })) continue;
    known_scores.push_back(scores[i]);
    known_labels.push_back(labels[i]);
    places.push_back({.period = PeriodOf(times->ints[chosen[i]], gate.per), .entity = entities[i]});
  }
  const auto figure = PrecisionAtK(known_scores, known_labels, places, static_cast<size_t>(gate.k));
  metrics[MetricName(gate)] = figure ? Json(*figure) : Json(nullptr);
  return Ok();
}

}  // namespace

std::string MetricName(const Gate& gate) { return gate.k > 0 ? fmt::format("precision_at_{}", gate.k) : gate.metric; }

Status AddPrecisionAtK(const ModelAsset& model, const Columns& rows, std::span<const size_t> chosen,
                       const std::vector<double>& scores, const std::vector<int>& labels, Json& metrics) {
  for (const Gate& gate : model.gates) {
    if (gate.k > 0) TIDEMILL_RETURN_IF_ERROR(AddOne(model, gate, rows, chosen, scores, labels, metrics));
  }
  return Ok();
}

}  // namespace tidemill
