#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "feature/program/varint.h"

namespace tidemill {

/// How many numbers lie in each bucket, for quantiles of many. A factor of two has 128 buckets, cut by the first 7 bits behind
/// the point of the mantissa; a bucket stands for its middle, so that a number is off by at most 1/256 of itself. Zero, the
/// infinities and NaN (the largest) have buckets of their own; below 2^-1022 buckets are 2^-1029 wide. Depends on the
/// multiset alone.
class LogBuckets {
 public:
  void Add(int64_t number_key, int64_t count = 1);  ///< by NumberKey()
  void Remove(int64_t number_key);
  void Add(const LogBuckets& other);
  void Clear();
  int64_t size() const { return size_; }
  /// The number at that rank (from 0, below size()), by the middle of its bucket.
  double AtRank(int64_t rank) const;
  size_t heap_bytes() const { return counts_.size() * 64; }
  void Save(std::string& bytes) const;
  /// False for damaged bytes.
  bool AddSaved(VarintReader& reader);

 private:
  static int32_t BucketOf(int64_t number_key);
  static double Middle(int32_t bucket);

  std::map<int32_t, int64_t> counts_;
  int64_t size_ = 0;
};

}  // namespace tidemill
