#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>

#include "base/time.h"
#include "feature/program/functions.h"

namespace tidemill::functions {
namespace {

std::string_view Stripped(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string_view WithoutPlus(std::string_view text) {
  return text.size() > 1 && text[0] == '+' && text[1] != '-' ? text.substr(1) : text;
}

bool EqualsAnyCase(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] - 'A' + 'a') : text[i];
    if (c != lower[i]) return false;
  }
  return true;
}

Datum NumberToInteger(const Datum& a) {
  const double rounded = std::nearbyint(a.number);
  return rounded >= -0x1p63 && rounded < 0x1p63 ? Datum::Integer(static_cast<int64_t>(rounded)) : Datum::Null();
}
Datum NumberToBool(const Datum& a) { return Datum::Bool(a.number != 0); }
Datum NumberToText(const Datum& a, TextPool& texts) {
  std::string& text = texts.Add();
  fmt::format_to(std::back_inserter(text), "{}", a.number);
  if (text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
  return Datum::Text(text);
}

Datum IntegerToNumber(const Datum& a) { return Datum::Number(static_cast<double>(a.integer)); }
Datum IntegerToBool(const Datum& a) { return Datum::Bool(a.integer != 0); }
Datum IntegerToText(const Datum& a, TextPool& texts) {
  std::string& text = texts.Add();
  fmt::format_to(std::back_inserter(text), "{}", a.integer);
  return Datum::Text(text);
}
Datum BoolToText(const Datum& a) { return Datum::Text(a.integer != 0 ? "true" : "false"); }

Datum TextToNumber(const Datum& a) {
  const std::string_view text = WithoutPlus(Stripped(a.text));
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || end != text.data() + text.size() || error == std::errc::invalid_argument) return Datum::Null();
  if (error == std::errc::result_out_of_range) {
    const size_t exponent = text.find_first_of("eE");
    if (exponent != std::string_view::npos && text.substr(exponent + 1).starts_with('-'))
      return Datum::Number(text[0] == '-' ? -0.0 : 0.0);
    value = std::numeric_limits<double>::infinity();
    return Datum::Number(text[0] == '-' ? -value : value);
  }
  return Datum::Number(value);
}
Datum TextToInteger(const Datum& a) {
  const std::string_view text = WithoutPlus(Stripped(a.text));
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error == std::errc::result_out_of_range) return Datum::Null();
  if (error == std::errc() && end == text.data() + text.size()) return Datum::Integer(value);
  const Datum number = TextToNumber(a);  // '1.5', '1e3': rounded half away from zero
  if (number.null || !std::isfinite(number.number)) return Datum::Null();
  return NumberToInteger(Datum::Number(std::round(number.number)));
}
Datum TextToBool(const Datum& a) {
  for (const std::string_view word : {"true", "t", "yes", "y", "1"}) {
    if (EqualsAnyCase(a.text, word)) return Datum::Bool(true);
  }
  for (const std::string_view word : {"false", "f", "no", "n", "0"}) {
    if (EqualsAnyCase(a.text, word)) return Datum::Bool(false);
  }
  return Datum::Null();
}
Datum TextToTimestamp(const Datum& a) {
  const auto parsed = ParseTimestamp(Stripped(a.text));
  return parsed.ok() ? Datum::Integer(parsed->micros) : Datum::Null();
}
int64_t DayOfMicros(int64_t micros) { return micros / kMicrosPerDay - (micros % kMicrosPerDay < 0 ? 1 : 0); }
Datum TextToDate(const Datum& a) {
  const Datum timestamp = TextToTimestamp(a);
  return timestamp.null ? timestamp : Datum::Integer(DayOfMicros(timestamp.integer));
}

Datum TimestampToText(const Datum& a, TextPool& texts) {
  std::string& text = texts.Add();
  text = FormatSqlTimestamp({a.integer});
  if (text.find('.') != std::string::npos) text.erase(text.find_last_not_of('0') + 1);
  return Datum::Text(text);
}
Datum DateToText(const Datum& a, TextPool& texts) {
  std::string& text = texts.Add();
  text = FormatDate({static_cast<int32_t>(a.integer)});
  return Datum::Text(text);
}
Datum TimestampToDate(const Datum& a) { return Datum::Integer(DayOfMicros(a.integer)); }
Datum DateToTimestamp(const Datum& a) {
  int64_t micros = 0;
  return __builtin_mul_overflow(a.integer, kMicrosPerDay, &micros) ? Datum::Null() : Datum::Integer(micros);
}
Datum Same(const Datum& a) { return a; }

}  // namespace

EvaluateFunction Cast(Type from, Type to) {
  if (from == to) return Strict1<Same>;
  switch (from) {
    case Type::kBool:
      if (to == Type::kInt64) return Strict1<Same>;
      if (to == Type::kDouble) return Strict1<IntegerToNumber>;
      return to == Type::kText ? Strict1<BoolToText> : nullptr;
    case Type::kInt64:
      if (to == Type::kBool) return Strict1<IntegerToBool>;
      if (to == Type::kDouble) return Strict1<IntegerToNumber>;
      return to == Type::kText ? Strict1<IntegerToText> : nullptr;
    case Type::kDouble:
      if (to == Type::kBool) return Strict1<NumberToBool>;
      if (to == Type::kInt64) return Strict1<NumberToInteger>;
      return to == Type::kText ? Strict1<NumberToText> : nullptr;
    case Type::kText:
      if (to == Type::kBool) return Strict1<TextToBool>;
      if (to == Type::kInt64) return Strict1<TextToInteger>;
      if (to == Type::kDouble) return Strict1<TextToNumber>;
      if (to == Type::kTimestamp) return Strict1<TextToTimestamp>;
      return to == Type::kDate ? Strict1<TextToDate> : nullptr;
    case Type::kTimestamp:
      if (to == Type::kDate) return Strict1<TimestampToDate>;
      return to == Type::kText ? Strict1<TimestampToText> : nullptr;
    case Type::kDate:
      if (to == Type::kTimestamp) return Strict1<DateToTimestamp>;
      return to == Type::kText ? Strict1<DateToText> : nullptr;
    default:
      return nullptr;
  }
}

}  // namespace tidemill::functions
