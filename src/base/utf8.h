#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tidemill {

/// Offset of the first byte that is not part of valid UTF-8 text (also NUL), or npos.
size_t FindInvalidUtf8(std::string_view text);

/// For messages and for storing what came: invalid bytes and NUL as \xE9, the rest as it is.
std::string EscapeInvalidUtf8(std::string_view text);

}  // namespace tidemill
