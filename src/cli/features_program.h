#pragma once

#include "cli/command.h"

namespace tidemill {

/// `tidemill features program VIEW`: what a view compiles to.
Command MakeFeaturesProgramCommand();

}  // namespace tidemill
