#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "feature/program/varint.h"

namespace tidemill {

/// A sum rounded to nearest (ties to even): fraction * 2^exponent, fraction an integer below 2^53 in magnitude, or 0.
struct RoundedSum {
  double fraction = 0;
  int exponent = 0;
};

/// (-1)^negative * magnitude * 2^exponent, rounded. `rest` tells that bits below were cut off (then bit 63 is set).
RoundedSum RoundMagnitude(uint64_t magnitude, bool rest, int exponent, bool negative);

/// (-1)^negative * (sum of digits[i] * 2^(32 i)) * 2^exponent, rounded. The last digit is not 0.
RoundedSum RoundDigits(std::span<const uint32_t> digits, int exponent, bool negative);

/// The bits of a finite double that is not 0: (-1)^negative * mantissa * 2^(position - 1075), mantissa below 2^53.
struct DoubleParts {
  uint64_t mantissa;
  int position;  ///< 1 to 2046
  bool negative;

  explicit DoubleParts(double value) {
    const auto bits = std::bit_cast<uint64_t>(value);
    position = static_cast<int>((bits >> 52) & 0x7ff);
    mantissa = bits & ((uint64_t{1} << 52) - 1);
    // Subnormals weigh the same as the smallest normal, without the hidden bit.
    position == 0 ? position = 1 : mantissa |= uint64_t{1} << 52;
    negative = bits >> 63 != 0;
  }
};

/// An integer multiple of 2^-kBias kept as signed 64-bit chunks 32 bits apart: chunk i weighs 2^(32 i - kBias).
///
/// The method of R. Neal, "Fast exact summation using small and large superaccumulators" (2015): each addition touches
/// two or three neighbouring chunks, and carries are propagated only every `kAddsBetweenCarries` additions, before any chunk
/// can overflow. Value type, no allocation.
template <int kBias, int kChunks>
class Superaccumulator {
 public:
  static constexpr int kExponent = -kBias;

  /// Sign and magnitude: digits[i] weighs 2^(32 i - kBias); those outside of [low, high] are zero and not set.
  struct Digits {
    bool negative = false;
    int low = 0;
    int high = -1;
    std::array<uint32_t, kChunks + 2> digits;
  };

  Superaccumulator() { chunks_.fill(0); }

  void Clear() {
    for (int i = low_; i <= high_; ++i) chunks_[i] = 0;
    low_ = kChunks;
    high_ = -1;
    adds_left_ = kAddsBetweenCarries;
  }

  /// Adds (-1)^negative * mantissa * 2^(position - kBias); mantissa below 2^53.
  void AddMantissa(uint64_t mantissa, int position, bool negative) {
    const int index = position >> 5;
    const int shift = position & 31;
    const int64_t sign = -static_cast<int64_t>(negative);
    const auto low = static_cast<int64_t>((mantissa << shift) & kDigitMask);
    const auto high = static_cast<int64_t>(mantissa >> (32 - shift));
    chunks_[index] += (low ^ sign) - sign;
    chunks_[index + 1] += (high ^ sign) - sign;
    Touch(index, index + 1);
  }

  /// The same for any 64-bit magnitude.
  void AddWide(uint64_t magnitude, int position, bool negative) {
    const int index = position >> 5;
    const int64_t sign = -static_cast<int64_t>(negative);
    unsigned __int128 shifted = static_cast<unsigned __int128>(magnitude) << (position & 31);
    for (int i = index; i < index + 3; ++i, shifted >>= 32) {
      const auto digit = static_cast<int64_t>(static_cast<uint64_t>(shifted) & kDigitMask);
      chunks_[i] += (digit ^ sign) - sign;
    }
    Touch(index, index + 2);
  }

  /// The same for any 128-bit magnitude.
  void AddWider(unsigned __int128 magnitude, int position, bool negative) {
    AddWide(static_cast<uint64_t>(magnitude), position, negative);
    if (const auto high = static_cast<uint64_t>(magnitude >> 64); high != 0) AddWide(high, position + 64, negative);
  }

