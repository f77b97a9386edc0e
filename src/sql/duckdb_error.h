#pragma once

#include <string_view>

#include "base/error.h"

namespace tidemill {

/// An Error from what DuckDB reports with the setting errors_as_json (with or without a prefix before the JSON):
/// see Session for codes and place. Text that isn't JSON becomes the message of code "sql".
Error ErrorFromDuckDb(std::string_view report);

}  // namespace tidemill
