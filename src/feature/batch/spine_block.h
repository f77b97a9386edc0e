#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/columns.h"
#include "feature/batch/entity_index.h"

namespace tidemill {

/// A stretch of the spine, in its order.
struct SpineBlock {
  int64_t first_row = 0;  ///< position in the spine
  Columns columns;
  size_t time_column = 0;

  size_t rows() const { return columns.rows(); }
  const Column& times() const { return columns.columns[time_column]; }
};

/// The rows of a block by entity and, within an entity, by time: what a kernel walks through. A row's place in this order is
/// its slot.
struct BlockOrder {
  static constexpr uint32_t kNoSlot = UINT32_MAX;
  /// Slots of one entity, or a part of them where there are very many.
  struct Run {
    uint32_t entity = 0;
    uint32_t begin = 0;
    uint32_t end = 0;
  };
  std::vector<uint32_t> rows;  ///< by slot
  std::vector<int64_t> times;  ///< by slot
  std::vector<Run> runs;
  std::vector<uint32_t> slot_of_row;  ///< kNoSlot: no time, or an entity that has no rows in any view
};

/// A block has at most this many rows.
constexpr size_t kBlockRowsMax = UINT32_MAX - 1;

BlockOrder OrderBlock(const EntityIndex& index, const std::vector<const Column*>& keys, const Column& times, int threads);

/// Calls `work(worker, i)` for each i below `count`, `at_once` of them at a time, from up to `threads` threads.
void ShareOut(size_t count, size_t at_once, int threads,
              const std::function<void(size_t worker, size_t begin, size_t end)>& work);

/// Appends rows [begin, end) of a column to one of the same type.
void AppendRows(const Column& from, size_t begin, size_t end, Column& to);

}  // namespace tidemill
