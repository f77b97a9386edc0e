#pragma once

#include <memory>
#include <string>

#include "feature/batch/entity_index.h"
#include "feature/batch/view_joiner.h"
#include "sql/database.h"

namespace tidemill {

/// What is read of a view's table for a block.
struct StreamedViewRequest {
  const Program* program = nullptr;
  std::shared_ptr<const CompiledProgram> compiled;  ///< AnsweredByLatestRow()
  std::vector<size_t> outputs;                      ///< those wanted
  std::string relation;                             ///< the view's table
  std::string event_time;                           ///< its event time column
  std::string condition;                            ///< SQL: the rows that can matter
  const EntityIndex* index = nullptr;               ///< has all entities of the block
};

/// Answers blocks by reading the view's table once for each, without holding it: a row goes to the first row of the block that
/// sees it, where the latest one stays. For a block that is not much larger than the table. `session` must stay, and is used by
/// Read() only; its database's threads read.
/// Join() fails with code "duplicate_rows" when rows that would answer can't be told apart.
std::unique_ptr<ViewJoiner> MakeStreamedJoiner(Session& session, StreamedViewRequest request);
/// The most that it holds for a block of `asked` rows, of a table of `rows` rows of `row_bytes` bytes with their features.
size_t StreamedViewBytes(size_t asked, size_t rows, size_t row_bytes);

}  // namespace tidemill
