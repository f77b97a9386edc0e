#pragma once

#include <cstdint>

#include "base/time.h"

/// Arithmetic of days, weeks and months, of times in microseconds since 1970 in UTC.
namespace tidemill::functions {

constexpr int64_t kMicrosPerMinute = 60 * kMicrosPerSecond;
constexpr int64_t kMicrosPerHour = 60 * kMicrosPerMinute;
/// Timestamps that a calendar of 32-bit days can express.
constexpr int64_t kDaysMax = 106'751'990;

inline int64_t FloorDivide(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a ^ b) < 0 ? 1 : 0); }
inline int64_t DayOf(int64_t micros) { return FloorDivide(micros, kMicrosPerDay); }
inline int64_t TimeOfDay(int64_t micros) { return micros - DayOf(micros) * kMicrosPerDay; }
inline CivilDate CivilOf(int64_t days) { return ToCivil(Date{static_cast<int32_t>(days)}); }
inline int64_t DaysOf(int year, int month, int day) { return FromCivil({year, month, day}).days; }
inline int64_t IsoWeekday(int64_t days) { return days + 3 - FloorDivide(days + 3, 7) * 7 + 1; }  // 1970-01-01 was a Thursday
inline int64_t MondayOf(int64_t days) { return days - IsoWeekday(days) + 1; }

inline int64_t IsoWeek(int64_t days) {
  const int64_t thursday = MondayOf(days) + 3;
  return (thursday - DaysOf(CivilOf(thursday).year, 1, 1)) / 7 + 1;
}

inline int64_t IsoYear(int64_t days) { return CivilOf(MondayOf(days) + 3).year; }
inline int MonthDays(int year, int month) {
  return static_cast<int>((month == 12 ? DaysOf(year + 1, 1, 1) : DaysOf(year, month + 1, 1)) - DaysOf(year, month, 1));
}

}  // namespace tidemill::functions
