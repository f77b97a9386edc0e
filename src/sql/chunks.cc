#include "sql/chunks.h"

#include <duckdb.h>

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace tidemill {
namespace {

/// One column of a chunk: its type, its data, and which rows are null.
struct Vector {
  duckdb_type type = DUCKDB_TYPE_INVALID;
  int decimal_scale = 0;
  duckdb_type decimal_storage = DUCKDB_TYPE_INVALID;
  void* data = nullptr;
  uint64_t* validity = nullptr;
  size_t rows = 0;
  duckdb_vector raw = nullptr;

  bool IsValid(size_t row) const { return validity == nullptr || duckdb_validity_row_is_valid(validity, row); }
  template <class T>
  const T& At(size_t row) const {
    return static_cast<const T*>(data)[row];
  }
};

Vector OpenVector(duckdb_vector vector, size_t rows) {
  duckdb_logical_type type = duckdb_vector_get_column_type(vector);
  Vector opened;
  opened.type = duckdb_get_type_id(type);
  if (opened.type == DUCKDB_TYPE_DECIMAL) {
    opened.decimal_scale = duckdb_decimal_scale(type);
    opened.decimal_storage = duckdb_decimal_internal_type(type);
  }
  duckdb_destroy_logical_type(&type);
  opened.data = duckdb_vector_get_data(vector);
  opened.validity = duckdb_vector_get_validity(vector);
  opened.rows = rows;
  opened.raw = vector;
  return opened;
}

template <class T>
void AppendInts(const Vector& vector, Column* column) {
  if (vector.validity == nullptr) {
    const T* values = static_cast<const T*>(vector.data);
    column->valid.resize(column->valid.size() + vector.rows, 1);
    column->ints.insert(column->ints.end(), values, values + vector.rows);
    return;
  }
  for (size_t row = 0; row < vector.rows; ++row) {
    vector.IsValid(row) ? column->AppendInt(static_cast<int64_t>(vector.At<T>(row))) : column->AppendNull();
  }
}

/// Timestamps in units other than microseconds; the infinities are the ends of int64 in every unit.
template <class Convert>
void AppendTimes(const Vector& vector, Convert convert, Column* column) {
  for (size_t row = 0; row < vector.rows; ++row) {
    if (!vector.IsValid(row)) {
      column->AppendNull();
      continue;
    }
    const int64_t value = vector.At<int64_t>(row);
    const bool infinite = value == std::numeric_limits<int64_t>::max() || value == -std::numeric_limits<int64_t>::max();
    column->AppendInt(infinite ? value : convert(value));
  }
}

int64_t FloorDivide(int64_t value, int64_t divisor) { return value / divisor - (value % divisor < 0 ? 1 : 0); }

__int128 Wide(const Vector& vector, size_t row) {
  if (vector.type == DUCKDB_TYPE_UBIGINT) return vector.At<uint64_t>(row);
  const auto& huge = vector.At<duckdb_hugeint>(row);
  return (static_cast<__int128>(huge.upper) << 64) | huge.lower;
}

double WideAsDouble(const Vector& vector, size_t row) {
  if (vector.type == DUCKDB_TYPE_UHUGEINT) return duckdb_uhugeint_to_double(vector.At<duckdb_uhugeint>(row));
  return static_cast<double>(Wide(vector, row));
}

bool FitsInt64(const Vector& vector, size_t row) {
  if (vector.type == DUCKDB_TYPE_UHUGEINT) {
    const auto& huge = vector.At<duckdb_uhugeint>(row);
    return huge.upper == 0 && huge.lower <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  }
  const __int128 value = Wide(vector, row);
  return value >= std::numeric_limits<int64_t>::min() && value <= std::numeric_limits<int64_t>::max();
}

void BecomeDouble(Column* column) {
  column->type = Type::kDouble;
  column->doubles.assign(column->ints.begin(), column->ints.end());
  column->ints.clear();
}

Status AppendWide(const Vector& vector, WideNumbers wide, Column* column) {
  for (size_t row = 0; row < vector.rows; ++row) {
    if (!vector.IsValid(row)) {
      column->AppendNull();
      continue;
    }
    if (column->type == Type::kInt64 && !FitsInt64(vector, row)) {
      if (wide == WideNumbers::kFail) {
        return UserError("sql_value", fmt::format("a whole number in column '{}' does not fit into 64 bits", column->name),
                         "cast the column to DOUBLE");
      }
      BecomeDouble(column);
    }
    if (column->type == Type::kDouble) {
      column->AppendDouble(WideAsDouble(vector, row));
    } else {
      column->AppendInt(vector.type == DUCKDB_TYPE_UHUGEINT ? static_cast<int64_t>(vector.At<duckdb_uhugeint>(row).lower)
                                                            : static_cast<int64_t>(Wide(vector, row)));
    }
  }
  return Ok();
}

double DecimalAsDouble(const Vector& vector, size_t row) {
  duckdb_decimal decimal{};
  decimal.width = 38;
  decimal.scale = static_cast<uint8_t>(vector.decimal_scale);
  int64_t narrow = 0;
  switch (vector.decimal_storage) {
    case DUCKDB_TYPE_SMALLINT: narrow = vector.At<int16_t>(row); break;
    case DUCKDB_TYPE_INTEGER: narrow = vector.At<int32_t>(row); break;
    case DUCKDB_TYPE_BIGINT: narrow = vector.At<int64_t>(row); break;
    default: decimal.value = vector.At<duckdb_hugeint>(row); return duckdb_decimal_to_double(decimal);
  }
  decimal.value.lower = static_cast<uint64_t>(narrow);
  decimal.value.upper = narrow < 0 ? -1 : 0;
  return duckdb_decimal_to_double(decimal);
}

template <class Read>
void AppendDoubles(const Vector& vector, Read read, Column* column) {
  if (vector.validity == nullptr) {
    const size_t first = column->doubles.size();
    column->valid.resize(column->valid.size() + vector.rows, 1);
    column->doubles.resize(first + vector.rows);
    for (size_t row = 0; row < vector.rows; ++row) column->doubles[first + row] = read(row);
    return;
  }
  for (size_t row = 0; row < vector.rows; ++row) {
    vector.IsValid(row) ? column->AppendDouble(read(row)) : column->AppendNull();
  }
}

void AppendTexts(const Vector& vector, Column* column) {
  for (size_t row = 0; row < vector.rows; ++row) {
    if (!vector.IsValid(row)) {
      column->AppendNull();
      continue;
    }
    auto* text = static_cast<duckdb_string_t*>(vector.data) + row;
    column->AppendText({duckdb_string_t_data(text), duckdb_string_t_length(*text)});
  }
}

void AppendNulls(const Vector& vector, Column* column) {
  for (size_t row = 0; row < vector.rows; ++row) column->AppendNull();
}

Status AppendVector(const Vector& vector, WideNumbers wide, Column* column);

/// The elements of all rows are read as one column first.
Status AppendLists(const Vector& vector, Column* column) {
  const size_t count = duckdb_list_vector_get_size(vector.raw);
  Column elements(column->name, ElementType(column->type));
  TIDEMILL_RETURN_IF_ERROR(
      AppendVector(OpenVector(duckdb_list_vector_get_child(vector.raw), count), WideNumbers::kFail, &elements));
  ListBuilder list(elements.type);
  for (size_t row = 0; row < vector.rows; ++row) {
    if (!vector.IsValid(row)) {
      column->AppendNull();
      continue;
    }
    const auto& entry = vector.At<duckdb_list_entry>(row);
    for (size_t at = entry.offset; at < entry.offset + entry.length; ++at) {
      if (elements.IsNull(at)) {
        list.AppendNull();
      } else if (elements.type == Type::kText) {
        list.AppendText(elements.Text(at));
      } else if (elements.type == Type::kDouble) {
        list.AppendDouble(elements.doubles[at]);
      } else {
        list.AppendInt(elements.ints[at]);
      }
    }
    column->AppendText(list.Finish());
  }
  return Ok();
}

Status AppendVector(const Vector& vector, WideNumbers wide, Column* column) {
  switch (vector.type) {
    case DUCKDB_TYPE_BOOLEAN: AppendInts<bool>(vector, column); break;
    case DUCKDB_TYPE_TINYINT: AppendInts<int8_t>(vector, column); break;
    case DUCKDB_TYPE_SMALLINT: AppendInts<int16_t>(vector, column); break;
    case DUCKDB_TYPE_INTEGER: AppendInts<int32_t>(vector, column); break;
    case DUCKDB_TYPE_BIGINT: AppendInts<int64_t>(vector, column); break;
    case DUCKDB_TYPE_UTINYINT: AppendInts<uint8_t>(vector, column); break;
    case DUCKDB_TYPE_USMALLINT: AppendInts<uint16_t>(vector, column); break;
    case DUCKDB_TYPE_UINTEGER: AppendInts<uint32_t>(vector, column); break;
    case DUCKDB_TYPE_DATE: AppendInts<int32_t>(vector, column); break;
    case DUCKDB_TYPE_TIMESTAMP:
    case DUCKDB_TYPE_TIMESTAMP_TZ: AppendInts<int64_t>(vector, column); break;
    case DUCKDB_TYPE_TIMESTAMP_S: AppendTimes(vector, [](int64_t t) { return t * 1'000'000; }, column); break;
    case DUCKDB_TYPE_TIMESTAMP_MS: AppendTimes(vector, [](int64_t t) { return t * 1'000; }, column); break;
    case DUCKDB_TYPE_TIMESTAMP_NS: AppendTimes(vector, [](int64_t t) { return FloorDivide(t, 1'000); }, column); break;
    case DUCKDB_TYPE_UBIGINT:
    case DUCKDB_TYPE_HUGEINT:
    case DUCKDB_TYPE_UHUGEINT: return AppendWide(vector, wide, column);
    case DUCKDB_TYPE_FLOAT: AppendDoubles(vector, [&](size_t row) { return vector.At<float>(row); }, column); break;
    case DUCKDB_TYPE_DOUBLE: AppendDoubles(vector, [&](size_t row) { return vector.At<double>(row); }, column); break;
    case DUCKDB_TYPE_DECIMAL: AppendDoubles(vector, [&](size_t row) { return DecimalAsDouble(vector, row); }, column); break;
    case DUCKDB_TYPE_VARCHAR: AppendTexts(vector, column); break;
    case DUCKDB_TYPE_SQLNULL: AppendNulls(vector, column); break;
    case DUCKDB_TYPE_LIST: return AppendLists(vector, column);
    default:
      return InternalError(
          fmt::format("column '{}' has DuckDB type {}, which needs a cast", column->name, static_cast<int>(vector.type)));
  }
  return Ok();
}

bool IsUtf8(std::string_view text) {
  duckdb_error_data problem = duckdb_valid_utf8_check(text.data(), text.size());
  if (problem == nullptr) return true;
  duckdb_destroy_error_data(&problem);
  return false;
}

Status FillVector(const Column& column, size_t first_row, size_t count, duckdb_vector vector);

/// The rows' elements go into the child vector one after the other.
Status FillLists(const Column& column, size_t first_row, size_t count, duckdb_vector vector) {
  Column elements(column.name, ElementType(column.type));
  auto* entries = static_cast<duckdb_list_entry*>(duckdb_vector_get_data(vector));
  for (size_t i = 0; i < count; ++i) {
    entries[i] = {elements.size(), 0};
    if (column.IsNull(first_row + i)) continue;
    const ListView list(column.Text(first_row + i), elements.type);
    entries[i].length = list.size();
    for (size_t at = 0; at < list.size(); ++at) {
      if (list.IsNull(at)) {
        elements.AppendNull();
      } else if (elements.type == Type::kText) {
        elements.AppendText(list.Text(at));
      } else if (elements.type == Type::kDouble) {
        elements.AppendDouble(list.Number(at));
      } else {
        elements.AppendInt(list.Int(at));
      }
    }
  }
  duckdb_list_vector_reserve(vector, elements.size());
  duckdb_list_vector_set_size(vector, elements.size());
  return FillVector(elements, 0, elements.size(), duckdb_list_vector_get_child(vector));
}

Status FillVector(const Column& column, size_t first_row, size_t count, duckdb_vector vector) {
  if (IsList(column.type)) TIDEMILL_RETURN_IF_ERROR(FillLists(column, first_row, count, vector));
  void* data = duckdb_vector_get_data(vector);
  uint64_t* validity = nullptr;
  for (size_t i = 0; i < count; ++i) {
    const size_t row = first_row + i;
    if (column.IsNull(row)) {
      if (validity == nullptr) {
        duckdb_vector_ensure_validity_writable(vector);
        validity = duckdb_vector_get_validity(vector);
      }
      duckdb_validity_set_row_invalid(validity, i);
      continue;
    }
    switch (column.type) {
      case Type::kBool: static_cast<bool*>(data)[i] = column.ints[row] != 0; break;
      case Type::kInt64:
      case Type::kTimestamp: static_cast<int64_t*>(data)[i] = column.ints[row]; break;
      case Type::kDate: static_cast<int32_t*>(data)[i] = static_cast<int32_t>(column.ints[row]); break;
      case Type::kDouble: static_cast<double*>(data)[i] = column.doubles[row]; break;
      case Type::kText: {
        const std::string_view text = column.Text(row);
        if (!IsUtf8(text)) {
          return UserError("not_utf8", fmt::format("row {} of column '{}' holds text that is not UTF-8", row + 1, column.name));
        }
        duckdb_unsafe_vector_assign_string_element_len(vector, i, text.data(), text.size());
        break;
      }
      default: break;  // a list is there already
    }
  }
  return Ok();
}

constexpr std::string_view kJson = "JSON";

/// Takes `element` over. Lists of lists, of structs and of maps are texts that hold JSON.
ColumnReading ReadingOfLists(duckdb_logical_type element, bool fixed_size) {
  const ColumnReading reading = ReadingOf(element);
  const bool null_type = duckdb_get_type_id(element) == DUCKDB_TYPE_SQLNULL;
  duckdb_destroy_logical_type(&element);
  if (IsList(reading.type) || reading.cast == kJson) return {Type::kText, kJson};
  const bool text_only = !reading.cast.empty();
  const Type type = ListType(reading.type);
  return {type, fixed_size || text_only || null_type ? SqlTypeName(type) : ""};
}

}  // namespace

ColumnReading ReadingOf(duckdb_logical_type type) {
  switch (duckdb_get_type_id(type)) {
    case DUCKDB_TYPE_BOOLEAN: return {Type::kBool, ""};
    case DUCKDB_TYPE_TINYINT:
    case DUCKDB_TYPE_SMALLINT:
    case DUCKDB_TYPE_INTEGER:
    case DUCKDB_TYPE_BIGINT:
    case DUCKDB_TYPE_UTINYINT:
    case DUCKDB_TYPE_USMALLINT:
    case DUCKDB_TYPE_UINTEGER:
    case DUCKDB_TYPE_UBIGINT:
    case DUCKDB_TYPE_HUGEINT:
    case DUCKDB_TYPE_UHUGEINT:
    case DUCKDB_TYPE_SQLNULL: return {Type::kInt64, ""};
    case DUCKDB_TYPE_FLOAT:
    case DUCKDB_TYPE_DOUBLE:
    case DUCKDB_TYPE_DECIMAL: return {Type::kDouble, ""};
    case DUCKDB_TYPE_TIMESTAMP:
    case DUCKDB_TYPE_TIMESTAMP_S:
    case DUCKDB_TYPE_TIMESTAMP_MS:
    case DUCKDB_TYPE_TIMESTAMP_NS:
    case DUCKDB_TYPE_TIMESTAMP_TZ: return {Type::kTimestamp, ""};
    case DUCKDB_TYPE_DATE: return {Type::kDate, ""};
    case DUCKDB_TYPE_VARCHAR: return {Type::kText, ""};
    case DUCKDB_TYPE_LIST: return ReadingOfLists(duckdb_list_type_child_type(type), false);
    case DUCKDB_TYPE_ARRAY: return ReadingOfLists(duckdb_array_type_child_type(type), true);
    case DUCKDB_TYPE_STRUCT:
    case DUCKDB_TYPE_MAP: return {Type::kText, kJson};
    default: return {Type::kText, "VARCHAR"};
  }
}

Status AppendChunk(_duckdb_data_chunk* chunk, WideNumbers wide, Columns* columns, size_t first_column) {
  const size_t rows = duckdb_data_chunk_get_size(chunk);
  for (size_t i = 0; i < columns->columns.size(); ++i) {
    const Vector vector = OpenVector(duckdb_data_chunk_get_vector(chunk, first_column + i), rows);
    TIDEMILL_RETURN_IF_ERROR(AppendVector(vector, wide, &columns->columns[i]));
  }
  return Ok();
}

Status FillChunk(const Columns& columns, size_t first_row, size_t count, _duckdb_data_chunk* chunk) {
  for (size_t i = 0; i < columns.columns.size(); ++i) {
    TIDEMILL_RETURN_IF_ERROR(FillVector(columns.columns[i], first_row, count, duckdb_data_chunk_get_vector(chunk, i)));
  }
  duckdb_data_chunk_set_size(chunk, count);
  return Ok();
}

}  // namespace tidemill
