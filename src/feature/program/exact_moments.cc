#include "feature/program/exact_moments.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/time.h"

namespace tidemill {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kHalfLivesABlock = 64;

void AddProduct(double x, double y, bool subtract, Superaccumulator<2150, 140>& products) {
  if (x == 0 || y == 0) return;
  const DoubleParts a(x);
  const DoubleParts b(y);
  const unsigned __int128 product = static_cast<unsigned __int128>(a.mantissa) * b.mantissa;
  products.AddWider(product, a.position + b.position, (a.negative != b.negative) != subtract);
}

/// Adds a number that was saved; wraps around, because damaged ones may overflow.
void AddSigned(VarintReader& reader, int64_t& sum) {
  sum = static_cast<int64_t>(static_cast<uint64_t>(sum) + static_cast<uint64_t>(reader.Signed()));
}
/// The same for counts, which are kept in a range where no formula overflows.
bool AddCount(VarintReader& reader, int64_t& sum) {
  constexpr uint64_t kCountMax = uint64_t{1} << 48;
  const uint64_t count = reader.Unsigned();
  if (count > kCountMax || sum > static_cast<int64_t>(kCountMax)) return false;
  sum += static_cast<int64_t>(count);
  return reader.ok();
}

/// `value` with an even exponent, so that its root can be taken apart.
RoundedSum WithEvenExponent(RoundedSum value) {
  if (value.exponent % 2 == 0) return value;
  return {value.fraction * 2, value.exponent - 1};
}

}  // namespace

// ---- x, x^2

void ExactMoments::Change(double value, bool subtract) {
  count_ += subtract ? -1 : 1;
  subtract ? sum_.Subtract(value) : sum_.Add(value);
  if (std::isfinite(value)) AddProduct(value, value, subtract, squares_);
}

void ExactMoments::Add(const ExactMoments& other) {
  sum_.Add(other.sum_);
  squares_.Add(other.squares_);
  count_ += other.count_;
}

void ExactMoments::Save(std::string& bytes) const {
  AppendVarint(static_cast<uint64_t>(count_), bytes);
  sum_.Save(bytes);
  squares_.Save(false, bytes);
}

bool ExactMoments::AddSaved(VarintReader& reader) {
  if (!AddCount(reader, count_) || !sum_.AddSaved(reader)) return false;
  squares_.AddSaved(reader);
  return reader.ok();
}

void ExactMoments::Clear() {
  sum_.Clear();
  squares_.Clear();
  count_ = 0;
}

ExactNumber ExactMoments::CentralSquares() const {
  const ExactNumber sum = Sum();
  return ExactNumber(count_) * Squares() - sum * sum;
}

double ExactMoments::Variance(int ddof) const {
  const RoundedSum numerator = CentralSquares().Round();
  const double denominator = static_cast<double>(count_) * static_cast<double>(count_ - ddof);
  return std::ldexp(numerator.fraction / denominator, numerator.exponent);
}

// ---- x, x^2, x^3

void ExactThirdMoments::Change(double value, bool subtract) {
  subtract ? moments_.Subtract(value) : moments_.Add(value);
  if (!std::isfinite(value) || value == 0) return;
  const DoubleParts x(value);
  const unsigned __int128 square = static_cast<unsigned __int128>(x.mantissa) * x.mantissa;
  const unsigned __int128 low = static_cast<unsigned __int128>(static_cast<uint64_t>(square)) * x.mantissa;
  const unsigned __int128 high = static_cast<unsigned __int128>(static_cast<uint64_t>(square >> 64)) * x.mantissa;
  cubes_.AddWider(low, 3 * x.position, x.negative != subtract);
  cubes_.AddWider(high, 3 * x.position + 64, x.negative != subtract);
}

void ExactThirdMoments::Add(const ExactThirdMoments& other) {
  moments_.Add(other.moments_);
  cubes_.Add(other.cubes_);
}

