#pragma once

#include <string>
#include <string_view>

namespace tidemill {

/// Appends `text` (UTF-8) with every letter in lower or upper case, character by character, as DuckDB's lower() and upper() do.
/// The same on every machine: no locale has a say.
void AppendLowerCase(std::string_view text, std::string& result);
void AppendUpperCase(std::string_view text, std::string& result);

}  // namespace tidemill
