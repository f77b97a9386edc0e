#pragma once

#include <string>

#include "orchestrate/workspace.h"

namespace tidemill {

/// One self-contained HTML page (no network, no other files): the graph, runs, column profiles, model versions with curves and importances,
/// drift and performance over time with alerts and retrainings marked; for a replay also its months.
Result<std::string> RenderReport(Workspace& workspace, const Json* replay);

}  // namespace tidemill
