#include "worker/arrow_stream.h"

#include <fmt/format.h>
#include <nanoarrow/nanoarrow.h>
#include <nanoarrow/nanoarrow_ipc.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <optional>
#include <utility>

#include "worker/arrow_message.h"

namespace tidemill {
namespace {

constexpr size_t kBatchRows = 32'768;
constexpr size_t kBatchTextBytes = 4 << 20;
constexpr int64_t kBodyBytesMax = int64_t{4} << 30;  // of a batch from Python, which hands over a few thousand rows at a time

/// Owns one of nanoarrow's structures.
template <class T, void (*kRelease)(T*)>
class ArrowOwned {
 public:
  ArrowOwned() = default;
  ArrowOwned(const ArrowOwned&) = delete;
  ArrowOwned& operator=(const ArrowOwned&) = delete;
  ~ArrowOwned() { kRelease(&raw_); }
  T* get() { return &raw_; }
  T* operator->() { return &raw_; }

 private:
  T raw_{};
};

void ReleaseSchema(ArrowSchema* schema) {
  if (schema->release != nullptr) ArrowSchemaRelease(schema);
}
void ReleaseArray(ArrowArray* array) {
  if (array->release != nullptr) ArrowArrayRelease(array);
}
void ReleaseStream(ArrowArrayStream* stream) {
  if (stream->release != nullptr) ArrowArrayStreamRelease(stream);
}
void ResetWriter(ArrowIpcWriter* writer) {
  if (writer->private_data != nullptr) ArrowIpcWriterReset(writer);
}

using OwnedSchema = ArrowOwned<ArrowSchema, ReleaseSchema>;
using OwnedArray = ArrowOwned<ArrowArray, ReleaseArray>;
using OwnedStream = ArrowOwned<ArrowArrayStream, ReleaseStream>;
using OwnedView = ArrowOwned<ArrowArrayView, ArrowArrayViewReset>;
using OwnedWriter = ArrowOwned<ArrowIpcWriter, ResetWriter>;

/// The Arrow type of a field; NANOARROW_TYPE_UNINITIALIZED when there is none.
ArrowType ArrowTypeOf(Type type) {
  switch (type) {
    case Type::kBool:
      return NANOARROW_TYPE_BOOL;
    case Type::kInt64:
      return NANOARROW_TYPE_INT64;
    case Type::kDouble:
      return NANOARROW_TYPE_DOUBLE;
    case Type::kText:
      return NANOARROW_TYPE_STRING;
    case Type::kTimestamp:
      return NANOARROW_TYPE_TIMESTAMP;
    case Type::kDate:
      return NANOARROW_TYPE_DATE32;
    default:
      return NANOARROW_TYPE_UNINITIALIZED;
  }
}

Error DamagedStream(std::string_view what) {
  return UserError("arrow_stream", fmt::format("the Arrow stream can't be read: {}", what));
}

Result<void> SetSchema(const std::vector<Field>& fields, ArrowSchema* schema) {
  ArrowSchemaInit(schema);
  int code = ArrowSchemaSetTypeStruct(schema, static_cast<int64_t>(fields.size()));
  for (size_t i = 0; i < fields.size() && code == NANOARROW_OK; ++i) {
    ArrowSchema* child = schema->children[i];
    const ArrowType type = ArrowTypeOf(fields[i].type);
    if (type == NANOARROW_TYPE_UNINITIALIZED) {
      return UserError(
          "arrow_type",
          fmt::format("column '{}' is a {}, which can't be handed to Python", fields[i].name, TypeName(fields[i].type)),
          "cast it to text in a SQL table between");
    }
    code = type == NANOARROW_TYPE_TIMESTAMP ? ArrowSchemaSetTypeDateTime(child, type, NANOARROW_TIME_UNIT_MICRO, nullptr)
                                            : ArrowSchemaSetType(child, type);
    if (code == NANOARROW_OK) code = ArrowSchemaSetName(child, fields[i].name.c_str());
  }
  return code == NANOARROW_OK ? Ok() : Status(InternalError(fmt::format("Arrow schema: code {}", code)));
}

/// What both callbacks share: the user's function, and the error that it gave, which nanoarrow can't carry.
template <class Function>
struct Bridge {
  Function function;
  std::optional<Error> error;

  Error Take(std::string_view otherwise) {
    if (!error) return DamagedStream(otherwise);
    return *std::exchange(error, std::nullopt);
  }
};

class IpcWriter : public ArrowWriter {
 public:
  IpcWriter(const std::vector<Field>& fields, Sink sink) : bridge_{std::move(sink), std::nullopt} {
    for (const Field& field : fields) pending_.columns.emplace_back(field.name, field.type);
  }

