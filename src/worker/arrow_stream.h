#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "base/columns.h"
#include "base/result.h"

namespace tidemill {

/// Writes rows as an Arrow IPC stream: Bool, Int64, Float64, Utf8, Timestamp (microseconds, without a zone: UTC), Date32.
/// Small batches are gathered, so that memory is bounded by a few megabytes. Not thread-safe.
class ArrowWriter {
 public:
  using Sink = std::function<Status(std::string_view bytes)>;

  /// `sink` gets the stream's bytes in order; its errors are returned by the call that met them. Code "arrow_type" for fields
  /// that Arrow streams don't carry.
  static Result<std::unique_ptr<ArrowWriter>> Make(const std::vector<Field>& fields, Sink sink);
  virtual ~ArrowWriter() = default;

  /// `rows` must have the columns of the fields, in their order. Code "arrow_size" when a text can't be written.
  virtual Status Write(const Columns& rows) = 0;
  /// Writes what was gathered and the end of the stream. Call it once, last.
  virtual Status Finish() = 0;
};

/// Reads such a stream. Anything else in it (other types, other columns than expected, damaged bytes) is an error with code
/// "arrow_stream". Not thread-safe.
class ArrowReader {
 public:
  /// Fills up to `size` bytes and returns how many; 0 at the end. Its errors are returned by the call that met them.
  using Source = std::function<Result<size_t>(uint8_t* bytes, size_t size)>;

  /// Reads the schema, which must be `fields`.
  static Result<std::unique_ptr<ArrowReader>> Open(const std::vector<Field>& fields, Source source);
  virtual ~ArrowReader() = default;

  /// The next batch as it was written; without rows at the end.
  virtual Result<Columns> Next() = 0;
};

}  // namespace tidemill
