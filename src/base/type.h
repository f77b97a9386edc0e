#pragma once

#include <string_view>

#include "base/result.h"

namespace tidemill {

/// The types of values that cross the borders of rooms. Anything else in DuckDB is cast to one of these
/// by the room that reads it: integers to kInt64, decimals and floats to kDouble, TIMESTAMPTZ to kTimestamp.
/// A list type for each of the others follows them, in the same order. kDecimal crosses no border: it exists inside of the
/// kernel's expressions only, which keep exact decimals as whole numbers of 128 bits.
enum class Type {
  kBool,
  kInt64,
  kDouble,
  kText,
  kTimestamp,
  kDate,
  kBoolList,
  kInt64List,
  kDoubleList,
  kTextList,
  kTimestampList,
  kDateList,
  kDecimal
};

/// "boolean", "integer", "number", "text", "timestamp", "date", and with "[]" behind for lists: the names that users see and write.
/// ("decimal", which messages show, is not one that ParseType takes.)
std::string_view TypeName(Type type);
Result<Type> ParseType(std::string_view name);
/// The DuckDB type that holds it: BOOLEAN, BIGINT, DOUBLE, VARCHAR, TIMESTAMP, DATE, and with "[]" behind for lists.
std::string_view SqlTypeName(Type type);

constexpr bool IsList(Type type) { return type >= Type::kBoolList && type <= Type::kDateList; }
/// Of a list type.
constexpr Type ElementType(Type list) { return static_cast<Type>(static_cast<int>(list) - static_cast<int>(Type::kBoolList)); }
/// Of a type that is no list.
constexpr Type ListType(Type element) { return static_cast<Type>(static_cast<int>(element) + static_cast<int>(Type::kBoolList)); }
/// Whether its values are bytes of varying length (texts and packed lists) instead of 64 bits.
constexpr bool HoldsBytes(Type type) { return type == Type::kText || IsList(type); }

}  // namespace tidemill
