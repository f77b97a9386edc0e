#include "sql/arrow_stream.h"

#include <duckdb.h>

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <string>

/// Arrow's C data and stream interfaces, as its specification writes them down.
extern "C" {
struct ArrowSchema {
  const char* format;
  const char* name;
  const char* metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema** children;
  struct ArrowSchema* dictionary;
  void (*release)(struct ArrowSchema*);
  void* private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void** buffers;
  struct ArrowArray** children;
  struct ArrowArray* dictionary;
  void (*release)(struct ArrowArray*);
  void* private_data;
};

struct ArrowArrayStream {
  int (*get_schema)(struct ArrowArrayStream*, struct ArrowSchema* out);
  int (*get_next)(struct ArrowArrayStream*, struct ArrowArray* out);
  const char* (*get_last_error)(struct ArrowArrayStream*);
  void (*release)(struct ArrowArrayStream*);
  void* private_data;
};
}

namespace tidemill {
namespace {

constexpr int64_t kNullable = 2;

const char* ArrowFormat(Type type) {
  switch (type) {
    case Type::kBool:
      return "b";
    case Type::kInt64:
      return "l";
    case Type::kDouble:
      return "g";
    case Type::kText:
      return "U";  // offsets of 64 bits
    case Type::kTimestamp:
      return "tsu:";
    case Type::kDate:
      return "tdD";
    default:
      return "+L";  // lists, offsets of 64 bits
  }
}

/// Owns what an ArrowSchema points to.
struct ExportedSchema {
  std::vector<std::string> names;
  std::vector<ArrowSchema> children;
  std::vector<ArrowSchema*> pointers;
  std::vector<ArrowSchema> elements;  ///< of the fields that are lists
  std::vector<ArrowSchema*> element_pointers;
};

/// DuckDB does not release every schema that it asks for, so the stream owns them.
void ReleaseSchema(ArrowSchema* schema) { schema->release = nullptr; }

ArrowSchema FieldSchema(Type type, const char* name) {
  return {ArrowFormat(type), name, nullptr, kNullable, 0, nullptr, nullptr, ReleaseSchema, nullptr};
}

std::unique_ptr<ExportedSchema> ExportSchema(const std::vector<Field>& fields, ArrowSchema* out) {
  auto exported = std::make_unique<ExportedSchema>();
  for (const Field& field : fields) {
    exported->names.push_back(field.name);
    exported->elements.push_back(FieldSchema(IsList(field.type) ? ElementType(field.type) : field.type, "item"));
  }
  for (ArrowSchema& element : exported->elements) exported->element_pointers.push_back(&element);
  for (size_t i = 0; i < fields.size(); ++i) {
    ArrowSchema& child = exported->children.emplace_back(FieldSchema(fields[i].type, exported->names[i].c_str()));
    if (!IsList(fields[i].type)) continue;
    child.n_children = 1;
    child.children = &exported->element_pointers[i];
  }
  for (ArrowSchema& child : exported->children) exported->pointers.push_back(&child);
  *out = {"+s", "", nullptr, 0, static_cast<int64_t>(fields.size()), exported->pointers.data(), nullptr, ReleaseSchema, nullptr};
  return exported;
}

/// One bit a row, lowest first.
template <class T>
std::vector<uint8_t> PackBits(const std::vector<T>& values) {
  std::vector<uint8_t> bits((values.size() + 7) / 8, 0);
  for (size_t row = 0; row < values.size(); ++row)
    bits[row / 8] |= static_cast<uint8_t>((values[row] != 0 ? 1U : 0U) << (row % 8));
  return bits;
}

void ReleaseArrayChild(ArrowArray* array) { array->release = nullptr; }

/// The elements of all rows of a column of lists, and where each row's begin.
Column ListElementsOf(const Column& lists, std::vector<uint64_t>* offsets) {
  Column elements("item", ElementType(lists.type));
  offsets->assign(1, 0);
  for (size_t row = 0; row < lists.size(); ++row) {
    const ListView list(lists.Text(row), elements.type);
    for (size_t at = 0; !lists.IsNull(row) && at < list.size(); ++at) {
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
    offsets->push_back(elements.size());
  }
  return elements;
}

/// A column with the buffers that Arrow wants in another form than it has.
struct ExportedColumn {
  explicit ExportedColumn(Column&& from) : column(std::move(from)) {
    for (const uint8_t valid : column.valid) nulls += valid == 0 ? 1 : 0;
    if (nulls > 0) validity = PackBits(column.valid);
    buffers[0] = nulls > 0 ? validity.data() : nullptr;
    switch (column.type) {
      case Type::kBool:
        bits = PackBits(column.ints);
        buffers[1] = bits.data();
        break;
      case Type::kDate:
        days.assign(column.ints.begin(), column.ints.end());
        buffers[1] = days.data();
        break;
      case Type::kDouble:
        buffers[1] = column.doubles.data();
        break;
      case Type::kText:
        buffers[1] = column.offsets.data();
        buffers[2] = column.chars.data();
        break;
      case Type::kInt64:
      case Type::kTimestamp:
        buffers[1] = column.ints.data();
        break;
      default:
        elements = std::make_unique<ExportedColumn>(ListElementsOf(column, &list_offsets));
        element_array = elements->Array();
        element_pointer = &element_array;
        buffers[1] = list_offsets.data();
    }
  }
  ExportedColumn(const ExportedColumn&) = delete;
  ExportedColumn& operator=(const ExportedColumn&) = delete;

  ArrowArray Array() {
    ArrowArray array{static_cast<int64_t>(column.size()),
                     nulls,
                     0,
                     column.type == Type::kText ? 3 : 2,
                     0,
                     buffers.data(),
                     nullptr,
                     nullptr,
                     ReleaseArrayChild,
                     nullptr};
    if (elements != nullptr) {
      array.n_children = 1;
      array.children = &element_pointer;
    }
    return array;
  }

  Column column;
  int64_t nulls = 0;
  std::vector<uint8_t> validity;
  std::vector<uint8_t> bits;  ///< kBool
  std::vector<int32_t> days;  ///< kDate
  std::vector<uint64_t> list_offsets;
  std::unique_ptr<ExportedColumn> elements;  ///< of lists
  ArrowArray element_array{};
  ArrowArray* element_pointer = nullptr;
  std::array<const void*, 3> buffers{};
};

/// Owns what an ArrowArray points to.
struct ExportedBatch {
  std::vector<std::unique_ptr<ExportedColumn>> columns;
  std::vector<ArrowArray> children;
  std::vector<ArrowArray*> pointers;
  const void* no_validity = nullptr;
};

void ReleaseArray(ArrowArray* array) {
  delete static_cast<ExportedBatch*>(array->private_data);
  array->release = nullptr;
}

void ExportBatch(Columns&& batch, ArrowArray* out) {
  const auto rows = static_cast<int64_t>(batch.rows());
  auto exported = std::make_unique<ExportedBatch>();
  for (Column& column : batch.columns) exported->columns.push_back(std::make_unique<ExportedColumn>(std::move(column)));
  for (const auto& column : exported->columns) exported->children.push_back(column->Array());
  for (ArrowArray& child : exported->children) exported->pointers.push_back(&child);
  *out = {rows,
          0,
          0,
          1,
          static_cast<int64_t>(exported->children.size()),
          &exported->no_validity,
          exported->pointers.data(),
          nullptr,
          ReleaseArray,
          nullptr};
  out->private_data = exported.release();
}

Status CheckTexts(const Columns& batch) {
  for (const Column& column : batch.columns) {
    if (column.type != Type::kText) continue;
    duckdb_error_data problem = duckdb_valid_utf8_check(column.chars.data(), column.chars.size());
    if (problem == nullptr) continue;
    duckdb_destroy_error_data(&problem);
    return UserError("not_utf8", fmt::format("column '{}' holds text that is not UTF-8", column.name));
  }
  return Ok();
}

}  // namespace

struct ArrowStream::State {
  RowStream rows;
  ArrowArrayStream stream{};
  std::vector<std::shared_ptr<void>> schemas;  ///< each scan asks once or twice
  Status status = Ok();
  std::string message;