  /// A few bytes, from which AddSaved adds the same sum again; `flag` comes back from there.
  void Save(bool flag, std::string& bytes) const {
    const Digits value = Normalize();
    const int count = std::max(value.high - value.low + 1, 0);
    AppendVarint(static_cast<uint64_t>(count) << 2 | (value.negative ? 2U : 0U) | (flag ? 1U : 0U), bytes);
    if (count == 0) return;
    AppendVarint(static_cast<uint64_t>(value.low), bytes);
    for (int i = value.low; i <= value.high; ++i) {
      for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(value.digits[i] >> shift);
    }
  }
  /// Returns the flag. After damage reader.ok() is false, or the sum is another one.
  bool AddSaved(VarintReader& reader) {
    const uint64_t head = reader.Unsigned();
    const bool flag = (head & 1) != 0;
    const uint64_t count = head >> 2;
    if (count == 0) return flag;
    constexpr uint64_t kDigitsMax = kChunks - 2;  // no sum reaches the last ones
    const uint64_t low = reader.Unsigned();
    const bool possible = low <= kDigitsMax && count <= kDigitsMax - low;
    const std::string_view raw = reader.Bytes(possible ? 4 * count : std::numeric_limits<uint64_t>::max());
    for (size_t i = 0; 4 * i < raw.size(); ++i) {
      uint32_t digit = 0;
      for (size_t byte = 4; byte-- > 0;) digit = digit << 8 | static_cast<uint8_t>(raw[4 * i + byte]);
      AddDigit(digit, static_cast<int>(low + i), (head & 2) != 0);
    }
    return flag;
  }

  /// Adds another sum.
  void Add(const Superaccumulator& other) {
    if (other.high_ < 0) return;
    const int its_adds = kAddsBetweenCarries - other.adds_left_ + 1;
    if (its_adds < adds_left_) {
      for (int i = other.low_; i <= other.high_; ++i) chunks_[i] += other.chunks_[i];
      adds_left_ -= its_adds - 1;
      return Touch(other.low_, other.high_);
    }
    Superaccumulator settled = other;
    settled.PropagateCarries();
    PropagateCarries();
    if (settled.high_ >= 0) Add(settled);
  }

  RoundedSum Round() const {
    if (high_ < 0) return {};
    if (high_ - low_ <= 2) return RoundNarrow();
    const Digits value = Normalize();
    if (value.high < value.low) return {};
    const auto size = static_cast<size_t>(value.high - value.low + 1);
    return RoundDigits(std::span(value.digits).subspan(static_cast<size_t>(value.low), size), 32 * value.low - kBias,
                       value.negative);
  }

  Digits Normalize() const {
    Digits result;
    result.low = std::min(low_, kChunks - 1);
    int64_t carry = 0;
    int at = result.low;
    for (; at <= high_; ++at) carry = Split(chunks_[at] + carry, result.digits[at]);
    for (; carry != 0 && carry != -1; ++at) carry = Split(carry, result.digits[at]);
    result.high = at - 1;
    result.negative = carry < 0;
    if (result.negative) Negate(result);
    while (result.high >= result.low && result.digits[result.high] == 0) --result.high;
    return result;
  }

 private:
  /// Adds (-1)^negative * digit * 2^(32 index - kBias).
  void AddDigit(uint32_t digit, int index, bool negative) {
    const int64_t sign = -static_cast<int64_t>(negative);
    chunks_[index] += (static_cast<int64_t>(digit) ^ sign) - sign;
    Touch(index, index);
  }

  static constexpr int kAddsBetweenCarries = 2000;  ///< 2000 * 2^52 + 2^33 < 2^63
  static constexpr uint64_t kDigitMask = 0xffffffffU;

  static int64_t Split(int64_t value, uint32_t& digit) {
    digit = static_cast<uint32_t>(value);
    return value >> 32;
  }

