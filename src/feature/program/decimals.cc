#include "feature/program/decimals.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "feature/program/decimal_sum.h"
#include "feature/program/functions.h"
#include "feature/program/number_words.h"

namespace tidemill {
namespace {

constexpr std::array<__int128, kDecimalDigitsMax + 1> kPowersOfTen = [] {
  std::array<__int128, kDecimalDigitsMax + 1> powers{1};
  for (size_t i = 1; i < powers.size(); ++i) powers[i] = powers[i - 1] * 10;
  return powers;
}();

bool IsDigits(int64_t digits) { return digits >= 0 && digits <= kDecimalDigitsMax; }
__int128 TenTo(int64_t digits) { return kPowersOfTen[static_cast<size_t>(digits)]; }
__int128 Magnitude(__int128 value) { return value < 0 ? -value : value; }

/// A decimal of at most that many digits. `width` comes from the program, which may be wrong.
Datum Decimal(__int128 value, int64_t width) {
  if (!IsDigits(width)) return Datum::Failed();
  const __int128 end = TenTo(width);
  return value < end && value > -end ? Datum::Decimal(value) : Datum::Failed();
}

/// value / 10^digits, halves away from zero.
__int128 DividedByPower(__int128 value, int64_t digits) {
  const __int128 unit = TenTo(digits);
  const __int128 rest = Magnitude(value % unit);
  const __int128 whole = value / unit;
  if (digits == 0 || rest < unit - rest) return whole;
  return value < 0 ? whole - 1 : whole + 1;
}

Datum MultipliedByPower(__int128 value, int64_t digits, int64_t width) {
  __int128 result = 0;
  return __builtin_mul_overflow(value, TenTo(digits), &result) ? Datum::Failed() : Decimal(result, width);
}

// ---- from and to other types

Datum IntegerToDecimal(const Datum& a, const Datum& width, const Datum& scale) {
  return IsDigits(scale.integer) ? MultipliedByPower(a.integer, scale.integer, width.integer) : Datum::Failed();
}

Datum NumberToDecimal(const Datum& a, const Datum& width, const Datum& scale) {
  if (!IsDigits(width.integer) || !IsDigits(scale.integer)) return Datum::Failed();
  const double scaled = std::round(a.number * static_cast<double>(TenTo(scale.integer)));
  if (!(std::fabs(scaled) < static_cast<double>(TenTo(width.integer)))) return Datum::Failed();
  return Decimal(static_cast<__int128>(scaled), width.integer);
}

struct WrittenNumber {
  bool negative = false;
  std::string digits;  ///< before and behind the point
  int64_t whole = 0;   ///< how many of them stand before the point, which an exponent moves
};

std::optional<WrittenNumber> ReadDigits(std::string_view text) {
  WrittenNumber number;
  number.negative = text.starts_with('-');
  if (number.negative) text.remove_prefix(1);
  if (const size_t e = text.find_first_of("eE"); e != std::string_view::npos) {
    const std::string_view exponent = WithoutPlus(text.substr(e + 1));
    const auto [end, error] = std::from_chars(exponent.data(), exponent.data() + exponent.size(), number.whole);
    if (exponent.empty() || error != std::errc() || end != exponent.data() + exponent.size() || std::abs(number.whole) > 1000)
      return std::nullopt;
    text = text.substr(0, e);
  }
  const size_t point = std::min(text.find('.'), text.size());
  number.digits = text.substr(0, point);
  if (point < text.size()) number.digits.append(text.substr(point + 1));
  number.whole += static_cast<int64_t>(point);
  const std::string& digits = number.digits;
  if (digits.empty() || digits.size() > 1000 || digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return number;
}

/// Digit by digit, so that '1.005' is not rounded as the double next to it.
Datum TextToDecimal(const Datum& a, const Datum& width, const Datum& scale) {
  const std::optional<WrittenNumber> number = ReadDigits(WithoutPlus(Stripped(a.text)));
  if (!number || !IsDigits(scale.integer)) return Datum::Failed();
  const auto size = static_cast<int64_t>(number->digits.size());
  // How many digits belong to the scaled number; those after them decide how it is rounded.
  const int64_t kept = number->whole + scale.integer;
  __int128 scaled = 0;
  for (int64_t i = 0; i < kept; ++i) {
    if (scaled >= TenTo(kDecimalDigitsMax - 1)) return Datum::Failed();
    scaled = scaled * 10 + (i < size ? number->digits[static_cast<size_t>(i)] - '0' : 0);
  }
  if (kept >= 0 && kept < size && number->digits[static_cast<size_t>(kept)] >= '5') ++scaled;
  return Decimal(number->negative ? -scaled : scaled, width.integer);
}

/// As DuckDB makes doubles of decimals: rounded once up to 2^53, beyond that the whole part and the rest each.
Datum DecimalToNumber(const Datum& a, const Datum& scale) {
  if (!IsDigits(scale.integer)) return Datum::Failed();
  constexpr __int128 kExact = __int128{1} << 53;
  const __int128 value = a.decimal();
  const __int128 unit = TenTo(scale.integer);
  if (scale.integer == 0 || Magnitude(value) <= kExact)
    return Datum::Number(static_cast<double>(value) / static_cast<double>(unit));
  return Datum::Number(static_cast<double>(value / unit) + static_cast<double>(value % unit) / static_cast<double>(unit));
}

Datum DecimalToInteger(const Datum& a, const Datum& scale) {
  if (!IsDigits(scale.integer)) return Datum::Failed();
  const __int128 whole = DividedByPower(a.decimal(), scale.integer);
  return whole == static_cast<int64_t>(whole) ? Datum::Integer(static_cast<int64_t>(whole)) : Datum::Failed();
}

/// Without a zero before the point where all digits stand behind it, as DuckDB writes DECIMAL(3, 3): .500
Datum DecimalToText(const Datum& a, const Datum& width, const Datum& scale, TextPool& texts) {
  if (!IsDigits(scale.integer)) return Datum::Failed();
  std::string& text = texts.Add();
  text = FormatWhole(Magnitude(a.decimal()));
  const auto behind = static_cast<size_t>(scale.integer);
  const size_t before = width.integer > scale.integer ? 1 : 0;
  if (text.size() < behind + before) text.insert(0, behind + before - text.size(), '0');
  if (behind > 0) text.insert(text.size() - behind, 1, '.');
  if (a.decimal() < 0) text.insert(0, 1, '-');
  return Datum::Text(text);
}

Datum DecimalAsKey(const Datum& a, TextPool& texts) {
  std::string& text = texts.Add();
  text = DecimalKey(a.decimal());
  return Datum::Text(text);
}
Datum KeyAsDecimal(const Datum& a) {
  const std::optional<__int128> value = DecimalOfKey(a.text);
  return value ? Datum::Decimal(*value) : Datum::Failed();
}
Datum IntegerAsDecimal(const Datum& a) { return Datum::Decimal(a.integer); }
Datum DecimalAsInteger(const Datum& a) {
  const __int128 value = a.decimal();
  return value == static_cast<int64_t>(value) ? Datum::Integer(static_cast<int64_t>(value)) : Datum::Failed();
}

// ---- arithmetic: results of at most `width` digits

/// To more digits behind the point, or to fewer: halves away from zero.
Datum Rescale(const Datum& a, const Datum& width, const Datum& by) {
  if (!IsDigits(std::abs(std::clamp<int64_t>(by.integer, -100, 100)))) return Datum::Failed();
  return by.integer >= 0 ? MultipliedByPower(a.decimal(), by.integer, width.integer)
                         : Decimal(DividedByPower(a.decimal(), -by.integer), width.integer);
}
Datum AddDecimals(const Datum& a, const Datum& b, const Datum& width) {
  __int128 result = 0;
  return __builtin_add_overflow(a.decimal(), b.decimal(), &result) ? Datum::Failed() : Decimal(result, width.integer);
}
Datum SubtractDecimals(const Datum& a, const Datum& b, const Datum& width) {
  __int128 result = 0;
  return __builtin_sub_overflow(a.decimal(), b.decimal(), &result) ? Datum::Failed() : Decimal(result, width.integer);
}
Datum MultiplyDecimals(const Datum& a, const Datum& b, const Datum& width) {
  __int128 result = 0;
  return __builtin_mul_overflow(a.decimal(), b.decimal(), &result) ? Datum::Failed() : Decimal(result, width.integer);
}
Datum RemainderDecimals(const Datum& a, const Datum& b) {
  return b.decimal() == 0 ? Datum::Null() : Datum::Decimal(a.decimal() % b.decimal());
}
Datum NegateDecimal(const Datum& a) { return Datum::Decimal(-a.decimal()); }
Datum AbsoluteDecimal(const Datum& a) { return Datum::Decimal(Magnitude(a.decimal())); }
Datum SignDecimal(const Datum& a) { return Datum::Integer((a.decimal() > 0) - (a.decimal() < 0)); }

// ---- to whole numbers: `scale` digits are cut off

Datum FloorDecimal(const Datum& a, const Datum& scale) {
  if (!IsDigits(scale.integer)) return Datum::Failed();
  const __int128 unit = TenTo(scale.integer);
  return Datum::Decimal(a.decimal() / unit - (a.decimal() % unit < 0 ? 1 : 0));
}
Datum CeilDecimal(const Datum& a, const Datum& scale) {
  if (!IsDigits(scale.integer)) return Datum::Failed();
  const __int128 unit = TenTo(scale.integer);
  return Datum::Decimal(a.decimal() / unit + (a.decimal() % unit > 0 ? 1 : 0));
}
Datum TruncateDecimal(const Datum& a, const Datum& scale) {
  return IsDigits(scale.integer) ? Datum::Decimal(a.decimal() / TenTo(scale.integer)) : Datum::Failed();
}
/// To a multiple of 10^digits, with none behind the point.
Datum RoundDecimal(const Datum& a, const Datum& scale, const Datum& digits) {
  if (!IsDigits(scale.integer) || digits.integer < 0) return Datum::Failed();
  if (digits.integer > kDecimalDigitsMax - scale.integer) return Datum::Decimal(0);
  return MultipliedByPower(DividedByPower(a.decimal(), scale.integer + digits.integer), digits.integer, kDecimalDigitsMax);
}

}  // namespace

std::optional<__int128> ParseWhole(std::string_view digits) {
  const bool negative = digits.starts_with('-');
  if (negative) digits.remove_prefix(1);
  if (digits.empty() || digits.size() > kDecimalDigitsMax) return std::nullopt;
  __int128 value = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return negative ? -value : value;
}

std::string FormatWhole(__int128 value) {
  std::string text;
  auto rest = static_cast<unsigned __int128>(Magnitude(value));
  do {
    text += static_cast<char>('0' + static_cast<int>(rest % 10));
    rest /= 10;
  } while (rest != 0);
  if (value < 0) text += '-';
  std::reverse(text.begin(), text.end());
  return text;
}

namespace functions {

const std::vector<ScalarFunction>& Decimals() {
  constexpr Type kI = Type::kInt64;
  constexpr Type kD = Type::kDouble;
  constexpr Type kT = Type::kText;
  constexpr Type kX = Type::kDecimal;
  static const std::vector<ScalarFunction> kFunctions = {
      {"decimal", {kI, kI, kI}, kX, Strict3<IntegerToDecimal>},
      {"decimal", {kD, kI, kI}, kX, Strict3<NumberToDecimal>},
      {"decimal", {kT, kI, kI}, kX, Strict3<TextToDecimal>},
      {"decimal", {kX, kI, kI}, kX, Strict3<Rescale>},
      {"decimal_to_number", {kX, kI}, kD, Strict2<DecimalToNumber>},
      {"decimal_to_integer", {kX, kI}, kI, Strict2<DecimalToInteger>},
      {"decimal_to_text", {kX, kI, kI}, kT, Strict3<DecimalToText>},
      {"decimal_of_units", {kI}, kX, Strict1<IntegerAsDecimal>},
      {"decimal_of_key", {kT}, kX, Strict1<KeyAsDecimal>},
      {"decimal_key", {kX}, kT, Strict1<DecimalAsKey>},
      {"decimal_units", {kX}, kI, Strict1<DecimalAsInteger>},
      {"+", {kX, kX, kI}, kX, Strict3<AddDecimals>},
      {"-", {kX, kX, kI}, kX, Strict3<SubtractDecimals>},
      {"*", {kX, kX, kI}, kX, Strict3<MultiplyDecimals>},
      {"%", {kX, kX}, kX, Strict2<RemainderDecimals>},
      {"-", {kX}, kX, Strict1<NegateDecimal>},
      {"abs", {kX}, kX, Strict1<AbsoluteDecimal>},
      {"sign", {kX}, kI, Strict1<SignDecimal>},
      {"floor", {kX, kI}, kX, Strict2<FloorDecimal>},
      {"ceil", {kX, kI}, kX, Strict2<CeilDecimal>},
      {"trunc", {kX, kI}, kX, Strict2<TruncateDecimal>},
      {"round", {kX, kI, kI}, kX, Strict3<RoundDecimal>},
  };
  return kFunctions;
}

}  // namespace functions
}  // namespace tidemill
