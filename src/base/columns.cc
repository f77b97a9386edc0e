#include "base/columns.h"

#include <array>
#include <charconv>
#include <cmath>

#include "base/text_distance.h"

namespace tidemill {
namespace {

struct TypeNames {
  Type type;
  std::string_view name;
  std::string_view sql;
};
constexpr std::array<TypeNames, 6> kTypes = {{{Type::kBool, "boolean", "BOOLEAN"},
                                              {Type::kInt64, "integer", "BIGINT"},
                                              {Type::kDouble, "number", "DOUBLE"},
                                              {Type::kText, "text", "VARCHAR"},
                                              {Type::kTimestamp, "timestamp", "TIMESTAMP"},
                                              {Type::kDate, "date", "DATE"}}};

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

}  // namespace

std::string_view TypeName(Type type) {
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
    default: return FormatValue(value);
  }
}

void Column::AppendNull() {
  valid.push_back(0);
  if (type == Type::kDouble) {
    doubles.push_back(0);
  } else if (type == Type::kText) {
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
  }
  return {};
}

void Column::Reserve(size_t rows) {
  valid.reserve(rows);
  if (type == Type::kDouble) {
    doubles.reserve(rows);
  } else if (type == Type::kText) {
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
