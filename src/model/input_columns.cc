#include "model/input_columns.h"

#include <fmt/format.h>

#include "feature/derived_feature.h"

namespace tidemill {

Status AppendDerived(const FeaturePlan& plan, Columns& rows, FailureCount* count) {
  for (const FeaturePlan::Derived& derived : plan.derived) {
    // Of an expression of the model not a number stays what it is, as where it reads the spine alone.
    const bool is_view = !derived.view.empty();
    uint64_t failed = 0;
    TIDEMILL_ASSIGN_OR_RETURN(Columns made,
                              is_view ? EvaluateDerived(derived.program, rows, &failed) : derived.program.Evaluate(rows, &failed));
    if (count != nullptr) {
      TIDEMILL_RETURN_IF_ERROR(AddFailures(derived.program, rows, failed, count->rows_before, is_view ? "view" : "model",
                                           is_view ? derived.view : plan.model, count->failures));
    }
    for (Column& column : made.columns) rows.columns.push_back(std::move(column));
  }
  return Ok();
}

Status TakeInputs(const FeaturePlan& plan, Columns& features, Columns& computed, Columns& to) {
  for (const Field& input : plan.inputs) {
    if (to.Find(input.name) != nullptr) continue;
    const bool is_expression = computed.Find(input.name) != nullptr;
    Column* found = is_expression ? computed.Find(input.name) : features.Find(input.name);
    if (found == nullptr) return InternalError(fmt::format("the feature join gave no '{}'", input.name));
    if (found->type != input.type) {
      return InternalError(
          fmt::format("'{}' came as {}, planned was {}", input.name, TypeName(found->type), TypeName(input.type)));
    }
    to.columns.push_back(std::move(*found));
  }
  return Ok();
}

}  // namespace tidemill
