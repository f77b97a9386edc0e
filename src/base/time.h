#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tidemill {

/// An instant in UTC, microseconds since 1970-01-01. Value type.
struct Timestamp {
  int64_t micros = 0;
  auto operator<=>(const Timestamp&) const = default;
};

/// A calendar day without a time zone, days since 1970-01-01. Value type.
struct Date {
  int32_t days = 0;
  auto operator<=>(const Date&) const = default;
};

/// A length of time in microseconds.
struct Duration {
  int64_t micros = 0;
  auto operator<=>(const Duration&) const = default;
};

inline Timestamp operator+(Timestamp t, Duration d) { return {t.micros + d.micros}; }
inline Timestamp operator-(Timestamp t, Duration d) { return {t.micros - d.micros}; }
inline Duration operator-(Timestamp a, Timestamp b) { return {a.micros - b.micros}; }

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;

/// Reads "90s", "15m", "2h", "7d", "4w" (also "1500ms"); whole numbers, one unit, at most 36500d.
Result<Duration> ParseDuration(std::string_view text);
/// The shortest exact form that ParseDuration reads back: "7d", "90s", "1500ms"; microseconds as "7us".
std::string FormatDuration(Duration duration);

/// Reads ISO 8601: "2013-05-01", "2013-05-01T10:00:00Z", "2013-05-01 10:00:00.25+02:00". Without a zone: UTC.
Result<Timestamp> ParseTimestamp(std::string_view text);
/// "2013-05-01T10:00:00Z", with 3 or 6 fraction digits only where needed.
std::string FormatTimestamp(Timestamp timestamp);
/// The form that SQL reads: "2013-05-01 10:00:00" with up to 6 fraction digits.
std::string FormatSqlTimestamp(Timestamp timestamp);

Result<Date> ParseDate(std::string_view text);
std::string FormatDate(Date date);

/// Civil date of a day number and back (proleptic Gregorian).
struct CivilDate {
  int year = 1970;
  int month = 1;
  int day = 1;
};
CivilDate ToCivil(Date date);
Date FromCivil(CivilDate civil);

}  // namespace tidemill
