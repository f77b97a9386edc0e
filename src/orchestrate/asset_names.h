#pragma once

#include <string>
#include <vector>

#include "project/project.h"

namespace tidemill {

/// The parts of a model that are brought up to date apart from its training, as they are called in plans, runs and the catalog.
std::string ScoresName(const std::string& model);    ///< batch scores: "late_arrival.scores"
std::string RequestsName(const std::string& model);  ///< the spine's rows online: "late_arrival.requests"
std::string MonitorName(const std::string& model);   ///< measurements: "late_arrival.monitor"

/// `lake.scores."late_arrival"`.
std::string ScoresTable(const std::string& model);
std::string TrainingTable(const std::string& model);
std::string MainTable(const std::string& asset);

/// The named assets (all when empty) with everything that they need, in an order in which inputs come first. Code "unknown_asset".
Result<std::vector<const AssetNode*>> SelectAssets(const Project& project, const std::vector<std::string>& names);

/// The sources and tables that a model reads, directly or through others, inputs first.
std::vector<const AssetNode*> TablesBehindModel(const Project& project, const std::string& model);

}  // namespace tidemill
