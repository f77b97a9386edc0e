#include "feature/program/log_buckets.h"

#include <bit>
#include <cmath>
#include <cstdlib>

#include "feature/program/value_keys.h"

namespace tidemill {
namespace {

constexpr int kShift = 52 - 7;

}  // namespace

/// The first bits of the magnitude, and 1 so that zero is alone; negative numbers mirrored.
int32_t LogBuckets::BucketOf(int64_t number_key) {
  if (number_key == 0) return 0;
  const double number = KeyNumber(number_key);
  const auto magnitude = static_cast<int32_t>(std::bit_cast<int64_t>(std::fabs(number)) >> kShift);
  return std::signbit(number) ? -magnitude - 1 : magnitude + 1;
}

double LogBuckets::Middle(int32_t bucket) {
  if (bucket == 0) return 0;
  const int64_t first = static_cast<int64_t>(std::abs(bucket) - 1) << kShift;
  const double low = std::bit_cast<double>(first);
  // The bucket of the infinity has no other number, that of NaN neither.
  const double middle = std::isfinite(low) ? std::bit_cast<double>(first + (int64_t{1} << (kShift - 1))) : low;
  return bucket < 0 ? -middle : middle;
}

void LogBuckets::Add(int64_t number_key, int64_t count) {
  counts_[BucketOf(number_key)] += count;
  size_ += count;
}

void LogBuckets::Remove(int64_t number_key) {
  const auto bucket = counts_.find(BucketOf(number_key));
  if (--bucket->second == 0) counts_.erase(bucket);
  --size_;
}

void LogBuckets::Add(const LogBuckets& other) {
  for (const auto& [bucket, count] : other.counts_) counts_[bucket] += count;
  size_ += other.size_;
}

void LogBuckets::Clear() {
  counts_.clear();
  size_ = 0;
}

double LogBuckets::AtRank(int64_t rank) const {
  int64_t below = 0;
  for (const auto& [bucket, count] : counts_) {
    below += count;
    if (rank < below) return Middle(bucket);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

void LogBuckets::Save(std::string& bytes) const {
  AppendVarint(counts_.size(), bytes);
  int32_t before = 0;
  for (const auto& [bucket, count] : counts_) {
    AppendSigned(bucket - before, bytes);
    AppendVarint(static_cast<uint64_t>(count), bytes);
    before = bucket;
  }
}

bool LogBuckets::AddSaved(VarintReader& reader) {
  constexpr int64_t kBucketMax = (int64_t{0x7ff} << 7) + 65;  // NaN's
  constexpr int64_t kCountMax = int64_t{1} << 40;             // so that sums of many stay in range, also after damage
  const uint64_t buckets = reader.Unsigned();
  int64_t bucket = 0;
  for (uint64_t i = 0; i < buckets; ++i) {
    const int64_t step = reader.Signed();
    const uint64_t count = reader.Unsigned();
    if (!reader.ok() || step < -2 * kBucketMax || step > 2 * kBucketMax || count == 0 || count > kCountMax) return false;
    bucket += step;
    if (bucket < -kBucketMax || bucket > kBucketMax) return false;
    counts_[static_cast<int32_t>(bucket)] += static_cast<int64_t>(count);
    size_ += static_cast<int64_t>(count);
  }
  return reader.ok();
}

}  // namespace tidemill
