#include "feature/program/exact_number.h"

#include <algorithm>
#include <cmath>

namespace tidemill {

ExactNumber::ExactNumber(__int128 value) : negative_(value < 0) {
  auto magnitude = static_cast<unsigned __int128>(value);
  if (negative_) magnitude = -magnitude;
  for (; magnitude != 0; magnitude >>= 32) digits_[size_++] = static_cast<uint32_t>(magnitude);
}

ExactNumber& ExactNumber::operator=(const ExactNumber& other) {
  if (this == &other) return *this;
  negative_ = other.negative_;
  exponent_ = other.exponent_;
  size_ = other.size_;
  std::copy_n(other.digits_.begin(), size_, digits_.begin());
  return *this;
}

void ExactNumber::Trim() {
  while (size_ > 0 && digits_[size_ - 1] == 0) --size_;
  if (size_ == 0) negative_ = false;
}

RoundedSum ExactNumber::Round() const {
  return RoundDigits(std::span(digits_).first(static_cast<size_t>(size_)), exponent_, negative_);
}

ExactNumber ExactNumber::Aligned(int exponent) const {
  if (exponent == exponent_ || zero()) return *this;
  const int words = (exponent_ - exponent) / 32;
  const int bits = (exponent_ - exponent) % 32;
  ExactNumber result;
  result.negative_ = negative_;
  result.exponent_ = exponent;
  std::fill_n(result.digits_.begin(), words, 0);
  uint64_t carry = 0;
  for (int i = 0; i < size_; ++i) {
    carry |= static_cast<uint64_t>(digits_[i]) << bits;
    result.digits_[words + i] = static_cast<uint32_t>(carry);
    carry >>= 32;
  }
  result.size_ = words + size_;
  if (carry != 0) result.digits_[result.size_++] = static_cast<uint32_t>(carry);
  return result;
}

int ExactNumber::CompareMagnitudes(const ExactNumber& a, const ExactNumber& b) {
  if (a.size_ != b.size_) return a.size_ < b.size_ ? -1 : 1;
  for (int i = a.size_ - 1; i >= 0; --i) {
    if (a.digits_[i] != b.digits_[i]) return a.digits_[i] < b.digits_[i] ? -1 : 1;
  }
  return 0;
}

ExactNumber operator*(const ExactNumber& a, const ExactNumber& b) {
  ExactNumber result;
  result.negative_ = a.negative_ != b.negative_;
  result.exponent_ = a.exponent_ + b.exponent_;
  result.size_ = a.zero() || b.zero() ? 0 : a.size_ + b.size_;
  std::fill_n(result.digits_.begin(), result.size_, 0);
  for (int i = 0; i < a.size_ && result.size_ > 0; ++i) {
    uint64_t carry = 0;
    for (int j = 0; j < b.size_; ++j) {
      carry += static_cast<uint64_t>(a.digits_[i]) * b.digits_[j] + result.digits_[i + j];
      result.digits_[i + j] = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
    result.digits_[i + b.size_] = static_cast<uint32_t>(carry);
  }
  result.Trim();
  return result;
}

ExactNumber operator+(const ExactNumber& a, const ExactNumber& b) {
  if (a.zero()) return b;
  if (b.zero()) return a;
  const int exponent = std::min(a.exponent_, b.exponent_);
  const ExactNumber x = a.Aligned(exponent);
  const ExactNumber y = b.Aligned(exponent);
  const bool swapped = ExactNumber::CompareMagnitudes(x, y) < 0;
  const ExactNumber& large = swapped ? y : x;
  const ExactNumber& small = swapped ? x : y;
  const bool subtract = large.negative_ != small.negative_;
  ExactNumber result;
  result.negative_ = large.negative_;
  result.exponent_ = exponent;
  int64_t carry = 0;
  for (int i = 0; i < large.size_; ++i) {
    const int64_t digit = i < small.size_ ? small.digits_[i] : 0;
    carry += static_cast<int64_t>(large.digits_[i]) + (subtract ? -digit : digit);
    result.digits_[i] = static_cast<uint32_t>(carry);
    carry >>= 32;
  }
  result.size_ = large.size_;
  if (carry > 0) result.digits_[result.size_++] = static_cast<uint32_t>(carry);
  result.Trim();
  return result;
}

ExactNumber operator-(const ExactNumber& a, const ExactNumber& b) {
  ExactNumber negated = b;
  if (!negated.zero()) negated.negative_ = !negated.negative_;
  return a + negated;
}

double RoundedRatio(const ExactNumber& a, const ExactNumber& b) {
  const RoundedSum x = a.Round();
  const RoundedSum y = b.Round();
  return std::ldexp(x.fraction / y.fraction, x.exponent - y.exponent);
}

}  // namespace tidemill
