#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "monitor/monitor.h"
#include "stats/distance.h"
#include "stats/histogram.h"

namespace tidemill {
namespace {

constexpr size_t kChunks = 10;
constexpr size_t kCategoriesMax = 1000;
/// NannyML's rule: a number with at most this many different values, in at most a tenth of the rows, is a category.
constexpr size_t kUniqueAsCategoriesMax = 50;
constexpr std::string_view kDefinition = "jensen_shannon_distance_base2";

/// How the values of a column fall into bins: by edges or by category, then one for what lies outside of both, then one for
/// null. So a distribution has `inside + 2` entries.
struct Bins {
  std::vector<double> edges;
  std::vector<std::string> categories;
  size_t inside() const { return edges.empty() ? categories.size() : edges.size() - 1; }
};

bool IsText(const Column& column) { return column.type == Type::kText; }

/// Numbers of any column but text; null and NaN become NaN.
std::vector<double> Numbers(const Column& column) {
  std::vector<double> numbers(column.size());
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (column.IsNull(i)) {
      numbers[i] = std::numeric_limits<double>::quiet_NaN();
    } else {
      numbers[i] = column.type == Type::kDouble ? column.doubles[i] : static_cast<double>(column.ints[i]);
    }
  }
  return numbers;
}

std::string CategoryName(double number) { return fmt::format("{}", number == 0 ? 0.0 : number); }

bool AreCategories(const Column& column, std::span<const double> numbers) {
  if (column.type == Type::kBool) return true;
  std::unordered_set<double> unique;
  size_t known = 0;
  for (const double v : numbers) {
    if (std::isnan(v)) continue;
    ++known;
    if (unique.size() <= kUniqueAsCategoriesMax) unique.insert(v);
  }
  return known > 0 && unique.size() <= kUniqueAsCategoriesMax && unique.size() * 10 <= known;
}

/// The most frequent values, at most kCategoriesMax, in the order of their names.
std::vector<std::string> MostFrequent(std::vector<std::pair<std::string, int64_t>> counts) {
  if (counts.size() > kCategoriesMax) {
    std::sort(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second != b.second ? a.second > b.second : a.first < b.first; });
    counts.resize(kCategoriesMax);
  }
  std::vector<std::string> names;
  for (auto& [name, count] : counts) names.push_back(std::move(name));
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> TextCategories(const Column& column) {
  std::unordered_map<std::string_view, int64_t> counts;
  for (size_t i = 0; i < column.size(); ++i) {
    if (!column.IsNull(i)) ++counts[column.Text(i)];
  }
  return MostFrequent({counts.begin(), counts.end()});
}

std::vector<std::string> NumberCategories(std::span<const double> numbers) {
  std::unordered_map<double, int64_t> counts;
  for (const double v : numbers) {
    if (!std::isnan(v)) ++counts[v];
  }
  std::vector<std::pair<std::string, int64_t>> named;
  for (const auto& [value, count] : counts) named.emplace_back(CategoryName(value), count);
  return MostFrequent(std::move(named));
}

Bins ChooseBins(const Column& column) {
  Bins bins;
  if (IsText(column)) {
    bins.categories = TextCategories(column);
    return bins;
  }
  const std::vector<double> numbers = Numbers(column);
  if (AreCategories(column, numbers)) {
    bins.categories = NumberCategories(numbers);
  } else {
    bins.edges = DoaneEdges(numbers);
  }
  return bins;
}

/// The bin of each row.
std::vector<uint32_t> Encode(const Bins& bins, const Column& column) {
  const auto outside = static_cast<uint32_t>(bins.inside());
  const uint32_t null = outside + 1;
  std::vector<uint32_t> codes(column.size(), null);
  if (IsText(column)) {
    std::unordered_map<std::string_view, uint32_t> code_of;
    for (const std::string& name : bins.categories) code_of.emplace(name, static_cast<uint32_t>(code_of.size()));
    for (size_t i = 0; i < codes.size(); ++i) {
      if (column.IsNull(i)) continue;
      const auto found = code_of.find(column.Text(i));
      codes[i] = found == code_of.end() ? outside : found->second;
    }
    return codes;
  }
  const std::vector<double> numbers = Numbers(column);
  std::unordered_map<double, uint32_t> code_of;
  for (size_t c = 0; c < bins.categories.size(); ++c) code_of.emplace(std::strtod(bins.categories[c].c_str(), nullptr), static_cast<uint32_t>(c));
  for (size_t i = 0; i < codes.size(); ++i) {
    if (std::isnan(numbers[i])) continue;
    if (!bins.edges.empty()) {
      codes[i] = static_cast<uint32_t>(BinOf(numbers[i], bins.edges));
    } else {
      const auto found = code_of.find(numbers[i]);
      codes[i] = found == code_of.end() ? outside : found->second;
    }
  }
  return codes;
}

std::vector<int64_t> Count(const Bins& bins, std::span<const uint32_t> codes) {
  std::vector<int64_t> counts(bins.inside() + 2, 0);
  for (const uint32_t code : codes) ++counts[code];
  return counts;
}

int64_t Total(const std::vector<int64_t>& counts) { return std::accumulate(counts.begin(), counts.end(), int64_t{0}); }

std::vector<double> Shares(const std::vector<int64_t>& counts) {
  const auto total = static_cast<double>(Total(counts));
  std::vector<double> shares;
  for (const int64_t c : counts) shares.push_back(static_cast<double>(c) / total);
  return shares;
}

double Distance(const std::vector<int64_t>& reference, const std::vector<int64_t>& current) {
  return JensenShannonDistance(Shares(reference), Shares(current));
}

/// The distance of each of ten equal parts of the reference, in the order of its rows, from the whole.
std::vector<double> ChunkDistances(const Bins& bins, std::span<const uint32_t> codes, const std::vector<int64_t>& whole) {
  std::vector<double> distances;
  const size_t chunks = std::min(kChunks, codes.size());
  for (size_t i = 0; i < chunks; ++i) {
    const size_t begin = codes.size() * i / chunks;
    const size_t end = codes.size() * (i + 1) / chunks;
    distances.push_back(Distance(whole, Count(bins, codes.subspan(begin, end - begin))));
  }
  return distances;
}

/// mean + 3 standard deviations (population).
double ThreeSigma(const std::vector<double>& values) {
  if (values.empty()) return 0;
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0;
  for (const double v : values) squares += (v - mean) * (v - mean);
  return mean + 3 * std::sqrt(squares / n);
}

Json ProfileColumn(const Column& column, std::optional<double> threshold) {
  const Bins bins = ChooseBins(column);
  const std::vector<uint32_t> codes = Encode(bins, column);
  const std::vector<int64_t> counts = Count(bins, codes);
  const std::vector<double> distances = ChunkDistances(bins, codes, counts);
  Json profile;
  profile["type"] = TypeName(column.type);
  if (bins.edges.empty()) {
    profile["categories"] = bins.categories;
  } else {
    profile["edges"] = bins.edges;
  }
  profile["counts"] = std::vector<int64_t>(counts.begin(), counts.end() - 2);
  profile["outside"] = counts[counts.size() - 2];
  profile["null"] = counts.back();
  profile["chunk_distances"] = distances;
  profile["threshold"] = threshold.value_or(ThreeSigma(distances));
  return profile;
}

struct ColumnReference {
  Bins bins;
  std::vector<int64_t> counts;
  double threshold = 0;
  bool text = false;
};

/// Reads what ProfileColumn wrote.
ColumnReference ReadColumn(const Json& profile) {
  ColumnReference column;
  if (profile.contains("edges")) {
    column.bins.edges = profile.at("edges").get<std::vector<double>>();
  } else {
    column.bins.categories = profile.at("categories").get<std::vector<std::string>>();
  }
  column.counts = profile.at("counts").get<std::vector<int64_t>>();
  column.counts.push_back(profile.at("outside").get<int64_t>());
  column.counts.push_back(profile.at("null").get<int64_t>());
  column.threshold = profile.at("threshold").get<double>();
  column.text = profile.at("type").get<std::string>() == TypeName(Type::kText);
  return column;
}

bool IsSound(const ColumnReference& column) {
  return column.counts.size() == column.bins.inside() + 2 && (column.bins.edges.empty() || column.bins.edges.size() >= 2);
}

}  // namespace

