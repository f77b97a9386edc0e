#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <string>
#include <string_view>

#include "feature/program/calendar.h"
#include "feature/program/calendar_names.h"
#include "feature/program/functions.h"

/// strptime: times from texts by a format, as DuckDB reads them.
namespace tidemill::functions {
namespace time_parsing {
namespace {

constexpr std::string_view kRead = "aAbBdmyYHIpMSfgjz%";
constexpr std::string_view kMayLackZeros = "dmyHIMSj";

/// %c, %x and %X stand for several others.
std::string Spelled(std::string_view format) {
  std::string text;
  for (size_t at = 0; at < format.size(); ++at) {
    const char next = format[at] == '%' && at + 1 < format.size() ? format[at + 1] : '\0';
    if (next == 'c') {
      text += "%Y-%m-%d %H:%M:%S";
    } else if (next == 'x') {
      text += "%Y-%m-%d";
    } else if (next == 'X') {
      text += "%H:%M:%S";
    } else if (next != '\0') {
      text.append({'%', next});
    } else {
      text += format[at];
    }
    at += next == '\0' ? 0 : 1;
  }
  return text;
}

Status CheckReadFormat(Node& node) {
  const Node& format = node.arguments[1];
  if (!format.is_constant) {
    return UserError("argument_types", "the format of strptime has to be a constant", "for instance strptime(x, '%d.%m.%Y')");
  }
  const std::string text = Spelled(format.constant_text);
  for (size_t at = text.find('%'); at != std::string::npos; at = text.find('%', at)) {
    const bool bare = at + 1 < text.size() && text[at + 1] == '-';
    at += bare ? 2 : 1;
    if (at >= text.size() || (bare ? kMayLackZeros : kRead).find(text[at]) == std::string_view::npos) {
      return UserError("bad_literal",
                       fmt::format("strptime does not know '%{}{}'", bare ? "-" : "",
                                   std::string_view(text).substr(std::min(at, text.size()), 1)),
                       "%Y %m %d %H %M %S %f %g, %y %j %a %A %b %B, %I %p, %z, and %c %x %X");
    }
    ++at;
  }
  node.prepared = std::make_shared<const std::string>(text);
  return Ok();
}

bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsDecimalDigit(char c) { return c >= '0' && c <= '9'; }

/// Reads one text by one format.
class TimeReader {
 public:
  explicit TimeReader(std::string_view text) : text_(text) {}

  std::optional<int64_t> Read(std::string_view format) {
    SkipBlanks();
    for (size_t at = 0; at < format.size(); ++at) {
      if (format[at] != '%') {
        if (!Take(format[at])) return std::nullopt;
        continue;
      }
      at += format[at + 1] == '-' ? 2 : 1;
      if (!ReadPart(format[at])) return std::nullopt;
    }
    SkipBlanks();
    return at_ == text_.size() ? Moment() : std::nullopt;
  }

 private:
  void SkipBlanks() {
    while (at_ < text_.size() && IsBlank(text_[at_])) ++at_;
  }
  bool Take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  /// A number of at least one digit and at most so many, within limits.
  bool Number(int digits_max, int64_t least, int64_t most, int64_t& number) {
    const size_t begin = at_;
    number = 0;
    while (at_ < text_.size() && at_ < begin + static_cast<size_t>(digits_max) && IsDecimalDigit(text_[at_]))
      number = number * 10 + (text_[at_++] - '0');
    read_ = static_cast<int>(at_ - begin);
    return read_ > 0 && number >= least && number <= most;
  }

