#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tidemill {

/// Edges of equally wide bins by Doane's rule (Doane 1976: Sturges' number of bins, more of them for skewed data), as
/// NumPy's `histogram_bin_edges(values, bins="doane")` gives them: n + 1 rising edges for n bins. Only finite values
/// count. Values that are all equal get one bin of width 1 around them; no value at all gives {0, 1}.
/// `bins_max` bounds the bins (and so the memory) when one outlier stretches the range.
std::vector<double> DoaneEdges(std::span<const double> values, int64_t bins_max = 1000);

/// Edges of equally wide bins by Sturges' rule, as NumPy's `bins="sturges"`. Same edge cases.
std::vector<double> SturgesEdges(std::span<const double> values);

/// How many values fall into each bin: [edge, next edge), the last bin includes its right edge (NumPy's convention).
/// `outside`: values beyond the edges, infinities among them. NaN counts nowhere.
struct BinCounts {
  std::vector<int64_t> inside;
  int64_t outside = 0;
  int64_t total() const;
};

/// The bin of one value (not NaN), or the number of bins when it lies outside. `edges`: at least two, rising, equally wide
/// (as the functions above give them).
size_t BinOf(double value, std::span<const double> edges);

BinCounts CountInBins(std::span<const double> values, std::span<const double> edges);

}  // namespace tidemill
