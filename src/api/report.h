#pragma once

#include <string>

#include "orchestrate/workspace.h"

namespace tidemill {

/// One self-contained HTML page (no network, no other files): the graph, runs, column profiles, model versions with curves and importances,
/// drift and performance over time with alerts and retrainings marked. `replay`: ReplayReport::ToJson, or nullptr; its months are shown
/// and, where its folder (relative to the project, or absolute) is still there, the models that it trained and what was measured of them.
Result<std::string> RenderReport(Workspace& workspace, const Json* replay);

}  // namespace tidemill