  Status Begin(const std::vector<Field>& fields) {
    TIDEMILL_RETURN_IF_ERROR(SetSchema(fields, schema_.get()));
    ArrowIpcOutputStream output{};
    output.write = &IpcWriter::WriteBytes;
    output.release = [](ArrowIpcOutputStream* stream) { stream->release = nullptr; };
    output.private_data = &bridge_;
    if (ArrowIpcWriterInit(writer_.get(), &output) != NANOARROW_OK) return InternalError("Arrow writer: no memory");
    return Checked(ArrowIpcWriterWriteSchema(writer_.get(), schema_.get(), &problem_));
  }

  Status Write(const Columns& rows) override {
    if (rows.columns.size() != pending_.columns.size()) return InternalError("Arrow writer: other columns than its fields");
    for (size_t row = 0; row < rows.rows();) {
      const size_t count = std::min(rows.rows() - row, kBatchRows - pending_rows_);
      for (size_t i = 0; i < rows.columns.size(); ++i) AppendRows(rows.columns[i], row, count, &pending_.columns[i]);
      pending_rows_ += count;
      row += count;
      if (IsFull()) TIDEMILL_RETURN_IF_ERROR(Flush());
    }
    return Ok();
  }

  Status Finish() override {
    TIDEMILL_RETURN_IF_ERROR(Flush());
    return Checked(ArrowIpcWriterWriteArrayView(writer_.get(), nullptr, &problem_));
  }

 private:
  static ArrowErrorCode WriteBytes(ArrowIpcOutputStream* stream, const void* bytes, int64_t size, int64_t* written, ArrowError*) {
    auto* bridge = static_cast<Bridge<Sink>*>(stream->private_data);
    Status status = bridge->function({static_cast<const char*>(bytes), static_cast<size_t>(size)});
    if (!status.ok()) {
      bridge->error = std::move(status).error();
      return EIO;
    }
    *written = size;
    return NANOARROW_OK;
  }

  static void AppendRows(const Column& from, size_t row, size_t count, Column* to) {
    const auto slice = [&](const auto& source, auto* target) {
      const auto begin = source.begin() + static_cast<std::ptrdiff_t>(row);
      target->insert(target->end(), begin, begin + static_cast<std::ptrdiff_t>(count));
    };
    slice(from.valid, &to->valid);
    if (from.type == Type::kDouble) return slice(from.doubles, &to->doubles);
    if (from.type != Type::kText) return slice(from.ints, &to->ints);
    const uint64_t shift = to->chars.size() - from.offsets[row];
    for (size_t i = row + 1; i <= row + count; ++i) to->offsets.push_back(from.offsets[i] + shift);
    to->chars.append(from.chars, from.offsets[row], from.offsets[row + count] - from.offsets[row]);
  }

  bool IsFull() const {
    return pending_rows_ == kBatchRows || std::any_of(pending_.columns.begin(), pending_.columns.end(), [](const Column& column) {
             return column.chars.size() >= kBatchTextBytes;
           });
  }

  Status Flush() {
    if (pending_rows_ == 0) return Ok();
    OwnedArray array;
    TIDEMILL_RETURN_IF_ERROR(Checked(ArrowArrayInitFromSchema(array.get(), schema_.get(), &problem_)));
    array->length = static_cast<int64_t>(pending_rows_);
    for (size_t i = 0; i < pending_.columns.size(); ++i) {
      TIDEMILL_RETURN_IF_ERROR(FillChild(pending_.columns[i], array->children[i]));
    }
    TIDEMILL_RETURN_IF_ERROR(Checked(ArrowArrayFinishBuilding(array.get(), NANOARROW_VALIDATION_LEVEL_DEFAULT, &problem_)));
    OwnedView view;
    TIDEMILL_RETURN_IF_ERROR(Checked(ArrowArrayViewInitFromSchema(view.get(), schema_.get(), &problem_)));
    TIDEMILL_RETURN_IF_ERROR(Checked(ArrowArrayViewSetArray(view.get(), array.get(), &problem_)));
    TIDEMILL_RETURN_IF_ERROR(Checked(ArrowIpcWriterWriteArrayView(writer_.get(), view.get(), &problem_)));
    for (Column& column : pending_.columns) column = Column(column.name, column.type);
    pending_rows_ = 0;
    return Ok();
  }

