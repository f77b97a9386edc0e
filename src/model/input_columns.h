#pragma once

#include "base/result.h"
#include "model/training_set.h"

namespace tidemill {

/// What could not be computed, by view or model.
struct FailureCount {
  std::vector<ValueFailures> failures{};
  int64_t rows_before = 0;  ///< of the spine, before those that are computed next
};

/// Computes the plan's derived features for rows that have the columns they read, and appends them. `count`, if given, is added to.
Status AppendDerived(const FeaturePlan& plan, Columns& rows, FailureCount* count = nullptr);

/// Moves a plan's input columns, each found among the expressions' results or the features, to the end of `to`, in the plan's
/// order, unless `to` has a column of that name already.
Status TakeInputs(const FeaturePlan& plan, Columns& features, Columns& computed, Columns& to);

}  // namespace tidemill
