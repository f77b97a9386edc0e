#include "feature/expression_names.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/time.h"
#include "feature/program/functions.h"

namespace tidemill {
namespace {

const std::map<std::string, std::string, std::less<>>& Aliases() {
  static const std::map<std::string, std::string, std::less<>> kAliases = {{"power", "pow"},
                                                                           {"**", "pow"},
                                                                           {"^", "pow"},
                                                                           {"ceiling", "ceil"},
                                                                           {"mod", "%"},
                                                                           {"fmod", "%"},
                                                                           {"lcase", "lower"},
                                                                           {"ucase", "upper"},
                                                                           {"len", "length"},
                                                                           {"char_length", "length"},
                                                                           {"character_length", "length"},
                                                                           {"substring", "substr"},
                                                                           {"prefix", "starts_with"},
                                                                           {"suffix", "ends_with"},
                                                                           {"^@", "starts_with"},
                                                                           {"instr", "strpos"},
                                                                           {"position", "strpos"},
                                                                           {"~~", "like"},
                                                                           {"~~*", "ilike"},
                                                                           {"datediff", "date_diff"},
                                                                           {"datetrunc", "date_trunc"},
                                                                           {"datepart", "date_part"},
                                                                           {"weekday", "dayofweek"},
                                                                           {"dayofmonth", "day"},
                                                                           {"weekofyear", "week"},
                                                                           {"is_nan", "isnan"},
                                                                           {"add", "+"},
                                                                           {"subtract", "-"},
                                                                           {"multiply", "*"},
                                                                           {"divide", "//"},
                                                                           {"arctan", "atan"},
                                                                           {"ord", "unicode"},
                                                                           {"editdist3", "levenshtein"},
                                                                           {"mismatches", "hamming"},
                                                                           {"greatest_common_divisor", "gcd"},
                                                                           {"least_common_multiple", "lcm"},
                                                                           {"str_split", "string_split"},
                                                                           {"string_to_array", "string_split"},
                                                                           {"split", "string_split"},
                                                                           {"regexp_like", "regexp_matches"},
                                                                           {"array_length", "length"},
                                                                           {"list_element", "list_extract"},
                                                                           {"array_extract", "list_extract"},
                                                                           {"array_slice", "list_slice"},
                                                                           {"array_contains", "list_contains"},
                                                                           {"list_has", "list_contains"},
                                                                           {"array_has", "list_contains"},
                                                                           {"array_position", "list_position"},
                                                                           {"list_indexof", "list_position"},
                                                                           {"array_indexof", "list_position"},
                                                                           {"array_has_any", "list_has_any"},
                                                                           {"&&", "list_has_any"},
                                                                           {"array_has_all", "list_has_all"},
                                                                           {"@>", "list_has_all"},
                                                                           {"list_cat", "list_concat"},
                                                                           {"array_concat", "list_concat"},
                                                                           {"array_cat", "list_concat"},
                                                                           {"array_append", "list_append"},
                                                                           {"array_push_back", "list_append"},
                                                                           {"array_sort", "list_sort"},
                                                                           {"array_reverse_sort", "list_reverse_sort"},
                                                                           {"array_reverse", "list_reverse"},
                                                                           {"array_distinct", "list_distinct"},
                                                                           {"array_unique", "list_unique"},
                                                                           {"list_pack", "list_value"},
                                                                           {"datesub", "date_sub"},
                                                                           {"->>", "json_extract_string"},
                                                                           {"timebucket", "time_bucket"},
                                                                           {"get_current_timestamp", "now"},
                                                                           {"transaction_timestamp", "now"}};
  return kAliases;
}

}  // namespace

std::string CanonicalFunction(std::string_view name) {
  const auto known = Aliases().find(name);
  return known == Aliases().end() ? std::string(name) : known->second;
}

bool IsKnownFunction(const std::string& name) {
  // What casts and aggregates of decimals are compiled to, and what a checked join asks.
  if (name.starts_with("decimal") || name == "failed") return false;
  constexpr std::array<std::string_view, 7> kCompiledAway = {"struct_extract", "nullif", "date_part", "!~~", "!~~*", "timezone", "time_bucket"};
  const std::vector<std::string> names = FunctionNames();
  return std::find(names.begin(), names.end(), name) != names.end() || IntervalUnitMicros(name) != 0 ||
         IntervalUnitMonths(name) != 0 || std::find(kCompiledAway.begin(), kCompiledAway.end(), name) != kCompiledAway.end();
}

std::string InsteadOf(std::string_view function) {
  static const std::map<std::string, std::string, std::less<>> kInstead = {
      {"hash", "hash_bucket(x, n) gives one of n buckets, the same on every machine"},
      {"md5", "hash_bucket(x, n) gives one of n buckets; md5 can be had in a table's SQL"},
      {"current_date", "now() is the time asked, in a feature view outside of aggregates: CAST(now() AS DATE)"},
      {"today", "now() is the time asked, in a feature view outside of aggregates: CAST(now() AS DATE)"},
      {"list_filter", "functions over elements are for a table's SQL; list_contains, list_sum and the like are there"},
      {"list_transform", "functions over elements are for a table's SQL; list_contains, list_sum and the like are there"},
      {"list_apply", "functions over elements are for a table's SQL; list_contains, list_sum and the like are there"},
      {"list_reduce", "functions over elements are for a table's SQL; list_contains, list_sum and the like are there"},
      {"list_aggregate", "list_sum, list_avg, list_min, list_max, list_count and list_unique have names of their own"},
      {"unnest", "make a row for each element in a table's SQL"},
      {"struct_pack", "features are single values or lists: write one feature for each field"},
      {"age", "date_sub('year', born, t) gives full years, date_diff('day', a, b) days, epoch(b - a) seconds"},
      {"glob", "LIKE or regexp_full_match"},
      {"~~~", "LIKE or regexp_full_match"},
      {"format", "concat or ||, and CAST(x AS VARCHAR)"},
      {"printf", "concat or ||, and CAST(x AS VARCHAR)"},
      {"gamma", "compute it in a table and use its column"},
      {"json_extract", "json_extract_string(x, '$.path'), and a cast"},
      {"->", "json_extract_string(x, '$.path') or x ->> '$.path', and a cast"}};
  const auto known = kInstead.find(function);
  return known == kInstead.end() ? "" : known->second;
}

int64_t IntervalUnitMicros(std::string_view function) {
  constexpr std::array<std::pair<std::string_view, int64_t>, 7> kUnits = {{{"to_weeks", 7 * kMicrosPerDay},
                                                                           {"to_days", kMicrosPerDay},
                                                                           {"to_hours", 3600 * kMicrosPerSecond},
                                                                           {"to_minutes", 60 * kMicrosPerSecond},
                                                                           {"to_seconds", kMicrosPerSecond},
                                                                           {"to_milliseconds", 1000},
                                                                           {"to_microseconds", 1}}};
  for (const auto& [name, micros] : kUnits) {
    if (name == function) return micros;
  }
  return 0;
}

int64_t IntervalUnitMonths(std::string_view function) {
  constexpr std::array<std::pair<std::string_view, int64_t>, 6> kUnits = {{{"to_months", 1},
                                                                           {"to_quarters", 3},
                                                                           {"to_years", 12},
                                                                           {"to_decades", 120},
                                                                           {"to_centuries", 1200},
                                                                           {"to_millennia", 12000}}};
  for (const auto& [name, months] : kUnits) {
    if (name == function) return months;
  }
  return 0;
}

std::optional<std::pair<int64_t, int64_t>> IntegerRange(std::string_view sql_type) {
  if (sql_type == "TINYINT") return std::pair<int64_t, int64_t>{-128, 127};
  if (sql_type == "SMALLINT") return std::pair<int64_t, int64_t>{-32768, 32767};
  if (sql_type == "INTEGER") return std::pair<int64_t, int64_t>{-2147483648LL, 2147483647};
  if (sql_type == "UTINYINT") return std::pair<int64_t, int64_t>{0, 255};
  if (sql_type == "USMALLINT") return std::pair<int64_t, int64_t>{0, 65535};
  if (sql_type == "UINTEGER") return std::pair<int64_t, int64_t>{0, 4294967295LL};
  return std::nullopt;
}

std::optional<Type> TypeOfSql(std::string_view sql_type) {
  constexpr std::array<std::pair<std::string_view, Type>, 8> kTypes = {{{"BIGINT", Type::kInt64},
                                                                        {"DOUBLE", Type::kDouble},
                                                                        {"FLOAT", Type::kDouble},
                                                                        {"VARCHAR", Type::kText},
                                                                        {"BOOLEAN", Type::kBool},
                                                                        {"TIMESTAMP", Type::kTimestamp},
                                                                        {"TIMESTAMP WITH TIME ZONE", Type::kTimestamp},
                                                                        {"DATE", Type::kDate}}};
  for (const auto& [name, value] : kTypes) {
    if (name == sql_type) return value;
  }
  return std::nullopt;
}

std::string CanonicalUnit(std::string unit) {
  std::transform(unit.begin(), unit.end(), unit.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  static const std::map<std::string, std::string> kNames = {{"dow", "dayofweek"},
                                                            {"weekday", "dayofweek"},
                                                            {"doy", "dayofyear"},
                                                            {"dayofmonth", "day"},
                                                            {"weekofyear", "week"},
                                                            {"h", "hour"},
                                                            {"ms", "millisecond"},
                                                            {"us", "microsecond"},
                                                            {"centuries", "century"},
                                                            {"millennia", "millennium"},
                                                            {"m", "minute"},
                                                            {"min", "minute"},
                                                            {"mins", "minute"},
                                                            {"s", "second"},
                                                            {"sec", "second"},
                                                            {"secs", "second"},
                                                            {"d", "day"},
                                                            {"w", "week"},
                                                            {"y", "year"}};
  if (const auto known = kNames.find(unit); known != kNames.end()) return known->second;
  if (unit.size() > 1 && unit.back() == 's') unit.pop_back();
  return unit;
}

}  // namespace tidemill