  /// The value was digits - 2^(32 (high + 1)): makes the digits its magnitude.
  static void Negate(Digits& value) {
    uint64_t carry = 1;
    for (int i = value.low; i <= value.high; ++i) {
      carry += static_cast<uint32_t>(~value.digits[i]);
      value.digits[i] = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
    if (carry != 0) value.digits[++value.high] = 1;
  }

  void Touch(int low, int high) {
    low_ = std::min(low_, low);
    high_ = std::max(high_, high);
    if (--adds_left_ == 0) PropagateCarries();
  }

  void PropagateCarries() {
    int64_t carry = 0;
    for (int i = low_; i <= high_; ++i) {
      const int64_t value = chunks_[i] + carry;
      carry = value >> 32;
      chunks_[i] = value & static_cast<int64_t>(kDigitMask);
    }
    if (carry == -1 || high_ + 1 >= kChunks) {
      chunks_[high_] += carry * (int64_t{1} << 32);  // the sign stays in the top chunk, so the range does not creep upwards
    } else if (carry != 0) {
      chunks_[++high_] = carry;
    }
    while (high_ >= low_ && chunks_[high_] == 0) --high_;
    while (low_ <= high_ && chunks_[low_] == 0) ++low_;
    if (high_ < low_) {
      low_ = kChunks;
      high_ = -1;
    }
    adds_left_ = kAddsBetweenCarries;
  }

  /// The common case, at most three chunks: they fit 128 bits without propagating anything.
  RoundedSum RoundNarrow() const {
    __int128 sum = chunks_[low_];
    for (int i = low_ + 1; i <= high_; ++i)
      sum += static_cast<__int128>(chunks_[i]) * (static_cast<__int128>(1) << (32 * (i - low_)));
    if (sum == 0) return {};
    const bool negative = sum < 0;
    const unsigned __int128 magnitude = negative ? -static_cast<unsigned __int128>(sum) : static_cast<unsigned __int128>(sum);
    const auto top = static_cast<uint64_t>(magnitude >> 64);
    int exponent = 32 * low_ - kBias;
    if (top == 0) return RoundMagnitude(static_cast<uint64_t>(magnitude), false, exponent, negative);
    const int shift = 64 - std::countl_zero(top);
    const bool rest = (magnitude & ((static_cast<unsigned __int128>(1) << shift) - 1)) != 0;
    return RoundMagnitude(static_cast<uint64_t>(magnitude >> shift), rest, exponent + shift, negative);
  }

  std::array<int64_t, kChunks> chunks_;
  int low_ = kChunks;  ///< chunks outside of [low_, high_] are zero
  int high_ = -1;
  int adds_left_ = kAddsBetweenCarries;
};

/// The sum of a set of doubles, exact: what was subtracted leaves no trace, order does not matter, and Round() is the
/// correctly rounded sum of what remains. Infinities and NaN are counted, so they can be subtracted as well.
/// An empty or zero sum is +0.0. At most 2^62 values.
class ExactSum {
 public:
  void Add(double value) { Change(value, false); }
  void Subtract(double value) { Change(value, true); }
  void Clear() {
    sum_.Clear();
    positive_infinities_ = negative_infinities_ = nans_ = 0;
  }
  /// The sum rounded to nearest, ties to even; NaN when NaN or both infinities are in it; infinite beyond the largest double.
  double Round() const;
  /// Adds another sum.
  void Add(const ExactSum& other);
  /// A few bytes, from which AddSaved adds the same sum again. False for damaged bytes.
  void Save(std::string& bytes) const;
  bool AddSaved(VarintReader& reader);
  bool finite() const { return (positive_infinities_ | negative_infinities_ | nans_) == 0; }

  using Accumulator = Superaccumulator<1075, 70>;
  const Accumulator& accumulator() const { return sum_; }

 private:
  void Change(double value, bool subtract) {
    if (!std::isfinite(value)) return CountSpecial(value, subtract ? -1 : 1);
    if (value == 0) return;
    const DoubleParts parts(value);
    sum_.AddMantissa(parts.mantissa, parts.position, parts.negative != subtract);
  }
  void CountSpecial(double value, int64_t change);

  Accumulator sum_;
  int64_t positive_infinities_ = 0;
  int64_t negative_infinities_ = 0;
  int64_t nans_ = 0;
};

}  // namespace tidemill
