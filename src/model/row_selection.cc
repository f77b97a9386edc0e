#include "model/row_selection.h"

namespace tidemill {

Column SelectRows(const Column& column, std::span<const size_t> rows) {
  Column selected(column.name, column.type);
  selected.Reserve(rows.size());
  for (const size_t row : rows) {
    if (column.IsNull(row)) {
      selected.AppendNull();
    } else if (HoldsBytes(column.type)) {
      selected.AppendText(column.Text(row));
    } else if (column.type == Type::kDouble) {
      selected.AppendDouble(column.doubles[row]);
    } else {
      selected.AppendInt(column.ints[row]);
    }
  }
  return selected;
}

Columns SelectRows(const Columns& columns, const std::vector<Field>& fields, std::span<const size_t> rows) {
  Columns selected;
  for (const Field& field : fields) selected.columns.push_back(SelectRows(*columns.Find(field.name), rows));
  return selected;
}

}  // namespace tidemill
