#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tidemill {

/// Edits (insert, delete, replace, swap of neighbours) that turn one text into the other
/// (optimal string alignment distance).
int EditDistance(std::string_view a, std::string_view b);

/// The one of `allowed` that was probably meant by `name`, or "" when none is close: a wrong
/// suggestion is worse than none. Case does not count.
std::string ClosestName(std::string_view name, const std::vector<std::string>& allowed);

/// "did you mean 'window'? allowed: of, window, where" (the first half only when one is close;
/// at most 20 names are listed).
std::string SuggestionHint(std::string_view name, const std::vector<std::string>& allowed);

}  // namespace tidemill