  Status FillChild(const Column& column, ArrowArray* child) {
    const size_t rows = column.size();
    ArrowBitmap* validity = ArrowArrayValidityBitmap(child);
    int code = ArrowBitmapReserve(validity, static_cast<int64_t>(rows));
    if (code != NANOARROW_OK) return Checked(code);
    int64_t nulls = 0;
    for (const uint8_t valid : column.valid) {
      ArrowBitmapAppendUnsafe(validity, valid, 1);
      nulls += valid == 0 ? 1 : 0;
    }
    child->length = static_cast<int64_t>(rows);
    child->null_count = nulls;
    ArrowBuffer* values = ArrowArrayBuffer(child, 1);
    switch (column.type) {
      case Type::kDouble:
        return Checked(ArrowBufferAppend(values, column.doubles.data(), Bytes(rows, sizeof(double))));
      case Type::kBool:
        return FillBits(column, values);
      case Type::kDate:
        return FillNarrow(column.ints, values);
      case Type::kText:
        return FillText(column, values, ArrowArrayBuffer(child, 2));
      default:
        return Checked(ArrowBufferAppend(values, column.ints.data(), Bytes(rows, sizeof(int64_t))));
    }
  }

  static int64_t Bytes(size_t count, size_t size) { return static_cast<int64_t>(count * size); }

  Status FillBits(const Column& column, ArrowBuffer* values) {
    std::string bits((column.size() + 7) / 8, '\0');
    for (size_t row = 0; row < column.size(); ++row) {
      if (column.ints[row] != 0) bits[row / 8] = static_cast<char>(bits[row / 8] | (1 << (row % 8)));
    }
    return Checked(ArrowBufferAppend(values, bits.data(), Bytes(bits.size(), 1)));
  }

  template <class T>
  Status FillNarrow(const std::vector<T>& wide, ArrowBuffer* values) {
    std::vector<int32_t> narrow;
    narrow.reserve(wide.size());
    for (const T value : wide) narrow.push_back(static_cast<int32_t>(value));
    return Checked(ArrowBufferAppend(values, narrow.data(), Bytes(narrow.size(), sizeof(int32_t))));
  }

  Status FillText(const Column& column, ArrowBuffer* offsets, ArrowBuffer* chars) {
    if (column.chars.size() > std::numeric_limits<int32_t>::max()) {
      return UserError("arrow_size",
                       fmt::format("a text in column '{}' is too long for Python: 2 GB are the limit", column.name));
    }
    ArrowBufferReset(offsets);
    TIDEMILL_RETURN_IF_ERROR(FillNarrow(column.offsets, offsets));
    return Checked(ArrowBufferAppend(chars, column.chars.data(), Bytes(column.chars.size(), 1)));
  }

  Status Checked(int code) {
    if (code == NANOARROW_OK) return Ok();
    if (bridge_.error) return bridge_.Take("");
    return InternalError(fmt::format("Arrow writer: {} (code {})", ArrowErrorMessage(&problem_), code));
  }

  Bridge<Sink> bridge_;
  ArrowError problem_{};
  OwnedSchema schema_;
  OwnedWriter writer_;
  Columns pending_;
  size_t pending_rows_ = 0;
};

class IpcReader : public ArrowReader {
 public:
  IpcReader(const std::vector<Field>& fields, Source source) : fields_(fields), bridge_{std::move(source), std::nullopt} {}

  Status Begin() {
    ArrowIpcInputStream input{};
    input.read = &IpcReader::ReadBytes;
    input.release = [](ArrowIpcInputStream* stream) { stream->release = nullptr; };
    input.private_data = this;
    ArrowIpcArrayStreamReaderOptions options{};
    options.field_index = -1;
    if (ArrowIpcArrayStreamReaderInit(stream_.get(), &input, &options) != NANOARROW_OK) {
      return InternalError("Arrow reader: no memory");
    }
    if (stream_->get_schema(stream_.get(), schema_.get()) != NANOARROW_OK) return Failed();
    return CheckSchema();
  }

  Result<Columns> Next() override {
    Columns rows;
    for (const Field& field : fields_) rows.columns.emplace_back(field.name, field.type);
    while (true) {
      OwnedArray array;
      if (stream_->get_next(stream_.get(), array.get()) != NANOARROW_OK) return Failed();
      if (array->release == nullptr) return rows;
      if (array->length == 0) continue;
      OwnedView view;
      ArrowError problem{};
      if (ArrowArrayViewInitFromSchema(view.get(), schema_.get(), &problem) != NANOARROW_OK ||
          ArrowArrayViewSetArray(view.get(), array.get(), &problem) != NANOARROW_OK ||
          ArrowArrayViewValidate(view.get(), NANOARROW_VALIDATION_LEVEL_FULL, &problem) != NANOARROW_OK) {
        return DamagedStream(ArrowErrorMessage(&problem));
      }
      for (size_t i = 0; i < fields_.size(); ++i) ReadColumn(*view->children[i], array->length, &rows.columns[i]);
      return rows;
    }
  }

