#pragma once

#include "base/result.h"
#include "model/training_set.h"

namespace tidemill {

/// Computes the plan's derived features for rows that have the columns they read, and appends them.
Status AppendDerived(const FeaturePlan& plan, Columns& rows);

/// Moves a plan's input columns, each found among the expressions' results or the features, to the end of `to`, in the plan's
/// order, unless `to` has a column of that name already.
Status TakeInputs(const FeaturePlan& plan, Columns& features, Columns& computed, Columns& to);

}  // namespace tidemill
