#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/columns.h"

namespace tidemill {

/// nullptr when there is none of that name.
const Field* FindField(const std::vector<Field>& fields, std::string_view name);
std::vector<std::string> FieldNames(const std::vector<Field>& fields);

}  // namespace tidemill
