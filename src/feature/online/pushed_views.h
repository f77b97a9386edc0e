#pragma once

#include <map>
#include <string>
#include <vector>

#include "feature/online/pushes.h"
#include "project/project.h"

namespace tidemill {

/// How pushes reach the views of a project.
struct PushedViews {
  std::vector<PushedView> at_once;
  std::vector<LaterView> later;
};

/// At once: views over row-wise tables (see CompileRowWise), also one over the other, of a pushed source. Others over tables that
/// are made of pushed sources see the rows with the next run. `fields` are the columns of sources and tables.
PushedViews FindPushedViews(const Project& project, const std::map<std::string, Program>& programs,
                            const std::map<std::string, std::vector<Field>>& fields, Session& session);

}  // namespace tidemill
