#pragma once

#include <cstdint>
#include <string_view>

namespace tidemill {

/// A fast 64-bit hash (XXH3), the same on every machine and in every version: for tables and buckets, not for identity.
uint64_t Hash64(std::string_view bytes, uint64_t seed = 0);

}  // namespace tidemill
