#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "feature/program/calendar.h"
#include "feature/program/calendar_names.h"
#include "feature/program/functions.h"

/// strptime: times from texts by a format or several, as DuckDB reads them.
namespace tidemill::functions {
namespace time_parsing {
namespace {

constexpr std::string_view kRead = "aAbBdmyYGHIpMSfgnjUWVuwzZ%";
constexpr std::string_view kMayLackZeros = "dmyHIMSj";

/// %c, %x, %X, %T and %h stand for others.
std::string Spelled(std::string_view format) {
  std::string text;
  for (size_t at = 0; at < format.size(); ++at) {
    const char next = format[at] == '%' && at + 1 < format.size() ? format[at + 1] : '\0';
    if (next == 'c') {
      text += "%Y-%m-%d %H:%M:%S";
    } else if (next == 'x') {
      text += "%Y-%m-%d";
    } else if (next == 'X' || next == 'T') {
      text += "%H:%M:%S";
    } else if (next == 'h') {
      text += "%b";
    } else if (next != '\0') {
      text.append({'%', next});
    } else {
      text += format[at];
    }
    at += next == '\0' ? 0 : 1;
  }
  return text;
}

Status CheckReadFormat(std::string_view text) {
  if (text.empty()) return UserError("bad_literal", "the format of strptime is empty", "for instance '%d.%m.%Y'");
  for (size_t at = text.find('%'); at != std::string_view::npos; at = text.find('%', at)) {
    const bool bare = at + 1 < text.size() && text[at + 1] == '-';
    at += bare ? 2 : 1;
    if (at >= text.size() || (bare ? kMayLackZeros : kRead).find(text[at]) == std::string_view::npos) {
      return UserError("bad_literal",
                       fmt::format("strptime does not know '%{}{}'", bare ? "-" : "", text.substr(std::min(at, text.size()), 1)),
                       "%Y %m %d %H %M %S %f %g %n, %y %j %a %A %b %B %h, %G %V %u, %U %W %w, %I %p, %z %Z, and %c %x %X %T");
    }
    ++at;
  }
  return Ok();
}

bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsDecimalDigit(char c) { return c >= '0' && c <= '9'; }
bool IsOfZoneName(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '/' || c == '+' || c == '-';
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

/// What the constants say of how texts are read.
struct Reading {
  std::vector<std::string> formats;
  bool nanoseconds = false;  ///< a format has them, and none a zone: times are those between the years 1677 and 2262
  bool zoned = false;        ///< a format has an offset or a zone: days that a month lacks count on into the next
  std::map<std::string, int64_t> offsets;  ///< seconds, of zones whose clocks never change, by names in lower case
};

/// What was read of one text by one format. `failed`: the format fits, and yet it is no time.
struct Moment {
  int64_t micros = 0;
  bool failed = false;
};

/// Reads one text by one format.
class TimeReader {
 public:
  TimeReader(std::string_view text, const Reading& reading) : text_(text), reading_(reading) {}

  /// nullopt: the format does not fit.
  std::optional<Moment> Read(std::string_view format) {
    SkipBlanks();
    for (size_t at = 0; at < format.size(); ++at) {
      if (format[at] == '%') {
        at += format[at + 1] == '-' ? 2 : 1;
        if (!ReadPart(format[at])) return std::nullopt;
      } else if (IsBlank(format[at])) {
        if (at_ >= text_.size() || !IsBlank(text_[at_])) return std::nullopt;
        SkipBlanks();
        while (at + 1 < format.size() && IsBlank(format[at + 1])) ++at;
      } else if (!Take(format[at])) {
        return std::nullopt;
      }
    }
    SkipBlanks();
    return at_ == text_.size() && SetHour() ? std::optional(ToMoment()) : std::nullopt;
  }

 private:
  /// Which parts say the day. Numbers of day and month decide before all others; the rest must not contradict each other.
  enum class Day { kUnsaid, kOfMonth, kYear, kOfYear, kSundayWeek, kMondayWeek, kIsoWeek };

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

  bool Fraction(int digits_max, int64_t unit_nanos) {
    int64_t number = 0;
    if (!Number(digits_max, 0, 999'999'999, number)) return false;
    for (int i = read_; i < digits_max; ++i) number *= 10;
    nanos_ = number * unit_nanos;
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
    if (LowerCase(text_.substr(at_, word.size())) != LowerCase(word)) return false;
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

  bool TwoDigits(int64_t& number) {
    if (text_.size() - at_ < 2 || !IsDecimalDigit(text_[at_]) || !IsDecimalDigit(text_[at_ + 1])) return false;
    return Number(2, 0, 99, number);
  }

  /// +02, -0330, +05:45, +05:45:10
  bool Offset() {
    const bool west = Take('-');
    int64_t hours = 0;
    int64_t minutes = 0;
    int64_t seconds = 0;
    if ((!west && !Take('+')) || !TwoDigits(hours)) return false;
    const bool colon = Take(':');
    if (TwoDigits(minutes) && colon && Take(':')) TwoDigits(seconds);
    offset_ = (west ? -1 : 1) * (hours * 3600 + minutes * 60 + seconds);
    offset_read_ = true;
    return true;
  }

  bool ZoneName() {
    SkipBlanks();
    const size_t begin = at_;
    while (at_ < text_.size() && IsOfZoneName(text_[at_])) ++at_;
    zone_ = text_.substr(begin, at_ - begin);
    return !zone_.empty();
  }

  bool Year(int digits_max, int64_t& year) {
    if (day_from_ == Day::kUnsaid || day_from_ == Day::kIsoWeek) day_from_ = Day::kYear;
    return Number(digits_max, 0, 9999, year);
  }

  /// A part that counts days or weeks of a year, which nothing else may have said.
  bool PartOfYear(Day part, int digits_max, int64_t least, int64_t most, int64_t& number) {
    const bool first = day_from_ == Day::kUnsaid || day_from_ == Day::kYear;
    if (!first && day_from_ != Day::kOfMonth) return false;
    if (first) day_from_ = part;
    return Number(digits_max, least, most, number);
  }

  /// Years of weeks, and their weeks. A year before them leaves the first without effect, and contradicts the second.
  bool PartOfIso(char specifier) {
    const bool year = specifier == 'G';
    int64_t& part = year ? iso_year_ : iso_week_;
    const bool without_effect = day_from_ == Day::kOfMonth || (year && day_from_ == Day::kYear);
    if (day_from_ == Day::kUnsaid) day_from_ = Day::kIsoWeek;
    if (!without_effect && (day_from_ != Day::kIsoWeek || part != kUnread)) return false;
    return year ? Number(4, 0, 9999, part) : Number(2, 1, 53, part);
  }

  bool NumberOfMonth(int64_t most, int64_t& number) {
    day_from_ = Day::kOfMonth;
    return Number(2, 1, most, number);
  }

  bool ReadPart(char specifier) {
    size_t which = 0;
    switch (specifier) {
      case 'Y':
        return Year(4, year_);
      case 'y':
        if (!Year(2, year_)) return false;
        year_ += year_ > 68 ? 1900 : 2000;
        return true;
      case 'm':
        return NumberOfMonth(12, month_);
      case 'd':
        return NumberOfMonth(31, day_);
      case 'j':
        return PartOfYear(Day::kOfYear, 3, 1, 366, day_of_year_);
      case 'U':
        return PartOfYear(Day::kSundayWeek, 2, 0, 53, week_);
      case 'W':
        return PartOfYear(Day::kMondayWeek, 2, 0, 53, week_);
      case 'w':
        return Number(1, 0, 6, weekday_);
      case 'G':
      case 'V':
        return PartOfIso(specifier);
      case 'u':
        return iso_weekday_ == kUnread && Number(1, 1, 7, iso_weekday_);
      case 'H':
        return Number(2, 0, 23, hour_);
      case 'I':
        return Number(2, 1, 12, hour_);
      case 'M':
        return Number(2, 0, 59, minute_);
      case 'S':
        return Number(2, 0, 59, second_);
      case 'n':
        return Fraction(9, 1);
      case 'f':
        return Fraction(6, 1000);
      case 'g':
        return Fraction(3, 1'000'000);
      case 'p':
        return HalfOfDay();
      case 'z':
        return Offset();
      case 'Z':
        return ZoneName();
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

  bool SetHour() {
    if (half_ != kNone && hour_ > 12) return false;
    if (half_ == kMorning && hour_ == 12) hour_ = 0;
    if (half_ == kAfternoon && hour_ < 12) hour_ += 12;
    return true;
  }

  /// Since 1970; nullopt: the month has no such day.
  std::optional<int64_t> Days() const {
    const auto year = static_cast<int>(year_);
    const int64_t new_year = DaysOf(year, 1, 1);
    switch (day_from_) {
      case Day::kOfYear:
        return new_year + day_of_year_ - 1;
      case Day::kSundayWeek:
      case Day::kMondayWeek: {
        // Before the first Sunday or Monday it is week 0.
        const int64_t first = day_from_ == Day::kMondayWeek ? 1 : 0;
        const int64_t since_first = (IsoWeekday(new_year) + 7 - first) % 7;
        const int64_t week_one = new_year + (7 - since_first) % 7;
        return week_one + (week_ - 1) * 7 + (weekday_ == kUnread ? 0 : (weekday_ + 7 - first) % 7);
      }
      case Day::kIsoWeek: {
        const auto read = [](int64_t part, int64_t otherwise) { return part == kUnread ? otherwise : part; };
        const int64_t week_one = MondayOf(DaysOf(static_cast<int>(read(iso_year_, 1900)), 1, 4));
        return week_one + (read(iso_week_, 1) - 1) * 7 + read(iso_weekday_, 1) - 1;
      }
      default: {
        const auto month = static_cast<int>(month_);
        if (!reading_.zoned && day_ > MonthDays(year, month)) return std::nullopt;
        return DaysOf(year, month, 1) + day_ - 1;
      }
    }
  }

  /// Seconds from UTC of what was read; nullopt: a zone that is not known.
  std::optional<int64_t> OffsetRead() const {
    if (zone_.empty()) return offset_;
    const auto known = reading_.offsets.find(LowerCase(zone_));
    if (known == reading_.offsets.end()) return std::nullopt;
    return offset_read_ ? offset_ : known->second;
  }

  Moment ToMoment() const {
    const std::optional<int64_t> days = Days();
    const std::optional<int64_t> offset = OffsetRead();
    if (!days || !offset) return {0, true};
    const int64_t seconds = hour_ * 3600 + minute_ * 60 + second_ - *offset;
    const int64_t micros = *days * kMicrosPerDay + seconds * kMicrosPerSecond;
    if (!reading_.nanoseconds) return {micros + (nanos_ + 500) / 1000, false};
    int64_t nanos = 0;
    if (__builtin_mul_overflow(micros, int64_t{1000}, &nanos) || __builtin_add_overflow(nanos, nanos_, &nanos) ||
        std::abs(nanos) == std::numeric_limits<int64_t>::max())
      return {0, true};
    return {nanos / 1000, false};
  }

  static constexpr int64_t kUnread = -1;
  std::string_view text_;
  const Reading& reading_;
  size_t at_ = 0;
  int read_ = 0;  ///< digits of the last number
  Day day_from_ = Day::kUnsaid;
  int64_t year_ = 1900;
  int64_t month_ = 1;
  int64_t day_ = 1;
  int64_t day_of_year_ = 0;
  int64_t week_ = 0;
  int64_t weekday_ = kUnread;
  int64_t iso_year_ = kUnread;
  int64_t iso_week_ = kUnread;
  int64_t iso_weekday_ = kUnread;
  int64_t hour_ = 0;
  int64_t minute_ = 0;
  int64_t second_ = 0;
  int64_t nanos_ = 0;
  int64_t offset_ = 0;  ///< seconds
  bool offset_read_ = false;
  std::string_view zone_;
  enum { kNone, kMorning, kAfternoon } half_ = kNone;
};

/// The list is [name, seconds, name, seconds ...].
Status ReadZones(const Node& node, Reading& reading) {
  const Error bad = UserError("bad_program", "the time zones in a feature program are damaged", "compile the view again with this version");
  if (!node.is_constant || node.constant.null) return bad;
  const ListView list(node.constant_text, Type::kText);
  if (list.size() % 2 != 0) return bad;
  for (size_t i = 0; i < list.size(); i += 2) {
    if (list.IsNull(i) || list.IsNull(i + 1)) return bad;
    constexpr int64_t kOffsetMax = 3 * 86'400;
    const std::string_view digits = list.Text(i + 1);
    int64_t seconds = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
    if (error != std::errc() || end != digits.data() + digits.size() || std::abs(seconds) > kOffsetMax) return bad;
    reading.offsets[LowerCase(list.Text(i))] = seconds;
  }
  return Ok();
}

Status PrepareReading(Node& node) {
  const Node& format = node.arguments[1];
  if (!format.is_constant) {
    return UserError("argument_types", "the format of strptime has to be a constant", "for instance strptime(x, '%d.%m.%Y')");
  }
  auto reading = std::make_shared<Reading>();
  if (format.type == Type::kText) {
    reading->formats.push_back(Spelled(format.constant_text));
  } else {
    const ListView list(format.constant_text, Type::kText);
    for (size_t i = 0; i < list.size(); ++i) {
      if (!list.IsNull(i)) reading->formats.push_back(Spelled(list.Text(i)));
    }
    if (reading->formats.empty() && !format.constant.null)
      return UserError("bad_literal", "strptime needs a format", "for instance strptime(x, ['%d.%m.%Y', '%Y-%m-%d'])");
  }
  for (const std::string& text : reading->formats) {
    if (!format.constant.null) {
      TIDEMILL_RETURN_IF_ERROR(CheckReadFormat(text));
    }
    reading->nanoseconds = reading->nanoseconds || FormatHasPart(text, 'n');
    reading->zoned = reading->zoned || FormatHasPart(text, 'z') || FormatHasPart(text, 'Z');
  }
  reading->nanoseconds = reading->nanoseconds && !reading->zoned;
  if (node.arguments.size() > 2) {
    TIDEMILL_RETURN_IF_ERROR(ReadZones(node.arguments[2], *reading));
  }
  node.prepared = std::move(reading);
  return Ok();
}

/// The first format that fits decides. With `kTries` one that gives no time does not fit, but among those with zones.
template <bool kTries>
Datum ParseByFormat(const Node& node, Evaluation& evaluation) {
  const Datum text = Evaluate(node.arguments[0], evaluation);
  if (text.null || node.arguments[1].constant.null) return Datum::Null();
  const auto& reading = *static_cast<const Reading*>(node.prepared.get());
  for (const std::string& format : reading.formats) {
    const auto moment = TimeReader(text.text, reading).Read(format);
    if (!moment) continue;
    if (!moment->failed) return Datum::Integer(moment->micros);
    if (!kTries || reading.zoned) break;
  }
  return Counted(Datum::Failed(), evaluation);
}

}  // namespace
}  // namespace time_parsing

bool FormatHasPart(std::string_view format, char part) {
  for (size_t at = format.find('%'); at != std::string_view::npos && at + 1 < format.size(); at = format.find('%', at + 2)) {
    if (format[at + 1] == part) return true;
  }
  return false;
}

const std::vector<ScalarFunction>& TimeParsing() {
  using time_parsing::ParseByFormat;
  using time_parsing::PrepareReading;
  constexpr Type kT = Type::kText;
  constexpr Type kS = Type::kTimestamp;
  constexpr Type kL = Type::kTextList;
  static const std::vector<ScalarFunction> kFunctions = {
      {"strptime", {kT, kT}, kS, ParseByFormat<false>, PrepareReading},
      {"strptime", {kT, kL}, kS, ParseByFormat<false>, PrepareReading},
      {"strptime", {kT, kL, kL}, kS, ParseByFormat<false>, PrepareReading},
      {"try_strptime", {kT, kL}, kS, ParseByFormat<true>, PrepareReading},
      {"try_strptime", {kT, kL, kL}, kS, ParseByFormat<true>, PrepareReading},
  };
  return kFunctions;
}

}  // namespace tidemill::functions
