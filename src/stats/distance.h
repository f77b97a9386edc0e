#pragma once

#include <span>

namespace tidemill {

// Distances between two distributions over the same bins or categories. Inputs are shares of rows (0..1, each sums to 1)
// of equal length; `reference` comes first where the order matters. docs/monitoring.md says which monitor uses which.

/// The square root of the Jensen-Shannon divergence with logarithms to base 2 (SciPy's `jensenshannon(p, q, base=2)`;
/// NannyML's definition). Symmetric; 0 when equal, 1 when nothing overlaps. Bins empty on both sides do not matter.
double JensenShannonDistance(std::span<const double> reference, std::span<const double> current);

/// The same with the natural logarithm (Evidently's definition): at most sqrt(ln 2).
double JensenShannonDistanceNats(std::span<const double> reference, std::span<const double> current);

/// Kullback-Leibler divergence in nats, sum r ln(r / c) (SciPy's `entropy(r, c)`): infinite where c is 0 and r is not.
double KullbackLeiblerDivergence(std::span<const double> reference, std::span<const double> current);

/// Population stability index, sum (r - c) ln(r / c), in nats. An empty bin counts as `fraction_min` (it would be infinite);
/// Evidently's is 0.0001.
double PopulationStabilityIndex(std::span<const double> reference, std::span<const double> current, double fraction_min);

/// Hellinger distance, sqrt(sum (sqrt r - sqrt c)^2 / 2): 0 when equal, 1 when nothing overlaps.
double HellingerDistance(std::span<const double> reference, std::span<const double> current);

/// TFDV's L-infinity: the largest difference of two shares.
double LargestShareDifference(std::span<const double> reference, std::span<const double> current);

/// Kolmogorov-Smirnov D: the largest difference of the two empirical distribution functions, over raw values (not shares).
/// Sorts copies; NaN must have been left out. 0 when either side is empty.
double KolmogorovSmirnovStatistic(std::span<const double> reference_values, std::span<const double> current_values);

}  // namespace tidemill
