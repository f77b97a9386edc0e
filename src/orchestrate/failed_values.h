#pragma once

#include "base/error.h"
#include "project/project.h"

namespace tidemill {

/// An error "values_failed" at the place of the feature that it is about; other errors as they are.
Error PlaceFailedValues(const Project& project, Error error);

}  // namespace tidemill
