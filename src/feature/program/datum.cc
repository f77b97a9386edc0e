#include "feature/program/datum.h"

#include <cmath>

#include "feature/program/decimals.h"

namespace tidemill {
namespace {

std::weak_ordering CompareNumbers(double a, double b) {
  if (a < b) return std::weak_ordering::less;
  if (a > b) return std::weak_ordering::greater;
  return static_cast<int>(std::isnan(a)) <=> static_cast<int>(std::isnan(b));
}

/// Element by element, then by length; a null is the largest element, and equals another.
std::weak_ordering CompareLists(const Datum& a, const Datum& b, Type type,
                                std::weak_ordering (*compare)(const Datum&, const Datum&, Type)) {
  const Type element = ElementType(type);
  const ListView left(a.text, element);
  const ListView right(b.text, element);
  for (size_t i = 0; i < left.size() && i < right.size(); ++i) {
    if (left.IsNull(i) && right.IsNull(i)) continue;
    if (left.IsNull(i) || right.IsNull(i)) return right.IsNull(i) ? std::weak_ordering::less : std::weak_ordering::greater;
    const auto order = compare(ElementDatum(left, i, element), ElementDatum(right, i, element), element);
    if (order != 0) return order;
  }
  return left.size() <=> right.size();
}

}  // namespace

Datum ToDatum(const Value& value, Type type) {
  switch (type) {
    case Type::kBool:
      if (const bool* v = std::get_if<bool>(&value)) return Datum::Bool(*v);
      break;
    case Type::kInt64:
      if (const int64_t* v = std::get_if<int64_t>(&value)) return Datum::Integer(*v);
      break;
    case Type::kDouble:
      if (const double* v = std::get_if<double>(&value)) return Datum::Number(*v);
      if (const int64_t* v = std::get_if<int64_t>(&value)) return Datum::Number(static_cast<double>(*v));
      break;
    case Type::kText:
      if (const std::string* v = std::get_if<std::string>(&value)) return Datum::Text(*v);
      break;
    case Type::kTimestamp:
      if (const Timestamp* v = std::get_if<Timestamp>(&value)) return Datum::Integer(v->micros);
      break;
    case Type::kDate:
      if (const Date* v = std::get_if<Date>(&value)) return Datum::Integer(v->days);
      break;
    case Type::kDecimal:
      if (const std::string* v = std::get_if<std::string>(&value)) {
        if (const auto whole = ParseWhole(*v)) return Datum::Decimal(*whole);
      }
      break;
    default:
      if (const List* v = std::get_if<List>(&value); v != nullptr && v->element == ElementType(type)) return Datum::Text(v->bytes);
  }
  return Datum::Null();
}

Value ToValue(const Datum& datum, Type type) {
  if (datum.null) return {};
  switch (type) {
    case Type::kBool:
      return datum.integer != 0;
    case Type::kInt64:
      return datum.integer;
    case Type::kDouble:
      return datum.number;
    case Type::kText:
      return std::string(datum.text);
    case Type::kTimestamp:
      return Timestamp{datum.integer};
    case Type::kDate:
      return Date{static_cast<int32_t>(datum.integer)};
    case Type::kDecimal:
      return FormatWhole(datum.decimal());
    default:
      return List{ElementType(type), std::string(datum.text)};
  }
}

Datum ColumnDatum(const Column& column, size_t row) {
  if (column.IsNull(row)) return Datum::Null();
  if (column.type == Type::kDouble) return Datum::Number(column.doubles[row]);
  if (HoldsBytes(column.type)) return Datum::Text(column.Text(row));
  return Datum::Integer(column.ints[row]);
}

void AppendDatum(const Datum& datum, Column& column) {
  if (datum.null) {
    column.AppendNull();
  } else if (column.type == Type::kDouble) {
    column.AppendDouble(datum.number);
  } else if (HoldsBytes(column.type)) {
    column.AppendText(datum.text);
  } else {
    column.AppendInt(datum.integer);
  }
}

Datum ElementDatum(const ListView& list, size_t at, Type element) {
  if (list.IsNull(at)) return Datum::Null();
  if (element == Type::kText) return Datum::Text(list.Text(at));
  if (element == Type::kDouble) return Datum::Number(list.Number(at));
  return Datum::Integer(list.Int(at));
}

void AppendElement(const Datum& value, Type element, ListBuilder& list) {
  if (value.null) {
    list.AppendNull();
  } else if (element == Type::kText) {
    list.AppendText(value.text);
  } else if (element == Type::kDouble) {
    list.AppendDouble(value.number);
  } else {
    list.AppendInt(value.integer);
  }
}

std::weak_ordering CompareDatums(const Datum& a, const Datum& b, Type type) {
  if (IsList(type)) return CompareLists(a, b, type, CompareDatums);
  if (type == Type::kDouble) return CompareNumbers(a.number, b.number);
  if (type == Type::kText) return a.text <=> b.text;
  if (type == Type::kDecimal) return a.decimal() <=> b.decimal();
  return a.integer <=> b.integer;
}

std::weak_ordering CompareDatumsTotally(const Datum& a, const Datum& b, Type type) {
  if (IsList(type)) return CompareLists(a, b, type, CompareDatumsTotally);
  const std::weak_ordering order = CompareDatums(a, b, type);
  if (type != Type::kDouble || order != 0) return order;
  return static_cast<int>(std::signbit(b.number)) <=> static_cast<int>(std::signbit(a.number));
}

}  // namespace tidemill
