#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/text_distance.h"
#include "feature/compile.h"
#include "model/training_set.h"

namespace tidemill {
namespace {

/// Columns that training sets, scores and graphs have themselves.
constexpr std::string_view kReservedNames[] = {"_seq",          "_known_at",     "label", "label_known_at", "score", "raw_score",
                                               "prediction_id", "model_version", "predicted_at"};

const Field* FindField(const std::vector<Field>& fields, std::string_view name) {
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const Field& field) { return field.name == name; });
  return found == fields.end() ? nullptr : &*found;
}

std::vector<std::string> FieldNames(const std::vector<Field>& fields) {
  std::vector<std::string> names;
  for (const Field& field : fields) names.push_back(field.name);
  return names;
}

void AddField(std::vector<Field>& fields, const Field& field) {
  if (FindField(fields, field.name) == nullptr) fields.push_back(field);
}

/// Builds one model's plan, collecting the errors of all its features.
class FeaturePlanner {
 public:
  FeaturePlanner(const Project& project, const ModelAsset& model, const std::map<std::string, std::vector<Field>>& table_fields,
                 Session& session)
      : project_(project), model_(model), table_fields_(table_fields), session_(session) {}

  Result<FeaturePlan> Plan() {
    TIDEMILL_RETURN_IF_ERROR(PlanSpine());
    for (const ModelFeature& feature : model_.features) {
      Status planned = feature.view.empty() ? PlanExpression(feature) : PlanView(feature);
      if (!planned.ok()) errors_.push_back(std::move(planned).error());
    }
    Keep(PlanExpressions());
    Keep(PlanLabel());
    if (!errors_.empty()) {
      Error first = std::move(errors_.front());
      first.others.insert(first.others.end(), std::make_move_iterator(errors_.begin() + 1),
                          std::make_move_iterator(errors_.end()));
      return first;
    }
    for (const Field& field : plan_.expressions.columns) AddField(plan_.request_fields, field);
    for (const FeaturePlan::View& view : plan_.views) {
      for (const std::string& key : view.spine_keys) AddField(plan_.request_fields, *FindField(spine_fields_, key));
    }
    return std::move(plan_);
  }

 private:
  void Keep(Status status) {
    if (!status.ok()) errors_.push_back(std::move(status).error());
  }

  Result<std::vector<Field>> FieldsOf(const std::string& table) const {
    const auto found = table_fields_.find(table);
    if (found == table_fields_.end()) return InternalError(fmt::format("the columns of table '{}' are not known", table));
    return found->second;
  }

  Status PlanSpine() {
    TIDEMILL_ASSIGN_OR_RETURN(spine_fields_, FieldsOf(model_.spine));
    plan_.model = model_.name;
    plan_.spine = model_.spine;
    plan_.timestamp = model_.timestamp;
    plan_.label_known_at = model_.label_known_at.empty() ? model_.timestamp : model_.label_known_at;
    if (const auto table = project_.tables.find(model_.spine); table != project_.tables.end())
      plan_.spine_key = table->second.key;
    TIDEMILL_RETURN_IF_ERROR(CheckTimeColumn(plan_.timestamp, "timestamp"));
    return CheckTimeColumn(plan_.label_known_at, "label_known_at");
  }

  Status CheckTimeColumn(const std::string& name, std::string_view entry) const {
    const Field* field = FindField(spine_fields_, name);
    if (field == nullptr) {
      return UserErrorAt("unknown_column", fmt::format("{}: table '{}' has no column '{}'", entry, model_.spine, name),
                         model_.place, SuggestionHint(name, FieldNames(spine_fields_)));
    }
    if (field->type != Type::kTimestamp) {
      return UserErrorAt(
          "wrong_type",
          fmt::format("{}: column '{}' of table '{}' is {}, not a timestamp", entry, name, model_.spine, TypeName(field->type)),
          model_.place, fmt::format("cast it in the table's SQL: {}::TIMESTAMP", name));
    }
    return Ok();
  }

  Status CheckInputName(const ModelFeature& feature, const std::string& name) {
    if (std::find(std::begin(kReservedNames), std::end(kReservedNames), name) != std::end(kReservedNames) || name.empty() ||
        name.front() == '/') {
      return UserErrorAt("reserved_name", fmt::format("an input can't be named '{}'", name), feature.place,
                         "give it another name: {name: expression}");
    }
    if (!names_.insert(name).second) {
      return UserErrorAt("duplicate_name", fmt::format("two inputs are named '{}'", name), feature.place,
                         "give one of them another name, a view with 'as'");
    }
    return Ok();
  }

