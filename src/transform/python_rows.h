#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "lake/lake.h"
#include "project/project.h"
#include "transform/table_query.h"
#include "worker/worker_pool.h"

namespace tidemill {

/// The rows of a Python table at a project clock, computed and kept in the engine's memory (which spills) until this goes away,
/// so that the commit itself is short.
///
/// Each input is handed over as far as it is known at `now` (exports of history: whole), in the order of `_seq`. Rows that the
/// function keeps carry `_seq` and `_known_at` of a row of an input, which is checked. Made rows get a negative `_seq` from a
/// digest of their key (or of all columns, and of how many equal ones there are): so it stays the same when others come. They are
/// known when the latest of the rows read is, as an aggregate without groups is in SQL.
class PythonRows {
 public:
  /// Runs the function. Codes: those of WorkerPool::Call(), "python_rows" (kept rows that are no rows of an input).
  static Result<PythonRows> Compute(const Project& project, const TableAsset& table, Lake& lake, Timestamp now,
                                    WorkerPool& workers);
  PythonRows(PythonRows&& other) noexcept = default;
  PythonRows& operator=(PythonRows&& other) noexcept = default;
  ~PythonRows();

  /// What to store of them.
  TableSelect Select() const;

 private:
  PythonRows(const Project& project, const TableAsset& table, std::unique_ptr<Session> session);
  Status Run(Timestamp now, WorkerPool& workers);
  Result<PythonArgument> Argument(const std::string& parameter, const std::string& input, Timestamp now);
  Status Store(const Columns& batch);
  Status CheckKeptRows();
  Status FindLatestKnown(Timestamp now);

  const Project* project_;
  const TableAsset* table_;
  std::unique_ptr<Session> session_;
  std::string stored_;        ///< the table that holds them
  std::string latest_known_;  ///< of the rows read, as SQL
};

/// The columns that a Python table declares, and those of identity where it keeps rows.
std::vector<Field> ReturnedColumns(const PythonTable& python);

}  // namespace tidemill
