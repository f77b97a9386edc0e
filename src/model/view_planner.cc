#include "model/view_planner.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text_distance.h"
#include "feature/compile.h"
#include "model/named_fields.h"

namespace tidemill {
namespace {

/// The name outside for a field of a view: the one that `join` gives, else its own.
std::pair<std::string, bool> Joined(const ViewUse& use, const std::string& field) {
  for (const auto& [outside, inside] : use.join) {
    if (inside == field) return {outside, true};
  }
  return {field, false};
}

bool Fits(Type given, Type wanted, bool exactly) {
  return given == wanted || (!exactly && given == Type::kInt64 && wanted == Type::kDouble);
}

void MoveColumns(const std::vector<int>& places, Expression* expression) {
  if (expression->kind == Expression::Kind::kColumn) expression->column = places.at(static_cast<size_t>(expression->column));
  for (Expression& argument : expression->arguments) MoveColumns(places, &argument);
}

}  // namespace

Result<const PlannedView*> ViewPlanner::Find(const std::string& view, const Place& place) {
  TIDEMILL_ASSIGN_OR_RETURN(const Compiled* compiled, Compile(view, place));
  return &compiled->shape;
}

Result<const ViewPlanner::Compiled*> ViewPlanner::Compile(const std::string& view, const Place& place) {
  if (const auto known = compiled_.find(view); known != compiled_.end()) return &known->second;
  if (const auto found = project_.views.find(view); found != project_.views.end()) {
    TIDEMILL_ASSIGN_OR_RETURN(Compiled compiled, CompileLookup(found->second, place));
    return &compiled_.emplace(view, std::move(compiled)).first->second;
  }
  if (const auto found = project_.derived_views.find(view); found != project_.derived_views.end()) {
    TIDEMILL_ASSIGN_OR_RETURN(Compiled compiled, CompileDerived(found->second));
    return &compiled_.emplace(view, std::move(compiled)).first->second;
  }
  std::vector<std::string> names;
  for (const auto& [name, asset] : project_.views) names.push_back(name);
  for (const auto& [name, asset] : project_.derived_views) names.push_back(name);
  return UserErrorAt("unknown_name", fmt::format("there is no feature view '{}'", view), place, SuggestionHint(view, names));
}

Result<ViewPlanner::Compiled> ViewPlanner::CompileLookup(const FeatureViewAsset& view, const Place& place) {
  const auto table = project_.tables.find(view.from);
  if (table == project_.tables.end()) {
    return UserErrorAt("unknown_name", fmt::format("view '{}' reads '{}', which is not a table", view.name, view.from), place);
  }
  const auto fields = table_fields_.find(view.from);
  if (fields == table_fields_.end()) return InternalError(fmt::format("the columns of table '{}' are not known", view.from));
  Compiled compiled;
  TIDEMILL_ASSIGN_OR_RETURN(compiled.program, CompileView(view, table->second, fields->second, session_));
  compiled.shape.fields = compiled.program.keys;
  for (const Field& key : compiled.program.keys) compiled.shape.keys.insert(key.name);
  compiled.shape.features = compiled.program.OutputFields();
  return compiled;
}

Result<ViewPlanner::Compiled> ViewPlanner::CompileDerived(const DerivedViewAsset& view) {
  Compiled compiled;
  compiled.derived = &view;
  compiled.shape.fields = view.request;
  DerivedNames names;
  names.owner = "the request";
  names.fields = view.request;
  for (const ViewUse& use : view.uses) {
    TIDEMILL_ASSIGN_OR_RETURN(const PlannedView* used, Find(use.view, use.place));
    TIDEMILL_RETURN_IF_ERROR(AddFields(view, use, *used, compiled.shape));
    names.views.push_back({use.as, used->features});
  }
  std::vector<Error> errors;
  for (const FeatureDefinition& feature : view.features) {
    auto derived = CompileDerivedFeature(feature, names, session_);
    if (!derived.ok()) {
      errors.push_back(std::move(derived).error());
      continue;
    }
    names.above.push_back({feature.name, derived->output.expression.type});
    compiled.derived_features.push_back(std::move(derived).value());
  }
  compiled.shape.features = names.above;
  if (errors.empty()) return compiled;
  Error first = std::move(errors.front());
  first.others.insert(first.others.end(), std::make_move_iterator(errors.begin() + 1), std::make_move_iterator(errors.end()));
  return first;
}

/// A used view's fields are asked for too, under their names here. What has one name is one field.
Status ViewPlanner::AddFields(const DerivedViewAsset& view, const ViewUse& use, const PlannedView& used,
                              PlannedView& shape) const {
  for (const Field& field : used.fields) {
    const std::string name = Joined(use, field.name).first;
    const bool is_key = used.keys.contains(field.name);
    const Field* known = FindField(shape.fields, name);
    if (known == nullptr) {
      shape.fields.push_back({name, field.type});
    } else if (!Fits(known->type, field.type, is_key)) {
      return UserErrorAt("wrong_type",
                         fmt::format("'{}' of '{}' is {}, but '{}' of view '{}' is {}", name, view.name, TypeName(known->type),
                                     field.name, use.view, TypeName(field.type)),
                         use.place,
                         fmt::format("make both {}, or take another field: {{view: {}, join: {{FIELD: {}}}}}",
                                     TypeName(field.type), use.view, field.name));
    }
    if (is_key) shape.keys.insert(name);
  }
  return Ok();
}

Result<std::vector<std::string>> ViewPlanner::ColumnsFor(const ViewUse& use, const PlannedView& view, const Offer& offer) const {
  std::vector<std::string> columns;
  for (const Field& wanted : view.fields) {
    const auto [column, joined] = Joined(use, wanted.name);
    const bool is_key = view.keys.contains(wanted.name);
    const Field* field = FindField(offer.fields, column);
    if (field == nullptr) {
      const std::string asks = is_key ? fmt::format("is of entity '{}'", wanted.name)
                                      : fmt::format("asks a request for '{}' ({})", wanted.name, TypeName(wanted.type));
      return UserErrorAt(
          "unknown_column", fmt::format("view '{}' {}, and {} has no column '{}'", use.view, asks, offer.owner, column),
          use.place,
          joined ? SuggestionHint(column, FieldNames(offer.fields))
                 : fmt::format("say which column holds it: {{view: {}, join: {{SPINE_COLUMN: {}}}}}; the spine has {}", use.view,
                               wanted.name, fmt::join(FieldNames(offer.fields), ", ")));
    }
    if (!Fits(field->type, wanted.type, is_key)) {
      return UserErrorAt("wrong_type",
                         fmt::format("'{}' of {} is {}, but '{}' of view '{}' is {}", column, offer.owner, TypeName(field->type),
                                     wanted.name, use.view, TypeName(wanted.type)),
                         use.place,
                         fmt::format("cast one of them in its table's SQL, so that both are {}", TypeName(wanted.type)));
    }
    columns.push_back(column);
  }
  return columns;
}

Result<BoundView> ViewPlanner::Bind(const ViewUse& use, const Offer& offer) {
  TIDEMILL_ASSIGN_OR_RETURN(const PlannedView* view, Find(use.view, use.place));
  TIDEMILL_ASSIGN_OR_RETURN(std::vector<std::string> columns, ColumnsFor(use, *view, offer));
  if (use.as.empty()) return BindHidden(use.view, std::move(columns));
  prefixes_.emplace(std::pair(use.view, columns), use.as);
  return BoundView{use.view, std::move(columns), use.as};
}

BoundView ViewPlanner::BindHidden(const std::string& view, std::vector<std::string> columns) const {
  const auto item = prefixes_.find({view, columns});
  // Inputs of models can't begin with a slash.
  std::string prefix = item != prefixes_.end() ? item->second : fmt::format("/{}({})", view, fmt::join(columns, ","));
  return {view, std::move(columns), std::move(prefix)};
}

Result<Field> ViewPlanner::Take(const BoundView& bound, const std::string& feature) {
  TIDEMILL_ASSIGN_OR_RETURN(const Compiled* view, Compile(bound.view, {}));
  if (view->derived == nullptr) {
    const Field* output = FindField(view->shape.features, feature);
    if (output == nullptr) return InternalError(fmt::format("view '{}' has no '{}'", bound.view, feature));
    return TakeLookup(*view, bound, *output);
  }
  for (const DerivedFeature& derived : view->derived_features) {
    if (derived.output.name == feature) return TakeDerived(*view, bound, derived);
  }
  return InternalError(fmt::format("view '{}' has no '{}'", bound.view, feature));
}

/// `weather.temp` and `weather.wind` are one join.
Result<Field> ViewPlanner::TakeLookup(const Compiled& view, const BoundView& bound, const Field& feature) {
  auto planned = std::find_if(plan_.views.begin(), plan_.views.end(), [&](const FeaturePlan::View& other) {
    return other.program.view == bound.view && other.prefix == bound.prefix && other.spine_keys == bound.columns;
  });
  if (planned == plan_.views.end()) {
    const std::string& table = project_.views.at(bound.view).from;
    const std::string& event_time = project_.tables.at(table).timestamp;
    planned = plan_.views.insert(planned, {view.program, table, event_time, bound.columns, bound.prefix, {}, {}});
  }
  std::vector<std::string>& outputs = planned->outputs;
  if (std::find(outputs.begin(), outputs.end(), feature.name) == outputs.end()) outputs.push_back(feature.name);
  return Field{fmt::format("{}__{}", bound.prefix, feature.name), feature.type};
}

Result<Field> ViewPlanner::TakeDerived(const Compiled& view, const BoundView& bound, const DerivedFeature& feature) {
  const std::tuple instance(bound.view, bound.prefix, bound.columns);
  if (const auto done = derived_[instance].find(feature.output.name); done != derived_[instance].end()) return done->second;
  const auto column_of = [&](const std::string& field) {
    const auto found =
        std::find_if(view.shape.fields.begin(), view.shape.fields.end(), [&](const Field& f) { return f.name == field; });
    return bound.columns.at(static_cast<size_t>(found - view.shape.fields.begin()));
  };
  std::vector<Field> columns;
  for (const DerivedInput& input : feature.inputs) {
    switch (input.from) {
      case DerivedInput::From::kField:
        columns.push_back({column_of(input.field.name), input.field.type});
        break;
      case DerivedInput::From::kAbove: {
        TIDEMILL_ASSIGN_OR_RETURN(Field above, Take(bound, input.field.name));
        columns.push_back(std::move(above));
        break;
      }
      case DerivedInput::From::kView: {
        const auto use = std::find_if(view.derived->uses.begin(), view.derived->uses.end(),
                                      [&](const ViewUse& candidate) { return candidate.as == input.view; });
        TIDEMILL_ASSIGN_OR_RETURN(const PlannedView* used, Find(use->view, use->place));
        std::vector<std::string> taken;
        for (const Field& field : used->fields) taken.push_back(column_of(Joined(*use, field.name).first));
        TIDEMILL_ASSIGN_OR_RETURN(Field column, Take(BindHidden(use->view, std::move(taken)), input.field.name));
        columns.push_back(std::move(column));
        break;
      }
    }
  }
  return derived_[instance][feature.output.name] = Emit(bound.view, bound.prefix, feature, std::move(columns));
}

Result<Field> ViewPlanner::TakeExpression(const FeatureDefinition& expression, const Offer& offer,
                                          const std::map<std::string, BoundView>& views) {
  DerivedNames names;
  names.owner = offer.owner;
  names.fields = offer.fields;
  for (const auto& [name, bound] : views) {
    TIDEMILL_ASSIGN_OR_RETURN(const PlannedView* view, Find(bound.view, expression.place));
    names.views.push_back({name, view->features});
  }
  TIDEMILL_ASSIGN_OR_RETURN(const DerivedFeature compiled, CompileDerivedFeature(expression, names, session_));
  std::vector<Field> columns;
  for (const DerivedInput& input : compiled.inputs) {
    if (input.from == DerivedInput::From::kField) {
      columns.push_back(input.field);
      continue;
    }
    TIDEMILL_ASSIGN_OR_RETURN(Field column, Take(views.at(input.view), input.field.name));
    columns.push_back(std::move(column));
  }
  return Emit("", "", compiled, std::move(columns));
}

/// Appends a feature to the last expressions of the plan where it can be computed beside them.
Field ViewPlanner::Emit(const std::string& view, const std::string& prefix, const DerivedFeature& feature,
                        std::vector<Field> columns) {
  const auto reads_last = [&] {
    const std::vector<Output>& outputs = plan_.derived.back().program.outputs;
    return std::any_of(columns.begin(), columns.end(), [&](const Field& column) {
      return std::any_of(outputs.begin(), outputs.end(), [&](const Output& output) { return output.name == column.name; });
    });
  };
  if (plan_.derived.empty() || plan_.derived.back().view != view || plan_.derived.back().prefix != prefix || reads_last())
    plan_.derived.push_back({view, prefix, {}});
  RowProgram& program = plan_.derived.back().program;
  std::vector<int> places;
  for (Field& column : columns) {
    const auto known = std::find(program.columns.begin(), program.columns.end(), column);
    places.push_back(static_cast<int>(known - program.columns.begin()));
    if (known == program.columns.end()) program.columns.push_back(std::move(column));
  }
  Output output = feature.output;
  MoveColumns(places, &output.expression);
  if (!prefix.empty()) output.name = fmt::format("{}__{}", prefix, output.name);
  Field made{output.name, output.expression.type};
  program.outputs.push_back(std::move(output));
  return made;
}

}  // namespace tidemill
