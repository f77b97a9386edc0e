#include "feature/program/exact_sum.h"

namespace tidemill {

double ExactSum::Round() const {
  if (!finite()) {
    if (nans_ != 0 || (positive_infinities_ != 0 && negative_infinities_ != 0)) return std::numeric_limits<double>::quiet_NaN();
    return positive_infinities_ != 0 ? std::numeric_limits<double>::infinity() : -std::numeric_limits<double>::infinity();
  }
  // Sums are multiples of the smallest double, so a result below 2^-1022 has at most 53 bits and ldexp does not round again.
  const Accumulator::Rounded rounded = sum_.Round();
  return std::ldexp(rounded.fraction, rounded.exponent);
}

void ExactSum::CountSpecial(double value, int64_t change) {
  if (std::isnan(value)) {
    nans_ += change;
  } else if (value > 0) {
    positive_infinities_ += change;
  } else {
    negative_infinities_ += change;
  }
}

void ExactMoments::Clear() {
  sum_.Clear();
  squares_.Clear();
  count_ = 0;
}

void ExactMoments::Change(double value, bool subtract) {
  count_ += subtract ? -1 : 1;
  if (subtract) {
    sum_.Subtract(value);
  } else {
    sum_.Add(value);
  }
  if (!std::isfinite(value) || value == 0) return;
  const auto bits = std::bit_cast<uint64_t>(value);
  const int exponent = std::max(static_cast<int>((bits >> 52) & 0x7ff), 1);
  const uint64_t hidden = (bits >> 52 & 0x7ff) == 0 ? 0 : uint64_t{1} << 52;
  const uint64_t mantissa = (bits & ((uint64_t{1} << 52) - 1)) | hidden;
  const unsigned __int128 square = static_cast<unsigned __int128>(mantissa) * mantissa;
  squares_.AddWide(static_cast<uint64_t>(square), 2 * exponent, subtract);
  squares_.AddWide(static_cast<uint64_t>(square >> 64), 2 * exponent + 64, subtract);
}

double ExactMoments::Variance(int ddof) const {
  Superaccumulator<2150, 150> numerator;
  const auto squares = squares_.Normalize();
  const auto count = static_cast<uint64_t>(count_);
  for (int i = squares.low; i <= squares.high; ++i) {
    numerator.AddWide(squares.digits[i] * (count & 0xffffffffU), 32 * i, false);
    numerator.AddWide(squares.digits[i] * (count >> 32), 32 * (i + 1), false);
  }
  const auto sum = sum_.accumulator().Normalize();
  for (int i = sum.low; i <= sum.high; ++i) {
    for (int j = sum.low; j <= sum.high; ++j) {
      numerator.AddWide(static_cast<uint64_t>(sum.digits[i]) * sum.digits[j], 32 * (i + j), true);
    }
  }
  const auto rounded = numerator.Round();
  const double denominator = static_cast<double>(count_) * static_cast<double>(count_ - ddof);
  return std::ldexp(rounded.fraction / denominator, rounded.exponent);
}

}  // namespace tidemill
