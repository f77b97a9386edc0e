#include "ingest/row_checker.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "base/utf8.h"

namespace tidemill {
namespace {

constexpr size_t kShownCharactersMax = 40;
constexpr size_t kListedValuesMax = 20;

/// A value as it appears in a message: short, valid UTF-8.
std::string Shown(std::string_view text) {
  if (text.size() <= kShownCharactersMax) return EscapeInvalidUtf8(text);
  size_t end = kShownCharactersMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return EscapeInvalidUtf8(text.substr(0, end)) + "...";
}

/// from_chars knows no plus. False when no number can follow: "+-1", "+".
bool DropPlus(std::string_view* text) {
  if (text->empty() || (*text)[0] != '+') return !text->empty();
  text->remove_prefix(1);
  return !text->empty() && (*text)[0] != '+' && (*text)[0] != '-';
}

bool ParseInteger(std::string_view text, int64_t* value) {
  if (!DropPlus(&text)) return false;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), *value);
  if (parsed.ec != std::errc() || parsed.ptr == text.data()) return false;
  std::string_view rest = text.substr(static_cast<size_t>(parsed.ptr - text.data()));
  if (!rest.empty() && rest[0] == '.')
    rest.remove_prefix(1);  // "5." and "5.00" are 5
  else if (!rest.empty())
    return false;
  return rest.find_first_not_of('0') == std::string_view::npos;
}

bool ParseNumber(std::string_view text, double* value) {
  if (!DropPlus(&text)) return false;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), *value);
  // Too small for a double is zero, not an error; from_chars does not say which it was.
  if (parsed.ec == std::errc::result_out_of_range) return false;
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() && std::isfinite(*value);
}

bool ParseBoolean(std::string_view text, bool* value) {
  constexpr std::array<std::string_view, 10> kWords = {"true", "false", "t", "f", "yes", "no", "y", "n", "1", "0"};
  const auto same = [text](std::string_view word) {
    return text.size() == word.size() && std::equal(text.begin(), text.end(), word.begin(),
                                                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
  };
  for (size_t i = 0; i < kWords.size(); ++i) {
    if (!same(kWords[i])) continue;
    *value = i % 2 == 0;
    return true;
  }
  return false;
}

int64_t CountCharacters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

bool LooksLikeADay(std::string_view text) {
  if (text.size() < 10 || text[4] != '-' || text[7] != '-') return false;
  for (const size_t i : {0, 1, 2, 3, 5, 6, 8, 9}) {
    if (text[i] < '0' || text[i] > '9') return false;
  }
  return !ParseDate(text.substr(0, 10)).ok();
}

std::string_view TypePhrase(Type type) {
  switch (type) {
    case Type::kBool:
      return "not true or false";
    case Type::kInt64:
      return "not an integer";
    case Type::kDouble:
      return "not a number";
    case Type::kTimestamp:
      return "not a time";
    case Type::kDate:
      return "not a date";
    case Type::kText:
      return "not UTF-8 text";
    default:
      return "not valid";
  }
}

std::string LengthPhrase(const ContractColumn& column) {
  if (!column.length_min) return fmt::format("at most {}", *column.length_max);
  if (!column.length_max) return fmt::format("at least {}", *column.length_min);
  if (*column.length_min == *column.length_max) return fmt::format("{}", *column.length_min);
  return fmt::format("{} to {}", *column.length_min, *column.length_max);
}

std::string ListPhrase(const std::vector<std::string>& allowed) {
  std::string list;
  for (size_t i = 0; i < std::min(allowed.size(), kListedValuesMax); ++i) list += (i > 0 ? ", " : "") + allowed[i];
  return allowed.size() > kListedValuesMax ? fmt::format("{} ... ({} values)", list, allowed.size()) : list;
}

std::string RangePhrase(const ContractColumn& column) {
  if (!column.min) return fmt::format("above {}", *column.max);
  if (!column.max) return fmt::format("below {}", *column.min);
  return fmt::format("not between {} and {}", *column.min, *column.max);
}

bool Outside(const ContractColumn& column, double number) {
  return (column.min && number < *column.min) || (column.max && number > *column.max);
}

void AppendValue(const Value& value, Column* column) {
  switch (value.index()) {
    case 0:
      column->AppendNull();
      break;
    case 1:
      column->AppendInt(std::get<bool>(value) ? 1 : 0);
      break;
    case 2:
      column->AppendInt(std::get<int64_t>(value));
      break;
    case 3:
      column->AppendDouble(std::get<double>(value));
      break;
    case 4:
      column->AppendText(std::get<std::string>(value));
      break;
    case 5:
      column->AppendInt(std::get<Timestamp>(value).micros);
      break;
    default:
      column->AppendInt(std::get<Date>(value).days);
  }
}

}  // namespace

