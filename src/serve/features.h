#pragma once

#include "base/json.h"
#include "base/result.h"
#include "feature/online/store.h"
#include "model/training_set.h"

namespace tidemill {

/// Online values of a view for entities given as JSON objects of its keys: {"view", "at", "results":
/// [{"found", "features": {...}}]}. Errors name the field, what was expected and what came.
Result<Json> AnswerFeatures(OnlineStore& store, const OnlineView& view, const Json& entities, Timestamp at);

/// The same for a derived view, by its plan (PlanDerivedView): the objects bring the fields that it asks for. "found" tells whether
/// every entity that was looked up is known.
Result<Json> AnswerDerivedFeatures(OnlineStore& store, const std::string& view, const FeaturePlan& plan, const Json& entities,
                                   Timestamp at);

}  // namespace tidemill
