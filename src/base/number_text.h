#pragma once

#include <cstdint>
#include <string>

namespace tidemill {

/// A number for people, in groups of three digits: "328,521".
std::string GroupedNumber(int64_t number);

}  // namespace tidemill
