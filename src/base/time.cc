#include "base/time.h"

#include <array>
#include <cctype>
#include <cstdio>
#include <limits>

namespace tidemill {
namespace {

struct Unit {
  std::string_view name;
  int64_t micros;
};
// Largest first, so that formatting finds the shortest exact form.
constexpr std::array<Unit, 7> kUnits = {{{"w", 7 * kMicrosPerDay},
                                         {"d", kMicrosPerDay},
                                         {"h", 3600 * kMicrosPerSecond},
                                         {"m", 60 * kMicrosPerSecond},
                                         {"s", kMicrosPerSecond},
                                         {"ms", 1000},
                                         {"us", 1}}};
constexpr int64_t kLongestDays = 36'500;

/// Reads digits of exactly `width` at `*at`, or fails.
bool ReadNumber(std::string_view text, size_t* at, int width, int* value) {
  if (*at + width > text.size()) return false;
  int number = 0;
  for (int i = 0; i < width; ++i) {
    const char c = text[*at + i];
    if (c < '0' || c > '9') return false;
    number = number * 10 + (c - '0');
  }
  *at += width;
  *value = number;
  return true;
}

bool Skip(std::string_view text, size_t* at, char c) {
  if (*at >= text.size() || text[*at] != c) return false;
  ++*at;
  return true;
}

int DaysInMonth(int year, int month) {
  constexpr std::array<int, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : kDays[month - 1];
}

bool ReadDate(std::string_view text, size_t* at, Date* date) {
  CivilDate civil;
  if (!ReadNumber(text, at, 4, &civil.year) || !Skip(text, at, '-') || !ReadNumber(text, at, 2, &civil.month) ||
      !Skip(text, at, '-') || !ReadNumber(text, at, 2, &civil.day)) {
    return false;
  }
  if (civil.month < 1 || civil.month > 12 || civil.day < 1 || civil.day > DaysInMonth(civil.year, civil.month)) return false;
  *date = FromCivil(civil);
  return true;
}

bool ReadFraction(std::string_view text, size_t* at, int64_t* micros) {
  if (!Skip(text, at, '.')) return true;
  int64_t scale = 100'000;
  const size_t begin = *at;
  while (*at < text.size() && std::isdigit(static_cast<unsigned char>(text[*at]))) {
    *micros += (text[*at] - '0') * scale;
    scale /= 10;
    ++*at;
  }
  return *at > begin;
}

bool ReadZone(std::string_view text, size_t* at, int64_t* offset_micros) {
  if (*at == text.size() || Skip(text, at, 'Z')) return true;
  const char sign = text[*at];
  if (sign != '+' && sign != '-') return false;
  ++*at;
  int hours = 0;
  int minutes = 0;
  if (!ReadNumber(text, at, 2, &hours)) return false;
  if (Skip(text, at, ':') || *at < text.size()) {
    if (!ReadNumber(text, at, 2, &minutes)) return false;
  }
  *offset_micros = (hours * 3600LL + minutes * 60LL) * kMicrosPerSecond * (sign == '-' ? -1 : 1);
  return true;
}

bool ReadTimestamp(std::string_view text, Timestamp* timestamp) {
  size_t at = 0;
  Date date;
  if (!ReadDate(text, &at, &date)) return false;
  int64_t micros = date.days * kMicrosPerDay;
  if (at < text.size()) {
    if (text[at] != 'T' && text[at] != ' ') return false;
    ++at;
    int hour = 0;
    int minute = 0;
    int second = 0;
    if (!ReadNumber(text, &at, 2, &hour) || !Skip(text, &at, ':') || !ReadNumber(text, &at, 2, &minute)) return false;
    if (Skip(text, &at, ':') && !ReadNumber(text, &at, 2, &second)) return false;
    if (hour > 23 || minute > 59 || second > 59) return false;
    micros += (hour * 3600LL + minute * 60LL + second) * kMicrosPerSecond;
    int64_t offset = 0;
    if (!ReadFraction(text, &at, &micros) || !ReadZone(text, &at, &offset)) return false;
    micros -= offset;
  }
  timestamp->micros = micros;
  return at == text.size();
}

Error BadTime(std::string_view what, std::string_view text, std::string hint) {
  return UserError("bad_time", "'" + std::string(text) + "' is not a " + std::string(what), std::move(hint));
}

std::string FormatInstant(Timestamp timestamp, char separator, std::string_view suffix) {
  int64_t days = timestamp.micros / kMicrosPerDay;
  int64_t rest = timestamp.micros % kMicrosPerDay;
  if (rest < 0) {
    rest += kMicrosPerDay;
    --days;
  }
  const int64_t seconds = rest / kMicrosPerSecond;
  const int64_t micros = rest % kMicrosPerSecond;
  std::array<char, 40> text;
  std::snprintf(text.data(), text.size(), "%c%02d:%02d:%02d", separator, static_cast<int>(seconds / 3600),
                static_cast<int>(seconds / 60 % 60), static_cast<int>(seconds % 60));
  std::string out = FormatDate({static_cast<int32_t>(days)}) + text.data();
  if (micros != 0) {
    const bool millis = micros % 1000 == 0;
    std::snprintf(text.data(), text.size(), millis ? ".%03d" : ".%06d", static_cast<int>(millis ? micros / 1000 : micros));
    out += text.data();
  }
  return out + std::string(suffix);
}

}  // namespace

Result<Duration> ParseDuration(std::string_view text) {
  const std::string hint = "write a whole number and a unit: 90s, 15m, 2h, 7d, 4w";
  size_t at = 0;
  int64_t number = 0;
  while (at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])) && at < 15) {
    number = number * 10 + (text[at++] - '0');
  }
  if (at == 0) return BadTime("duration", text, hint);
  for (const Unit& unit : kUnits) {
    if (text.substr(at) != unit.name) continue;
    if (number > kLongestDays * kMicrosPerDay / unit.micros) return BadTime("duration", text, "the longest is 36500d");
    return Duration{number * unit.micros};
  }
  return BadTime("duration", text, hint);
}

