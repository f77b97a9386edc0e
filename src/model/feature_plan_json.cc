#include <fmt/format.h>

#include "base/sha256.h"
#include "model/training_set.h"

namespace tidemill {
namespace {

/// 2: with derived views.
constexpr int64_t kPlanVersion = 2;

Json FieldsToJson(const std::vector<Field>& fields) {
  Json list = Json::array();
  for (const Field& field : fields) list.push_back({{"name", field.name}, {"type", TypeName(field.type)}});
  return list;
}

Error DamagedPlan(std::string_view what) {
  return UserError("bad_plan", fmt::format("a stored feature plan can't be read: {}", what), "train the model again");
}

Result<std::string> TextAt(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_string()) return DamagedPlan(fmt::format("'{}' is not a text", key));
  return found->get<std::string>();
}

Result<std::vector<std::string>> TextsAt(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_array()) return DamagedPlan(fmt::format("'{}' is not a list", key));
  std::vector<std::string> texts;
  for (const Json& item : *found) {
    if (!item.is_string()) return DamagedPlan(fmt::format("'{}' is not a list of texts", key));
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

Result<std::vector<Field>> FieldsAt(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_array()) return DamagedPlan(fmt::format("'{}' is not a list", key));
  std::vector<Field> fields;
  for (const Json& item : *found) {
    if (!item.is_object()) return DamagedPlan(fmt::format("'{}' is not a list of columns", key));
    TIDEMILL_ASSIGN_OR_RETURN(std::string name, TextAt(item, "name"));
    TIDEMILL_ASSIGN_OR_RETURN(const std::string type_name, TextAt(item, "type"));
    TIDEMILL_ASSIGN_OR_RETURN(const Type type, ParseType(type_name));
    fields.push_back({std::move(name), type});
  }
  return fields;
}

Result<RowProgram> RowProgramAt(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end()) return DamagedPlan(fmt::format("'{}' is missing", key));
  return RowProgram::FromJson(*found);
}

Result<FeaturePlan::View> ViewFromJson(const Json& json) {
  if (!json.is_object() || !json.contains("program")) return DamagedPlan("a view without a program");
  FeaturePlan::View view;
  TIDEMILL_ASSIGN_OR_RETURN(view.program, Program::FromJson(json["program"]));
  TIDEMILL_ASSIGN_OR_RETURN(view.table, TextAt(json, "table"));
  TIDEMILL_ASSIGN_OR_RETURN(view.event_time, TextAt(json, "event_time"));
  TIDEMILL_ASSIGN_OR_RETURN(view.spine_keys, TextsAt(json, "spine_keys"));
  TIDEMILL_ASSIGN_OR_RETURN(view.prefix, TextAt(json, "prefix"));
  TIDEMILL_ASSIGN_OR_RETURN(view.outputs, TextsAt(json, "outputs"));
  return view;
}

Result<FeaturePlan::Derived> DerivedFromJson(const Json& json) {
  if (!json.is_object()) return DamagedPlan("a derived view that is not an object");
  FeaturePlan::Derived derived;
  TIDEMILL_ASSIGN_OR_RETURN(derived.view, TextAt(json, "view"));
  TIDEMILL_ASSIGN_OR_RETURN(derived.prefix, TextAt(json, "prefix"));
  TIDEMILL_ASSIGN_OR_RETURN(derived.program, RowProgramAt(json, "program"));
  return derived;
}

/// Plans without a version are of the first one, before derived views.
Status CheckVersion(const Json& json) {
  const Json version = json.value("version", Json(1));
  if (!version.is_number_integer() || version.get<int64_t>() < 1) return DamagedPlan("'version' is not a number");
  if (version.get<int64_t>() > kPlanVersion)
    return UserError("bad_plan", "a stored feature plan was made by a newer Tidemill", "use that one");
  if (json.contains("derived") != (version.get<int64_t>() >= 2)) return DamagedPlan("'version' and 'derived' do not agree");
  return Ok();
}

}  // namespace

Json FeaturePlan::ToJson() const {
  Json json;
  json["version"] = kPlanVersion;
  json["model"] = model;
  json["spine"] = spine;
  json["timestamp"] = timestamp;
  json["spine_key"] = spine_key;
  json["views"] = Json::array();
  for (const View& view : views) {
    json["views"].push_back({{"program", view.program.ToJson()},
                             {"table", view.table},
                             {"event_time", view.event_time},
                             {"spine_keys", view.spine_keys},
                             {"prefix", view.prefix},
                             {"outputs", view.outputs}});
  }
  json["derived"] = Json::array();
  for (const Derived& one : derived)
    json["derived"].push_back({{"view", one.view}, {"prefix", one.prefix}, {"program", one.program.ToJson()}});
  json["expressions"] = expressions.ToJson();
  json["label"] = label.ToJson();
  json["label_known_at"] = label_known_at;
  json["inputs"] = FieldsToJson(inputs);
  json["request_fields"] = FieldsToJson(request_fields);
  return json;
}

std::string FeaturePlan::Fingerprint() const { return Sha256(std::string(KernelVersion()) + ToJson().dump()); }

Result<FeaturePlan> FeaturePlan::FromJson(const Json& json) {
  if (!json.is_object()) return DamagedPlan("it is not an object");
  TIDEMILL_RETURN_IF_ERROR(CheckVersion(json));
  FeaturePlan plan;
  TIDEMILL_ASSIGN_OR_RETURN(plan.model, TextAt(json, "model"));
  TIDEMILL_ASSIGN_OR_RETURN(plan.spine, TextAt(json, "spine"));
  TIDEMILL_ASSIGN_OR_RETURN(plan.timestamp, TextAt(json, "timestamp"));
  TIDEMILL_ASSIGN_OR_RETURN(plan.spine_key, TextsAt(json, "spine_key"));
  if (!json.contains("views") || !json["views"].is_array()) return DamagedPlan("'views' is not a list");
  for (const Json& item : json["views"]) {
    TIDEMILL_ASSIGN_OR_RETURN(View view, ViewFromJson(item));
    plan.views.push_back(std::move(view));
  }
  if (json.contains("derived")) {
    if (!json["derived"].is_array()) return DamagedPlan("'derived' is not a list");
    for (const Json& item : json["derived"]) {
      TIDEMILL_ASSIGN_OR_RETURN(Derived one, DerivedFromJson(item));
      plan.derived.push_back(std::move(one));
    }
  }
  TIDEMILL_ASSIGN_OR_RETURN(plan.expressions, RowProgramAt(json, "expressions"));
  TIDEMILL_ASSIGN_OR_RETURN(plan.label, RowProgramAt(json, "label"));
  TIDEMILL_ASSIGN_OR_RETURN(plan.label_known_at, TextAt(json, "label_known_at"));
  TIDEMILL_ASSIGN_OR_RETURN(plan.inputs, FieldsAt(json, "inputs"));
  TIDEMILL_ASSIGN_OR_RETURN(plan.request_fields, FieldsAt(json, "request_fields"));
  return plan;
}

}  // namespace tidemill