  Status PlanExpression(const ModelFeature& feature) {
    TIDEMILL_RETURN_IF_ERROR(CheckInputName(feature, feature.name));
    // A row of the training set has each name once, so a name that the spine's key or time has must mean that same column.
    const bool is_key = feature.name == plan_.timestamp ||
                        std::find(plan_.spine_key.begin(), plan_.spine_key.end(), feature.name) != plan_.spine_key.end();
    if (is_key && feature.expression != feature.name) {
      return UserErrorAt("duplicate_name",
                         fmt::format("the input '{}' is named like the spine's key or time, but is another thing", feature.name),
                         feature.place, "give it another name");
    }
    expressions_.push_back({feature.name, feature.expression, feature.place});
    plan_.inputs.push_back({feature.name, Type::kDouble});  // its type is known when all are compiled
    return Ok();
  }

  Status PlanExpressions() {
    TIDEMILL_ASSIGN_OR_RETURN(plan_.expressions, CompileExpressions(expressions_, spine_fields_, session_));
    for (const Output& output : plan_.expressions.outputs) {
      for (Field& input : plan_.inputs) {
        if (input.name == output.name) input.type = output.expression.type;
      }
    }
    for (const ModelFeature& feature : model_.features) {
      const Field* input = FindField(plan_.inputs, feature.name);
      if (feature.view.empty() && input != nullptr) TIDEMILL_RETURN_IF_ERROR(RefuseList(feature, *input));
    }
    return Ok();
  }

  static Status RefuseList(const ModelFeature& feature, const Field& input) {
    if (!IsList(input.type)) return Ok();
    return UserErrorAt("list_input", fmt::format("'{}' is a list ({}): a model takes single values", input.name, TypeName(input.type)),
                       feature.place, "take an element or a figure of it: x[1], len(x), list_avg(x), list_contains(x, 1)");
  }

  Status PlanLabel() {
    TIDEMILL_ASSIGN_OR_RETURN(plan_.label, CompileExpressions({{"label", model_.label, model_.place}}, spine_fields_, session_));
    if (const Type type = plan_.label.outputs.front().expression.type; IsList(type)) {
      return UserErrorAt("list_label", fmt::format("the label is a list ({}): it has to be a single value", TypeName(type)),
                         model_.place, "take an element or a figure of it: x[1], len(x) > 0, list_contains(x, 1)");
    }
    return Ok();
  }

