#pragma once

#include "base/time.h"
#include "cli/init.h"

namespace tidemill {

/// An example: a shop that predicts at each order whether the customer will send it back. Half a year of generated orders up
/// to `now`; the same moment gives the same bytes everywhere.
NewProject MakeSampleProject(Timestamp now);

}  // namespace tidemill
