#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "lake/lake.h"
#include "project/project.h"

namespace tidemill {

struct TransformReport {
  int64_t rows = 0;           ///< in the table now
  int64_t rows_added = 0;
  int64_t snapshot = 0;
  std::optional<Timestamp> next_known_at;  ///< the earliest row that is not known yet at `now`
};

/// What the last update saw, kept by the caller between updates of an appending table.
struct AppendPosition {
  Timestamp known_until;  ///< rows known up to here are in the table
  int64_t seq_until = -1; ///< rows with a higher `_seq` came in later
};

/// Brings a table up to the project clock `now` in one commit: rows with `_known_at` <= now. `position` nullptr: computes it
/// anew (CREATE OR REPLACE); else appends what became known since (late rows included) and, on return, has moved.
/// Errors of DuckDB are placed into the SQL file.
Result<TransformReport> UpdateTable(const Project& project, const TableAsset& table, Lake& lake, Timestamp now, int64_t run_id,
                                    AppendPosition* position);

/// Computes a table as a SELECT text over lake tables at a snapshot (reproduce, lineage): nothing is written.
Result<std::string> TableQuery(const Project& project, const TableAsset& table, Session& session, Timestamp now);

/// Binds every table of a project in order over empty tables: types of all columns, or errors with file, line, column, hint.
/// `source_fields` gives the columns of the sources.
Result<std::map<std::string, std::vector<Field>>> BindTables(const Project& project, const std::map<std::string, std::vector<Field>>& source_fields,
                                                             Session& session);

}  // namespace tidemill
