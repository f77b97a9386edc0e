#include "model/input_columns.h"

#include <fmt/format.h>

namespace tidemill {

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