Json ProfileReference(const Columns& rows, const std::vector<Field>& inputs, std::optional<double> threshold) {
  Json reference;
  reference["definition"] = kDefinition;
  reference["rows"] = rows.rows();
  reference["columns"] = Json::object();
  for (const Field& input : inputs) {
    if (const Column* column = rows.Find(input.name)) reference["columns"][input.name] = ProfileColumn(*column, threshold);
  }
  return reference;
}

Result<std::vector<ColumnDrift>> MeasureDrift(const Json& reference, const Columns& rows) {
  std::vector<ColumnDrift> drifts;
  if (rows.rows() == 0 || !reference.contains("columns")) return drifts;
  try {
    for (const auto& [name, profile] : reference.at("columns").items()) {
      const Column* column = rows.Find(name);
      if (column == nullptr) {
        return UserError("drift_column_missing", fmt::format("column '{}' of the drift reference is not among the scored rows", name),
                         "score the rows with the version whose reference this is");
      }
      const ColumnReference expected = ReadColumn(profile);
      if (!IsSound(expected)) return InternalError(fmt::format("the drift reference of column '{}' is damaged", name));
      if (expected.text != IsText(*column)) {
        return UserError("drift_column_type",
                         fmt::format("column '{}' is {} now and was {} in the training set", name, TypeName(column->type),
                                     profile.at("type").get<std::string>()),
                         "train a new version on the changed column");
      }
      if (Total(expected.counts) == 0) continue;  // trained on no rows
      ColumnDrift drift{name, Distance(expected.counts, Count(expected.bins, Encode(expected.bins, *column))), expected.threshold, false};
      drift.drifted = drift.distance > drift.threshold;
      drifts.push_back(std::move(drift));
    }
  } catch (const Json::exception& e) {
    return InternalError(fmt::format("the drift reference is damaged: {}", e.what()));
  }
  return drifts;
}

}  // namespace tidemill
