#pragma once

#include "base/error.h"
#include "base/json.h"

namespace tidemill {

/// {"code", "message", "hint", "file", "line", "column", "others"}; what an error does not have is left out.
Json ErrorToJson(const Error& error);

}  // namespace tidemill
