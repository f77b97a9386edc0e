#include "feature/program/hyperloglog.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace tidemill {
namespace {

struct RegisterPlace {
  size_t at;
  uint8_t rank;
  explicit RegisterPlace(uint64_t hash)
      : at(hash >> (64 - kHyperLogLogBits)),
        rank(static_cast<uint8_t>(std::countl_zero(hash << kHyperLogLogBits | uint64_t{1} << (kHyperLogLogBits - 1)) + 1)) {}
};

/// The functions of Ertl's algorithm 6, named there as here. Additions, products and roots only: the same everywhere.
double Sigma(double x) {
  double y = 1;
  double z = x;
  double before = 0;
  do {
    x *= x;
    before = z;
    z += x * y;
    y += y;
  } while (z != before);
  return z;
}
double Tau(double x) {
  if (x == 0 || x == 1) return 0;
  double y = 1;
  double z = 1 - x;
  double before = 0;
  do {
    x = std::sqrt(x);
    before = z;
    y *= 0.5;
    z -= (1 - x) * (1 - x) * y;
  } while (z != before);
  return z / 3;
}

}  // namespace

int64_t EstimateDistinct(const RankHistogram& histogram) {
  constexpr double kRegisters = kHyperLogLogRegisters;
  constexpr double kAlpha = 0x1.71547652b82fep-1;  // 1 / (2 ln 2)
  if (histogram[0] == kHyperLogLogRegisters) return 0;
  double z = kRegisters * Tau((kRegisters - histogram.back()) / kRegisters);
  for (size_t rank = histogram.size() - 2; rank > 0; --rank) z = 0.5 * (z + histogram[rank]);
  z += kRegisters * Sigma(histogram[0] / kRegisters);
  const double estimate = kAlpha * kRegisters * kRegisters / z;
  return estimate < 0x1p62 ? std::llround(estimate) : int64_t{1} << 62;
}

void HyperLogLog::Raise(size_t at, uint8_t rank) {
  if (ranks_.empty()) ranks_.resize(kHyperLogLogRegisters, 0);
  ranks_[at] = std::max(ranks_[at], rank);
}

void HyperLogLog::Add(uint64_t hash) {
  const RegisterPlace place(hash);
  Raise(place.at, place.rank);
}

void HyperLogLog::Add(const HyperLogLog& other) {
  for (size_t at = 0; at < other.ranks_.size(); ++at) Raise(at, other.ranks_[at]);
}

int64_t HyperLogLog::Estimate() const {
  RankHistogram histogram{};
  if (ranks_.empty()) histogram[0] = kHyperLogLogRegisters;
  for (const uint8_t rank : ranks_) ++histogram[rank];
  return EstimateDistinct(histogram);
}

/// How many registers are not zero, and of each the distance from the one before and the rank; or, when that is longer, more
/// registers than there are and all ranks.
void HyperLogLog::Save(std::string& bytes) const {
  const auto used = static_cast<uint64_t>(std::count_if(ranks_.begin(), ranks_.end(), [](uint8_t rank) { return rank != 0; }));
  if (used > kHyperLogLogRegisters / 2) {
    AppendVarint(kHyperLogLogRegisters + 1, bytes);
    bytes.append(ranks_.begin(), ranks_.end());
    return;
  }
  AppendVarint(used, bytes);
  size_t next = 0;
  for (size_t at = 0; at < ranks_.size(); ++at) {
    if (ranks_[at] == 0) continue;
    AppendVarint(at - next, bytes);
    bytes += static_cast<char>(ranks_[at]);
    next = at + 1;
  }
}

bool HyperLogLog::AddSaved(VarintReader& reader) {
  const auto take = [this](uint64_t at, char byte) {
    const auto rank = static_cast<uint8_t>(byte);
    if (at >= kHyperLogLogRegisters || rank >= kHyperLogLogRanks) return false;
    Raise(at, rank);
    return true;
  };
  const uint64_t used = reader.Unsigned();
  if (used == kHyperLogLogRegisters + 1) {
    const std::string_view all = reader.Bytes(kHyperLogLogRegisters);
    for (size_t at = 0; at < all.size(); ++at) {
      if (!take(at, all[at])) return false;
    }
    return reader.ok();
  }
  uint64_t at = 0;
  for (uint64_t i = 0; i < used; ++i, ++at) {
    at += reader.Unsigned();
    const std::string_view rank = reader.Bytes(1);
    if (rank.empty() || !take(at, rank[0])) return false;
  }
  return reader.ok();
}

SlidingHyperLogLog::SlidingHyperLogLog() : ranks_(kHyperLogLogRegisters, 0) { histogram_[0] = kHyperLogLogRegisters; }

void SlidingHyperLogLog::SetRanks(size_t at, uint64_t ranks) {
  const auto highest = [](uint64_t bits) { return bits == 0 ? size_t{0} : static_cast<size_t>(std::bit_width(bits) - 1); };
  --histogram_[highest(ranks_[at])];
  ++histogram_[highest(ranks)];
  ranks_[at] = ranks;
}

void SlidingHyperLogLog::Add(uint64_t hash) {
  const RegisterPlace place(hash);
  if (++counts_[static_cast<uint32_t>(place.at << 6 | place.rank)] > 1) return;
  SetRanks(place.at, ranks_[place.at] | uint64_t{1} << place.rank);
}

void SlidingHyperLogLog::Remove(uint64_t hash) {
  const RegisterPlace place(hash);
  const auto count = counts_.find(static_cast<uint32_t>(place.at << 6 | place.rank));
  if (--count->second > 0) return;
  counts_.erase(count);
  SetRanks(place.at, ranks_[place.at] & ~(uint64_t{1} << place.rank));
}

}  // namespace tidemill
