#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "feature/batch/entity_index.h"
#include "feature/program/compiled_program.h"
#include "feature/program/program.h"
#include "feature/program/row_store.h"
#include "sql/database.h"

namespace tidemill {

/// Rows of a view by entity: those of entity e are positions begin[e] to begin[e + 1] of `rows`, strictly increasing by
/// (event, sequence).
struct EntityRows {
  RowStore rows;
  std::vector<size_t> begin{0};
  size_t duplicates = 0;  ///< rows that were there twice, left out

  size_t entities() const { return begin.size() - 1; }
};

/// Rows of a view as its table gives them, and their entities, which are below `entities`.
struct TableRows {
  RowStore rows;
  std::vector<uint32_t> entity_of_row;
  size_t entities = 0;
};

/// Reads the rows of a view's table for which `condition` (SQL, may be empty) is true, about `expected` of them, and numbers
/// their entities in `index`.
Result<TableRows> ReadTableRows(Session& session, const Program& program, const CompiledProgram& compiled,
                                const std::string& table_sql, const std::string& event_time, const std::string& condition,
                                size_t expected, EntityIndex& index);
EntityRows GroupRows(TableRows read, const std::vector<Type>& slot_types, int threads);

/// Code "duplicate_rows" when there are rows that can't be told apart, which `duplicates` counts.
Status CheckNoDuplicates(size_t duplicates, const std::string& view);

}  // namespace tidemill
