#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "feature/batch/feature_join.h"
#include "feature/value_failures.h"

namespace tidemill {

/// Called now and then with the spine rows done, and all of them; from one thread at a time.
using JoinProgress = std::function<void(int64_t done, int64_t total)>;

/// What is made of the joined rows before they are written; its columns don't depend on the rows.
using JoinTransform = std::function<Result<Columns>(Columns joined)>;

struct WrittenJoin {
  int64_t rows = 0;
  std::vector<ValueFailures> failures;
};

/// Joins and writes a Parquet file, in the spine's order, without holding it. The file appears when it is whole: until then it
/// is PATH.partial, which goes away on failure and which a later run overwrites. `writing` is another session, whose default
/// schema is its own memory. Codes: "locked" (somebody else is writing it), "disk_full", those of CheckedJoin and of
/// `transform`.
Result<WrittenJoin> WriteJoin(Session& reading, Session& writing, const FeatureJoinRequest& request,
                              const std::filesystem::path& path, const JoinProgress& progress,
                              const JoinTransform& transform = {});

}  // namespace tidemill
