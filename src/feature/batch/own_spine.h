#pragma once

#include <string>
#include <vector>

#include "feature/batch/feature_join.h"

namespace tidemill {

/// Spines made from the views' own rows, for asking without one. Views must have the same number and types of keys; columns
/// are named by the first view's keys, and `kOwnSpineTime` is the time. Code "join_keys".
constexpr std::string_view kOwnSpineTime = "asked_at";

/// All entities that have a row known by `at`, each once, in the order of their keys, at that time.
Result<std::string> EntitiesAt(const std::vector<ViewJoin>& views, Timestamp at);

/// An entity and time in (from, until] for each moment when its answer may change, in the order of time and keys: a row becomes
/// known or its delay is over, or it leaves a window or the ttl. In between, answers stay as they are.
Result<std::string> ChangesBetween(const std::vector<ViewJoin>& views, Timestamp from, Timestamp until);

}  // namespace tidemill
