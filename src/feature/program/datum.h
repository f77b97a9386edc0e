#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/columns.h"

namespace tidemill {

/// A value inside the kernel: as Value, but never owning memory, so that a row of numbers costs no allocation.
/// Whoever made the text keeps it alive: a column, a row store or a TextPool. The type is known from where it came.
struct Datum {
  bool null = true;
  bool failed = false;  ///< null because it could not be computed; only between a function and what called it
  union {
    int64_t integer = 0;  ///< kBool, kInt64, kTimestamp (micros), kDate (days); the lower half of a kDecimal
    double number;        ///< kDouble
  };
  union {
    std::string_view text{};  ///< kText, and lists packed (base/list.h)
    int64_t upper;            ///< the upper half of a kDecimal
  };

  static Datum Null() { return {}; }
  /// A value that can't be computed (overflow, a text that is no number): null, and counted (Evaluation::failures).
  static Datum Failed() {
    Datum datum;
    datum.failed = true;
    return datum;
  }
  static Datum Integer(int64_t value) {
    Datum datum;
    datum.null = false;
    datum.integer = value;
    return datum;
  }
  static Datum Bool(bool value) { return Integer(value ? 1 : 0); }
  static Datum Number(double value) {
    Datum datum;
    datum.null = false;
    datum.number = value;
    return datum;
  }
  /// A decimal as a whole number of its last digit's unit.
  static Datum Decimal(__int128 value) {
    Datum datum;
    datum.null = false;
    datum.integer = static_cast<int64_t>(value);
    datum.upper = static_cast<int64_t>(value >> 64);
    return datum;
  }
  static Datum Text(std::string_view value) {
    Datum datum;
    datum.null = false;
    datum.text = value;
    return datum;
  }
  bool IsTrue() const { return !null && integer != 0; }
  __int128 decimal() const { return (static_cast<__int128>(upper) << 64) | static_cast<uint64_t>(integer); }
};

/// Keeps texts made while a row is evaluated. Reset() after the row; the memory is used again.
class TextPool {
 public:
  std::string& Add() {
    if (used_ == texts_.size()) texts_.emplace_back();
    std::string& text = texts_[used_++];
    text.clear();
    return text;
  }
  void Reset() { used_ = 0; }

 private:
  std::deque<std::string> texts_;
  size_t used_ = 0;
};

/// The datum refers to `value`'s text. A value of another type than `type` (but for an integer where a number is wanted) is null.
/// A decimal's value is a text with the digits of its whole number.
Datum ToDatum(const Value& value, Type type);
Value ToValue(const Datum& datum, Type type);
Datum ColumnDatum(const Column& column, size_t row);
void AppendDatum(const Datum& datum, Column& column);

/// An element of a list whose elements have that type.
Datum ElementDatum(const ListView& list, size_t at, Type element);

void AppendElement(const Datum& value, Type element, ListBuilder& list);

/// DuckDB's order of two values that are not null: NaN equals NaN and is the largest number, -0.0 equals 0.0.
std::weak_ordering CompareDatums(const Datum& a, const Datum& b, Type type);
/// The same, but -0.0 comes before 0.0: for choosing one of several values independently of their order.
std::weak_ordering CompareDatumsTotally(const Datum& a, const Datum& b, Type type);

}  // namespace tidemill
