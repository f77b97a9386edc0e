#include "stats/distance.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace tidemill {
namespace {

/// r ln(r / c), the term of a relative entropy.
double RelativeEntropyTerm(double r, double c) {
  if (r == 0) return 0;
  if (c == 0) return std::numeric_limits<double>::infinity();
  return r * std::log(r / c);
}

double JensenShannonDivergenceNats(std::span<const double> reference, std::span<const double> current) {
  double sum = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double middle = (reference[i] + current[i]) / 2;
    sum += RelativeEntropyTerm(reference[i], middle) + RelativeEntropyTerm(current[i], middle);
  }
  return std::max(0.0, sum / 2);  // rounding may leave a tiny negative for equal inputs
}

}  // namespace

double JensenShannonDistance(std::span<const double> reference, std::span<const double> current) {
  return std::sqrt(JensenShannonDivergenceNats(reference, current) / std::log(2.0));
}

double JensenShannonDistanceNats(std::span<const double> reference, std::span<const double> current) {
  return std::sqrt(JensenShannonDivergenceNats(reference, current));
}

double KullbackLeiblerDivergence(std::span<const double> reference, std::span<const double> current) {
  double sum = 0;
  for (size_t i = 0; i < reference.size(); ++i) sum += RelativeEntropyTerm(reference[i], current[i]);
  return sum;
}

double PopulationStabilityIndex(std::span<const double> reference, std::span<const double> current, double fraction_min) {
  double sum = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double r = reference[i] == 0 ? fraction_min : reference[i];
    const double c = current[i] == 0 ? fraction_min : current[i];
    sum += (r - c) * std::log(r / c);
  }
  return sum;
}

double HellingerDistance(std::span<const double> reference, std::span<const double> current) {
  double sum = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double difference = std::sqrt(reference[i]) - std::sqrt(current[i]);
    sum += difference * difference;
  }
  return std::sqrt(sum / 2);
}

double LargestShareDifference(std::span<const double> reference, std::span<const double> current) {
  double largest = 0;
  for (size_t i = 0; i < reference.size(); ++i) largest = std::max(largest, std::abs(reference[i] - current[i]));
  return largest;
}

double KolmogorovSmirnovStatistic(std::span<const double> reference_values, std::span<const double> current_values) {
  if (reference_values.empty() || current_values.empty()) return 0;
  std::vector<double> a(reference_values.begin(), reference_values.end());
  std::vector<double> b(current_values.begin(), current_values.end());
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  double largest = 0;
  size_t i = 0;
  size_t j = 0;
  while (i < a.size() && j < b.size()) {
    const double value = std::min(a[i], b[j]);
    while (i < a.size() && a[i] == value) ++i;
    while (j < b.size() && b[j] == value) ++j;
    const double difference = static_cast<double>(i) / static_cast<double>(a.size()) - static_cast<double>(j) / static_cast<double>(b.size());
    largest = std::max(largest, std::abs(difference));
  }
  return largest;
}

}  // namespace tidemill
