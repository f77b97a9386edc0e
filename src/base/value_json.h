#pragma once

#include <string_view>

#include "base/columns.h"
#include "base/json.h"
#include "base/result.h"

namespace tidemill {

/// A value for programs: times as ISO 8601 text, numbers that JSON lacks as "NaN", "Infinity", "-Infinity", lists as arrays.
Json ValueToJson(const Value& value);

/// A value of `type` from JSON as ValueToJson writes it; null gives null. Nothing is converted silently: a
/// number for a text, or "5" for an integer, is code "bad_value" with what was expected and what came. Whole
/// numbers do for a number and 5.0 for an integer.
Result<Value> ValueFromJson(const Json& json, Type type);

/// JSON shortened for a message: at most 60 characters.
std::string ShortJson(const Json& json);

/// Parses a JSON text strictly: one document, UTF-8, no duplicate keys, at most `depth_max` deep. Code
/// "bad_json", with the offset.
Result<Json> ParseJson(std::string_view text, int depth_max = 32);

}  // namespace tidemill
