#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/text_distance.h"
#include "feature/compile.h"
#include "model/named_fields.h"
#include "model/training_set.h"
#include "model/view_planner.h"

namespace tidemill {
namespace {

/// Columns that training sets, scores and graphs have themselves.
constexpr std::string_view kReservedNames[] = {"_seq",      "_known_at",     "label",         "label_known_at", "score",
                                               "raw_score", "prediction_id", "model_version", "predicted_at"};

void AddField(std::vector<Field>& fields, const Field& field) {
  if (FindField(fields, field.name) == nullptr) fields.push_back(field);
}

/// Builds one model's plan, collecting the errors of all its features.
class FeaturePlanner {
 public:
  FeaturePlanner(const Project& project, const ModelAsset& model, const std::map<std::string, std::vector<Field>>& table_fields,
                 Session& session)
      : project_(project),
        model_(model),
        table_fields_(table_fields),
        session_(session),
        views_(project, table_fields, session, plan_) {}

  Result<FeaturePlan> Plan() {
    TIDEMILL_RETURN_IF_ERROR(PlanSpine());
    PlanItems();
    Keep(PlanExpressions());
    Keep(PlanLabel());
    if (!errors_.empty()) {
      Error first = std::move(errors_.front());
      first.others.insert(first.others.end(), std::make_move_iterator(errors_.begin() + 1),
                          std::make_move_iterator(errors_.end()));
      return first;
    }
    TIDEMILL_RETURN_IF_ERROR(AddRequestFields());
    return std::move(plan_);
  }

 private:
  /// An error of an item that an expression names too is told once.
  void Keep(Status status) {
    if (status.ok()) return;
    const std::string text = status.error().Format();
    const bool told = std::any_of(errors_.begin(), errors_.end(), [&](const Error& error) { return error.Format() == text; });
    if (!told) errors_.push_back(std::move(status).error());
  }

  /// Feature views come first, so that what is derived from the same look-ups takes theirs.
  void PlanItems() {
    offer_ = {spine_fields_, fmt::format("the spine '{}'", model_.spine)};
    std::vector<std::vector<Field>> inputs(model_.features.size());
    for (const bool lookups : {true, false}) {
      for (size_t i = 0; i < model_.features.size(); ++i) {
        const ModelFeature& feature = model_.features[i];
        if (project_.views.contains(feature.view) != lookups) continue;
        Keep(feature.view.empty() ? PlanExpression(feature, inputs[i]) : PlanView(feature, inputs[i]));
      }
    }
    for (std::vector<Field>& fields : inputs) std::move(fields.begin(), fields.end(), std::back_inserter(plan_.inputs));
  }

