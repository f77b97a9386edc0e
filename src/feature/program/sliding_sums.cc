#include "feature/program/sliding_sums.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace tidemill {
namespace {

bool Sums(const AggregatePlan& plan) { return plan.function == "sum" || plan.function == "avg"; }

/// A double is mantissa * 2^(exponent - 1075).
struct Parts {
  uint64_t mantissa = 0;
  int exponent = 0;
  bool negative = false;

  explicit Parts(double value) {
    const auto bits = std::bit_cast<uint64_t>(value);
    const auto biased = static_cast<int>(bits >> 52 & 0x7ff);
    exponent = std::max(biased, 1);
    mantissa = (bits & ((uint64_t{1} << 52) - 1)) | (biased == 0 ? 0 : uint64_t{1} << 52);
    negative = bits >> 63 != 0;
  }
};

}  // namespace

bool SlidingSums::Serves(const AggregatePlan& plan) {
  if (plan.function == "count" || plan.function == "count_rows") return true;
  return Sums(plan) && (plan.argument == Type::kDouble || plan.argument == Type::kInt64);
}

bool SlidingSums::Shared(const AggregatePlan& a, const AggregatePlan& b) {
  return a.slot == b.slot && a.filter_slot == b.filter_slot && Sums(a) == Sums(b);
}

bool SlidingSums::Build(const RowStore& rows) {
  const size_t count = rows.size();
  counts_.resize(count + 1);
  counts_[0] = 0;
  const bool takes_all = plan_.slot < 0 && plan_.filter_slot < 0;
  for (size_t row = 0; row < count; ++row) counts_[row + 1] = counts_[row] + (takes_all || plan_.Takes(rows, row) ? 1 : 0);
  if (!Sums(plan_)) return true;
  const auto slot = static_cast<size_t>(plan_.slot);
  sums_.resize(count + 1);
  sums_[0] = 0;
  if (plan_.argument == Type::kInt64) {
    for (size_t row = 0; row < count; ++row)
      sums_[row + 1] = sums_[row] + (counts_[row + 1] != counts_[row] ? rows.Integer(slot, row) : 0);
    return true;
  }
  if (!FindScale(rows)) return false;
  for (size_t row = 0; row < count; ++row) {
    sums_[row + 1] = sums_[row];
    if (counts_[row + 1] == counts_[row]) continue;
    const Parts parts(rows.Number(slot, row));
    // Zeros may have a smaller exponent than everything else.
    const __int128 value = parts.mantissa == 0         ? 0
                           : parts.exponent >= lowest_ ? static_cast<__int128>(parts.mantissa) << (parts.exponent - lowest_)
                                                       : static_cast<__int128>(parts.mantissa >> (lowest_ - parts.exponent));
    sums_[row + 1] += parts.negative ? -value : value;
  }
  return true;
}

/// All sums have to fit 126 bits, and their rounded values the normal doubles.
bool SlidingSums::FindScale(const RowStore& rows) {
  const auto slot = static_cast<size_t>(plan_.slot);
  int lowest = std::numeric_limits<int>::max();
  int highest = 0;
  for (size_t row = 0; row < rows.size(); ++row) {
    if (counts_[row + 1] == counts_[row]) continue;
    const double value = rows.Number(slot, row);
    if (!std::isfinite(value)) return false;
    const Parts parts(value);
    if (parts.mantissa == 0) continue;
    lowest = std::min(lowest, parts.exponent + std::countr_zero(parts.mantissa));
    highest = std::max(highest, parts.exponent + 53);
  }
  lowest_ = highest == 0 ? 1075 : lowest;
  constexpr int kNormal = 900;
  const int power = lowest_ - 1075;
  if (highest - lowest_ + static_cast<int>(std::bit_width(rows.size())) > 126 || power < -kNormal || power > kNormal - 128)
    return false;
  scale_ = std::ldexp(1.0, power);
  return true;
}

/// Rounds once, to nearest, ties to even: what is cut off below 62 bits stays visible as a lowest bit.
double SlidingSums::Rounded(__int128 sum) const {
  if (sum == static_cast<int64_t>(sum)) return static_cast<double>(static_cast<int64_t>(sum)) * scale_;
  const bool negative = sum < 0;
  const auto magnitude = negative ? -static_cast<unsigned __int128>(sum) : static_cast<unsigned __int128>(sum);
  const int shift = 66 - std::countl_zero(static_cast<uint64_t>(magnitude >> 64));
  const auto rest = magnitude & ((static_cast<unsigned __int128>(1) << shift) - 1);
  const auto leading = static_cast<int64_t>(static_cast<uint64_t>(magnitude >> shift) | (rest != 0 ? 1U : 0U));
  const double value = static_cast<double>(leading) * std::bit_cast<double>(static_cast<uint64_t>(1023 + shift) << 52) * scale_;
  return negative ? -value : value;
}

void SlidingSums::Results(const AggregatePlan& plan, std::span<const uint32_t> begin, std::span<const uint32_t> end,
                          ResultColumn results) const {
  const auto run = [&](size_t i) { return std::pair(std::min(begin[i], end[i]), end[i]); };
  if (!Sums(plan)) {
    for (size_t i = 0; i < begin.size(); ++i) {
      const auto [from, to] = run(i);
      results.SetInteger(i, counts_[to] - counts_[from]);
    }
    return;
  }
  const bool mean = plan.function == "avg";
  const bool numbers = plan.argument == Type::kDouble;
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  for (size_t i = 0; i < begin.size(); ++i) {
    const auto [from, to] = run(i);
    const uint32_t count = counts_[to] - counts_[from];
    const __int128 sum = sums_[to] - sums_[from];
    if (count == 0) {
      results.SetNull(i);
    } else if (numbers) {
      results.SetNumber(i, mean ? Rounded(sum) / static_cast<double>(count) : Rounded(sum));
    } else if (mean) {
      results.SetNumber(i, static_cast<double>(sum) / static_cast<double>(count));
    } else if (sum < kMin || sum > kMax) {
      results.SetNull(i);
    } else {
      results.SetInteger(i, static_cast<int64_t>(sum));
    }
  }
}

}  // namespace tidemill
