#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "project/asset_reader.h"
#include "project/project.h"
#include "project/reference_checks.h"

namespace tidemill {

/// Reports what derived views refer to and is not there: views, names of fields in `join`; and each circle of derived views once,
/// spelled out with places. False when a circle or an unknown view is among them, so that nothing more can be said of them.
bool CheckDerivedViews(const LoadedFiles& files, const Project& project, std::vector<Error>* errors);

/// Refuses (in the errors of `reader`) models that give a derived view, for a field of its request, a column which tells the
/// label. Needs derived views without circles.
void CheckDerivedLeaks(const Project& project, AssetReader& reader);

}  // namespace tidemill
