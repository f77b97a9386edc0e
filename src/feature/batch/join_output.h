#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "feature/batch/feature_join.h"

namespace tidemill {

/// Called now and then with the spine rows done, and all of them; from one thread at a time.
using JoinProgress = std::function<void(int64_t done, int64_t total)>;

/// The rows of a join as they are made, for ExecuteOver(). The join must outlive them.
RowStream JoinedRows(FeatureJoin& join, JoinProgress progress);

/// Joins and writes a Parquet file, in the spine's order, without holding it. The file appears when it is whole: until then it
/// is PATH.partial, which goes away on failure and which a later run overwrites. `writing` is another session, whose default
/// schema is its own memory. Returns the number of rows. Codes: "locked" (somebody else is writing it), "disk_full", those of
/// FeatureJoin.
Result<int64_t> WriteJoin(Session& reading, Session& writing, const FeatureJoinRequest& request,
                          const std::filesystem::path& path, const JoinProgress& progress);

}  // namespace tidemill