std::string FormatDuration(Duration duration) {
  if (duration.micros == 0) return "0s";
  for (const Unit& unit : kUnits) {
    // Weeks are read but not written: people say 7d and 28d.
    if (unit.name == "w" || duration.micros % unit.micros != 0) continue;
    return std::to_string(duration.micros / unit.micros) + std::string(unit.name);
  }
  return std::to_string(duration.micros) + "us";
}

Result<Timestamp> ParseTimestamp(std::string_view text) {
  Timestamp timestamp;
  if (!ReadTimestamp(text, &timestamp)) {
    return BadTime("time", text, "write 2013-05-01 or 2013-05-01T10:00:00Z; without a zone UTC is meant");
  }
  return timestamp;
}

std::string FormatTimestamp(Timestamp timestamp) { return FormatInstant(timestamp, 'T', "Z"); }

std::string FormatSqlTimestamp(Timestamp timestamp) { return FormatInstant(timestamp, ' ', ""); }

Result<Date> ParseDate(std::string_view text) {
  size_t at = 0;
  Date date;
  if (!ReadDate(text, &at, &date) || at != text.size()) return BadTime("date", text, "write 2013-05-01");
  return date;
}

std::string FormatDate(Date date) {
  const CivilDate civil = ToCivil(date);
  std::array<char, 40> text;
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02d", civil.year, civil.month, civil.day);
  return text.data();
}

CivilDate ToCivil(Date date) {
  const std::chrono::year_month_day ymd{std::chrono::sys_days{std::chrono::days{date.days}}};
  return {static_cast<int>(ymd.year()), static_cast<int>(static_cast<unsigned>(ymd.month())),
          static_cast<int>(static_cast<unsigned>(ymd.day()))};
}

Date FromCivil(CivilDate civil) {
  const std::chrono::sys_days days = std::chrono::year{civil.year} / civil.month / civil.day;
  return {static_cast<int32_t>(days.time_since_epoch().count())};
}

}  // namespace tidemill
