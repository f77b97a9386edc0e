#pragma once

#include <span>
#include <vector>

#include "base/columns.h"
#include "feature/program/compiled_program.h"
#include "feature/program/row_store.h"

namespace tidemill {

/// The slots of a program over rows that lie in columns: those that are copies of a column are read where they lie, the others
/// are computed. One thread at a time.
class SlotColumns {
 public:
  /// Whether Read() serves a program: none of its slots holds bytes.
  static bool Serve(const CompiledProgram& program);

  explicit SlotColumns(const CompiledProgram& program);
  /// The slots of rows [begin, end), each from its first value on. `columns` follow Program::columns. Valid until the next call,
  /// and as long as the columns.
  std::span<const RowStore::SlotValues> Read(std::span<const Column* const> columns, size_t begin, size_t end);
  /// The slots of one row of any program; texts stay valid until the next call.
  std::span<const Datum> ReadRow(std::span<const Column* const> columns, size_t row);

 private:
  void Compute(std::span<const Column* const> columns, size_t begin, size_t end);

  const CompiledProgram& program_;
  std::vector<RowStore::SlotValues> slots_;
  ResultBuffer computed_;
  bool computes_ = false;  ///< some slots are no copies of columns
  std::vector<Datum> row_;
  std::vector<Datum> values_;
  TextPool texts_;
};

}  // namespace tidemill