void ExactThirdMoments::Save(std::string& bytes) const {
  moments_.Save(bytes);
  cubes_.Save(false, bytes);
}

bool ExactThirdMoments::AddSaved(VarintReader& reader) {
  if (!moments_.AddSaved(reader)) return false;
  cubes_.AddSaved(reader);
  return reader.ok();
}

void ExactThirdMoments::Clear() {
  moments_.Clear();
  cubes_.Clear();
}

double ExactThirdMoments::Skewness() const {
  const int64_t n = moments_.count();
  if (n < 3 || !moments_.finite()) return kNone;
  const ExactNumber count(n);
  const ExactNumber sum = moments_.Sum();
  const ExactNumber squares = moments_.Squares();
  const ExactNumber second = count * squares - sum * sum;
  if (second.zero()) return kNone;
  const ExactNumber third =
      count * count * ExactNumber(cubes_) - ExactNumber(3) * count * sum * squares + ExactNumber(2) * sum * sum * sum;
  const RoundedSum m2 = WithEvenExponent(second.Round());
  const RoundedSum m3 = third.Round();
  const auto rows = static_cast<double>(n);
  const double correction = std::sqrt(rows * (rows - 1)) / (rows - 2);
  const double ratio = m3.fraction / (m2.fraction * std::sqrt(m2.fraction));
  return std::ldexp(correction * ratio, m3.exponent - m2.exponent - m2.exponent / 2);
}

// ---- x, y, x^2, y^2, x y

void ExactPairs::Change(double x, double y, bool subtract) {
  subtract ? x_.Subtract(x) : x_.Add(x);
  subtract ? y_.Subtract(y) : y_.Add(y);
  if (std::isfinite(x) && std::isfinite(y)) AddProduct(x, y, subtract, products_);
}

void ExactPairs::Add(const ExactPairs& other) {
  x_.Add(other.x_);
  y_.Add(other.y_);
  products_.Add(other.products_);
}

void ExactPairs::Save(std::string& bytes) const {
  x_.Save(bytes);
  y_.Save(bytes);
  products_.Save(false, bytes);
}

bool ExactPairs::AddSaved(VarintReader& reader) {
  if (!x_.AddSaved(reader) || !y_.AddSaved(reader)) return false;
  products_.AddSaved(reader);
  return reader.ok();
}

void ExactPairs::Clear() {
  x_.Clear();
  y_.Clear();
  products_.Clear();
}

ExactNumber ExactPairs::CentralProducts() const { return ExactNumber(x_.count()) * ExactNumber(products_) - x_.Sum() * y_.Sum(); }

double ExactPairs::Covariance(int ddof) const {
  if (count() <= ddof || !finite()) return kNone;
  const RoundedSum numerator = CentralProducts().Round();
  const double denominator = static_cast<double>(count()) * static_cast<double>(count() - ddof);
  return std::ldexp(numerator.fraction / denominator, numerator.exponent);
}

double ExactPairs::Correlation() const {
  if (count() == 0 || !finite()) return kNone;
  const RoundedSum a = x_.CentralSquares().Round();
  const RoundedSum b = y_.CentralSquares().Round();
  if (a.fraction == 0 || b.fraction == 0) return kNone;
  const RoundedSum c = CentralProducts().Round();
  const RoundedSum product = WithEvenExponent({a.fraction * b.fraction, a.exponent + b.exponent});
  const double correlation = std::ldexp(c.fraction / std::sqrt(product.fraction), c.exponent - product.exponent / 2);
  return std::clamp(correlation, -1.0, 1.0);
}

double ExactPairs::SlopeOverY() const {
  if (count() == 0 || !finite()) return kNone;
  const ExactNumber spread = y_.CentralSquares();
  return spread.zero() ? kNone : RoundedRatio(CentralProducts(), spread);
}

// ---- x over time