std::string_view TrimBlanks(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

Value ParseCell(std::string_view text, Type type) {
  if (type == Type::kText) return FindInvalidUtf8(text) == std::string_view::npos ? Value(std::string(text)) : Value();
  text = TrimBlanks(text);
  bool flag = false;
  int64_t integer = 0;
  double number = 0;
  switch (type) {
    case Type::kBool:
      return ParseBoolean(text, &flag) ? Value(flag) : Value();
    case Type::kInt64:
      return ParseInteger(text, &integer) ? Value(integer) : Value();
    case Type::kDouble:
      return ParseNumber(text, &number) ? Value(number) : Value();
    case Type::kTimestamp: {
      const auto time = ParseTimestamp(text);
      return time.ok() ? Value(time.value()) : Value();
    }
    default: {
      const auto date = ParseDate(text);
      return date.ok() ? Value(date.value()) : Value();
    }
  }
}

struct RowChecker::Impl {
  std::vector<ContractColumn> columns;
  std::vector<std::string> null_texts;
  std::vector<std::unique_ptr<re2::RE2>> patterns;  // per column, or null
  std::vector<std::vector<std::string>> allowed;    // per column, sorted

  bool MeansNull(std::string_view text, Type type) const {
    if (type != Type::kText) text = TrimBlanks(text);
    for (const std::string& null_text : null_texts) {
      if (text == null_text) return true;
    }
    return false;
  }

  void AppendCell(size_t i, std::string_view cell, Column* out, std::vector<Violation>* violations) const;
  bool Allowed(size_t i, std::string_view text) const {
    return allowed[i].empty() || std::binary_search(allowed[i].begin(), allowed[i].end(), text);
  }
  /// Refuses a value: null in its place.
  void Refuse(size_t i, std::string_view kind, std::string reason, Column* out, std::vector<Violation>* violations) const {
    violations->push_back({i, fmt::format("{}: {}", columns[i].name, kind), fmt::format("{}: {}", columns[i].name, reason)});
    out->AppendNull();
  }
  void RefuseType(size_t i, std::string_view cell, Column* out, std::vector<Violation>* violations) const;
  bool CheckText(size_t i, std::string_view text, Column* out, std::vector<Violation>* violations) const;
  bool CheckRest(size_t i, const Value& value, std::string_view cell, Column* out, std::vector<Violation>* violations) const;
};

void RowChecker::Impl::RefuseType(size_t i, std::string_view cell, Column* out, std::vector<Violation>* violations) const {
  const Type type = columns[i].type;
  const std::string_view phrase = TypePhrase(type);
  std::string reason = fmt::format("'{}' is {}", Shown(cell), phrase);
  if ((type == Type::kDate || type == Type::kTimestamp) && LooksLikeADay(TrimBlanks(cell))) reason += ": there is no such day";
  if (type == Type::kText) {
    const size_t at = FindInvalidUtf8(cell);
    reason = fmt::format("'{}' is not UTF-8 text: byte 0x{:02X}", Shown(cell), static_cast<unsigned char>(cell[at]));
  }
  Refuse(i, phrase, std::move(reason), out, violations);
}

/// False when it was refused.
bool RowChecker::Impl::CheckText(size_t i, std::string_view text, Column* out, std::vector<Violation>* violations) const {
  const ContractColumn& column = columns[i];
  if (column.length_min || column.length_max) {
    const int64_t length = CountCharacters(text);
    if (length < column.length_min.value_or(0) || length > column.length_max.value_or(std::numeric_limits<int64_t>::max())) {
      Refuse(i, "wrong length",
             fmt::format("'{}' has {} {}, expected {}", Shown(text), length, length == 1 ? "character" : "characters",
                         LengthPhrase(column)),
             out, violations);
      return false;
    }
  }
  if (patterns[i] != nullptr && !re2::RE2::FullMatch(re2::StringPiece(text.data(), text.size()), *patterns[i])) {
    Refuse(i, "does not match its pattern", fmt::format("'{}' does not match {}", Shown(text), column.pattern), out, violations);
    return false;
  }
  return true;
}

/// Range and set of values; false when it was refused.
bool RowChecker::Impl::CheckRest(size_t i, const Value& value, std::string_view cell, Column* out,
                                 std::vector<Violation>* violations) const {
  const ContractColumn& column = columns[i];
  const auto* integer = std::get_if<int64_t>(&value);
  const auto* number = std::get_if<double>(&value);
  if ((integer != nullptr && Outside(column, static_cast<double>(*integer))) || (number != nullptr && Outside(column, *number))) {
    Refuse(i, "out of range", fmt::format("{} is {}", Shown(TrimBlanks(cell)), RangePhrase(column)), out, violations);
    return false;
  }
  // Values are compared as text: as they were written, or in their one form ("5.0" is one of 5, 6).
  if (!Allowed(i, column.type == Type::kText ? cell : TrimBlanks(cell)) &&
      (column.type == Type::kText || !Allowed(i, FormatValue(value)))) {
    Refuse(i, "not one of its values", fmt::format("'{}' is not one of {}", Shown(cell), ListPhrase(column.allowed)), out,
           violations);
    return false;
  }
  return true;
}

void RowChecker::Impl::AppendCell(size_t i, std::string_view cell, Column* out, std::vector<Violation>* violations) const {
  const ContractColumn& column = columns[i];
  if (MeansNull(cell, column.type)) {
    if (column.required) return Refuse(i, "missing, but required", "missing, but required", out, violations);
    return out->AppendNull();
  }
  if (column.type == Type::kText) {
    if (FindInvalidUtf8(cell) != std::string_view::npos) return RefuseType(i, cell, out, violations);
    if (!CheckText(i, cell, out, violations)) return;
    if (!column.allowed.empty() && !CheckRest(i, Value(), cell, out, violations)) return;
    return out->AppendText(cell);
  }
  const Value value = ParseCell(cell, column.type);
  if (tidemill::IsNull(value)) return RefuseType(i, cell, out, violations);
  if (CheckRest(i, value, cell, out, violations)) AppendValue(value, out);
}

Result<RowChecker> RowChecker::Make(std::vector<ContractColumn> columns, std::vector<std::string> null_texts) {
  auto impl = std::make_unique<Impl>();
  impl->null_texts = std::move(null_texts);
  for (const ContractColumn& column : columns) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    impl->patterns.push_back(column.pattern.empty() ? nullptr : std::make_unique<re2::RE2>(column.pattern, options));
    if (impl->patterns.back() != nullptr && !impl->patterns.back()->ok()) {
      return UserErrorAt(
          "bad_pattern",
          fmt::format("the pattern of '{}' is not a regular expression: {}", column.name, impl->patterns.back()->error()),
          column.place, "the syntax is RE2's");
    }
    impl->allowed.push_back(column.allowed);
    std::sort(impl->allowed.back().begin(), impl->allowed.back().end());
  }
  impl->columns = std::move(columns);
  return RowChecker(std::move(impl));
}