  Status Next(ArrowArray* out) {
    TIDEMILL_RETURN_IF_ERROR(status);
    TIDEMILL_ASSIGN_OR_RETURN(std::optional<Columns> batch, rows.next());
    if (!batch) {
      *out = {};
      return Ok();
    }
    TIDEMILL_RETURN_IF_ERROR(CheckTexts(*batch));
    ExportBatch(std::move(*batch), out);
    return Ok();
  }

  static State& Of(ArrowArrayStream* stream) { return *static_cast<State*>(stream->private_data); }
};

ArrowStream::ArrowStream(RowStream rows) : state_(std::make_unique<State>()) {
  state_->rows = std::move(rows);
  state_->stream = {[](ArrowArrayStream* stream, ArrowSchema* out) {
                      State& state = State::Of(stream);
                      state.schemas.emplace_back(ExportSchema(state.rows.fields, out));
                      return 0;
                    },
                    [](ArrowArrayStream* stream, ArrowArray* out) {
                      State& state = State::Of(stream);
                      state.status = state.Next(out);
                      if (state.status.ok()) return 0;
                      state.message = state.status.error().message;
                      return EIO;
                    },
                    [](ArrowArrayStream* stream) { return State::Of(stream).message.c_str(); },
                    [](ArrowArrayStream* stream) { stream->release = nullptr; }, state_.get()};
}

ArrowStream::~ArrowStream() = default;

_duckdb_arrow_stream* ArrowStream::handle() { return reinterpret_cast<_duckdb_arrow_stream*>(&state_->stream); }

const Status& ArrowStream::status() const { return state_->status; }

}  // namespace tidemill
