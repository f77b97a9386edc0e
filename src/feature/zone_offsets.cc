#include "feature/zone_offsets.h"

#include <fmt/format.h>

#include "base/text_distance.h"

namespace tidemill {
namespace {

constexpr int64_t kBegin = -2'208'988'800;  // 1900-01-01
constexpr int64_t kEnd = 4'102'444'800;     // 2100-01-01
constexpr int64_t kDay = 86'400;
constexpr int64_t kHour = 3600;
constexpr int64_t kMinute = 60;

/// Offsets every `step` seconds of each stretch that begins at a row of `from` and lasts `length`: where they change, the second
/// at the beginning of the step and the offset at its end.
std::string Changes(const std::string& zone, const std::string& from, int64_t length, int64_t step) {
  const std::string moment = "make_timestamp(s * 1000000)";
  return fmt::format(
      "SELECT s - {3} AS s, o FROM (SELECT s, o, lag(o) OVER (PARTITION BY first ORDER BY s) AS before FROM (SELECT first, s, "
      "(epoch(timezone({0}, {4}::TIMESTAMPTZ)) - epoch({4}))::BIGINT AS o FROM (SELECT s AS first, unnest(range(s, s + {2} + 1, {3})) AS "
      "s FROM ({1})))) WHERE o <> before",
      zone, from, length, step, moment);
}

Result<bool> IsZone(Session& session, const std::string& zone, std::vector<std::string>* all) {
  TIDEMILL_ASSIGN_OR_RETURN(const Columns names, session.Query("SELECT name FROM pg_timezone_names()"));
  for (size_t row = 0; row < names.rows(); ++row) {
    all->emplace_back(names.columns[0].Text(row));
    if (all->back() == zone) return true;
  }
  return false;
}

}  // namespace

Result<List> ZoneReader::Read(const std::string& zone) {
  if (const auto known = known_.find(zone); known != known_.end()) return known->second;
  std::vector<std::string> names;
  TIDEMILL_ASSIGN_OR_RETURN(const bool known, IsZone(session_, zone, &names));
  if (!known) return UserError("bad_literal", fmt::format("there is no time zone '{}'", zone), SuggestionHint(zone, names));
  const std::string literal = SqlLiteral(Value(zone));
  const std::string whole = fmt::format("SELECT {}::BIGINT AS s", kBegin);
  // Changes within a day of each other that undo each other would be missed: there are none.
  const std::string days = Changes(literal, whole, kEnd - kBegin, kDay);
  const std::string hours = Changes(literal, days, kDay, kHour);
  const std::string minutes = Changes(literal, hours, kHour, kMinute);
  const std::string seconds = Changes(literal, minutes, kMinute, 1);
  const std::string first =
      fmt::format("SELECT NULL::BIGINT AS s, (epoch(timezone({0}, make_timestamp({1} * 1000000)::TIMESTAMPTZ)) - {1})::BIGINT AS o", literal,
                  kBegin);
  TIDEMILL_ASSIGN_OR_RETURN(const Columns changes,
                            session_.Query(fmt::format("({}) UNION ALL ({}) ORDER BY s NULLS FIRST", first, seconds)));
  ListBuilder list(Type::kInt64);
  for (size_t row = 0; row < changes.rows(); ++row) {
    if (row > 0) list.AppendInt(changes.columns[0].ints[row] + 1);
    list.AppendInt(changes.columns[1].ints[row]);
  }
  return known_[zone] = List{Type::kInt64, list.Finish()};
}

Result<List> ZoneReader::ReadFixed() {
  if (fixed_) return *fixed_;
  // Two moments of each decade leave few zones; of those every month is looked at.
  const auto fixed_among = [](const std::string& names, int years, int months) {
    return fmt::format(
        "SELECT name, min(o)::BIGINT AS o FROM (SELECT name, epoch(timezone(name, t::TIMESTAMPTZ)) - epoch(t) AS o FROM ({}), (SELECT "
        "make_timestamp(y, m, 1, 0, 0, 0) AS t FROM range(1900, 2100, {}) AS years(y), range(1, 13, {}) AS months(m))) GROUP BY name "
        "HAVING min(o) = max(o)",
        names, years, months);
  };
  TIDEMILL_ASSIGN_OR_RETURN(
      const Columns zones,
      session_.Query(fixed_among(fixed_among("SELECT name FROM pg_timezone_names()", 10, 6), 1, 1) + " ORDER BY name"));
  ListBuilder list(Type::kText);
  for (size_t row = 0; row < zones.rows(); ++row) {
    list.AppendText(zones.columns[0].Text(row));
    list.AppendText(std::to_string(zones.columns[1].ints[row]));
  }
  fixed_ = List{Type::kText, list.Finish()};
  return *fixed_;
}

}  // namespace tidemill
