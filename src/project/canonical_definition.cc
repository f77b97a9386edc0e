#include "project/canonical_definition.h"

#include <optional>
#include <string_view>
#include <variant>

namespace tidemill {
namespace {

Json ValueAsJson(const Value& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  if (const auto* whole = std::get_if<int64_t>(&value)) return *whole;
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return IsNull(value) ? Json(nullptr) : Json(FormatValue(value));
}

template <class T>
void PutIfAny(Json* json, std::string_view key, const std::optional<T>& value) {
  if (value) (*json)[std::string(key)] = *value;
}

std::string_view UpdateName(TableUpdate update) { return update == TableUpdate::kAppend ? "append" : "replace"; }

std::string_view ViolationName(OnViolation violation) {
  switch (violation) {
    case OnViolation::kQuarantine:
      return "quarantine";
    case OnViolation::kFail:
      return "fail";
    case OnViolation::kWarn:
      return "warn";
  }
  return "";
}

Json ContractColumnAsJson(const ContractColumn& column) {
  Json json = {{"type", TypeName(column.type)}, {"required", column.required}};
  PutIfAny(&json, "min", column.min);
  PutIfAny(&json, "max", column.max);
  PutIfAny(&json, "length_min", column.length_min);
  PutIfAny(&json, "length_max", column.length_max);
  if (!column.allowed.empty()) json["one_of"] = column.allowed;
  if (!column.pattern.empty()) json["pattern"] = column.pattern;
  return json;
}

Json ModelFeatureAsJson(const ModelFeature& feature, const CanonicalExpression& canonical) {
  if (feature.view.empty()) return {{"name", feature.name}, {"expression", canonical(feature.expression)}};
  Json json = {{"view", feature.view}, {"feature", feature.feature}};
  json["as"] = feature.as.empty() ? feature.view : feature.as;
  for (const auto& [spine_column, entity_column] : feature.join) json["join"][spine_column] = entity_column;
  return json;
}

Json GateAsJson(const Gate& gate) {
  Json json = {{"metric", gate.metric}};
  if (gate.k > 0) json["top"] = {{"k", gate.k}, {"entity", gate.entity}, {"per", FormatDuration(gate.per)}};
  PutIfAny(&json, "min", gate.min);
  PutIfAny(&json, "max", gate.max);
  PutIfAny(&json, "max_drop_from_champion", gate.max_drop_from_champion);
  return json;
}

Json StepAsJson(const PrepareStep& step) {
  return {{"kind", step.kind}, {"columns", step.columns}, {"with", step.with}, {"other_below", step.other_below}};
}

}  // namespace

std::string CanonicalDefinition(const SourceAsset& source) {
  Json json = {{"kind", "source"},
               {"files", source.files},
               {"null", source.null_texts},
               {"delimiter", source.delimiter},
               {"key", source.key}};
  if (source.pushed) json["pushed"] = true;
  json["known_at"] = source.known_at;
  json["history"] = source.history;
  json["columns"] = Json::object();
  for (const ContractColumn& column : source.contract.columns) json["columns"][column.name] = ContractColumnAsJson(column);
  json["extra_columns"] = source.contract.extra_columns == ExtraColumns::kIgnore ? "ignore" : "refuse";
  json["on_violation"] = ViolationName(source.contract.on_violation);
  return json.dump();
}

std::string CanonicalDefinition(const TableAsset& table) {
  Json json = {{"kind", "table"}};
  if (table.python) {
    json["python"] = Json::parse(table.canonical);
    json["columns"] = Json::object();
    for (const Field& column : table.python->columns) json["columns"][column.name] = TypeName(column.type);
    json["keeps_rows"] = table.python->keeps_rows;
  } else {
    json["sql"] = table.canonical;
  }
  json["key"] = table.key;
  json["timestamp"] = table.timestamp;
  json["known_at"] = table.known_at;
  json["update"] = UpdateName(table.update);
  return json.dump();
}

std::string CanonicalDefinition(const FeatureViewAsset& view, const CanonicalExpression& canonical) {
  Json json = {{"kind", "feature_view"}, {"entity", view.entity}, {"from", view.from}};
  json["ttl"] = view.ttl ? Json(FormatDuration(*view.ttl)) : Json(nullptr);
  json["lookback"] = FormatDuration(view.lookback);
  if (view.lateness) json["lateness"] = FormatDuration(*view.lateness);
  if (view.fails_on_error) json["on_error"] = "fail";
  json["features"] = Json::object();
  for (const FeatureDefinition& feature : view.features) {
    Json one = {{"value", canonical(feature.value)}, {"windows", Json::array()}, {"default", ValueAsJson(feature.default_value)}};
    for (const Duration& window : feature.windows) one["windows"].push_back(FormatDuration(window));
    if (feature.delay != Duration{0}) one["delay"] = FormatDuration(feature.delay);
    if (feature.hop) one["hop"] = FormatDuration(*feature.hop);
    if (feature.session) one["session"] = FormatDuration(*feature.session);
    if (feature.max_events) one["max_events"] = *feature.max_events;
    json["features"][feature.name] = std::move(one);
  }
  return json.dump();
}

std::string CanonicalDefinition(const DerivedViewAsset& view, const CanonicalExpression& canonical) {
  Json json = {{"kind", "derived_view"}, {"request", Json::object()}, {"uses", Json::object()}, {"features", Json::object()}};
  for (const Field& field : view.request) json["request"][field.name] = TypeName(field.type);
  for (const ViewUse& use : view.uses) json["uses"][use.as] = {{"view", use.view}, {"join", use.join}};
  for (const FeatureDefinition& feature : view.features) {
    json["features"][feature.name] = {{"value", canonical(feature.value)}, {"default", ValueAsJson(feature.default_value)}};
  }
  return json.dump();
}

std::string CanonicalDefinition(const ModelAsset& model, const CanonicalExpression& canonical) {
  Json json = {{"kind", "model"}, {"spine", model.spine}, {"label", canonical(model.label)}, {"timestamp", model.timestamp}};
  json["label_known_at"] = model.label_known_at;
  json["features"] = Json::array();
  for (const ModelFeature& feature : model.features) json["features"].push_back(ModelFeatureAsJson(feature, canonical));
  json["split"] = {
      {"train", FormatDuration(model.train)}, {"validate", FormatDuration(model.validate)}, {"test", FormatDuration(model.test)}};
  json["refit"] = model.refit_all ? "all" : "none";
  json["prepare"] = Json::array();
  for (const PrepareStep& step : model.prepare) json["prepare"].push_back(StepAsJson(step));
  json["algorithm"] = model.algorithm;
  json["parameters"] = Json::object();
  for (const auto& [name, value] : model.parameters) json["parameters"][name] = ValueAsJson(value);
  json["gates"] = Json::array();
  for (const Gate& gate : model.gates) json["gates"].push_back(GateAsJson(gate));
  return json.dump();
}

}  // namespace tidemill
