#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/columns.h"
#include "feature/program/datum.h"

namespace tidemill {

/// An unambiguous, ordered encoding of an entity's key values with their types: (1, 12) and (11, 2) differ, and so do 1 and '1'.
/// Equal numbers have one encoding: all NaN are one, and so are 0.0 and -0.0.
std::string EncodeKey(const std::vector<Value>& values);

/// The same, appended to `key`.
void AppendKeyPart(const Datum& value, Type type, std::string& key);

}  // namespace tidemill
