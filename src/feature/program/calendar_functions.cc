#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include "feature/program/calendar.h"
#include "feature/program/calendar_names.h"
#include "feature/program/functions.h"

/// Months, buckets, names, and the clocks of time zones.
namespace tidemill::functions {
namespace calendar {
namespace {

/// A day that may not exist, or lie too far away.
std::optional<int64_t> CheckedDays(int64_t year, int64_t month, int64_t day) {
  constexpr int64_t kYearMax = 290'000;
  if (year < -kYearMax || year > kYearMax || month < 1 || month > 12 || day < 1) return std::nullopt;
  if (day > MonthDays(static_cast<int>(year), static_cast<int>(month))) return std::nullopt;
  return DaysOf(static_cast<int>(year), static_cast<int>(month), static_cast<int>(day));
}

int64_t MonthIndexOf(const CivilDate& civil) { return int64_t{civil.year} * 12 + civil.month - 1; }

/// The same day and time of day so many months later, or the last day of that month where there is no such day.
Datum AddMonths(const Datum& a, const Datum& months) {
  constexpr int64_t kMonthsMax = 12 * 290'000;
  if (months.integer < -kMonthsMax || months.integer > kMonthsMax) return Datum::Failed();
  const CivilDate civil = CivilOf(DayOf(a.integer));
  const int64_t index = MonthIndexOf(civil) + months.integer;
  const int64_t year = FloorDivide(index, 12);
  const int64_t month = index - year * 12 + 1;
  if (year < -290'000 || year > 290'000) return Datum::Failed();
  const int day = std::min(civil.day, MonthDays(static_cast<int>(year), static_cast<int>(month)));
  return Datum::Integer(DaysOf(static_cast<int>(year), static_cast<int>(month), day) * kMicrosPerDay + TimeOfDay(a.integer));
}

Datum MicrosBucket(const Datum& width, const Datum& a, const Datum& origin) {
  if (width.integer <= 0) return Datum::Failed();
  const int64_t begin = origin.integer % width.integer;
  int64_t since = 0;
  if (__builtin_sub_overflow(a.integer, begin, &since)) return Datum::Failed();
  return Datum::Integer(FloorDivide(since, width.integer) * width.integer + begin);
}
Datum MonthBucket(const Datum& width, const Datum& a, const Datum& origin) {
  if (width.integer <= 0) return Datum::Failed();
  const int64_t begin = MonthIndexOf(CivilOf(DayOf(origin.integer)));
  const int64_t index = FloorDivide(MonthIndexOf(CivilOf(DayOf(a.integer))) - begin, width.integer) * width.integer + begin;
  const int64_t year = FloorDivide(index, 12);
  return Datum::Integer(DaysOf(static_cast<int>(year), static_cast<int>(index - year * 12 + 1), 1) * kMicrosPerDay);
}

/// Whole months from one time to another. At the end of a shorter month a later day counts as its last.
int64_t FullMonths(int64_t from, int64_t to) {
  if (from > to) return -FullMonths(to, from);
  CivilDate begin = CivilOf(DayOf(from));
  const CivilDate end = CivilOf(DayOf(to));
  const int last = MonthDays(end.year, end.month);
  if (end.day == last && begin.day > last) begin.day = last;
  const int64_t months = MonthIndexOf(end) - MonthIndexOf(begin);
  const bool reached = end.day != begin.day ? end.day > begin.day : TimeOfDay(to) >= TimeOfDay(from);
  return reached ? months : months - 1;
}
struct Length {
  std::string_view unit;
  int64_t micros;
  int64_t months;
};
constexpr std::array<Length, 10> kLengths = {{{"year", 0, 12},
                                              {"quarter", 0, 3},
                                              {"month", 0, 1},
                                              {"week", 7 * kMicrosPerDay, 0},
                                              {"day", kMicrosPerDay, 0},
                                              {"hour", kMicrosPerHour, 0},
                                              {"minute", kMicrosPerMinute, 0},
                                              {"second", kMicrosPerSecond, 0},
                                              {"millisecond", 1000, 0},
                                              {"microsecond", 1, 0}}};
/// How many whole units fit between two times.
Datum WholeUnits(const Datum& unit, const Datum& a, const Datum& b) {
  for (const Length& length : kLengths) {
    if (length.unit != unit.text) continue;
    if (length.months != 0) return Datum::Integer(FullMonths(a.integer, b.integer) / length.months);
    int64_t micros = 0;
    return __builtin_sub_overflow(b.integer, a.integer, &micros) ? Datum::Failed() : Datum::Integer(micros / length.micros);
  }
  return Datum::Null();
}

Datum LastDay(const Datum& a) {
  const CivilDate civil = CivilOf(DayOf(a.integer));
  return Datum::Integer(DaysOf(civil.year, civil.month, MonthDays(civil.year, civil.month)));
}
Datum MonthName(const Datum& a) { return Datum::Text(kMonthNames[static_cast<size_t>(CivilOf(DayOf(a.integer)).month) - 1]); }
Datum DayName(const Datum& a) { return Datum::Text(kDayNames[static_cast<size_t>(IsoWeekday(DayOf(a.integer)) % 7)]); }
Datum EpochMicros(const Datum& a) { return a; }
Datum EpochNanos(const Datum& a) {
  int64_t nanos = 0;
  return __builtin_mul_overflow(a.integer, int64_t{1000}, &nanos) ? Datum::Failed() : Datum::Integer(nanos);
}

Datum MakeDate(const Datum& year, const Datum& month, const Datum& day) {
  const auto days = CheckedDays(year.integer, month.integer, day.integer);
  return days ? Datum::Integer(*days) : Datum::Failed();
}
Datum DateOfDays(const Datum& days) {
  return days.integer < -kDaysMax || days.integer > kDaysMax ? Datum::Failed() : Datum::Integer(days.integer);
}
Datum TimestampOfMicros(const Datum& a) { return a; }
/// make_timestamp(year, month, day, hour, minute, seconds).
Datum MakeTimestamp(const Node& node, Evaluation& evaluation) {
  std::array<Datum, 6> parts;
  for (size_t i = 0; i < parts.size(); ++i) {
    parts[i] = Evaluate(node.arguments[i], evaluation);
    if (parts[i].null) return parts[i];
  }
  const auto days = CheckedDays(parts[0].integer, parts[1].integer, parts[2].integer);
  const double micros = std::round(parts[5].number * static_cast<double>(kMicrosPerSecond));
  const bool midnight = parts[3].integer == 24 && parts[4].integer == 0 && micros == 0;
  const bool time = midnight || (parts[3].integer >= 0 && parts[3].integer < 24 && parts[4].integer >= 0 && parts[4].integer < 60 &&
                                 micros >= 0 && micros <= 60.0 * static_cast<double>(kMicrosPerSecond));
  if (!days || !time) return Counted(Datum::Failed(), evaluation);
  return Datum::Integer(*days * kMicrosPerDay + parts[3].integer * kMicrosPerHour + parts[4].integer * kMicrosPerMinute +
                        static_cast<int64_t>(micros));
}

// ---- strftime

constexpr std::string_view kSpecifiers = "aAwudbhBmyYHIpMSfgnjUWVGzZcxXT%";
constexpr std::string_view kUnpadded = "dmyHIMSj";

Status CheckFormat(Node& node) {
  const Node& format = node.arguments[1];
  if (!format.is_constant) {
    return UserError("argument_types", "the format of strftime has to be a constant", "for instance strftime(t, '%Y-%m')");
  }
  const std::string_view text = format.constant_text;
  for (size_t at = text.find('%'); at != std::string_view::npos; at = text.find('%', at)) {
    const bool bare = at + 1 < text.size() && text[at + 1] == '-';
    at += bare ? 2 : 1;
    if (at >= text.size() || (bare ? kUnpadded : kSpecifiers).find(text[at]) == std::string_view::npos) {
      return UserError("bad_literal", fmt::format("strftime does not know '%{}{}'", bare ? "-" : "", text.substr(std::min(at, text.size()), 1)),
                       "%Y %m %d %H %M %S %f, %j %a %A %b %B %h %w %u, %U %W %G %V, %I %p, %g %n, %z %Z, %c %x %X %T, %-d and the like without zeros");
    }
    ++at;
  }
  return Ok();
}

/// The week of the year whose first day is `first` (0: Sunday), from 0 on.
int64_t WeekFrom(int64_t days, int64_t first) {
  const int64_t day_of_year = days - DaysOf(CivilOf(days).year, 1, 1);
  const int64_t weekday = (IsoWeekday(days) - first + 7) % 7;
  return (day_of_year + 7 - weekday) / 7;
}

void AppendSpecifier(char specifier, bool padded, int64_t micros, std::string& text) {
  const int64_t days = DayOf(micros);
  const CivilDate civil = CivilOf(days);
  const int64_t time = TimeOfDay(micros);
  const int64_t hour = time / kMicrosPerHour;
  const auto weekday = static_cast<size_t>(IsoWeekday(days) % 7);
  const auto number = [&](int64_t value, int digits) { text += padded ? fmt::format("{:0{}}", value, digits) : fmt::format("{}", value); };
  const auto all = [&](std::string_view specifiers, char between) {
    for (size_t i = 0; i < specifiers.size(); ++i) {
      if (i > 0) text += between;
      AppendSpecifier(specifiers[i], true, micros, text);
    }
  };
  switch (specifier) {
    case 'a': text += kDayNames[weekday].substr(0, 3); break;
    case 'A': text += kDayNames[weekday]; break;
    case 'w': text += fmt::format("{}", weekday); break;
    case 'u': text += fmt::format("{}", IsoWeekday(days)); break;
    case 'd': number(civil.day, 2); break;
    case 'h':
    case 'b': text += kMonthNames[static_cast<size_t>(civil.month) - 1].substr(0, 3); break;
    case 'B': text += kMonthNames[static_cast<size_t>(civil.month) - 1]; break;
    case 'm': number(civil.month, 2); break;
    case 'y': number(std::abs(civil.year) % 100, 2); break;
    case 'Y': text += fmt::format("{:04}", civil.year); break;
    case 'H': number(hour, 2); break;
    case 'I': number(hour % 12 == 0 ? 12 : hour % 12, 2); break;
    case 'p': text += hour >= 12 ? "PM" : "AM"; break;
    case 'M': number(time / kMicrosPerMinute % 60, 2); break;
    case 'S': number(time / kMicrosPerSecond % 60, 2); break;
    case 'f': text += fmt::format("{:06}", time % kMicrosPerSecond); break;
    case 'g': text += fmt::format("{:03}", time % kMicrosPerSecond / 1000); break;
    case 'n': text += fmt::format("{:09}", time % kMicrosPerSecond * 1000); break;
    case 'j': number(days - DaysOf(civil.year, 1, 1) + 1, 3); break;
    case 'U': text += fmt::format("{:02}", WeekFrom(days, 0)); break;
    case 'W': text += fmt::format("{:02}", WeekFrom(days, 1)); break;
    case 'V': text += fmt::format("{:02}", IsoWeek(days)); break;
    case 'G': text += fmt::format("{:04}", IsoYear(days)); break;
    case 'z': text += "+00"; break;
    case 'Z': break;
    case 'c': all("xX", ' '); break;
    case 'x': all("Ymd", '-'); break;
    case 'T':
    case 'X': all("HMS", ':'); break;
    default: text += specifier; break;
  }
}

Datum Formatted(const Datum& a, const Datum& format, TextPool& texts) {
  std::string& text = texts.Add();
  for (size_t at = 0; at < format.text.size(); ++at) {
    if (format.text[at] != '%' || at + 1 >= format.text.size()) {
      text += format.text[at];
      continue;
    }
    const bool bare = format.text[at + 1] == '-' && at + 2 < format.text.size();
    at += bare ? 2 : 1;
    AppendSpecifier(format.text[at], !bare, a.integer, text);
  }
  return Datum::Text(text);
}

// ---- time zones

/// What clocks show: the offset in microseconds from each change on. Times before 1900 or from 2100 on are not known.
struct ZoneClock {
  static constexpr int64_t kBegin = -2'208'988'800 * kMicrosPerSecond;
  static constexpr int64_t kEnd = 4'102'444'800 * kMicrosPerSecond;
  std::vector<int64_t> changes;        ///< in UTC
  std::vector<int64_t> local_changes;  ///< what clocks show just after them
  std::vector<int64_t> offsets;        ///< one more: the first is from the beginning
};

/// The list is [offset, moment, offset, moment, offset ...] in seconds.
Status ReadClock(Node& node) {
  const Error bad = UserError("bad_program", "a time zone in a feature program is damaged", "compile the view again with this version");
  if (!node.arguments[1].is_constant || node.arguments[1].constant.null) return bad;
  const ListView list(node.arguments[1].constant_text, Type::kInt64);
  auto clock = std::make_shared<ZoneClock>();
  constexpr int64_t kOffsetMax = 3 * 86'400;
  if (list.size() % 2 == 0) return bad;
  for (size_t i = 0; i < list.size(); ++i) {
    const int64_t seconds = list.Int(i);
    if (list.IsNull(i) || std::abs(seconds) > (i % 2 == 0 ? kOffsetMax : int64_t{10'000'000'000})) return bad;
    if (i % 2 == 1) {
      clock->changes.push_back(seconds * kMicrosPerSecond);
    } else {
      clock->offsets.push_back(seconds * kMicrosPerSecond);
    }
  }
  for (size_t i = 0; i < clock->changes.size(); ++i) clock->local_changes.push_back(clock->changes[i] + clock->offsets[i + 1]);
  if (!std::is_sorted(clock->changes.begin(), clock->changes.end())) return bad;
  node.prepared = std::move(clock);
  return Ok();
}

Datum UtcToZone(const Node& node, Evaluation& evaluation) {
  const Datum time = Evaluate(node.arguments[0], evaluation);
  if (time.null) return time;
  const auto& clock = *static_cast<const ZoneClock*>(node.prepared.get());
  if (time.integer < ZoneClock::kBegin || time.integer >= ZoneClock::kEnd) return Counted(Datum::Failed(), evaluation);
  const auto at = std::upper_bound(clock.changes.begin(), clock.changes.end(), time.integer) - clock.changes.begin();
  return Datum::Integer(time.integer + clock.offsets[static_cast<size_t>(at)]);
}
/// A time that clocks show twice is the later one; one that they skip is as far behind the change as it says.
Datum ZoneToUtc(const Node& node, Evaluation& evaluation) {
  const Datum time = Evaluate(node.arguments[0], evaluation);
  if (time.null) return time;
  const auto& clock = *static_cast<const ZoneClock*>(node.prepared.get());
  if (time.integer < ZoneClock::kBegin || time.integer >= ZoneClock::kEnd) return Counted(Datum::Failed(), evaluation);
  size_t at = clock.local_changes.size();
  while (at > 0 && clock.local_changes[at - 1] > time.integer) --at;
  return Datum::Integer(time.integer - clock.offsets[at]);
}

}  // namespace

const std::vector<ScalarFunction>& All() {
  constexpr Type kS = Type::kTimestamp;
  constexpr Type kI = Type::kInt64;
  constexpr Type kT = Type::kText;
  constexpr Type kA = Type::kDate;
  constexpr Type kL = Type::kInt64List;
  static const std::vector<ScalarFunction> kFunctions = {
      {"add_months", {kS, kI}, kS, Strict2<AddMonths>},
      {"micros_bucket", {kI, kS, kS}, kS, Strict3<MicrosBucket>},
      {"month_bucket", {kI, kS, kS}, kS, Strict3<MonthBucket>},
      {"date_sub", {kT, kS, kS}, kI, Strict3<WholeUnits>},
      {"last_day", {kS}, kA, Strict1<LastDay>},
      {"monthname", {kS}, kT, Strict1<MonthName>},
      {"dayname", {kS}, kT, Strict1<DayName>},
      {"epoch_us", {kS}, kI, Strict1<EpochMicros>},
      {"epoch_ns", {kS}, kI, Strict1<EpochNanos>},
      {"make_date", {kI}, kA, Strict1<DateOfDays>},
      {"make_date", {kI, kI, kI}, kA, Strict3<MakeDate>},
      {"make_timestamp", {kI}, kS, Strict1<TimestampOfMicros>},
      {"make_timestamp", {kI, kI, kI, kI, kI, Type::kDouble}, kS, MakeTimestamp},
      {"strftime", {kS, kT}, kT, Strict2<Formatted>, CheckFormat},
      {"utc_to_zone", {kS, kL}, kS, UtcToZone, ReadClock},
      {"zone_to_utc", {kS, kL}, kS, ZoneToUtc, ReadClock},
  };
  return kFunctions;
}

}  // namespace calendar

const std::vector<ScalarFunction>& Calendar() { return calendar::All(); }

}  // namespace tidemill::functions