RowChecker::RowChecker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RowChecker::~RowChecker() = default;
RowChecker::RowChecker(RowChecker&& other) noexcept = default;

const std::vector<ContractColumn>& RowChecker::columns() const { return impl_->columns; }

Columns RowChecker::MakeBatch() const {
  Columns batch;
  for (const ContractColumn& column : impl_->columns) batch.columns.emplace_back(column.name, column.type);
  return batch;
}

void RowChecker::Append(const std::vector<std::string_view>& cells, Columns* batch, std::vector<Violation>* violations) const {
  for (size_t i = 0; i < impl_->columns.size(); ++i) impl_->AppendCell(i, cells[i], &batch->columns[i], violations);
}

void RowChecker::AppendValues(const std::vector<Value>& values, Columns* batch, std::vector<Violation>* violations) const {
  for (size_t i = 0; i < impl_->columns.size(); ++i) {
    const ContractColumn& column = impl_->columns[i];
    Column* out = &batch->columns[i];
    Value value = values[i];
    if (const auto* integer = std::get_if<int64_t>(&value); integer != nullptr && column.type == Type::kDouble) {
      value = static_cast<double>(*integer);
    }
    const bool same_type = value.index() == static_cast<size_t>(column.type) + 1;
    if (tidemill::IsNull(value)) {
      if (column.required)
        impl_->Refuse(i, "missing, but required", "missing, but required", out, violations);
      else
        out->AppendNull();
    } else if (same_type && column.type != Type::kText && std::holds_alternative<double>(value) &&
               !std::isfinite(std::get<double>(value))) {
      impl_->RefuseType(i, FormatValue(value), out, violations);
    } else if (same_type && column.type != Type::kText) {
      if (impl_->CheckRest(i, value, FormatValue(value), out, violations)) AppendValue(value, out);
    } else {
      impl_->AppendCell(i, FormatValue(value), out, violations);
    }
  }
}

void Truncate(size_t rows, Columns* batch) {
  for (Column& column : batch->columns) {
    column.valid.resize(rows);
    if (column.type == Type::kDouble) {
      column.doubles.resize(rows);
    } else if (column.type == Type::kText) {
      column.offsets.resize(rows + 1);
      column.chars.resize(column.offsets.back());
    } else {
      column.ints.resize(rows);
    }
  }
}

}  // namespace tidemill
