#pragma once

#include <map>
#include <string>
#include <vector>

#include "feature/online/pushes.h"
#include "project/project.h"

namespace tidemill {

/// The views of a project whose states follow pushes at once: their table takes columns of a pushed source as they are
/// (`SELECT * FROM taps`, `SELECT card, amount AS paid FROM taps`), without conditions, and declares no known time of its own. Other
/// views see pushed rows with the next run.
std::vector<PushedView> FindPushedViews(const Project& project, const std::map<std::string, Program>& programs);

/// Columns of a table as columns of the pushed source that it shows; empty when the table does more.
std::map<std::string, std::string> ColumnsOfPushedSource(const Project& project, const TableAsset& table);

}  // namespace tidemill
