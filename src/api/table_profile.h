#pragma once

#include <string_view>
#include <vector>

#include "base/columns.h"
#include "base/json.h"
#include "base/result.h"
#include "sql/database.h"

namespace tidemill {

/// The shape of a relation's columns: `{"rows": n, "columns": [{"name", "type", "null_share", "distinct", "min", "mean", "max",
/// "histogram": [20 counts of equally wide bins], "top": [[value, rows]]}]}`. Distinct counts are estimates (HyperLogLog);
/// texts have `top` (their most frequent values) instead of a mean and a histogram. At most 200 columns. Above two million rows
/// the histograms and most frequent values come from every k-th row, and "sampled" is true.
/// `fields`: of the relation, without `_seq` and `_known_at`, which the relation must have when it is that long.
Result<Json> ProfileTable(Session& session, std::string_view relation_sql, const std::vector<Field>& fields);

}  // namespace tidemill
