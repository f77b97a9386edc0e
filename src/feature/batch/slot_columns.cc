#include "feature/batch/slot_columns.h"

#include <algorithm>
#include <cstring>

namespace tidemill {
namespace {

const int64_t* BitsOf(const Column& column) {
  static_assert(sizeof(double) == sizeof(int64_t));
  return column.type == Type::kDouble ? reinterpret_cast<const int64_t*>(column.doubles.data()) : column.ints.data();
}

}  // namespace

bool SlotColumns::Serve(const CompiledProgram& program) {
  return std::none_of(program.slot_types().begin(), program.slot_types().end(), HoldsBytes);
}

SlotColumns::SlotColumns(const CompiledProgram& program)
    : program_(program), slots_(program.slot_types().size()), computed_(program.slot_types()), values_(slots_.size()) {
  for (size_t i = 0; i < slots_.size(); ++i) computes_ = computes_ || program.slot_column(i) < 0;
}

std::span<const RowStore::SlotValues> SlotColumns::Read(std::span<const Column* const> columns, size_t begin, size_t end) {
  if (computes_) Compute(columns, begin, end);
  for (size_t i = 0; i < slots_.size(); ++i) {
    const int copied = program_.slot_column(i);
    if (copied >= 0) {
      const Column& column = *columns[static_cast<size_t>(copied)];
      slots_[i] = {BitsOf(column) + begin, column.valid.data() + begin};
    } else {
      slots_[i] = {computed_.columns()[i].bits, computed_.columns()[i].valid};
    }
    if (std::memchr(slots_[i].valid, 0, end - begin) == nullptr) slots_[i].valid = nullptr;
  }
  return slots_;
}

std::span<const Datum> SlotColumns::ReadRow(std::span<const Column* const> columns, size_t row) {
  row_.resize(columns.size());
  for (size_t i = 0; i < row_.size(); ++i) row_[i] = ColumnDatum(*columns[i], row);
  texts_.Reset();
  program_.FillSlots(row_, texts_, values_);
  return values_;
}

void SlotColumns::Compute(std::span<const Column* const> columns, size_t begin, size_t end) {
  computed_.Resize(end - begin);
  for (size_t row = begin; row < end; ++row) {
    const std::span<const Datum> values = ReadRow(columns, row);
    for (size_t i = 0; i < slots_.size(); ++i) {
      if (program_.slot_column(i) >= 0) continue;
      ResultColumn column = computed_.columns()[i];
      column.Set(row - begin, values[i], program_.slot_types()[i]);
    }
  }
}

}  // namespace tidemill
