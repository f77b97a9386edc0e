#pragma once

#include <nlohmann/json.hpp>

namespace tidemill {

/// JSON as a value type. Keys keep the order of insertion, so that what we write is deterministic.
/// nlohmann/json is vocabulary here, like the standard library: it may appear in any header (ADR 3).
using Json = nlohmann::ordered_json;

}  // namespace tidemill
