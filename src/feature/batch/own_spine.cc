#include "feature/batch/own_spine.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "feature/program/compiled_program.h"
#include "feature/view_rows.h"

namespace tidemill {
namespace {

Status CheckKeys(const std::vector<ViewJoin>& views) {
  if (views.empty()) return UserError("join_keys", "no view is asked for");
  const Program& first = *views[0].program;
  for (const Field& key : first.keys) {
    if (key.name != kOwnSpineTime) continue;
    return UserError("join_keys", fmt::format("the key '{}' of view '{}' has the name of the time", key.name, first.view),
                     "give a spine with --spine, in which the time has another name");
  }
  for (const ViewJoin& view : views) {
    bool same = view.program->keys.size() == first.keys.size();
    for (size_t i = 0; same && i < first.keys.size(); ++i) same = view.program->keys[i].type == first.keys[i].type;
    if (!same) {
      return UserError("join_keys", fmt::format("views '{}' and '{}' are of different entities", first.view, view.program->view),
                       "ask for them one by one, or give a spine with --spine");
    }
  }
  return Ok();
}

/// "k1, k2", or with the names of another view's keys after AS.
std::string Keys(const Program& program, const Program& named) {
  std::string list;
  for (size_t i = 0; i < program.keys.size(); ++i) {
    list +=
        fmt::format("{}{} AS {}", i > 0 ? ", " : "", QuoteIdentifier(program.keys[i].name), QuoteIdentifier(named.keys[i].name));
  }
  return list;
}

std::string KeyNames(const Program& program) {
  std::string list;
  for (const Field& key : program.keys) list += (list.empty() ? "" : ", ") + QuoteIdentifier(key.name);
  return list;
}

std::string HasEntity(const ViewJoin& view) {
  std::string condition = fmt::format("{} IS NOT NULL AND _known_at IS NOT NULL", QuoteIdentifier(view.event_time));
  for (const Field& key : view.program->keys) condition += fmt::format(" AND {} IS NOT NULL", QuoteIdentifier(key.name));
  return condition;
}

std::string Literal(Timestamp time) { return fmt::format("make_timestamp({})", time.micros); }

/// Rows (keys, at) of one kind of change of a view.
std::string Changes(const ViewJoin& view, const Program& named, const std::string& time, const std::string& condition) {
  return fmt::format("SELECT {}, {} AS {} FROM {} WHERE {}{}", Keys(*view.program, named), time, QuoteIdentifier(kOwnSpineTime),
                     view.table_sql, HasEntity(view), condition);
}

/// When a row leaves a window for one reason or the other: its start, rounded down to the hop, passes it; the ttl.
std::vector<std::string> TimesOfLeaving(const WindowPlan& window, const std::string& event) {
  std::vector<std::string> times;
  if (window.reach != WindowPlan::kForever) {
    std::string end = event;
    if (window.hop > 0)
      end = fmt::format("make_timestamp(epoch_us({0}) + (-(epoch_us({0}) % {1}) + {1}) % {1})", event, window.hop);
    times.push_back(fmt::format("{} + to_microseconds({})", end, window.reach));
  }
  if (window.limit != WindowPlan::kForever) times.push_back(fmt::format("{} + to_microseconds({})", event, window.limit));
  return times;
}

}  // namespace

Result<std::string> EntitiesAt(const std::vector<ViewJoin>& views, Timestamp at) {
  TIDEMILL_RETURN_IF_ERROR(CheckKeys(views));
  const Program& named = *views[0].program;
  std::string rows;
  for (const ViewJoin& view : views) {
    rows += (rows.empty() ? "" : " UNION ") + fmt::format("SELECT {} FROM {} WHERE {} AND {} AND {}", Keys(*view.program, named),
                                                          view.table_sql, HasEntity(view),
                                                          TimeCondition("_known_at", "<=", at.micros),
                                                          TimeCondition(QuoteIdentifier(view.event_time), "<=", at.micros));
  }
  return fmt::format("SELECT DISTINCT *, {} AS {} FROM ({}) ORDER BY {}", Literal(at), QuoteIdentifier(kOwnSpineTime), rows,
                     KeyNames(named));
}

Result<std::string> ChangesBetween(const std::vector<ViewJoin>& views, Timestamp from, Timestamp until) {
  TIDEMILL_RETURN_IF_ERROR(CheckKeys(views));
  const Program& named = *views[0].program;
  std::string changes;
  const auto add = [&](const std::string& rows) { changes += (changes.empty() ? "" : " UNION ALL ") + rows; };
  for (const ViewJoin& view : views) {
    TIDEMILL_ASSIGN_OR_RETURN(const auto program, CompiledProgram::Make(*view.program));
    const std::string event = fmt::format("CAST({} AS TIMESTAMP)", QuoteIdentifier(view.event_time));
    const std::string known = "CAST(_known_at AS TIMESTAMP)";
    std::string in_time;
    if (view.program->lateness)
      in_time = fmt::format(" AND {} <= {} + to_microseconds({})", known, event, view.program->lateness->micros);
    for (const WindowPlan& window : program->windows()) {
      const std::string enters = fmt::format("greatest({}, {} + to_microseconds({}))", known, event, window.delay);
      const std::vector<std::string> leaves = TimesOfLeaving(window, event);
      std::string seen = in_time;
      // A row that was known only after it had left is never seen.
      if (!leaves.empty()) seen += fmt::format(" AND {} < least({})", enters, fmt::join(leaves, ", "));
      add(Changes(view, named, enters, seen));
      for (const std::string& left : leaves) add(Changes(view, named, left, seen));
      if (window.session == 0) continue;
      const int64_t quiet = AddTimes(AddTimes(window.delay, window.session), 1);
      add(Changes(view, named, fmt::format("{} + to_microseconds({})", event, quiet), seen));
    }
  }
  const std::string time = QuoteIdentifier(kOwnSpineTime);
  return fmt::format("SELECT DISTINCT * FROM ({}) WHERE {} > {} AND {} <= {} ORDER BY {}, {}", changes, time, Literal(from), time,
                     Literal(until), time, KeyNames(named));
}

}  // namespace tidemill
