#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>

#include "base/time.h"
#include "feature/program/functions.h"
#include "feature/program/number_words.h"

namespace tidemill::functions {
namespace {

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
  return rounded >= -0x1p63 && rounded < 0x1p63 ? Datum::Integer(static_cast<int64_t>(rounded)) : Datum::Failed();
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
  if (text.empty() || end != text.data() + text.size() || error == std::errc::invalid_argument) return Datum::Failed();
  if (error == std::errc::result_out_of_range) {
    const size_t exponent = text.find_first_of("eE");
    if (exponent != std::string_view::npos && text.substr(exponent + 1).starts_with('-'))
      return Datum::Number(text[0] == '-' ? -0.0 : 0.0);
    value = std::numeric_limits<double>::infinity();
    return Datum::Number(text[0] == '-' ? -value : value);
  }
  return Datum::Number(value);
}
/// Of a whole number and what follows its point: rounded half away from zero, digit by digit, since doubles don't hold all.
Datum RoundedByFraction(int64_t whole, bool negative, std::string_view fraction) {
  const bool up = !fraction.empty() && fraction[0] >= '5';
  const bool overflows = up && __builtin_add_overflow(whole, negative ? -1 : 1, &whole);
  return overflows ? Datum::Failed() : Datum::Integer(whole);
}
Datum TextToInteger(const Datum& a) {
  const std::string_view text = WithoutPlus(Stripped(a.text));
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error == std::errc::result_out_of_range) return Datum::Failed();
  if (error == std::errc() && end == text.data() + text.size()) return Datum::Integer(value);
  if (error == std::errc() && *end == '.') {
    const std::string_view fraction = text.substr(static_cast<size_t>(end - text.data()) + 1);
    if (fraction.find_first_not_of("0123456789") == std::string_view::npos)
      return RoundedByFraction(value, text[0] == '-', fraction);
  }
  const Datum number = TextToNumber(a);  // '1e3', '.5': rounded half away from zero
  if (number.null || !std::isfinite(number.number)) return Datum::Failed();
  return NumberToInteger(Datum::Number(std::round(number.number)));
}
Datum TextToBool(const Datum& a) {
  for (const std::string_view word : {"true", "t", "yes", "y", "1"}) {
    if (EqualsAnyCase(a.text, word)) return Datum::Bool(true);
  }
  for (const std::string_view word : {"false", "f", "no", "n", "0"}) {
    if (EqualsAnyCase(a.text, word)) return Datum::Bool(false);
  }
  return Datum::Failed();
}
Datum TextToTimestamp(const Datum& a) {
  const auto parsed = ParseTimestamp(Stripped(a.text));
  return parsed.ok() ? Datum::Integer(parsed->micros) : Datum::Failed();
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
  return __builtin_mul_overflow(a.integer, kMicrosPerDay, &micros) ? Datum::Failed() : Datum::Integer(micros);
}
Datum Same(const Datum& a) { return a; }

Datum GivenElement(const Node& node, Evaluation&) { return node.constant; }

/// Casts elements one by one.
class ElementCast {
 public:
  ElementCast(Type from, Type to) : cast_(Cast(from, to)) {
    call_.type = to;
    call_.arguments.resize(1);
    call_.arguments[0].evaluate = GivenElement;
    call_.arguments[0].type = from;
  }
  Datum operator()(const Datum& element, Evaluation& evaluation) {
    call_.arguments[0].constant = element;
    return cast_(call_, evaluation);
  }

 private:
  EvaluateFunction cast_;
  Node call_;
};

Datum CastElements(const Node& node, Evaluation& evaluation) {
  const Datum value = Evaluate(node.arguments[0], evaluation);
  if (value.null) return value;
  const Type from = ElementType(node.arguments[0].type);
  const Type to = ElementType(node.type);
  ElementCast cast(from, to);
  const ListView list(value.text, from);
  ListBuilder result(to);
  for (size_t i = 0; i < list.size(); ++i) AppendElement(cast(ElementDatum(list, i, from), evaluation), to, result);
  std::string& bytes = evaluation.texts.Add();
  result.Finish(bytes);
  return Datum::Text(bytes);
}

/// In a list's text an element stands in quotes when it would be read as something else without them.
void AppendElementText(std::string_view element, std::string& text) {
  const bool blank_edge = !element.empty() && (std::isspace(static_cast<unsigned char>(element.front())) != 0 ||
                                               std::isspace(static_cast<unsigned char>(element.back())) != 0);
  if (!element.empty() && !blank_edge && element.find_first_of("\"'(),:=[]{}") == std::string_view::npos && !EqualsAnyCase(element, "null")) {
    text.append(element);
    return;
  }
  text += '\'';
  for (const char c : element) {
    if (c == '\'' || c == '\\') text += '\\';
    text += c;
  }
  text += '\'';
}

Datum ListToText(const Node& node, Evaluation& evaluation) {
  const Datum value = Evaluate(node.arguments[0], evaluation);
  if (value.null) return value;
  const Type element = ElementType(node.arguments[0].type);
  ElementCast cast(element, Type::kText);
  const ListView list(value.text, element);
  std::string& text = evaluation.texts.Add();
  text = "[";
  for (size_t i = 0; i < list.size(); ++i) {
    if (i > 0) text += ", ";
    if (list.IsNull(i)) {
      text += "NULL";
    } else {
      AppendElementText(cast(ElementDatum(list, i, element), evaluation).text, text);
    }
  }
  text += "]";
  return Datum::Text(text);
}

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
    case Type::kDecimal:
      return nullptr;  // the compiler, which knows the scale, calls functions of their own
    default:
      if (to == Type::kText) return ListToText;
      return IsList(to) && Cast(ElementType(from), ElementType(to)) != nullptr ? CastElements : nullptr;
  }
}

}  // namespace tidemill::functions