  Status AddRequestFields() {
    for (const Field& field : plan_.expressions.columns) AddField(plan_.request_fields, field);
    std::set<std::string> made;
    for (const FeaturePlan::View& view : plan_.views) {
      for (const std::string& key : view.spine_keys) AddField(plan_.request_fields, *FindField(spine_fields_, key));
      for (const std::string& output : view.outputs) made.insert(fmt::format("{}__{}", view.prefix, output));
    }
    for (const FeaturePlan::Derived& derived : plan_.derived) {
      for (const Output& output : derived.program.outputs) made.insert(output.name);
    }
    for (const FeaturePlan::Derived& derived : plan_.derived) {
      for (const Field& column : derived.program.columns) {
        const Field* field = FindField(spine_fields_, column.name);
        if (field != nullptr && made.contains(column.name)) {
          return UserErrorAt("duplicate_name", fmt::format("the spine's column '{}' is named like a feature", column.name),
                             model_.place, "rename the column in the spine's SQL, or the view here with 'as'");
        }
        if (field != nullptr) AddField(plan_.request_fields, *field);
      }
    }
    return Ok();
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

  Status PlanExpression(const ModelFeature& feature, std::vector<Field>& inputs) {
    TIDEMILL_RETURN_IF_ERROR(CheckInputName(feature, feature.name));
    // A row of the training set has each name once, so a name that the spine's key or time has must mean that same column.
    const bool is_key = feature.name == plan_.timestamp ||
                        std::find(plan_.spine_key.begin(), plan_.spine_key.end(), feature.name) != plan_.spine_key.end();
    if (is_key && feature.expression != feature.name) {
      return UserErrorAt("duplicate_name",
                         fmt::format("the input '{}' is named like the spine's key or time, but is another thing", feature.name),
                         feature.place, "give it another name");
    }
    if (!feature.named_views.empty()) return PlanOverViews(feature, inputs);
    expressions_.push_back({feature.name, feature.expression, feature.place});
    inputs.push_back({feature.name, Type::kDouble});  // its type is known when all are compiled
    return Ok();
  }

  /// An expression over features of views: those of the item that has the name, else of the view joined by its own keys.
  Status PlanOverViews(const ModelFeature& feature, std::vector<Field>& inputs) {
    std::map<std::string, BoundView> views;
    for (const std::string& name : feature.named_views) {
      const auto item = std::find_if(model_.features.begin(), model_.features.end(), [&](const ModelFeature& other) {
        return !other.view.empty() && NameInModel(other) == name;
      });
      const ViewUse use = item != model_.features.end() ? UseOf(*item) : ViewUse{name, "", {}, feature.place};
      TIDEMILL_ASSIGN_OR_RETURN(views[name], views_.Bind(use, offer_));
    }
    FeatureDefinition expression;
    expression.name = feature.name;
    expression.value = feature.expression;
    expression.place = feature.place;
    TIDEMILL_ASSIGN_OR_RETURN(Field input, views_.TakeExpression(expression, offer_, views));
    TIDEMILL_RETURN_IF_ERROR(RefuseList(feature, input));
    inputs.push_back(std::move(input));
    return Ok();
  }

  static ViewUse UseOf(const ModelFeature& feature) { return {feature.view, NameInModel(feature), feature.join, feature.place}; }

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
    return UserErrorAt("list_input",
                       fmt::format("'{}' is a list ({}): a model takes single values", input.name, TypeName(input.type)),
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

  static Result<std::vector<Field>> WantedFeatures(const ModelFeature& feature, const PlannedView& view) {
    if (feature.feature.empty() || feature.feature == "*") return view.features;
    if (const Field* wanted = FindField(view.features, feature.feature)) return std::vector<Field>{*wanted};
    return UserErrorAt("unknown_feature", fmt::format("view '{}' has no feature '{}'", feature.view, feature.feature),
                       feature.place, SuggestionHint(feature.feature, FieldNames(view.features)));
  }

  Status PlanView(const ModelFeature& feature, std::vector<Field>& inputs) {
    TIDEMILL_ASSIGN_OR_RETURN(const PlannedView* view, views_.Find(feature.view, feature.place));
    TIDEMILL_ASSIGN_OR_RETURN(const BoundView bound, views_.Bind(UseOf(feature), offer_));
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<Field> wanted, WantedFeatures(feature, *view));
    for (const Field& output : wanted) {
      const std::string name = fmt::format("{}__{}", bound.prefix, output.name);
      TIDEMILL_RETURN_IF_ERROR(CheckInputName(feature, name));
      TIDEMILL_RETURN_IF_ERROR(RefuseList(feature, {name, output.type}));
      TIDEMILL_ASSIGN_OR_RETURN(Field input, views_.Take(bound, output.name));
      inputs.push_back(std::move(input));
    }
    return Ok();
  }

  const Project& project_;
  const ModelAsset& model_;
  const std::map<std::string, std::vector<Field>>& table_fields_;
  Session& session_;
  FeaturePlan plan_;
  ViewPlanner views_;  // after the plan, which it fills
  std::vector<Field> spine_fields_;
  ViewPlanner::Offer offer_;
  std::vector<NamedExpression> expressions_;
  std::set<std::string> names_;
  std::vector<Error> errors_;
};

}  // namespace

Result<FeaturePlan> PlanFeatures(const Project& project, const ModelAsset& model,
                                 const std::map<std::string, std::vector<Field>>& table_fields, Session& session) {
  return FeaturePlanner(project, model, table_fields, session).Plan();
}

Result<FeaturePlan> PlanDerivedView(const Project& project, const std::string& view,
                                    const std::map<std::string, std::vector<Field>>& table_fields, Session& session) {
  FeaturePlan plan;
  ViewPlanner planner(project, table_fields, session, plan);
  TIDEMILL_ASSIGN_OR_RETURN(const PlannedView* planned, planner.Find(view, {}));
  plan.request_fields = planned->fields;
  TIDEMILL_ASSIGN_OR_RETURN(const BoundView bound,
                            planner.Bind({view, view, {}, {}}, {planned->fields, fmt::format("view '{}'", view)}));
  for (const Field& feature : planned->features) {
    TIDEMILL_ASSIGN_OR_RETURN(Field input, planner.Take(bound, feature.name));
    plan.inputs.push_back(std::move(input));
  }
  return plan;
}

Result<FeaturePlan> PlanJoin(const Project& project, const std::vector<std::string>& views,
                             const std::vector<Field>& spine_fields,
                             const std::map<std::string, std::vector<Field>>& table_fields, Session& session) {
  FeaturePlan plan;
  ViewPlanner planner(project, table_fields, session, plan);
  std::map<std::string, std::vector<Field>> taken;
  for (const bool lookups : {true, false}) {
    for (const std::string& view : views) {
      if (project.views.contains(view) != lookups) continue;
      TIDEMILL_ASSIGN_OR_RETURN(const PlannedView* planned, planner.Find(view, {}));
      TIDEMILL_ASSIGN_OR_RETURN(const BoundView bound, planner.Bind({view, view, {}, {}}, {spine_fields, "the spine"}));
      for (const Field& feature : planned->features) {
        TIDEMILL_ASSIGN_OR_RETURN(Field input, planner.Take(bound, feature.name));
        if (FindField(spine_fields, input.name) != nullptr) {
          return UserError("duplicate_column", fmt::format("the spine has a column '{}', which is a feature's name", input.name),
                           "rename it in the spine");
        }
        taken[view].push_back(std::move(input));
      }
    }
  }
  for (const std::string& view : views) std::move(taken[view].begin(), taken[view].end(), std::back_inserter(plan.inputs));
  return plan;
}

}  // namespace tidemill
