#pragma once

#include <string_view>

namespace tidemill {

/// A single statement without the blanks, comments and semicolons after its last word, so that it can stand in
/// parentheses. Quoted text, quoted names, dollar quotes and comments are skipped as DuckDB does.
std::string_view WithoutStatementEnd(std::string_view sql);

}  // namespace tidemill
