#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "feature/program/varint.h"

/// How many different values there are, from 4096 registers: each holds the largest rank (leading zeros + 1) among the hashes
/// that fall to it (Flajolet et al., "HyperLogLog", 2007), estimated after O. Ertl, "New cardinality estimation algorithms for
/// HyperLogLog sketches" (2017), which needs no tables and is good from 0 on. Standard error 1.63 %. A sketch depends on
/// the set of hashes alone.
namespace tidemill {

constexpr int kHyperLogLogBits = 12;
constexpr int kHyperLogLogRegisters = 1 << kHyperLogLogBits;
constexpr int kHyperLogLogRanks = 64 - kHyperLogLogBits + 2;  ///< 0 to 53

/// How many registers have each rank.
using RankHistogram = std::array<int32_t, kHyperLogLogRanks>;
int64_t EstimateDistinct(const RankHistogram& histogram);

/// For adding and putting together.
class HyperLogLog {
 public:
  void Add(uint64_t hash);
  void Add(const HyperLogLog& other);
  void Clear() { ranks_.clear(); }
  int64_t Estimate() const;
  size_t heap_bytes() const { return ranks_.capacity(); }
  void Save(std::string& bytes) const;
  /// False for damaged bytes.
  bool AddSaved(VarintReader& reader);

 private:
  void Raise(size_t at, uint8_t rank);

  std::vector<uint8_t> ranks_;  ///< empty or one for each register
};

/// For adding and taking away hashes, each at most once at a time.
class SlidingHyperLogLog {
 public:
  SlidingHyperLogLog();
  void Add(uint64_t hash);
  void Remove(uint64_t hash);
  int64_t Estimate() const { return EstimateDistinct(histogram_); }

 private:
  void SetRanks(size_t at, uint64_t ranks);

  std::vector<uint64_t> ranks_;  ///< of each register: a bit for each rank that is there
  std::unordered_map<uint32_t, uint32_t> counts_;
  RankHistogram histogram_{};
};

}  // namespace tidemill
