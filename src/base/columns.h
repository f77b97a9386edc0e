#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/list.h"
#include "base/result.h"
#include "base/time.h"
#include "base/type.h"

namespace tidemill {

/// One value; monostate is null.
using Value = std::variant<std::monostate, bool, int64_t, double, std::string, Timestamp, Date, List>;

inline bool IsNull(const Value& value) { return value.index() == 0; }
/// The elements of a list, and a list of values. Values of another type than `element` (but for an integer where a number is
/// wanted) become null.
std::vector<Value> ListElements(const List& list);
List MakeList(Type element, const std::vector<Value>& values);
/// For people and CSV: "" for null, shortest round-trip form for doubles, lists as [1, 2, null].
std::string FormatValue(const Value& value);
/// A literal that DuckDB reads back as the same value: NULL, 1, 'it''s', TIMESTAMP '...', [1, 2]::BIGINT[].
std::string SqlLiteral(const Value& value);

/// A named column of one type, held contiguously. Nulls have valid[i] == 0 and a zero value.
///
/// kBool, kInt64, kTimestamp (micros) and kDate (days) live in `ints`; kDouble in `doubles`; kText and lists
/// (packed: base/list.h) in `offsets` (rows + 1 entries) into `chars`. Value type: copying copies the data.
struct Column {
  std::string name;
  Type type = Type::kInt64;
  std::vector<uint8_t> valid;
  std::vector<int64_t> ints;
  std::vector<double> doubles;
  std::vector<uint64_t> offsets{0};
  std::string chars;

  Column() = default;
  Column(std::string column_name, Type column_type) : name(std::move(column_name)), type(column_type) {}

  size_t size() const { return valid.size(); }
  bool IsNull(size_t row) const { return valid[row] == 0; }
  std::string_view Text(size_t row) const {
    return std::string_view(chars).substr(offsets[row], offsets[row + 1] - offsets[row]);
  }
  void AppendNull();
  void AppendInt(int64_t value);  ///< for kBool, kInt64, kTimestamp, kDate
  void AppendDouble(double value);
  void AppendText(std::string_view value);  ///< for kText; for lists their packed bytes
  /// Appends a value of this column's type (or null; an integer widens into a kDouble column).
  Status Append(const Value& value);
  Value At(size_t row) const;
  void Reserve(size_t rows);
  /// Drops all rows; the memory is used again.
  void Clear();
};

/// Columns of equal length: a batch of rows, or a small result.
struct Columns {
  std::vector<Column> columns;

  size_t rows() const { return columns.empty() ? 0 : columns.front().size(); }
  /// nullptr when there is no such column.
  const Column* Find(std::string_view name) const;
  Column* Find(std::string_view name);
};

/// Name and type, without data.
struct Field {
  std::string name;
  Type type = Type::kInt64;
  bool operator==(const Field&) const = default;
};

}  // namespace tidemill
