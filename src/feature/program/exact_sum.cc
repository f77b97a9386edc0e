#include "feature/program/exact_sum.h"

namespace tidemill {

RoundedSum RoundMagnitude(uint64_t magnitude, bool rest, int exponent, bool negative) {
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

RoundedSum RoundDigits(std::span<const uint32_t> digits, int exponent, bool negative) {
  if (digits.empty()) return {};
  const auto size = static_cast<int>(digits.size());
  unsigned __int128 leading = 0;
  int at = size - 1;
  for (int taken = 0; taken < 4; ++taken, --at) leading = (leading << 32) | (at >= 0 ? digits[static_cast<size_t>(at)] : 0);
  bool rest = false;
  for (; at >= 0 && !rest; --at) rest = digits[static_cast<size_t>(at)] != 0;
  const int shift = 64 - std::countl_zero(static_cast<uint64_t>(leading >> 64));
  rest = rest || (leading & ((static_cast<unsigned __int128>(1) << shift) - 1)) != 0;
  return RoundMagnitude(static_cast<uint64_t>(leading >> shift), rest, exponent + 32 * (size - 4) + shift, negative);
}

double ExactSum::Round() const {
  if (!finite()) {
    if (nans_ != 0 || (positive_infinities_ != 0 && negative_infinities_ != 0)) return std::numeric_limits<double>::quiet_NaN();
    return positive_infinities_ != 0 ? std::numeric_limits<double>::infinity() : -std::numeric_limits<double>::infinity();
  }
  // Sums are multiples of the smallest double, so a result below 2^-1022 has at most 53 bits and ldexp does not round again.
  const RoundedSum rounded = sum_.Round();
  return std::ldexp(rounded.fraction, rounded.exponent);
}

void ExactSum::Add(const ExactSum& other) {
  sum_.Add(other.sum_);
  positive_infinities_ += other.positive_infinities_;
  negative_infinities_ += other.negative_infinities_;
  nans_ += other.nans_;
}

void ExactSum::Save(std::string& bytes) const {
  sum_.Save(!finite(), bytes);
  if (finite()) return;
  for (const int64_t special : {positive_infinities_, negative_infinities_, nans_}) AppendSigned(special, bytes);
}

bool ExactSum::AddSaved(VarintReader& reader) {
  if (sum_.AddSaved(reader)) {
    // Unsigned, because damaged counts may overflow.
    for (int64_t* special : {&positive_infinities_, &negative_infinities_, &nans_})
      *special = static_cast<int64_t>(static_cast<uint64_t>(*special) + static_cast<uint64_t>(reader.Signed()));
  }
  return reader.ok();
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

}  // namespace tidemill
