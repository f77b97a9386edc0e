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

void ExactSum::Add(const ExactSum& other) {
  sum_.Add(other.sum_.Normalize());
  positive_infinities_ += other.positive_infinities_;
  negative_infinities_ += other.negative_infinities_;
  nans_ += other.nans_;
}

/// How many digits, times 4; 1 for specials and 2 for a negative sum: then the lowest digit's index and the digits, four bytes each.
void ExactSum::Save(std::string& bytes) const {
  const Accumulator::Digits digits = sum_.Normalize();
  const int count = std::max(digits.high - digits.low + 1, 0);
  AppendVarint(static_cast<uint64_t>(count) << 2 | (digits.negative ? 2U : 0U) | (finite() ? 0U : 1U), bytes);
  if (!finite()) {
    for (const int64_t special : {positive_infinities_, negative_infinities_, nans_}) AppendSigned(special, bytes);
  }
  if (count == 0) return;
  AppendVarint(static_cast<uint64_t>(digits.low), bytes);
  for (int i = digits.low; i <= digits.high; ++i) {
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(digits.digits[i] >> shift);
  }
}

bool ExactSum::AddSaved(VarintReader& reader) {
  const uint64_t head = reader.Unsigned();
  if ((head & 1) != 0) {
    // Unsigned, because damaged counts may overflow.
    for (int64_t* special : {&positive_infinities_, &negative_infinities_, &nans_})
      *special = static_cast<int64_t>(static_cast<uint64_t>(*special) + static_cast<uint64_t>(reader.Signed()));
  }
  const uint64_t count = head >> 2;
  if (count == 0) return reader.ok();
  constexpr uint64_t kDigitsMax = 68;  // 2^62 times the largest double
  const uint64_t low = reader.Unsigned();
  if (low > kDigitsMax || count > kDigitsMax || low + count > kDigitsMax) return false;
  const std::string_view raw = reader.Bytes(4 * count);
  if (!reader.ok()) return false;
  for (size_t i = 0; i < count; ++i) {
    uint32_t digit = 0;
    for (size_t byte = 4; byte-- > 0;) digit = digit << 8 | static_cast<uint8_t>(raw[4 * i + byte]);
    sum_.AddDigit(digit, static_cast<int>(low + i), (head & 2) != 0);
  }
  return true;
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
