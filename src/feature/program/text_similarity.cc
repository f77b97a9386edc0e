#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "feature/program/functions.h"

/// How alike two texts are. As in DuckDB these count bytes, not characters.
namespace tidemill::functions {
namespace {

/// Longer texts are not compared: time and memory grow with the product of their lengths.
constexpr size_t kComparedMax = 10'000;

bool TooLong(const Datum& a, const Datum& b) { return a.text.size() > kComparedMax || b.text.size() > kComparedMax; }

/// Insertions, deletions and replacements that make one text the other.
Datum Levenshtein(const Datum& a, const Datum& b) {
  if (TooLong(a, b)) return Datum::Failed();
  std::vector<int64_t> row(b.text.size() + 1);
  std::iota(row.begin(), row.end(), int64_t{0});
  for (size_t i = 0; i < a.text.size(); ++i) {
    int64_t diagonal = row[0]++;
    for (size_t j = 0; j < b.text.size(); ++j) {
      const int64_t replaced = diagonal + (a.text[i] == b.text[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j + 1] + 1, row[j] + 1});
    }
  }
  return Datum::Integer(row.back());
}

/// The same with swaps of two neighbours, between which other edits may fall.
Datum DamerauLevenshtein(const Datum& a, const Datum& b) {
  constexpr size_t kSwapsMax = 1000;
  if (a.text.size() > kSwapsMax || b.text.size() > kSwapsMax) return Datum::Failed();
  const size_t width = b.text.size() + 2;
  const auto far = static_cast<int64_t>(a.text.size() + b.text.size());
  std::vector<int64_t> cells((a.text.size() + 2) * width, far);
  const auto cell = [&](size_t i, size_t j) -> int64_t& { return cells[i * width + j]; };
  for (size_t i = 0; i <= a.text.size(); ++i) cell(i + 1, 1) = static_cast<int64_t>(i);
  for (size_t j = 0; j <= b.text.size(); ++j) cell(1, j + 1) = static_cast<int64_t>(j);
  std::array<size_t, 256> last_row{};
  for (size_t i = 1; i <= a.text.size(); ++i) {
    size_t last_column = 0;
    for (size_t j = 1; j <= b.text.size(); ++j) {
      const size_t swap_row = last_row[static_cast<unsigned char>(b.text[j - 1])];
      const size_t swap_column = last_column;
      const bool equal = a.text[i - 1] == b.text[j - 1];
      if (equal) last_column = j;
      const int64_t swapped = cell(swap_row, swap_column) + static_cast<int64_t>(i - swap_row - 1 + j - swap_column - 1) + 1;
      cell(i + 1, j + 1) = std::min({cell(i, j) + (equal ? 0 : 1), cell(i + 1, j) + 1, cell(i, j + 1) + 1, swapped});
    }
    last_row[static_cast<unsigned char>(a.text[i - 1])] = i;
  }
  return Datum::Integer(cell(a.text.size() + 1, b.text.size() + 1));
}

Datum Hamming(const Datum& a, const Datum& b) {
  if (a.text.size() != b.text.size() || a.text.empty()) return Datum::Failed();
  int64_t different = 0;
  for (size_t i = 0; i < a.text.size(); ++i) different += a.text[i] != b.text[i] ? 1 : 0;
  return Datum::Integer(different);
}

/// The bytes that both have, of those that either has.
Datum Jaccard(const Datum& a, const Datum& b) {
  if (a.text.empty() || b.text.empty()) return Datum::Failed();
  std::array<uint8_t, 256> seen{};
  for (const char c : a.text) seen[static_cast<unsigned char>(c)] |= 1U;
  for (const char c : b.text) seen[static_cast<unsigned char>(c)] |= 2U;
  const auto both = std::count(seen.begin(), seen.end(), 3);
  const auto either = 256 - std::count(seen.begin(), seen.end(), 0);
  return Datum::Number(static_cast<double>(both) / static_cast<double>(either));
}

/// (m/|a| + m/|b| + (m - t)/m) / 3, where m bytes match within half of the longer length of each other, t of them half out of order.
double JaroOf(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return 0;
  const size_t longer = std::max(a.size(), b.size());
  const size_t reach = longer / 2 > 0 ? longer / 2 - 1 : 0;
  std::vector<uint8_t> taken(b.size(), 0);
  std::string matched;
  for (size_t i = 0; i < a.size(); ++i) {
    const size_t begin = i > reach ? i - reach : 0;
    const size_t end = std::min(b.size(), i + reach + 1);
    for (size_t j = begin; j < end; ++j) {
      if (taken[j] != 0 || a[i] != b[j]) continue;
      taken[j] = 1;
      matched += a[i];
      break;
    }
  }
  if (matched.empty()) return 0;
  size_t misplaced = 0;
  for (size_t j = 0, at = 0; j < b.size(); ++j) {
    if (taken[j] != 0) misplaced += matched[at++] != b[j] ? 1 : 0;
  }
  const auto m = static_cast<double>(matched.size());
  const auto t = static_cast<double>(misplaced / 2);
  return (m / static_cast<double>(a.size()) + m / static_cast<double>(b.size()) + (m - t) / m) / 3;
}
Datum Jaro(const Datum& a, const Datum& b) { return TooLong(a, b) ? Datum::Failed() : Datum::Number(JaroOf(a.text, b.text)); }
/// Above .7 a common beginning of up to 4 bytes counts a tenth of what is missing, each.
Datum JaroWinkler(const Datum& a, const Datum& b) {
  if (TooLong(a, b)) return Datum::Failed();
  const double similarity = JaroOf(a.text, b.text);
  size_t prefix = 0;
  while (prefix < 4 && prefix < a.text.size() && prefix < b.text.size() && a.text[prefix] == b.text[prefix]) ++prefix;
  if (similarity <= 0.7) return Datum::Number(similarity);
  return Datum::Number(similarity + static_cast<double>(prefix) * 0.1 * (1 - similarity));
}

}  // namespace

const std::vector<ScalarFunction>& Similarity() {
  constexpr Type kT = Type::kText;
  static const std::vector<ScalarFunction> kFunctions = {
      {"levenshtein", {kT, kT}, Type::kInt64, Strict2<Levenshtein>},
      {"damerau_levenshtein", {kT, kT}, Type::kInt64, Strict2<DamerauLevenshtein>},
      {"hamming", {kT, kT}, Type::kInt64, Strict2<Hamming>},
      {"jaccard", {kT, kT}, Type::kDouble, Strict2<Jaccard>},
      {"jaro_similarity", {kT, kT}, Type::kDouble, Strict2<Jaro>},
      {"jaro_winkler_similarity", {kT, kT}, Type::kDouble, Strict2<JaroWinkler>},
  };
  return kFunctions;
}

}  // namespace tidemill::functions
