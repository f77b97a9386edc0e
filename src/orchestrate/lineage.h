#pragma once

#include "orchestrate/workspace.h"

namespace tidemill {

/// Where a thing came from, or what depends on it, as a tree for people and JSON for programs: {"kind", "name", "detail", "from":
/// [...]}. `subject`: a prediction id, "model@version", an asset, or "asset.column" (columns lead down to everything that depends
/// on them).
Result<Json> TraceLineage(Workspace& workspace, const std::string& subject);

}  // namespace tidemill
