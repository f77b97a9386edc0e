#pragma once

#include "cli/command.h"

namespace tidemill {

/// `tidemill features join`.
Command MakeFeaturesJoinCommand();

}  // namespace tidemill
