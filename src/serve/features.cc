#include "serve/features.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/text_distance.h"
#include "base/value_json.h"
#include "feature/online/entity_states.h"

namespace tidemill {
namespace {

Result<std::vector<Value>> ReadFields(const std::vector<Field>& fields, const Json& entity) {
  std::vector<std::string> names;
  for (const Field& field : fields) names.push_back(field.name);
  if (!entity.is_object()) {
    return UserError("bad_request",
                     fmt::format("expected an object with {}, came {}", fmt::join(names, ", "), ShortJson(entity)));
  }
  for (const auto& [name, value] : entity.items()) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      return UserError("unknown_field", fmt::format("unknown field '{}'", name), SuggestionHint(name, names));
    }
  }
  std::vector<Value> key;
  for (const Field& field : fields) {
    if (!entity.contains(field.name)) return UserError("missing_field", fmt::format("the entity lacks {}", field.name));
    auto value = ValueFromJson(entity[field.name], field.type);
    if (!value.ok()) return std::move(value).error().WithContext(fmt::format("field '{}'", field.name));
    key.push_back(std::move(value).value());
  }
  return key;
}

std::vector<Value> RowOf(const Columns& columns, size_t row) {
  std::vector<Value> values;
  for (const Column& column : columns.columns) values.push_back(column.At(row));
  return values;
}

/// Offers each answer of a derived view to the sample.
void KeepForSample(OnlineStore& store, const EntityStates::Sampling& sampling, const SampledAnswer& shared,
                   const Columns& requests, const Columns& rows) {
  for (size_t row = 0; row < rows.rows(); ++row) {
    SampledAnswer answer = shared;
    answer.key = RowOf(requests, row);
    answer.values = RowOf(rows, row);
    store.states().Keep(sampling, std::move(answer));
  }
}

}  // namespace

Result<Json> AnswerFeatures(OnlineStore& store, const OnlineView& view, const Json& entities, Timestamp at) {
  const Program& program = view.program();
  Json results = Json::array();
  for (const Json& entity : entities) {
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<Value> key, ReadFields(program.keys, entity));
    TIDEMILL_ASSIGN_OR_RETURN(const OnlineFeatures features, view.LookUp(store, key, at));
    Json values = Json::object();
    for (size_t i = 0; i < program.outputs.size(); ++i) values[program.outputs[i].name] = ValueToJson(features.values[i]);
    results.push_back({{"found", features.found}, {"features", std::move(values)}});
  }
  return Json{{"view", program.view}, {"at", FormatTimestamp(at)}, {"results", std::move(results)}};
}

Result<Json> AnswerDerivedFeatures(OnlineStore& store, const std::string& view, const FeaturePlan& plan, const Json& entities,
                                   Timestamp at) {
  Columns requests;
  for (const Field& field : plan.request_fields) requests.columns.emplace_back(field.name, field.type);
  for (const Json& entity : entities) {
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<Value> values, ReadFields(plan.request_fields, entity));
    for (size_t i = 0; i < values.size(); ++i) TIDEMILL_RETURN_IF_ERROR(requests.columns[i].Append(values[i]));
  }
  std::vector<bool> found;
  const std::vector<Timestamp> times(entities.size(), at);
  std::set<std::string> used;
  for (const FeaturePlan::View& one : plan.views) used.insert(one.program.view);
  const auto sampling = store.states().BeginSampling(std::vector<std::string>(used.begin(), used.end()), at);
  TIDEMILL_ASSIGN_OR_RETURN(const Columns rows, BuildOnlineRows(plan, store, requests, times, &found));
  if (sampling) KeepForSample(store, *sampling, {view, plan.Fingerprint(), {}, at, {}, {}}, requests, rows);
  Json results = Json::array();
  for (size_t row = 0; row < entities.size(); ++row) {
    Json values = Json::object();
    for (const Column& column : rows.columns) values[column.name.substr(view.size() + 2)] = ValueToJson(column.At(row));
    results.push_back({{"found", static_cast<bool>(found[row])}, {"features", std::move(values)}});
  }
  return Json{{"view", view}, {"at", FormatTimestamp(at)}, {"results", std::move(results)}};
}

}  // namespace tidemill