void ExactTrend::Change(int64_t micros, double value, bool subtract) {
  const auto magnitude = static_cast<uint64_t>(micros < 0 ? -static_cast<__int128>(micros) : micros);
  count_ += subtract ? -1 : 1;
  times_ += subtract ? -static_cast<__int128>(micros) : micros;
  squared_times_.AddWider(static_cast<unsigned __int128>(magnitude) * magnitude, 0, subtract);
  subtract ? values_.Subtract(value) : values_.Add(value);
  if (!std::isfinite(value) || value == 0 || micros == 0) return;
  const DoubleParts x(value);
  const bool negative = x.negative != (micros < 0);
  products_.AddWider(static_cast<unsigned __int128>(magnitude) * x.mantissa, x.position, negative != subtract);
}

void ExactTrend::Add(const ExactTrend& other) {
  count_ += other.count_;
  times_ += other.times_;
  squared_times_.Add(other.squared_times_);
  values_.Add(other.values_);
  products_.Add(other.products_);
}

void ExactTrend::Save(std::string& bytes) const {
  AppendVarint(static_cast<uint64_t>(count_), bytes);
  AppendVarint(static_cast<uint64_t>(times_), bytes);
  AppendSigned(static_cast<int64_t>(times_ >> 64), bytes);
  squared_times_.Save(false, bytes);
  values_.Save(bytes);
  products_.Save(false, bytes);
}

bool ExactTrend::AddSaved(VarintReader& reader) {
  if (!AddCount(reader, count_)) return false;
  const uint64_t low = reader.Unsigned();
  const auto high = static_cast<unsigned __int128>(static_cast<uint64_t>(reader.Signed()));
  times_ = static_cast<__int128>(static_cast<unsigned __int128>(times_) + (high << 64 | low));
  squared_times_.AddSaved(reader);
  if (!values_.AddSaved(reader)) return false;
  products_.AddSaved(reader);
  return reader.ok();
}

double ExactTrend::SlopeADay() const {
  if (count_ == 0 || !values_.finite()) return kNone;
  const ExactNumber n(count_);
  const ExactNumber times(times_);
  const ExactNumber spread = n * ExactNumber(squared_times_) - times * times;
  if (spread.zero()) return kNone;
  const ExactNumber rise = n * ExactNumber(products_) - times * ExactNumber(values_.accumulator());
  return RoundedRatio(ExactNumber(kMicrosPerDay) * rise, spread);
}

// ---- weights that halve

double PowerOfTwo(uint64_t fraction) {
  // Taylor's series of 2^y: ln(2)^k / k! * 2^63, cut off. What is left out is below 2^-63.
  constexpr std::array<uint64_t, 19> kCoefficients = {0x8000000000000000,
                                                      0x58b90bfbe8e7bcd6,
                                                      0x1ebfbdff82c58ea8,
                                                      0x71ac235c1282fe3,
                                                      0x13b2ab6fba4e773,
                                                      0x2bb0ffcf14ce62,
                                                      0x50c244be1b1e2,
                                                      0x7ff2ff1622c3,
                                                      0xb160111d2e4,
                                                      0xda929e9caf,
                                                      0xf267a8ac6,
                                                      0xf465639b,
                                                      0xe1deb28,
                                                      0xc0b0ca,
                                                      0x98a4b,
                                                      0x70dc,
                                                      0x4e4,
                                                      0x33,
                                                      0x2};
  uint64_t sum = 0;
  for (size_t k = kCoefficients.size(); k-- > 0;) {
    sum = kCoefficients[k] + static_cast<uint64_t>((static_cast<unsigned __int128>(sum) * fraction) >> 64);
  }
  return std::ldexp(static_cast<double>(std::max(sum, kCoefficients[0])), -63);
}

