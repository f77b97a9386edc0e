#pragma once

#include <cstddef>

#include "base/columns.h"
#include "base/result.h"

struct _duckdb_data_chunk;
struct _duckdb_logical_type;

namespace tidemill {

/// How a column of DuckDB is read into a Column.
struct ColumnReading {
  Type type = Type::kText;
  std::string_view cast;  ///< the type that the statement has to cast it to, because it can't be read as it is; else empty
};

/// For one of DuckDB's types. Lists and fixed-size arrays of what can be read stay lists.
ColumnReading ReadingOf(_duckdb_logical_type* type);

/// What AppendChunk does with a whole number beyond 64 bits.
enum class WideNumbers {
  kFail,    ///< error "sql_value"
  kDouble,  ///< the column becomes kDouble, with what it already holds
};

/// Appends all rows of a chunk whose columns, from `first_column` on, can be read without a cast to columns of the types that
/// ReadingOf gave. A column that kDouble has turned into doubles stays so in later chunks.
Status AppendChunk(_duckdb_data_chunk* chunk, WideNumbers wide, Columns* columns, size_t first_column = 0);

/// Fills an empty chunk whose columns have the SqlTypeName types of `columns` with `count` rows from `first_row`.
/// Error "not_utf8" when a text isn't UTF-8.
Status FillChunk(const Columns& columns, size_t first_row, size_t count, _duckdb_data_chunk* chunk);

}  // namespace tidemill
