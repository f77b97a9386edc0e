#include "feature/batch/join_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/text_distance.h"

namespace tidemill {
namespace {

Result<size_t> FindColumn(const std::vector<Field>& spine, const std::string& name) {
  std::vector<std::string> names;
  for (size_t i = 0; i < spine.size(); ++i) {
    if (spine[i].name == name) return i;
    names.push_back(spine[i].name);
  }
  return UserError("unknown_column", fmt::format("the spine has no column '{}'", name), SuggestionHint(name, names));
}

Result<std::vector<size_t>> KeyColumns(const std::vector<Field>& spine, const ViewJoin& view) {
  const std::vector<Field>& keys = view.program->keys;
  if (view.spine_keys.size() != keys.size()) {
    return UserError("join_keys", fmt::format("view '{}' has {} keys, but {} were given", view.program->view, keys.size(),
                                              view.spine_keys.size()));
  }
  std::vector<size_t> columns;
  for (size_t i = 0; i < keys.size(); ++i) {
    TIDEMILL_ASSIGN_OR_RETURN(const size_t column, FindColumn(spine, view.spine_keys[i]));
    if (spine[column].type != keys[i].type) {
      return UserError("key_type",
                       fmt::format("spine column '{}' is {}, but key '{}' of view '{}' is {}", spine[column].name,
                                   TypeName(spine[column].type), keys[i].name, view.program->view, TypeName(keys[i].type)),
                       "cast one of them in its table");
    }
    columns.push_back(column);
  }
  return columns;
}

/// Which outputs of the program are asked for.
Result<std::vector<size_t>> WantedOutputs(const ViewJoin& view) {
  const std::vector<Output>& all = view.program->outputs;
  std::vector<size_t> wanted;
  for (const std::string& name : view.outputs) {
    const auto at = std::find_if(all.begin(), all.end(), [&](const Output& output) { return output.name == name; });
    if (at == all.end()) {
      std::vector<std::string> names;
      for (const Output& output : all) names.push_back(output.name);
      return UserError("unknown_feature", fmt::format("view '{}' has no feature '{}'", view.program->view, name),
                       SuggestionHint(name, names));
    }
    wanted.push_back(static_cast<size_t>(at - all.begin()));
  }
  if (view.outputs.empty()) {
    wanted.resize(all.size());
    std::iota(wanted.begin(), wanted.end(), size_t{0});
  }
  return wanted;
}

Status AddView(const ViewJoin& view, JoinPlan& plan) {
  JoinPlan::View planned;
  planned.program = *view.program;
  planned.table_sql = view.table_sql;
  planned.event_time = view.event_time;
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<size_t> keys, KeyColumns(plan.spine, view));
  TIDEMILL_ASSIGN_OR_RETURN(planned.compiled, CompiledProgram::Make(*view.program));
  TIDEMILL_ASSIGN_OR_RETURN(planned.outputs, WantedOutputs(view));
  auto same = std::find(plan.keys.begin(), plan.keys.end(), keys);
  if (same == plan.keys.end()) same = plan.keys.insert(plan.keys.end(), keys);
  planned.keys = static_cast<size_t>(same - plan.keys.begin());
  for (const size_t output : planned.outputs) {
    const std::string name = view.prefix + "__" + view.program->outputs[output].name;
    const auto has_name = [&](const Field& field) { return field.name == name; };
    if (std::any_of(plan.spine.begin(), plan.spine.end(), has_name) ||
        std::any_of(plan.features.begin(), plan.features.end(), has_name)) {
      return UserError("duplicate_column", fmt::format("there are two columns named '{}'", name),
                       "give one of the views another name with 'as'");
    }
    plan.features.push_back({name, planned.compiled->output_type(output)});
  }
  plan.views.push_back(std::move(planned));
  return Ok();
}

}  // namespace

Result<JoinPlan> PlanJoin(const FeatureJoinRequest& request, const std::vector<Field>& spine) {
  JoinPlan plan;
  plan.spine = spine;
  TIDEMILL_ASSIGN_OR_RETURN(plan.time_column, FindColumn(spine, request.time_column));
  if (const Type type = spine[plan.time_column].type; type != Type::kTimestamp) {
    return UserError("time_type", fmt::format("spine column '{}' is {}, not a timestamp", request.time_column, TypeName(type)),
                     "cast it: CAST(x AS TIMESTAMP), or make_timestamp(x) of microseconds since 1970");
  }
  for (const ViewJoin& view : request.views) TIDEMILL_RETURN_IF_ERROR(AddView(view, plan));
  return plan;
}

}  // namespace tidemill
