#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tidemill {

/// SHA-256 as 64 lower-case hexadecimal digits: for identities that are stored or compared across machines.
std::string Sha256(std::string_view bytes);
Result<std::string> Sha256File(const std::filesystem::path& path);

}  // namespace tidemill
