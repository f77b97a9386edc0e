#pragma once

#include <string>
#include <vector>

#include "feature/batch/feature_join.h"

namespace tidemill {

/// The point-in-time join of a spine in memory (see FeatureJoin): the same columns, then the features.
Result<Columns> JoinFeatures(Session& session, Columns spine, const std::string& time_column, const std::vector<ViewJoin>& views,
                             Timestamp now, int threads);

}  // namespace tidemill