 private:
  static ArrowErrorCode ReadBytes(ArrowIpcInputStream* stream, uint8_t* bytes, int64_t size, int64_t* read, ArrowError*) {
    auto* self = static_cast<IpcReader*>(stream->private_data);
    int64_t filled = 0;
    while (filled < size) {  // a short answer would mean the end of the stream
      Result<size_t> count = self->bridge_.function(bytes + filled, static_cast<size_t>(size - filled));
      if (!count.ok()) {
        self->bridge_.error = std::move(count).error();
        return EIO;
      }
      if (*count == 0) break;
      filled += static_cast<int64_t>(*count);
    }
    *read = filled;
    if (self->Follow({reinterpret_cast<const char*>(bytes), static_cast<size_t>(filled)})) return NANOARROW_OK;
    self->bridge_.error = DamagedStream("a message is not whole, or too large");
    return EIO;
  }

  /// Looks at the metadata of messages before nanoarrow does. False for one that it must not see.
  bool Follow(std::string_view bytes) {
    constexpr std::string_view kMark = "\xff\xff\xff\xff";
    switch (next_) {
      case Part::kPrefix:
        if (bytes.size() == 8 && !bytes.starts_with(kMark)) return false;  // as before Arrow 0.15
        next_ = Part::kMetadata;
        return true;
      case Part::kMetadata: {
        const ArrowMessage message = ReadArrowMessage(bytes);
        next_ = message.body_bytes > 0 ? Part::kBody : Part::kPrefix;
        return message.whole && message.body_bytes <= kBodyBytesMax;
      }
      case Part::kBody:
        next_ = Part::kPrefix;
        return true;
    }
    return false;
  }

  Error Failed() {
    const char* problem = stream_->get_last_error(stream_.get());
    return bridge_.Take(problem != nullptr ? problem : "it ends too early");
  }

  Status CheckSchema() {
    if (schema_->n_children != static_cast<int64_t>(fields_.size())) {
      return DamagedStream(fmt::format("{} columns instead of {}", schema_->n_children, fields_.size()));
    }
    for (size_t i = 0; i < fields_.size(); ++i) {
      ArrowSchemaView view{};
      ArrowError problem{};
      const ArrowSchema* child = schema_->children[i];
      if (ArrowSchemaViewInit(&view, child, &problem) != NANOARROW_OK) return DamagedStream(ArrowErrorMessage(&problem));
      const bool same_type = view.type == ArrowTypeOf(fields_[i].type) &&
                             (view.type != NANOARROW_TYPE_TIMESTAMP || view.time_unit == NANOARROW_TIME_UNIT_MICRO);
      const std::string_view name = child->name == nullptr ? "" : child->name;
      if (!same_type || name != fields_[i].name) {
        return DamagedStream(fmt::format("column '{}' of type {} instead of '{}', a {}", name, child->format,
                                         fields_[i].name, TypeName(fields_[i].type)));
      }
    }
    return Ok();
  }

  static void ReadColumn(const ArrowArrayView& view, int64_t rows, Column* column) {
    column->Reserve(static_cast<size_t>(rows));
    for (int64_t row = 0; row < rows; ++row) {
      if (ArrowArrayViewIsNull(&view, row)) {
        column->AppendNull();
      } else if (column->type == Type::kDouble) {
        column->AppendDouble(ArrowArrayViewGetDoubleUnsafe(&view, row));
      } else if (column->type == Type::kText) {
        const ArrowStringView text = ArrowArrayViewGetStringUnsafe(&view, row);
        column->AppendText({text.data, static_cast<size_t>(text.size_bytes)});
      } else {
        column->AppendInt(ArrowArrayViewGetIntUnsafe(&view, row));
      }
    }
  }

  enum class Part { kPrefix, kMetadata, kBody };

  const std::vector<Field> fields_;
  Bridge<Source> bridge_;
  Part next_ = Part::kPrefix;
  OwnedSchema schema_;
  OwnedStream stream_;
};

}  // namespace

Result<std::unique_ptr<ArrowWriter>> ArrowWriter::Make(const std::vector<Field>& fields, Sink sink) {
  auto writer = std::make_unique<IpcWriter>(fields, std::move(sink));
  TIDEMILL_RETURN_IF_ERROR(writer->Begin(fields));
  return std::unique_ptr<ArrowWriter>(std::move(writer));
}

Result<std::unique_ptr<ArrowReader>> ArrowReader::Open(const std::vector<Field>& fields, Source source) {
  auto reader = std::make_unique<IpcReader>(fields, std::move(source));
  TIDEMILL_RETURN_IF_ERROR(reader->Begin());
  return std::unique_ptr<ArrowReader>(std::move(reader));
}

}  // namespace tidemill
