#include "feature/program/decimal_sum.h"

#include <array>
#include <bit>
#include <cmath>

#include "feature/program/decimals.h"

namespace tidemill {
namespace {

constexpr int kKeyBits = 6;  ///< in a character
constexpr int kKeyCharactersMax = 22;
constexpr int kKeyDigitMax = (1 << kKeyBits) - 1;

/// A whole number from 0 on of 256 bits: what sums and counts times powers of ten fit.
struct Whole256 {
  std::array<uint64_t, 4> words{};  ///< the lowest first

  int bits() const {
    for (size_t i = words.size(); i-- > 0;) {
      if (words[i] != 0) return static_cast<int>(64 * i) + std::bit_width(words[i]);
    }
    return 0;
  }
  bool Bit(int at) const { return (words[static_cast<size_t>(at / 64)] >> (at % 64) & 1) != 0; }
  void Append(bool bit) {
    for (size_t i = words.size(); i-- > 1;) words[i] = words[i] << 1 | words[i - 1] >> 63;
    words[0] = words[0] << 1 | (bit ? 1U : 0U);
  }
  bool operator<(const Whole256& other) const {
    for (size_t i = words.size(); i-- > 0;) {
      if (words[i] != other.words[i]) return words[i] < other.words[i];
    }
    return false;
  }
  void Subtract(const Whole256& other) {
    bool borrow = false;
    for (size_t i = 0; i < words.size(); ++i) {
      uint64_t rest = 0;
      const bool below = __builtin_sub_overflow(words[i], other.words[i], &rest);
      const bool below_borrow = __builtin_sub_overflow(rest, uint64_t{borrow}, &words[i]);
      borrow = below || below_borrow;
    }
  }
  void Multiply(uint64_t factor) {
    unsigned __int128 carry = 0;
    for (uint64_t& word : words) {
      carry += static_cast<unsigned __int128>(word) * factor;
      word = static_cast<uint64_t>(carry);
      carry >>= 64;
    }
  }
};

/// a / b, rounded once: the quotient bit by bit, until it has more than a double keeps, and whether anything is left.
double Quotient(const Whole256& a, const Whole256& b) {
  constexpr int kExactBits = 53;
  if (a.bits() <= kExactBits && b.bits() <= kExactBits)
    return static_cast<double>(a.words[0]) / static_cast<double>(b.words[0]);
  constexpr int kQuotientBits = 60;
  Whole256 rest;
  uint64_t quotient = 0;
  int at = a.bits();
  while (std::bit_width(quotient) < kQuotientBits) {
    --at;
    rest.Append(at >= 0 && a.Bit(at));
    const bool fits = !(rest < b);
    if (fits) rest.Subtract(b);
    quotient = quotient << 1 | (fits ? 1U : 0U);
  }
  bool left = rest.bits() > 0;
  for (int below = at - 1; below >= 0 && !left; --below) left = a.Bit(below);
  return std::ldexp(static_cast<double>(quotient << 1 | (left ? 1U : 0U)), at - 1);
}

}  // namespace

std::string DecimalKey(__int128 value) {
  const bool negative = value < 0;
  auto rest = static_cast<unsigned __int128>(negative ? ~value : value);
  std::array<char, kKeyCharactersMax> digits;
  int size = 0;
  for (; rest != 0; rest >>= kKeyBits) {
    const int digit = static_cast<int>(rest & kKeyDigitMax);
    digits[static_cast<size_t>(size++)] = static_cast<char>('0' + (negative ? kKeyDigitMax - digit : digit));
  }
  std::string key(1, static_cast<char>(negative ? 'Z' - size : 'a' + size));
  key.append(std::make_reverse_iterator(digits.begin() + size), std::make_reverse_iterator(digits.begin()));
  return key;
}

std::optional<__int128> DecimalOfKey(std::string_view key) {
  if (key.empty()) return std::nullopt;
  const bool negative = key[0] <= 'Z';
  const int size = negative ? 'Z' - key[0] : key[0] - 'a';
  if (size < 0 || size > kKeyCharactersMax || key.size() != static_cast<size_t>(size) + 1) return std::nullopt;
  unsigned __int128 rest = 0;
  for (const char c : key.substr(1)) {
    const int digit = c - '0';
    if (digit < 0 || digit > kKeyDigitMax) return std::nullopt;
    rest = rest << kKeyBits | static_cast<unsigned>(negative ? kKeyDigitMax - digit : digit);
  }
  const auto value = static_cast<__int128>(rest);
  if (value < 0 || (size == kKeyCharactersMax && key[1] != (negative ? '0' + kKeyDigitMax - 1 : '1'))) return std::nullopt;
  return negative ? ~value : value;
}

void DecimalSum::Add(__int128 value) {
  const unsigned __int128 before = low_;
  low_ += static_cast<unsigned __int128>(value);
  high_ += (value < 0 ? ~uint64_t{0} : 0) + (low_ < before ? 1 : 0);
}

void DecimalSum::Add(const DecimalSum& other) {
  low_ += other.low_;
  high_ += other.high_ + (low_ < other.low_ ? 1 : 0);
}

std::optional<__int128> DecimalSum::Value(int doublings) const {
  const auto value = static_cast<__int128>(low_);
  if (high_ != (value < 0 ? ~uint64_t{0} : 0)) return std::nullopt;
  __int128 doubled = value;
  for (int i = 0; i < doublings && doubled != 0; ++i) {
    if (__builtin_add_overflow(doubled, doubled, &doubled)) return std::nullopt;
  }
  return doubled;
}

double DecimalSum::Mean(int64_t count, int digits) const {
  const bool negative = high_ >> 63 != 0;
  DecimalSum magnitude = *this;
  if (negative) {
    magnitude.low_ = -low_;
    magnitude.high_ = ~high_ + (low_ == 0 ? 1 : 0);
  }
  const Whole256 sum{{static_cast<uint64_t>(magnitude.low_), static_cast<uint64_t>(magnitude.low_ >> 64), magnitude.high_, 0}};
  if (sum.bits() == 0) return 0;
  Whole256 divisor{{static_cast<uint64_t>(count), 0, 0, 0}};
  for (int i = 0; i < digits; ++i) divisor.Multiply(10);
  const double mean = Quotient(sum, divisor);
  return negative ? -mean : mean;
}

void DecimalSum::Save(std::string& bytes) const {
  AppendVarint(static_cast<uint64_t>(low_), bytes);
  AppendSigned(static_cast<int64_t>(static_cast<uint64_t>(low_ >> 64)), bytes);
  AppendSigned(static_cast<int64_t>(high_), bytes);
}

bool DecimalSum::AddSaved(VarintReader& reader) {
  DecimalSum saved;
  const uint64_t lowest = reader.Unsigned();
  saved.low_ = static_cast<unsigned __int128>(static_cast<uint64_t>(reader.Signed())) << 64 | lowest;
  saved.high_ = static_cast<uint64_t>(reader.Signed());
  Add(saved);
  return reader.ok();
}

}  // namespace tidemill
