#pragma once

#include <memory>
#include <vector>

#include "base/columns.h"
#include "base/result.h"
#include "feature/program/compiled_program.h"

namespace tidemill {

/// Rows of a view that lie in memory. Rows with a null in a key or a time belong to no entity.
struct ColumnRows {
  std::vector<const Column*> keys{};     ///< follow Program::keys
  const Column* event = nullptr;         ///< timestamps
  const Column* known = nullptr;         ///< timestamps; nullptr: known when they happen
  const Column* sequence = nullptr;      ///< integers; nullptr: their position
  std::vector<const Column*> columns{};  ///< follow Program::columns
};

/// At which times the features of which entities are asked.
struct ColumnQueries {
  std::vector<const Column*> keys{};  ///< follow Program::keys, with their types
  const Column* time = nullptr;       ///< timestamps
};

/// All features of the program, one column each in the order of `queries`; a query with a null in its key or time sees no rows.
/// Nothing but the columns is read; beside them and the result it holds the result once more, 12 bytes a row and a query, 9 for
/// each slot and row, and, for each thread, the rows of one entity. Threads: up to `threads`. The answers do not depend on their
/// number. Code: "duplicate_rows" when rows can't be told apart. Types are taken as right.
Result<Columns> ComputeFeatures(const Program& program, const ColumnRows& rows, const ColumnQueries& queries, int threads);

/// RowProgram::Evaluate from up to `threads` threads.
Result<Columns> EvaluateRows(const RowProgram& program, const Columns& rows, int threads);

}  // namespace tidemill
