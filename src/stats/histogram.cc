#include "stats/histogram.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tidemill {
namespace {

struct Summary {
  int64_t count = 0;
  double min = 0, max = 0, mean = 0;
};

Summary Summarize(std::span<const double> values) {
  Summary s;
  double sum = 0;
  for (const double v : values) {
    if (!std::isfinite(v)) continue;
    s.min = s.count == 0 ? v : std::min(s.min, v);
    s.max = s.count == 0 ? v : std::max(s.max, v);
    sum += v;
    ++s.count;
  }
  if (s.count > 0) s.mean = sum / static_cast<double>(s.count);
  return s;
}

/// numpy.linspace(first, last, bins + 1).
std::vector<double> EqualEdges(double first, double last, int64_t bins) {
  std::vector<double> edges(static_cast<size_t>(bins) + 1);
  const double step = (last - first) / static_cast<double>(bins);
  for (int64_t i = 0; i < bins; ++i) edges[static_cast<size_t>(i)] = first + static_cast<double>(i) * step;
  edges.back() = last;
  return edges;
}

/// Edges of bins `width` wide at most over the values' range; width 0: one bin.
std::vector<double> EdgesOfWidth(const Summary& s, double width, int64_t bins_max) {
  if (s.count == 0) return {0, 1};
  if (s.min == s.max) return {s.min - 0.5, s.max + 0.5};
  const double range = s.max - s.min;
  if (!std::isfinite(range) || !(width > 0)) return {s.min, s.max};
  const double bins = std::ceil(range / width);
  return EqualEdges(s.min, s.max, std::clamp<int64_t>(static_cast<int64_t>(std::min(bins, 1e15)), 1, bins_max));
}

double DoaneWidth(std::span<const double> values, const Summary& s) {
  if (s.count <= 2) return 0;
  const auto n = static_cast<double>(s.count);
  double squares = 0;
  for (const double v : values) {
    if (std::isfinite(v)) squares += (v - s.mean) * (v - s.mean);
  }
  const double sigma = std::sqrt(squares / n);
  if (!(sigma > 0) || !std::isfinite(sigma)) return 0;
  double cubes = 0;
  for (const double v : values) {
    if (!std::isfinite(v)) continue;
    const double z = (v - s.mean) / sigma;
    cubes += z * z * z;
  }
  const double skewness = cubes / n;
  const double skewness_sigma = std::sqrt(6.0 * (n - 2) / ((n + 1.0) * (n + 3)));
  return (s.max - s.min) / (1.0 + std::log2(n) + std::log2(1.0 + std::abs(skewness) / skewness_sigma));
}

}  // namespace

std::vector<double> DoaneEdges(std::span<const double> values, int64_t bins_max) {
  const Summary s = Summarize(values);
  return EdgesOfWidth(s, DoaneWidth(values, s), bins_max);
}

std::vector<double> SturgesEdges(std::span<const double> values) {
  const Summary s = Summarize(values);
  const double width = s.count == 0 ? 0 : (s.max - s.min) / (std::log2(static_cast<double>(s.count)) + 1.0);
  return EdgesOfWidth(s, width, 1000);
}

int64_t BinCounts::total() const { return std::accumulate(inside.begin(), inside.end(), outside); }

size_t BinOf(double value, std::span<const double> edges) {
  const size_t bins = edges.size() - 1;
  const double first = edges.front();
  if (value < first || value > edges.back()) return bins;
  // The division may land one bin off next to an edge; the edges themselves decide, as in NumPy.
  const double position = (value - first) / (edges.back() - first) * static_cast<double>(bins);
  size_t bin = std::min(static_cast<size_t>(position), bins - 1);
  if (value < edges[bin]) --bin;
  if (bin + 1 < bins && value >= edges[bin + 1]) ++bin;
  return bin;
}

BinCounts CountInBins(std::span<const double> values, std::span<const double> edges) {
  BinCounts counts;
  counts.inside.assign(edges.size() - 1, 0);
  for (const double v : values) {
    if (std::isnan(v)) continue;
    const size_t bin = BinOf(v, edges);
    ++(bin < counts.inside.size() ? counts.inside[bin] : counts.outside);
  }
  return counts;
}

}  // namespace tidemill
