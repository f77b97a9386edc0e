#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tidemill {

/// SHA-256 as 64 lower-case hexadecimal digits: for identities that are stored or compared across machines.
std::string Sha256(std::string_view bytes);
Result<std::string> Sha256File(const std::filesystem::path& path);

/// A fast 64-bit hash (XXH3), the same on every machine and in every version: for tables and buckets, not for identity.
uint64_t Hash64(std::string_view bytes, uint64_t seed = 0);

}  // namespace tidemill
