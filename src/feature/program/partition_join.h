#pragma once

#include <memory>

#include "feature/program/compiled_program.h"

namespace tidemill {

/// Rows of a view by column: `keys`, the times and numbers, and the program's columns, in the order of the program.
struct PartitionRows {
  std::vector<Column> keys;
  Column event;
  Column known;
  Column sequence;
  std::vector<Column> columns;

  size_t size() const { return event.size(); }
};

/// Entities and times that features are wanted for.
struct PartitionSpine {
  std::vector<Column> keys;
  Column time;

  size_t size() const { return time.size(); }
};

/// The features for each spine row, in its order, one column an output, in memory. The rows of an entity lie one after the other.
/// Rows with a null in their key belong to no entity; spine rows with one, or without time, see no rows. Code "not_grouped".
Result<Columns> JoinPartition(const Program& program, std::shared_ptr<const CompiledProgram> compiled, const PartitionRows& rows,
                              const PartitionSpine& spine);

}  // namespace tidemill
