#pragma once

#include <array>
#include <cstdint>

#include "feature/program/exact_sum.h"

namespace tidemill {

/// An integer times a power of two, exact: what the formulas over exact sums are computed in before they are rounded once.
/// At most kDigitsMax digits of 32 bits, which a product of three exact sums of doubles fits (6500 bits). Value type, no
/// allocation.
class ExactNumber {
 public:
  static constexpr int kDigitsMax = 256;

  ExactNumber() = default;
  explicit ExactNumber(__int128 value);
  template <int kBias, int kChunks>
  explicit ExactNumber(const Superaccumulator<kBias, kChunks>& sum) {
    const auto value = sum.Normalize();
    negative_ = value.negative;
    exponent_ = 32 * value.low - kBias;
    for (int i = value.low; i <= value.high; ++i) digits_[size_++] = value.digits[i];
  }
  ExactNumber(const ExactNumber& other) { *this = other; }
  ExactNumber& operator=(const ExactNumber& other);

  bool zero() const { return size_ == 0; }
  bool negative() const { return negative_; }
  RoundedSum Round() const;

  friend ExactNumber operator*(const ExactNumber& a, const ExactNumber& b);
  friend ExactNumber operator+(const ExactNumber& a, const ExactNumber& b);
  friend ExactNumber operator-(const ExactNumber& a, const ExactNumber& b);

 private:
  /// The same value with the digits shifted so that they begin at `exponent`, which is not above exponent_.
  ExactNumber Aligned(int exponent) const;
  static int CompareMagnitudes(const ExactNumber& a, const ExactNumber& b);
  void Trim();

  bool negative_ = false;
  int exponent_ = 0;                         ///< digits_[i] weighs 2^(32 i + exponent_)
  int size_ = 0;                             ///< the last digit is not 0
  std::array<uint32_t, kDigitsMax> digits_;  // NOLINT: only the first size_ are set
};

/// a / b, rounded: a and b each once, and their quotient. b is not 0.
double RoundedRatio(const ExactNumber& a, const ExactNumber& b);

}  // namespace tidemill
