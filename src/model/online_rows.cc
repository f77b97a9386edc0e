#include <algorithm>

#include <fmt/format.h>

#include "model/input_columns.h"
#include "model/training_set.h"

namespace tidemill {
namespace {

/// The wanted features of one view for each request, from the store.
Status LookUpView(const FeaturePlan::View& view, OnlineStore& store, const Columns& requests, const std::vector<Timestamp>& times,
                  Columns& to, std::vector<bool>* found) {
  std::vector<const Column*> keys;
  for (const std::string& key : view.spine_keys) {
    const Column* column = requests.Find(key);
    if (column == nullptr) return UserError("missing_field", fmt::format("the request lacks '{}'", key));
    keys.push_back(column);
  }
  const std::vector<Field> fields = view.program.OutputFields();
  std::vector<size_t> wanted;
  const size_t first = to.columns.size();
  for (size_t i = 0; i < fields.size(); ++i) {
    if (std::find(view.outputs.begin(), view.outputs.end(), fields[i].name) == view.outputs.end()) continue;
    wanted.push_back(i);
    to.columns.emplace_back(fmt::format("{}__{}", view.prefix, fields[i].name), fields[i].type);
  }
  TIDEMILL_ASSIGN_OR_RETURN(const std::shared_ptr<const OnlineView> online, view.online.For(view.program));
  std::vector<Value> key(keys.size());
  for (size_t row = 0; row < times.size(); ++row) {
    for (size_t i = 0; i < keys.size(); ++i) key[i] = keys[i]->At(row);
    TIDEMILL_ASSIGN_OR_RETURN(const OnlineFeatures features, online->LookUp(store, key, times[row]));
    if (features.values.size() != fields.size())
      return InternalError(fmt::format("the online store gave {} features of {}", features.values.size(), fields.size()));
    if (found != nullptr && !features.found) (*found)[row] = false;
    for (size_t i = 0; i < wanted.size(); ++i) TIDEMILL_RETURN_IF_ERROR(to.columns[first + i].Append(features.values[wanted[i]]));
  }
  return Ok();
}

}  // namespace

Result<Columns> BuildOnlineRows(const FeaturePlan& plan, OnlineStore& store, const Columns& requests,
                                const std::vector<Timestamp>& times, std::vector<bool>* found) {
  for (const Field& field : plan.request_fields) {
    const Column* column = requests.Find(field.name);
    if (column == nullptr) return UserError("missing_field", fmt::format("the request lacks '{}'", field.name));
    if (column->size() != times.size()) return InternalError("requests and times differ in number");
  }
  Columns computed;
  if (!plan.request_fields.empty() && !plan.expressions.outputs.empty()) {
    TIDEMILL_ASSIGN_OR_RETURN(computed, plan.expressions.Evaluate(requests));
  }
  Columns looked_up;
  if (found != nullptr) found->assign(times.size(), true);
  // Derived features read the request's fields beside the views' features.
  if (!plan.derived.empty()) looked_up = requests;
  for (const FeaturePlan::View& view : plan.views)
    TIDEMILL_RETURN_IF_ERROR(LookUpView(view, store, requests, times, looked_up, found));
  TIDEMILL_RETURN_IF_ERROR(AppendDerived(plan, looked_up));
  Columns rows;
  TIDEMILL_RETURN_IF_ERROR(TakeInputs(plan, looked_up, computed, rows));
  return rows;
}

}  // namespace tidemill
