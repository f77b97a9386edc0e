#pragma once

#include <string>

#include "orchestrate/workspace.h"

namespace tidemill {

/// Everything that depends on a column of an asset (of a view: a feature's column), downstream, as TraceLineage shows it. What
/// shows up twice is spelled out once. Code "unknown_column".
Result<Json> TraceColumnDependents(const Workspace& workspace, const AssetNode& asset, const std::string& column);

}  // namespace tidemill