  Result<const Program*> CompiledView(const ModelFeature& feature, const FeatureViewAsset& view) {
    if (const auto known = programs_.find(view.name); known != programs_.end()) return &known->second;
    const auto table = project_.tables.find(view.from);
    if (table == project_.tables.end()) {
      return UserErrorAt("unknown_name", fmt::format("view '{}' reads '{}', which is not a table", view.name, view.from),
                         feature.place);
    }
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<Field> fields, FieldsOf(view.from));
    TIDEMILL_ASSIGN_OR_RETURN(Program program, CompileView(view, table->second, fields, session_));
    return &programs_.emplace(view.name, std::move(program)).first->second;
  }

  /// The spine's column for each entity column: the one that `join` names, else the one of the same name.
  Result<std::vector<std::string>> SpineKeys(const ModelFeature& feature, const Program& program) const {
    std::vector<std::string> keys;
    for (const Field& entity : program.keys) {
      std::string column = entity.name;
      bool joined = false;
      for (const auto& [spine_column, entity_column] : feature.join) {
        if (entity_column != entity.name) continue;
        column = spine_column;
        joined = true;
      }
      const Field* field = FindField(spine_fields_, column);
      if (field == nullptr) {
        return UserErrorAt(
            "unknown_column",
            fmt::format("view '{}' is of entity '{}', and the spine '{}' has no column '{}'", feature.view, entity.name,
                        model_.spine, column),
            feature.place,
            joined ? SuggestionHint(column, FieldNames(spine_fields_))
                   : fmt::format("say which column holds it: {{view: {}, join: {{SPINE_COLUMN: {}}}}}; the spine has {}",
                                 feature.view, entity.name, fmt::join(FieldNames(spine_fields_), ", ")));
      }
      if (field->type != entity.type) {
        return UserErrorAt("wrong_type",
                           fmt::format("the spine's '{}' is {}, but '{}' of view '{}' is {}", column, TypeName(field->type),
                                       entity.name, feature.view, TypeName(entity.type)),
                           feature.place,
                           fmt::format("cast one of them in its table's SQL, so that both are {}", TypeName(entity.type)));
      }
      keys.push_back(column);
    }
    return keys;
  }

  static Result<std::vector<std::string>> WantedOutputs(const ModelFeature& feature, const Program& program) {
    std::vector<std::string> all;
    for (const Output& output : program.outputs) all.push_back(output.name);
    if (feature.feature.empty() || feature.feature == "*") return all;
    if (std::find(all.begin(), all.end(), feature.feature) != all.end()) return std::vector<std::string>{feature.feature};
    return UserErrorAt("unknown_feature", fmt::format("view '{}' has no feature '{}'", feature.view, feature.feature),
                       feature.place, SuggestionHint(feature.feature, all));
  }

  Status PlanView(const ModelFeature& feature) {
    const auto view = project_.views.find(feature.view);
    if (view == project_.views.end()) {
      std::vector<std::string> names;
      for (const auto& [name, asset] : project_.views) names.push_back(name);
      return UserErrorAt("unknown_name", fmt::format("there is no feature view '{}'", feature.view), feature.place,
                         SuggestionHint(feature.view, names));
    }
    TIDEMILL_ASSIGN_OR_RETURN(const Program* program, CompiledView(feature, view->second));
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<std::string> keys, SpineKeys(feature, *program));
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<std::string> outputs, WantedOutputs(feature, *program));
    const std::string prefix = feature.as.empty() ? feature.view : feature.as;
    FeaturePlan::View& planned = FindOrAddView(view->second, *program, keys, prefix);
    for (const Field& output : program->OutputFields()) {
      if (std::find(outputs.begin(), outputs.end(), output.name) == outputs.end()) continue;
      const std::string name = fmt::format("{}__{}", prefix, output.name);
      TIDEMILL_RETURN_IF_ERROR(CheckInputName(feature, name));
      TIDEMILL_RETURN_IF_ERROR(RefuseList(feature, {name, output.type}));
      planned.outputs.push_back(output.name);
      plan_.inputs.push_back({name, output.type});
    }
    return Ok();
  }

  /// `weather.temp` and `weather.wind` are one join.
  FeaturePlan::View& FindOrAddView(const FeatureViewAsset& view, const Program& program, const std::vector<std::string>& keys,
                                   const std::string& prefix) {
    for (FeaturePlan::View& planned : plan_.views) {
      if (planned.program.view == program.view && planned.prefix == prefix && planned.spine_keys == keys) return planned;
    }
    return plan_.views.emplace_back(
        FeaturePlan::View{program, view.from, project_.tables.at(view.from).timestamp, keys, prefix, {}});
  }

  const Project& project_;
  const ModelAsset& model_;
  const std::map<std::string, std::vector<Field>>& table_fields_;
  Session& session_;
  FeaturePlan plan_;
  std::vector<Field> spine_fields_;
  std::vector<NamedExpression> expressions_;
  std::map<std::string, Program> programs_;
  std::set<std::string> names_;
  std::vector<Error> errors_;
};

// ---- JSON ----

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

}  // namespace

Result<FeaturePlan> PlanFeatures(const Project& project, const ModelAsset& model,
                                 const std::map<std::string, std::vector<Field>>& table_fields, Session& session) {
  return FeaturePlanner(project, model, table_fields, session).Plan();
}

Json FeaturePlan::ToJson() const {
  Json json;
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
  json["expressions"] = expressions.ToJson();
  json["label"] = label.ToJson();
  json["label_known_at"] = label_known_at;
  json["inputs"] = FieldsToJson(inputs);
  json["request_fields"] = FieldsToJson(request_fields);
  return json;
}

Result<FeaturePlan> FeaturePlan::FromJson(const Json& json) {
  if (!json.is_object()) return DamagedPlan("it is not an object");
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
  TIDEMILL_ASSIGN_OR_RETURN(plan.expressions, RowProgramAt(json, "expressions"));
  TIDEMILL_ASSIGN_OR_RETURN(plan.label, RowProgramAt(json, "label"));
  TIDEMILL_ASSIGN_OR_RETURN(plan.label_known_at, TextAt(json, "label_known_at"));
  TIDEMILL_ASSIGN_OR_RETURN(plan.inputs, FieldsAt(json, "inputs"));
  TIDEMILL_ASSIGN_OR_RETURN(plan.request_fields, FieldsAt(json, "request_fields"));
  return plan;
}

}  // namespace tidemill
