#include <array>

#include "base/time.h"
#include "feature/program/calendar.h"
#include "feature/program/functions.h"

namespace tidemill::functions {
namespace {

int64_t Year(int64_t micros) { return CivilOf(DayOf(micros)).year; }
int64_t Quarter(int64_t micros) { return (CivilOf(DayOf(micros)).month - 1) / 3 + 1; }
int64_t Month(int64_t micros) { return CivilOf(DayOf(micros)).month; }
int64_t Day(int64_t micros) { return CivilOf(DayOf(micros)).day; }
int64_t Week(int64_t micros) { return IsoWeek(DayOf(micros)); }
int64_t DayOfWeek(int64_t micros) { return IsoWeekday(DayOf(micros)) % 7; }
int64_t IsoDayOfWeek(int64_t micros) { return IsoWeekday(DayOf(micros)); }
int64_t DayOfYear(int64_t micros) {
  const int64_t days = DayOf(micros);
  return days - DaysOf(CivilOf(days).year, 1, 1) + 1;
}
int64_t Hour(int64_t micros) { return TimeOfDay(micros) / kMicrosPerHour; }
int64_t Minute(int64_t micros) { return TimeOfDay(micros) / kMicrosPerMinute % 60; }
int64_t Second(int64_t micros) { return TimeOfDay(micros) / kMicrosPerSecond % 60; }
int64_t Millisecond(int64_t micros) { return TimeOfDay(micros) % kMicrosPerMinute / 1000; }
int64_t Microsecond(int64_t micros) { return TimeOfDay(micros) % kMicrosPerMinute; }
int64_t YearOfWeek(int64_t micros) { return IsoYear(DayOf(micros)); }
int64_t YearAndWeek(int64_t micros) { return YearOfWeek(micros) * 100 + Week(micros); }
int64_t Decade(int64_t micros) { return Year(micros) / 10; }
int64_t Century(int64_t micros) { return Year(micros) > 0 ? (Year(micros) - 1) / 100 + 1 : Year(micros) / 100 - 1; }
int64_t Millennium(int64_t micros) { return Year(micros) > 0 ? (Year(micros) - 1) / 1000 + 1 : Year(micros) / 1000 - 1; }

template <int64_t (*Part)(int64_t)>
Datum PartOfTimestamp(const Datum& a) {
  return Datum::Integer(Part(a.integer));
}

Datum EpochSeconds(const Datum& a) {
  return Datum::Number(static_cast<double>(a.integer) / static_cast<double>(kMicrosPerSecond));
}
Datum EpochMillis(const Datum& a) { return Datum::Integer(a.integer / 1000); }

/// Units of date_trunc and date_diff. `index` numbers the unit that an instant lies in, `truncate` is the beginning of it.
/// Differences of indices are divided by `divisor`: weeks are seven days from wherever they begin, as in DuckDB.
struct Unit {
  std::string_view name;
  int64_t (*index)(int64_t micros);
  int64_t (*truncate)(int64_t micros);
  int64_t divisor = 1;
};

int64_t MonthIndex(int64_t micros) {
  const CivilDate civil = CivilOf(DayOf(micros));
  return int64_t{civil.year} * 12 + civil.month - 1;
}
int64_t QuarterIndex(int64_t micros) { return FloorDivide(MonthIndex(micros), 3); }
template <int64_t kLength>
int64_t FixedIndex(int64_t micros) {
  return FloorDivide(micros, kLength);
}
template <int64_t kLength>
int64_t FixedStart(int64_t micros) {
  return FloorDivide(micros, kLength) * kLength;
}
int64_t YearStart(int64_t micros) { return DaysOf(CivilOf(DayOf(micros)).year, 1, 1) * kMicrosPerDay; }
int64_t QuarterStart(int64_t micros) {
  const CivilDate civil = CivilOf(DayOf(micros));
  return DaysOf(civil.year, (civil.month - 1) / 3 * 3 + 1, 1) * kMicrosPerDay;
}
int64_t MonthStart(int64_t micros) {
  const CivilDate civil = CivilOf(DayOf(micros));
  return DaysOf(civil.year, civil.month, 1) * kMicrosPerDay;
}
int64_t WeekStart(int64_t micros) { return MondayOf(DayOf(micros)) * kMicrosPerDay; }

constexpr std::array<Unit, 10> kUnits = {{{"year", Year, YearStart},
                                          {"quarter", QuarterIndex, QuarterStart},
                                          {"month", MonthIndex, MonthStart},
                                          {"week", DayOf, WeekStart, 7},
                                          {"day", FixedIndex<kMicrosPerDay>, FixedStart<kMicrosPerDay>},
                                          {"hour", FixedIndex<kMicrosPerHour>, FixedStart<kMicrosPerHour>},
                                          {"minute", FixedIndex<kMicrosPerMinute>, FixedStart<kMicrosPerMinute>},
                                          {"second", FixedIndex<kMicrosPerSecond>, FixedStart<kMicrosPerSecond>},
                                          {"millisecond", FixedIndex<1000>, FixedStart<1000>},
                                          {"microsecond", FixedIndex<1>, FixedStart<1>}}};

const Unit* FindUnit(std::string_view name) {
  for (const Unit& unit : kUnits) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

Datum Truncate(const Datum& name, const Datum& a) {
  const Unit* unit = FindUnit(name.text);
  return unit == nullptr ? Datum::Null() : Datum::Integer(unit->truncate(a.integer));
}
Datum Difference(const Datum& name, const Datum& a, const Datum& b) {
  const Unit* unit = FindUnit(name.text);
  return unit == nullptr ? Datum::Null() : Datum::Integer((unit->index(b.integer) - unit->index(a.integer)) / unit->divisor);
}

Datum CheckedDate(int64_t days) { return days < -kDaysMax || days > kDaysMax ? Datum::Failed() : Datum::Integer(days); }
Datum AddDays(const Datum& date, const Datum& days) {
  int64_t result = 0;
  return __builtin_add_overflow(date.integer, days.integer, &result) ? Datum::Failed() : CheckedDate(result);
}
Datum SubtractDays(const Datum& date, const Datum& days) {
  int64_t result = 0;
  return __builtin_sub_overflow(date.integer, days.integer, &result) ? Datum::Failed() : CheckedDate(result);
}
Datum DaysBetween(const Datum& a, const Datum& b) { return Datum::Integer(a.integer - b.integer); }
Datum AddMicros(const Datum& a, const Datum& micros) {
  int64_t result = 0;
  return __builtin_add_overflow(a.integer, micros.integer, &result) ? Datum::Failed() : Datum::Integer(result);
}
Datum MicrosBetween(const Datum& a, const Datum& b) {
  int64_t result = 0;
  return __builtin_sub_overflow(a.integer, b.integer, &result) ? Datum::Failed() : Datum::Integer(result);
}

Datum TimeAsked(const Node&, Evaluation& evaluation) {
  return evaluation.time == kNoTime ? Datum::Null() : Datum::Integer(evaluation.time);
}

}  // namespace

const std::vector<ScalarFunction>& Time() {
  constexpr Type kS = Type::kTimestamp;
  constexpr Type kA = Type::kDate;
  constexpr Type kI = Type::kInt64;
  constexpr Type kT = Type::kText;
  static const std::vector<ScalarFunction> kFunctions = {
      {"year", {kS}, kI, Strict1<PartOfTimestamp<Year>>},
      {"quarter", {kS}, kI, Strict1<PartOfTimestamp<Quarter>>},
      {"month", {kS}, kI, Strict1<PartOfTimestamp<Month>>},
      {"week", {kS}, kI, Strict1<PartOfTimestamp<Week>>},
      {"day", {kS}, kI, Strict1<PartOfTimestamp<Day>>},
      {"dayofweek", {kS}, kI, Strict1<PartOfTimestamp<DayOfWeek>>},
      {"isodow", {kS}, kI, Strict1<PartOfTimestamp<IsoDayOfWeek>>},
      {"dayofyear", {kS}, kI, Strict1<PartOfTimestamp<DayOfYear>>},
      {"hour", {kS}, kI, Strict1<PartOfTimestamp<Hour>>},
      {"minute", {kS}, kI, Strict1<PartOfTimestamp<Minute>>},
      {"second", {kS}, kI, Strict1<PartOfTimestamp<Second>>},
      {"millisecond", {kS}, kI, Strict1<PartOfTimestamp<Millisecond>>},
      {"microsecond", {kS}, kI, Strict1<PartOfTimestamp<Microsecond>>},
      {"isoyear", {kS}, kI, Strict1<PartOfTimestamp<YearOfWeek>>},
      {"yearweek", {kS}, kI, Strict1<PartOfTimestamp<YearAndWeek>>},
      {"decade", {kS}, kI, Strict1<PartOfTimestamp<Decade>>},
      {"century", {kS}, kI, Strict1<PartOfTimestamp<Century>>},
      {"millennium", {kS}, kI, Strict1<PartOfTimestamp<Millennium>>},
      {"now", {}, kS, TimeAsked},
      {"epoch", {kS}, Type::kDouble, Strict1<EpochSeconds>},
      {"epoch_ms", {kS}, kI, Strict1<EpochMillis>},
      {"date_trunc", {kT, kS}, kS, Strict2<Truncate>},
      {"date_diff", {kT, kS, kS}, kI, Strict3<Difference>},
      {"+", {kA, kI}, kA, Strict2<AddDays>},
      {"-", {kA, kI}, kA, Strict2<SubtractDays>},
      {"-", {kA, kA}, kI, Strict2<DaysBetween>},
      {"add_micros", {kS, kI}, kS, Strict2<AddMicros>},
      {"micros_between", {kS, kS}, kI, Strict2<MicrosBetween>},
  };
  return kFunctions;
}

}  // namespace tidemill::functions

namespace tidemill {

std::vector<std::string> TimeUnits() {
  std::vector<std::string> names;
  for (const functions::Unit& unit : functions::kUnits) names.emplace_back(unit.name);
  return names;
}

}  // namespace tidemill
