#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "lake/lake.h"
#include "project/project.h"
#include "worker/worker_pool.h"

namespace tidemill {

struct TransformReport {
  int64_t rows = 0;              ///< in the table now
  int64_t rows_added = 0;        ///< written by this update
  int64_t rows_never_known = 0;  ///< left out: their declared known_at is null
  int64_t snapshot = 0;
  std::optional<Timestamp> next_known_at;  ///< the earliest row that is not known yet at `now`
};

/// What the last update saw, kept by the caller between updates of an appending table.
struct AppendPosition {
  Timestamp known_until;   ///< rows known up to here are in the table
  int64_t seq_until = -1;  ///< rows with a higher `_seq` came in later; -1: nothing is in the table
};

/// Brings a table up to the project clock `now` in one commit: rows with `_known_at` <= now, in the order of `_seq`.
/// `position` nullptr: computes it anew (CREATE OR REPLACE); else appends what became known since (late rows included)
/// and, on return, has moved. The commit records the position too, and the further one counts, so a caller that was killed
/// between the commit and keeping the position appends nothing twice. An empty position, a table that isn't in the lake, or
/// a clock behind the position computes anew.
/// Errors of DuckDB are placed into the SQL file. A Python table is run by `workers` (see MakePythonWorkers) before the commit;
/// without them it is an internal error.
Result<TransformReport> UpdateTable(const Project& project, const TableAsset& table, Lake& lake, Timestamp now, int64_t run_id,
                                    AppendPosition* position, WorkerPool* workers = nullptr);

/// A table at `now` as a SELECT text over lake tables, `_seq` and `_known_at` last, with the types of the lake (whole numbers
/// BIGINT, other numbers DOUBLE, times TIMESTAMP in UTC, what has no type there VARCHAR); for reproduce and lineage. `session`
/// must see the lake (at any snapshot): the inputs' columns are looked up. Nothing is written.
Result<std::string> TableQuery(const Project& project, const TableAsset& table, Session& session, Timestamp now);

/// Processes for the Python tables of a project; nothing is started before the first call. nullptr for a project without such
/// tables.
std::unique_ptr<WorkerPool> MakePythonWorkers(const Project& project);

/// Binds every table of a project in order over empty tables: types of all columns (without `_seq` and `_known_at`), or errors
/// with file, line, column, hint, all of one pass in Error::others. `source_fields` gives the columns of the sources; tables
/// that read a source missing there are left out.
Result<std::map<std::string, std::vector<Field>>> BindTables(const Project& project,
                                                             const std::map<std::string, std::vector<Field>>& source_fields,
                                                             Session& session);

}  // namespace tidemill
