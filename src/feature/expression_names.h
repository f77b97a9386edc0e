#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/columns.h"

/// DuckDB's names of functions, types and units, as the kernel knows them.
namespace tidemill {

/// The kernel's name of a scalar function that users may write in several ways ("power", "**" -> "pow").
std::string CanonicalFunction(std::string_view name);
/// Whether there is a function of that (canonical) name, be it compiled away.
bool IsKnownFunction(const std::string& name);
/// What to write in place of a function of DuckDB's that the kernel lacks on purpose; "" when nothing is known.
std::string InsteadOf(std::string_view function);

/// Microseconds of to_hours() and the like, 0 for others. Months and years are not among these fixed lengths.
int64_t IntervalUnitMicros(std::string_view function);
/// Months of to_months(), to_quarters(), to_years() and longer ones; 0 for others.
int64_t IntervalUnitMonths(std::string_view function);
/// "hours" and "HOUR" mean hour; "dow" and the like have names of their own.
std::string CanonicalUnit(std::string unit);

/// The casts to integers narrower than ours keep their range.
std::optional<std::pair<int64_t, int64_t>> IntegerRange(std::string_view sql_type);
std::optional<Type> TypeOfSql(std::string_view sql_type);

}  // namespace tidemill
