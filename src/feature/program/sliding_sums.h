#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "feature/program/aggregates.h"
#include "feature/program/result_column.h"

namespace tidemill {

/// Counts and exact sums over runs of one entity's rows, from sums over all rows up to each: a window costs two look-ups however
/// many rows enter and leave it. Sums of doubles are integers of 128 bits at a common scale, so they equal ExactSum's to the bit;
/// that needs finite values whose exponents do not differ too much.
class SlidingSums {
 public:
  /// Whether the aggregate's results follow from a count and a sum.
  static bool Serves(const AggregatePlan& plan);
  /// Whether one instance serves both.
  static bool Shared(const AggregatePlan& a, const AggregatePlan& b);

  explicit SlidingSums(const AggregatePlan& plan) : plan_(plan) {}

  /// Reads the rows. False when their values do not allow it.
  bool Build(const RowStore& rows);
  /// The results of an aggregate that it serves over rows [begin[i], end[i]); an empty run where begin[i] >= end[i].
  void Results(const AggregatePlan& plan, std::span<const uint32_t> begin, std::span<const uint32_t> end, ResultColumn results) const;

 private:
  bool FindScale(const RowStore& rows);
  double Rounded(__int128 sum) const;

  AggregatePlan plan_;
  std::vector<uint32_t> counts_;  ///< of the rows before a position
  std::vector<__int128> sums_;
  int lowest_ = 0;  ///< the smallest biased exponent of a bit that is set
  double scale_ = 1;
};

}  // namespace tidemill