  bool Fraction(int digits_max, int64_t unit) {
    int64_t number = 0;
    if (!Number(digits_max, 0, 999'999, number)) return false;
    for (int i = read_; i < digits_max; ++i) number *= 10;
    micros_ = number * unit;
    return true;
  }

  template <size_t N>
  bool Name(const std::array<std::string_view, N>& names, bool shortened, size_t& which) {
    for (which = 0; which < N; ++which) {
      const std::string_view name = shortened ? names[which].substr(0, 3) : names[which];
      if (TakeWord(name)) return true;
    }
    return false;
  }

  bool TakeWord(std::string_view word) {
    if (text_.size() - at_ < word.size()) return false;
    for (size_t i = 0; i < word.size(); ++i) {
      if (std::tolower(static_cast<unsigned char>(text_[at_ + i])) != std::tolower(static_cast<unsigned char>(word[i])))
        return false;
    }
    at_ += word.size();
    return true;
  }

  bool HalfOfDay() {
    if (TakeWord("am")) {
      half_ = kMorning;
    } else if (TakeWord("pm")) {
      half_ = kAfternoon;
    }
    return half_ != kNone;
  }

  /// +02, -0330, +05:45
  bool Offset() {
    const bool west = Take('-');
    int64_t hours = 0;
    int64_t minutes = 0;
    if ((!west && !Take('+')) || !Number(2, 0, 99, hours) || read_ != 2) return false;
    const bool colon = Take(':');
    if (colon || (at_ < text_.size() && IsDecimalDigit(text_[at_]))) {
      if (!Number(2, 0, 59, minutes) || read_ != 2) return false;
    }
    offset_minutes_ = (west ? -1 : 1) * (hours * 60 + minutes);
    return true;
  }

  bool ReadPart(char specifier) {
    size_t which = 0;
    switch (specifier) {
      case 'Y':
        return Number(4, 0, 9999, year_);
      case 'y':
        if (!Number(2, 0, 99, year_)) return false;
        year_ += year_ > 68 ? 1900 : 2000;
        return true;
      case 'm':
        return Number(2, 1, 12, month_);
      case 'd':
        return Number(2, 1, 31, day_);
      case 'j':
        return Number(3, 1, 366, day_of_year_);
      case 'H':
        return Number(2, 0, 23, hour_);
      case 'I':
        return Number(2, 1, 12, hour_);
      case 'M':
        return Number(2, 0, 59, minute_);
      case 'S':
        return Number(2, 0, 59, second_);
      case 'f':
        return Fraction(6, 1);
      case 'g':
        return Fraction(3, 1000);
      case 'p':
        return HalfOfDay();
      case 'z':
        return Offset();
      case 'a':
        return Name(kDayNames, true, which);
      case 'A':
        return Name(kDayNames, false, which);
      case 'b':
      case 'B':
        if (!Name(kMonthNames, specifier == 'b', which)) return false;
        month_ = static_cast<int64_t>(which) + 1;
        return true;
      default:
        return Take(specifier);
    }
  }

  std::optional<int64_t> Moment() {
    if (half_ != kNone && hour_ > 12) return std::nullopt;
    if (half_ == kMorning && hour_ == 12) hour_ = 0;
    if (half_ == kAfternoon && hour_ < 12) hour_ += 12;
    const auto year = static_cast<int>(year_);
    if (day_ > MonthDays(year, static_cast<int>(month_))) return std::nullopt;
    int64_t days = DaysOf(year, static_cast<int>(month_), static_cast<int>(day_));
    if (day_of_year_ > 0) days = DaysOf(year, 1, 1) + day_of_year_ - 1;
    return days * kMicrosPerDay + hour_ * kMicrosPerHour + (minute_ - offset_minutes_) * kMicrosPerMinute +
           second_ * kMicrosPerSecond + micros_;
  }

  std::string_view text_;
  size_t at_ = 0;
  int read_ = 0;  ///< digits of the last number
  int64_t year_ = 1900;
  int64_t month_ = 1;
  int64_t day_ = 1;
  int64_t day_of_year_ = 0;
  int64_t hour_ = 0;
  int64_t minute_ = 0;
  int64_t second_ = 0;
  int64_t micros_ = 0;
  int64_t offset_minutes_ = 0;
  enum { kNone, kMorning, kAfternoon } half_ = kNone;
};

Datum ParseByFormat(const Node& node, Evaluation& evaluation) {
  const Datum text = Evaluate(node.arguments[0], evaluation);
  if (text.null || node.arguments[1].constant.null) return Datum::Null();
  const auto moment = TimeReader(text.text).Read(*static_cast<const std::string*>(node.prepared.get()));
  return Counted(moment ? Datum::Integer(*moment) : Datum::Failed(), evaluation);
}

}  // namespace
}  // namespace time_parsing

const std::vector<ScalarFunction>& TimeParsing() {
  static const std::vector<ScalarFunction> kFunctions = {
      {"strptime", {Type::kText, Type::kText}, Type::kTimestamp, time_parsing::ParseByFormat, time_parsing::CheckReadFormat}};
  return kFunctions;
}

}  // namespace tidemill::functions
