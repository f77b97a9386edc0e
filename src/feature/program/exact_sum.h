#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "feature/program/varint.h"

namespace tidemill {

/// An integer multiple of 2^-kBias kept as signed 64-bit chunks 32 bits apart: chunk i weighs 2^(32 i - kBias).
///
/// The method of R. Neal, "Fast exact summation using small and large superaccumulators" (2015): each addition touches
/// two or three neighbouring chunks, and carries are propagated only every `kAddsBetweenCarries` additions, before any chunk
/// can overflow. Value type, no allocation.
template <int kBias, int kChunks>
class Superaccumulator {
 public:
  /// A sum rounded to nearest (ties to even): fraction * 2^exponent, fraction an integer below 2^53 in magnitude, or 0.
  struct Rounded {
    double fraction = 0;
    int exponent = 0;
  };
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

  /// Adds (-1)^negative * digit * 2^(32 index - kBias).
  void AddDigit(uint32_t digit, int index, bool negative) {
    const int64_t sign = -static_cast<int64_t>(negative);
    chunks_[index] += (static_cast<int64_t>(digit) ^ sign) - sign;
    Touch(index, index);
  }
  void Add(const Digits& digits) {
    for (int i = digits.low; i <= digits.high; ++i) AddDigit(digits.digits[i], i, digits.negative);
  }

  Rounded Round() const {
    if (high_ < 0) return {};
    if (high_ - low_ <= 2) return RoundNarrow();
    return RoundDigits(Normalize());
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
  Rounded RoundNarrow() const {
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

  static Rounded RoundDigits(const Digits& value) {
    if (value.high < value.low) return {};
    unsigned __int128 leading = 0;
    int at = value.high;
    for (int taken = 0; taken < 4; ++taken, --at) leading = (leading << 32) | (at >= value.low ? value.digits[at] : 0);
    bool rest = false;
    for (; at >= value.low && !rest; --at) rest = value.digits[at] != 0;
    const int exponent = 32 * (value.high - 3) - kBias;
    const int shift = 64 - std::countl_zero(static_cast<uint64_t>(leading >> 64));
    rest = rest || (leading & ((static_cast<unsigned __int128>(1) << shift) - 1)) != 0;
    return RoundMagnitude(static_cast<uint64_t>(leading >> shift), rest, exponent + shift, value.negative);
  }

  /// Rounds magnitude * 2^exponent to 53 bits; `rest` tells that bits below were cut off (then bit 63 is set).
  static Rounded RoundMagnitude(uint64_t magnitude, bool rest, int exponent, bool negative) {
    const int excess = 11 - std::countl_zero(magnitude);
    if (excess > 0) {
      const uint64_t half = uint64_t{1} << (excess - 1);
      const uint64_t cut = magnitude & (2 * half - 1);
      magnitude >>= excess;
      exponent += excess;
      if (cut > half || (cut == half && (rest || (magnitude & 1) != 0))) ++magnitude;
    }
    const auto fraction = static_cast<double>(magnitude);
    return {negative ? -fraction : fraction, exponent};
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
  void Add(const ExactSum& other);
  /// A few bytes, from which AddSaved adds the same sum again. False for damaged bytes.
  void Save(std::string& bytes) const;
  bool AddSaved(VarintReader& reader);
  void Clear() {
    sum_.Clear();
    positive_infinities_ = negative_infinities_ = nans_ = 0;
  }
  /// The sum rounded to nearest, ties to even; NaN when NaN or both infinities are in it; infinite beyond the largest double.
  double Round() const;
  bool finite() const { return (positive_infinities_ | negative_infinities_ | nans_) == 0; }

  using Accumulator = Superaccumulator<1075, 70>;
  const Accumulator& accumulator() const { return sum_; }

 private:
  void Change(double value, bool subtract) {
    const auto bits = std::bit_cast<uint64_t>(value);
    auto exponent = static_cast<int>((bits >> 52) & 0x7ff);
    uint64_t mantissa = bits & ((uint64_t{1} << 52) - 1);
    if (exponent == 0x7ff) return CountSpecial(value, subtract ? -1 : 1);
    if (exponent == 0) {
      if (mantissa == 0) return;
      exponent = 1;  // subnormal: the same weight as the smallest normal, without the hidden bit
    } else {
      mantissa |= uint64_t{1} << 52;
    }
    sum_.AddMantissa(mantissa, exponent, ((bits >> 63) != 0) != subtract);
  }
  void CountSpecial(double value, int64_t change);

  Accumulator sum_;
  int64_t positive_infinities_ = 0;
  int64_t negative_infinities_ = 0;
  int64_t nans_ = 0;
};

/// Exact sums of x and x * x, for the variance. A set with infinities or NaN has no variance.
class ExactMoments {
 public:
  void Add(double value) { Change(value, false); }
  void Subtract(double value) { Change(value, true); }
  void Clear();
  int64_t count() const { return count_; }
  bool finite() const { return sum_.finite(); }
  /// (n * sum(x^2) - sum(x)^2) / (n * (n - ddof)): the numerator exact and rounded once, then one division.
  /// Needs n > ddof and finite().
  double Variance(int ddof) const;

 private:
  void Change(double value, bool subtract);

  ExactSum sum_;
  Superaccumulator<2150, 140> squares_;
  int64_t count_ = 0;
};

}  // namespace tidemill
