#include "base/text_distance.h"

#include <algorithm>
#include <cctype>

namespace tidemill {
namespace {

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

constexpr size_t kListedNamesMax = 20;

}  // namespace

int EditDistance(std::string_view a, std::string_view b) {
  const size_t width = b.size() + 1;
  std::vector<std::vector<int>> rows(a.size() + 1, std::vector<int>(width));
  for (size_t j = 0; j < width; ++j) rows[0][j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    rows[i][0] = static_cast<int>(i);
    for (size_t j = 1; j < width; ++j) {
      const int replace = rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      rows[i][j] = std::min({rows[i - 1][j] + 1, rows[i][j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        rows[i][j] = std::min(rows[i][j], rows[i - 2][j - 2] + 1);
      }
    }
  }
  return rows[a.size()][b.size()];
}

std::string ClosestName(std::string_view name, const std::vector<std::string>& allowed) {
  if (name.size() > 64) return "";
  const int distance_max = name.size() <= 3 ? 1 : name.size() <= 8 ? 2 : 3;
  std::string best;
  int best_distance = distance_max + 1;
  for (const std::string& candidate : allowed) {
    const int distance = EditDistance(Lower(name), Lower(candidate));
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string SuggestionHint(std::string_view name, const std::vector<std::string>& allowed) {
  std::string hint;
  const std::string closest = ClosestName(name, allowed);
  if (!closest.empty()) hint = "did you mean '" + closest + "'? ";
  if (allowed.empty()) return hint;
  hint += "allowed: ";
  for (size_t i = 0; i < allowed.size() && i < kListedNamesMax; ++i) hint += (i > 0 ? ", " : "") + allowed[i];
  if (allowed.size() > kListedNamesMax) hint += ", and " + std::to_string(allowed.size() - kListedNamesMax) + " more";
  return hint;
}

}  // namespace tidemill
