#include "base/columns.h"

#include <array>
#include <charconv>
#include <cmath>

#include "base/json.h"
#include "base/text_distance.h"

namespace tidemill {
namespace {

struct TypeNames {
  Type type;
  std::string_view name;
  std::string_view sql;
};
constexpr std::array<TypeNames, 12> kTypes = {{{Type::kBool, "boolean", "BOOLEAN"},
                                              {Type::kInt64, "integer", "BIGINT"},
                                              {Type::kDouble, "number", "DOUBLE"},
                                              {Type::kText, "text", "VARCHAR"},
                                              {Type::kTimestamp, "timestamp", "TIMESTAMP"},
                                              {Type::kDate, "date", "DATE"},
                                               {Type::kBoolList, "boolean[]", "BOOLEAN[]"},
                                               {Type::kInt64List, "integer[]", "BIGINT[]"},
                                               {Type::kDoubleList, "number[]", "DOUBLE[]"},
                                               {Type::kTextList, "text[]", "VARCHAR[]"},
                                               {Type::kTimestampList, "timestamp[]", "TIMESTAMP[]"},
                                               {Type::kDateList, "date[]", "DATE[]"}}};

std::string FormatDouble(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end.ptr};
}

std::string Quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    out += c;
    if (c == '\'') out += c;
  }
  return out + "'";
}

/// The elements between brackets, each written by `write`.
template <class Write>
std::string Bracketed(const List& list, Write write) {
  std::string text = "[";
  for (const Value& element : ListElements(list)) {
    if (text.size() > 1) text += ", ";
    text += write(element);
  }
  return text + "]";
}

