#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tidemill {

/// Checks that `sql` is one statement that only reads, and returns it without a final semicolon or comment.
/// Codes: "empty_query", "several_statements", "not_read_only". The lake is opened for reading as well, so
/// this is for a message that helps, not a wall.
Result<std::string> CheckReadOnly(std::string_view sql);

/// Whether `name` stands in `sql` as a word, outside of comments and texts.
bool MentionsName(std::string_view sql, std::string_view name);

}  // namespace tidemill
