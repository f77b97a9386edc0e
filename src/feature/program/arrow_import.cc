#include <fmt/format.h>

#include <cstring>
#include <limits>

#include "base/utf8.h"
#include "feature/program/arrow_columns.h"

namespace tidemill::arrow {
namespace {

constexpr int kListLevelsMax = 1;
/// So that offsets and lengths add up without overflow.
constexpr int64_t kLengthMax = int64_t{1} << 48;

Error BadArrow(std::string message) { return UserError("bad_arrow", std::move(message)); }

/// One array, from `begin` (the array's own offset is added) on.
struct Slice {
  std::string_view name;
  const ArrowSchema* schema;
  const ArrowArray* array;
  int64_t begin = 0;
  int64_t length = 0;

  std::string_view format() const { return schema->format; }
  int64_t At(int64_t row) const { return array->offset + begin + row; }
  template <class T>
  const T* Buffer(int64_t at) const {
    return static_cast<const T*>(array->buffers[at]);
  }
  bool Valid(int64_t row) const {
    const auto* bits = Buffer<uint8_t>(0);
    return bits == nullptr || (bits[At(row) / 8] >> (At(row) % 8) & 1U) != 0;
  }
};

bool Released(const ArrowSchema* schema, const ArrowArray* array) {
  return schema == nullptr || array == nullptr || schema->release == nullptr || array->release == nullptr;
}

Status CheckPair(std::string_view name, const ArrowSchema* schema, const ArrowArray* array) {
  if (Released(schema, array)) return BadArrow(fmt::format("{}: there is no data, or it was released", name));
  if (schema->format == nullptr) return BadArrow(fmt::format("{}: its schema has no format", name));
  if (schema->dictionary != nullptr || array->dictionary != nullptr)
    return BadArrow(fmt::format("{} is encoded by a dictionary: decode it first", name));
  if (array->length < 0 || array->offset < 0 || array->length > kLengthMax || array->offset > kLengthMax)
    return BadArrow(fmt::format("{} has a length or offset that is not possible", name));
  if (schema->n_children != array->n_children || schema->n_children < 0)
    return BadArrow(fmt::format("{} has other children than its schema", name));
  if (schema->n_children > 0 && (schema->children == nullptr || array->children == nullptr))
    return BadArrow(fmt::format("{} lacks its children", name));
  return Ok();
}

Status CheckBuffers(const Slice& slice, int64_t buffers) {
  const ArrowArray& array = *slice.array;
  if (array.n_buffers != buffers || array.buffers == nullptr)
    return BadArrow(fmt::format("{} has {} buffers instead of {}", slice.name, array.n_buffers, buffers));
  if (array.buffers[0] == nullptr && array.null_count > 0)
    return BadArrow(fmt::format("{} has nulls, but does not say where", slice.name));
  for (int64_t i = 1; i < buffers; ++i) {
    const bool characters = i == 2;  // may be missing when there are none, which the offsets tell
    if (array.buffers[i] == nullptr && slice.length > 0 && !characters)
      return BadArrow(fmt::format("{} lacks a buffer", slice.name));
  }
  return Ok();
}

Error WrongType(const Slice& slice, Type type) {
  return BadArrow(fmt::format("{} is of the Arrow type '{}', which can't be read as {}", slice.name,
                              EscapeInvalidUtf8(slice.format().substr(0, 100)), TypeName(type)));
}

template <class T>
void ReadNumbers(const Slice& slice, Column& column) {
  for (int64_t row = 0; row < slice.length; ++row) {
    if (!slice.Valid(row)) {
      column.AppendNull();
    } else if constexpr (std::is_floating_point_v<T>) {
      column.AppendDouble(slice.Buffer<T>(1)[slice.At(row)]);
    } else {
      column.AppendInt(static_cast<int64_t>(slice.Buffer<T>(1)[slice.At(row)]));
    }
  }
}

void ReadBits(const Slice& slice, Column& column) {
  const auto* bits = slice.Buffer<uint8_t>(1);
  for (int64_t row = 0; row < slice.length; ++row) {
    if (slice.Valid(row)) {
      column.AppendInt(bits[slice.At(row) / 8] >> (slice.At(row) % 8) & 1);
    } else {
      column.AppendNull();
    }
  }
}

Status ReadUnsigned64(const Slice& slice, Column& column) {
  for (int64_t row = 0; row < slice.length; ++row) {
    if (slice.Valid(row) && slice.Buffer<uint64_t>(1)[slice.At(row)] > uint64_t{std::numeric_limits<int64_t>::max()})
      return BadArrow(fmt::format("{} holds an integer above 2^63 - 1 in row {}", slice.name, row));
  }
  ReadNumbers<uint64_t>(slice, column);
  return Ok();
}

/// The offsets around a row; they must not decrease nor be negative.
template <class Offset>
Result<std::pair<int64_t, int64_t>> Around(const Slice& slice, int64_t row) {
  const Offset* offsets = slice.Buffer<Offset>(1) + slice.At(row);
  if (offsets[0] < 0 || offsets[1] < offsets[0] || offsets[1] > kLengthMax)
    return BadArrow(fmt::format("{} has offsets that are not possible in row {}", slice.name, row));
  return std::pair<int64_t, int64_t>(offsets[0], offsets[1]);
}

template <class Offset>
Status ReadTexts(const Slice& slice, Column& column) {
  const auto* chars = slice.Buffer<char>(2);
  for (int64_t row = 0; row < slice.length; ++row) {
    if (!slice.Valid(row)) {
      column.AppendNull();
      continue;
    }
    TIDEMILL_ASSIGN_OR_RETURN(const auto around, Around<Offset>(slice, row));
    if (around.second > around.first && chars == nullptr) return BadArrow(fmt::format("{} lacks its characters", slice.name));
    const std::string_view text(around.second > around.first ? chars + around.first : "",
                                static_cast<size_t>(around.second - around.first));
    if (FindInvalidUtf8(text) != std::string_view::npos)
      return BadArrow(fmt::format("{} holds a text that is not UTF-8 (or has a zero byte) in row {}", slice.name, row));
    column.AppendText(text);
  }
  return Ok();
}

Result<Column> ReadSlice(const Slice& slice, Type type);

void AppendElement(const Column& elements, size_t row, ListBuilder& list) {
  if (elements.IsNull(row)) {
    list.AppendNull();
  } else if (elements.type == Type::kText) {
    list.AppendText(elements.Text(row));
  } else if (elements.type == Type::kDouble) {
    list.AppendDouble(elements.doubles[row]);
  } else {
    list.AppendInt(elements.ints[row]);
  }
}

template <class Offset>
Status ReadLists(const Slice& slice, Column& column) {
  const ArrowSchema* schema = slice.schema;
  const ArrowArray* array = slice.array;
  if (schema->n_children != kListLevelsMax) return BadArrow(fmt::format("{} is a list without one type of elements", slice.name));
  TIDEMILL_RETURN_IF_ERROR(CheckPair(slice.name, schema->children[0], array->children[0]));
  const ArrowArray& child = *array->children[0];
  const Type element = ElementType(column.type);
  ListBuilder list(element);
  for (int64_t row = 0; row < slice.length; ++row) {
    if (!slice.Valid(row)) {
      column.AppendNull();
      continue;
    }
    TIDEMILL_ASSIGN_OR_RETURN(const auto around, Around<Offset>(slice, row));
    if (around.second > child.length) return BadArrow(fmt::format("{} refers to elements that are not there", slice.name));
    const Slice below{slice.name, schema->children[0], &child, around.first, around.second - around.first};
    TIDEMILL_ASSIGN_OR_RETURN(const Column elements, ReadSlice(below, element));
    for (size_t i = 0; i < elements.size(); ++i) AppendElement(elements, i, list);
    column.AppendText(list.Finish());
  }
  return Ok();
}

Status ReadIntegers(const Slice& slice, Column& column) {
  switch (slice.format()[0]) {
    case 'c':
      ReadNumbers<int8_t>(slice, column);
      return Ok();
    case 'C':
      ReadNumbers<uint8_t>(slice, column);
      return Ok();
    case 's':
      ReadNumbers<int16_t>(slice, column);
      return Ok();
    case 'S':
      ReadNumbers<uint16_t>(slice, column);
      return Ok();
    case 'i':
      ReadNumbers<int32_t>(slice, column);
      return Ok();
    case 'I':
      ReadNumbers<uint32_t>(slice, column);
      return Ok();
    case 'L':
      return ReadUnsigned64(slice, column);
    default:
      ReadNumbers<int64_t>(slice, column);
      return Ok();
  }
}

/// Whether the Arrow type can be read as the kernel's.
bool Fits(std::string_view format, Type type) {
  const auto one_of = [&](std::string_view letters) {
    return format.size() == 1 && letters.find(format[0]) != std::string_view::npos;
  };
  switch (type) {
    case Type::kBool:
      return format == "b";
    case Type::kInt64:
      return one_of("cCsSiIlL");
    case Type::kDouble:
      return one_of("fg");
    case Type::kText:
      return one_of("uU");
    case Type::kTimestamp:
      return format.starts_with("tsu:");
    case Type::kDate:
      return format == "tdD";
    default:
      return format == "+l" || format == "+L";
  }
}

Result<Column> ReadSlice(const Slice& slice, Type type) {
  if (!Fits(slice.format(), type)) return WrongType(slice, type);
  TIDEMILL_RETURN_IF_ERROR(CheckBuffers(slice, type == Type::kText ? 3 : 2));
  Column column(std::string(slice.name), type);
  column.Reserve(static_cast<size_t>(slice.length));
  const char last = slice.format().back();
  switch (type) {
    case Type::kBool:
      ReadBits(slice, column);
      break;
    case Type::kInt64:
      TIDEMILL_RETURN_IF_ERROR(ReadIntegers(slice, column));
      break;
    case Type::kDouble:
      last == 'f' ? ReadNumbers<float>(slice, column) : ReadNumbers<double>(slice, column);
      break;
    case Type::kText:
      TIDEMILL_RETURN_IF_ERROR(last == 'u' ? ReadTexts<int32_t>(slice, column) : ReadTexts<int64_t>(slice, column));
      break;
    case Type::kTimestamp:
      ReadNumbers<int64_t>(slice, column);
      break;
    case Type::kDate:
      ReadNumbers<int32_t>(slice, column);
      break;
    default:
      TIDEMILL_RETURN_IF_ERROR(last == 'l' ? ReadLists<int32_t>(slice, column) : ReadLists<int64_t>(slice, column));
  }
  return column;
}

}  // namespace

Result<Batch> Batch::Open(std::string_view what, const ArrowSchema* schema, const ArrowArray* array) {
  TIDEMILL_RETURN_IF_ERROR(CheckPair(what, schema, array));
  if (std::string_view(schema->format) != "+s") return BadArrow(fmt::format("{} is no struct", what));
  if (array->n_buffers != 1 || array->buffers == nullptr)
    return BadArrow(fmt::format("{} has other buffers than a struct", what));
  const Slice slice{what, schema, array, 0, array->length};
  for (int64_t row = 0; row < array->length && array->buffers[0] != nullptr; ++row) {
    if (!slice.Valid(row)) return BadArrow(fmt::format("{}: row {} is null as a whole", what, row));
  }
  for (int64_t i = 0; i < schema->n_children; ++i) {
    const ArrowSchema* field = schema->children[i];
    if (Released(field, array->children[i]) || field->name == nullptr)
      return BadArrow(fmt::format("{}: field {} has no name or no data", what, i));
    if (array->children[i]->length < array->offset + array->length)
      return BadArrow(fmt::format("{}: the field {} has too few rows", what, field->name));
  }
  return Batch(what, schema, array);
}

std::optional<int64_t> Batch::Find(std::string_view name) const {
  for (int64_t i = 0; i < schema_->n_children; ++i) {
    if (name == schema_->children[i]->name) return i;
  }
  return std::nullopt;
}

Result<Column> Batch::Read(std::string_view name, Type type) const {
  const std::optional<int64_t> at = Find(name);
  if (!at) return BadArrow(fmt::format("{}: there is no field {}", what_, name));
  const ArrowSchema* schema = schema_->children[*at];
  const ArrowArray* array = array_->children[*at];
  TIDEMILL_RETURN_IF_ERROR(CheckPair(name, schema, array));
  return ReadSlice({name, schema, array, array_->offset, array_->length}, type);
}

Result<Column> ReadArray(std::string_view name, Type type, const ArrowSchema* schema, const ArrowArray* array) {
  TIDEMILL_RETURN_IF_ERROR(CheckPair(name, schema, array));
  return ReadSlice({name, schema, array, 0, array->length}, type);
}

}  // namespace tidemill::arrow
