#pragma once

#include "base/json.h"
#include "base/result.h"
#include "feature/online/store.h"

namespace tidemill {

/// Online values of a view for entities given as JSON objects of its keys: {"view", "at", "results":
/// [{"found", "features": {...}}]}. Errors name the field, what was expected and what came.
Result<Json> AnswerFeatures(OnlineStore& store, const Program& program, const Json& entities, Timestamp at);

}  // namespace tidemill