void ExactDecayedMean::Change(int64_t micros, double value, int64_t change) {
  int64_t halvings = micros / half_life_us_;
  int64_t rest = micros % half_life_us_;
  if (rest < 0) {
    --halvings;
    rest += half_life_us_;
  }
  const auto fraction =
      static_cast<uint64_t>((static_cast<unsigned __int128>(rest) << 64) / static_cast<uint64_t>(half_life_us_));
  const DoubleParts weight(PowerOfTwo(fraction));
  const int64_t number = halvings >> 6;
  const auto shift = static_cast<int>(halvings & (kHalfLivesABlock - 1));
  Block& block = blocks_[number];
  block.count += change;
  if (block.count == 0) {
    blocks_.erase(number);
    return;
  }
  const bool subtract = change < 0;
  block.weights.AddMantissa(weight.mantissa, weight.position - 1023 + shift, subtract);
  if (std::isnan(value)) {
    block.nans += change;
  } else if (std::isinf(value)) {
    (value > 0 ? block.positive_infinities : block.negative_infinities) += change;
  } else if (value != 0) {
    const DoubleParts x(value);
    block.weighted.AddWider(static_cast<unsigned __int128>(x.mantissa) * weight.mantissa, x.position + shift,
                            x.negative != subtract);
  }
}

void ExactDecayedMean::Block::Add(const Block& other) {
  count += other.count;
  positive_infinities += other.positive_infinities;
  negative_infinities += other.negative_infinities;
  nans += other.nans;
  weighted.Add(other.weighted);
  weights.Add(other.weights);
}

void ExactDecayedMean::Add(const ExactDecayedMean& other) {
  for (const auto& [number, block] : other.blocks_) blocks_[number].Add(block);
}

void ExactDecayedMean::Save(std::string& bytes) const {
  AppendVarint(blocks_.size(), bytes);
  for (const auto& [number, block] : blocks_) {
    AppendSigned(number, bytes);
    AppendVarint(static_cast<uint64_t>(block.count), bytes);
    const bool special = (block.positive_infinities | block.negative_infinities | block.nans) != 0;
    block.weighted.Save(special, bytes);
    if (special) {
      for (const int64_t count : {block.positive_infinities, block.negative_infinities, block.nans}) AppendSigned(count, bytes);
    }
    block.weights.Save(false, bytes);
  }
}

bool ExactDecayedMean::AddSaved(VarintReader& reader) {
  const uint64_t blocks = reader.Unsigned();
  for (uint64_t i = 0; i < blocks; ++i) {
    const int64_t number = reader.Signed();
    if (!reader.ok() || number == std::numeric_limits<int64_t>::min()) return false;
    Block& block = blocks_[number];
    if (!AddCount(reader, block.count)) return false;
    if (block.weighted.AddSaved(reader)) {
      for (int64_t* count : {&block.positive_infinities, &block.negative_infinities, &block.nans}) AddSigned(reader, *count);
    }
    block.weights.AddSaved(reader);
  }
  return reader.ok();
}

double ExactDecayedMean::Mean() const {
  const auto newest = blocks_.rbegin();
  int64_t positive_infinities = newest->second.positive_infinities;
  int64_t negative_infinities = newest->second.negative_infinities;
  int64_t nans = newest->second.nans;
  ExactNumber weighted(newest->second.weighted);
  ExactNumber weights(newest->second.weights);
  if (const auto before = blocks_.find(newest->first - 1); before != blocks_.end()) {
    const ExactNumber block = ExactNumber(static_cast<__int128>(1) << kHalfLivesABlock);
    weighted = block * weighted + ExactNumber(before->second.weighted);
    weights = block * weights + ExactNumber(before->second.weights);
    positive_infinities += before->second.positive_infinities;
    negative_infinities += before->second.negative_infinities;
    nans += before->second.nans;
  }
  const bool rising = positive_infinities != 0;
  const bool falling = negative_infinities != 0;
  if (nans != 0 || (rising && falling)) return kNone;
  if (rising || falling) return rising ? std::numeric_limits<double>::infinity() : -std::numeric_limits<double>::infinity();
  return RoundedRatio(weighted, weights);
}

}  // namespace tidemill
