#pragma once

#include <optional>
#include <string>
#include <vector>

#include "feature/program/program.h"
#include "sql/database.h"

namespace tidemill {

/// A view to join to a spine.
struct ViewJoin {
  const Program* program = nullptr;
  std::string table_sql;                ///< relation with the view's rows: `lake.main.departures` or `... AT (VERSION => n)`
  std::string event_time;               ///< its event time column
  std::vector<std::string> spine_keys;  ///< spine columns, in the order of Program::keys
  std::string prefix;                   ///< outputs are named prefix + "__" + output
  std::vector<std::string> outputs;     ///< which of them; empty: all
};

/// The point-in-time join: appends the views' features at each spine row's own time (`time_column`), seeing only rows
/// with `_known_at` <= that time and, beyond that, nothing known after `now`. Rows come back once each, in the spine's order,
/// also when nothing matches (defaults or nulls). Keys compare by type and value. Threads: up to `threads`.
Result<Columns> JoinFeatures(Session& session, Columns spine, const std::string& time_column, const std::vector<ViewJoin>& views,
                             Timestamp now, int threads);

}  // namespace tidemill