/// As in JSON, so that a text with a comma inside stays one.
std::string FormatElement(const Value& value) {
  if (IsNull(value)) return "null";
  const bool plain = std::holds_alternative<bool>(value) || std::holds_alternative<int64_t>(value) || std::holds_alternative<double>(value);
  return plain ? FormatValue(value) : Json(FormatValue(value)).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string_view TypeName(Type type) {
  if (type == Type::kDecimal) return "decimal";
  for (const TypeNames& names : kTypes) {
    if (names.type == type) return names.name;
  }
  return "";
}

std::string_view SqlTypeName(Type type) {
  for (const TypeNames& names : kTypes) {
    if (names.type == type) return names.sql;
  }
  return "";
}

Result<Type> ParseType(std::string_view name) {
  std::vector<std::string> known;
  for (const TypeNames& names : kTypes) {
    if (names.name == name) return names.type;
    known.emplace_back(names.name);
  }
  return UserError("unknown_type", "unknown type '" + std::string(name) + "'", SuggestionHint(name, known));
}

std::string FormatValue(const Value& value) {
  switch (value.index()) {
    case 1: return std::get<bool>(value) ? "true" : "false";
    case 2: return std::to_string(std::get<int64_t>(value));
    case 3: return FormatDouble(std::get<double>(value));
    case 4: return std::get<std::string>(value);
    case 5: return FormatTimestamp(std::get<Timestamp>(value));
    case 6: return FormatDate(std::get<Date>(value));
    case 7: return Bracketed(std::get<List>(value), FormatElement);
    default: return "";
  }
}

std::string SqlLiteral(const Value& value) {
  switch (value.index()) {
    case 0: return "NULL";
    case 3: return "'" + FormatDouble(std::get<double>(value)) + "'::DOUBLE";
    case 4: return Quoted(std::get<std::string>(value));
    case 5: return "TIMESTAMP '" + FormatSqlTimestamp(std::get<Timestamp>(value)) + "'";
    case 6: return "DATE '" + FormatDate(std::get<Date>(value)) + "'";
    case 7: {
      const List& list = std::get<List>(value);
      return Bracketed(list, SqlLiteral) + "::" + std::string(SqlTypeName(ListType(list.element)));
    }
    default: return FormatValue(value);
  }
}

std::vector<Value> ListElements(const List& list) {
  const ListView view(list.bytes, list.element);
  std::vector<Value> values(view.size());
  for (size_t i = 0; i < view.size(); ++i) {
    if (view.IsNull(i)) continue;
    switch (list.element) {
      case Type::kBool: values[i] = view.Int(i) != 0; break;
      case Type::kDouble: values[i] = view.Number(i); break;
      case Type::kText: values[i] = std::string(view.Text(i)); break;
      case Type::kTimestamp: values[i] = Timestamp{view.Int(i)}; break;
      case Type::kDate: values[i] = Date{static_cast<int32_t>(view.Int(i))}; break;
      default: values[i] = view.Int(i);
    }
  }
  return values;
}

List MakeList(Type element, const std::vector<Value>& values) {
  Column column("", element);
  ListBuilder builder(element);
  for (size_t i = 0; i < values.size(); ++i) {
    if (!column.Append(values[i]).ok()) column.AppendNull();
    if (column.IsNull(i)) {
      builder.AppendNull();
    } else if (element == Type::kText) {
      builder.AppendText(column.Text(i));
    } else if (element == Type::kDouble) {
      builder.AppendDouble(column.doubles[i]);
    } else {
      builder.AppendInt(column.ints[i]);
    }
  }
  return {element, builder.Finish()};
}

void Column::AppendNull() {
  valid.push_back(0);
  if (type == Type::kDouble) {
    doubles.push_back(0);
  } else if (HoldsBytes(type)) {
    offsets.push_back(chars.size());
  } else {
    ints.push_back(0);
  }
}

void Column::AppendInt(int64_t value) {
  valid.push_back(1);
  ints.push_back(value);
}

void Column::AppendDouble(double value) {
  valid.push_back(1);
  doubles.push_back(value);
}

void Column::AppendText(std::string_view value) {
  valid.push_back(1);
  chars += value;
  offsets.push_back(chars.size());
}

Status Column::Append(const Value& value) {
  if (tidemill::IsNull(value)) {
    AppendNull();
    return Ok();
  }
  if (type == Type::kBool && std::holds_alternative<bool>(value)) {
    AppendInt(std::get<bool>(value) ? 1 : 0);
  } else if (type == Type::kInt64 && std::holds_alternative<int64_t>(value)) {
    AppendInt(std::get<int64_t>(value));
  } else if (type == Type::kDouble && std::holds_alternative<double>(value)) {
    AppendDouble(std::get<double>(value));
  } else if (type == Type::kDouble && std::holds_alternative<int64_t>(value)) {
    AppendDouble(static_cast<double>(std::get<int64_t>(value)));
  } else if (type == Type::kText && std::holds_alternative<std::string>(value)) {
    AppendText(std::get<std::string>(value));
  } else if (type == Type::kTimestamp && std::holds_alternative<Timestamp>(value)) {
    AppendInt(std::get<Timestamp>(value).micros);
  } else if (type == Type::kDate && std::holds_alternative<Date>(value)) {
    AppendInt(std::get<Date>(value).days);
  } else if (IsList(type) && std::holds_alternative<List>(value) && std::get<List>(value).element == ElementType(type)) {
    AppendText(std::get<List>(value).bytes);
  } else {
    return UserError("type_mismatch", "'" + FormatValue(value) + "' is not a value of type " + std::string(TypeName(type)) +
                                          " (column '" + name + "')");
  }
  return Ok();
}

Value Column::At(size_t row) const {
  if (IsNull(row)) return {};
  switch (type) {
    case Type::kBool: return ints[row] != 0;
    case Type::kInt64: return ints[row];
    case Type::kDouble: return doubles[row];
    case Type::kText: return std::string(Text(row));
    case Type::kTimestamp: return Timestamp{ints[row]};
    case Type::kDate: return Date{static_cast<int32_t>(ints[row])};
    default: return List{ElementType(type), std::string(Text(row))};
  }
}

void Column::Clear() {
  valid.clear();
  ints.clear();
  doubles.clear();
  offsets.assign(1, 0);
  chars.clear();
}

void Column::Reserve(size_t rows) {
  valid.reserve(rows);
  if (type == Type::kDouble) {
    doubles.reserve(rows);
  } else if (HoldsBytes(type)) {
    offsets.reserve(rows + 1);
  } else {
    ints.reserve(rows);
  }
}

const Column* Columns::Find(std::string_view name) const {
  for (const Column& column : columns) {
    if (column.name == name) return &column;
  }
  return nullptr;
}

Column* Columns::Find(std::string_view name) {
  for (Column& column : columns) {
    if (column.name == name) return &column;
  }
  return nullptr;
}

}  // namespace tidemill
