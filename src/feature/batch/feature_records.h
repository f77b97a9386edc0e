#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/columns.h"
#include "base/uninitialized_vector.h"
#include "feature/program/datum.h"
#include "feature/program/result_column.h"

namespace tidemill {

/// Texts that hold still until the arena goes away. One thread at a time.
class TextArena {
 public:
  /// Keeps a copy; the result is what FeatureRecords holds for it.
  uint64_t Keep(std::string_view text);
  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kChunkBytes = 64 * 1024;
  std::deque<std::vector<char>> chunks_;
  size_t bytes_ = 0;
};

/// Rows of features, each lying in one place, so that rows in one order can be handed out in another with a cache miss a row:
/// 8 bytes a value and a bit, which says that it is not null. Different rows may be written from different threads.
class FeatureRecords {
 public:
  explicit FeatureRecords(std::vector<Type> types);

  size_t size() const { return words_.size() / stride_; }
  size_t bytes() const { return words_.capacity() * sizeof(uint64_t); }
  const std::vector<Type>& types() const { return types_; }
  static size_t BytesPerRow(size_t values) { return (values + (values + 63) / 64) * sizeof(uint64_t); }

  /// New rows hold anything until they are written.
  void Resize(size_t rows) { words_.resize(rows * stride_); }
  void Reserve(size_t rows) { words_.reserve(rows * stride_); }
  /// Writes a row; texts are kept in `arena`, which must live as long as this.
  void Set(size_t row, std::span<const Datum> values, TextArena& arena);
  /// For SetMany: marks all values of rows [begin, end) as null.
  void ClearNulls(size_t begin, size_t end);
  /// Writes value `at` of `count` rows from `begin` on, after ClearNulls.
  void SetMany(size_t begin, size_t count, size_t at, const ResultColumn& values, TextArena& arena);
  const uint64_t* Row(size_t row) const { return words_.data() + row * stride_; }
  /// A row as bytes that Read() of other records of the same types understands. Appended to `bytes`.
  void Write(size_t row, std::string& bytes) const;
  /// The other way round: takes the row from the front of `bytes`; false when it isn't there whole, and nothing is taken.
  bool Read(size_t row, std::string_view& bytes, TextArena& arena);

  /// Appends value `at` of each row (as Row() gives them) to a column of its type.
  void AppendTo(Column& column, std::span<const uint64_t* const> rows, size_t at) const;

 private:
  bool IsValid(const uint64_t* words, size_t at) const { return ((words[types_.size() + at / 64] >> (at % 64)) & 1) != 0; }

  std::vector<Type> types_;
  size_t stride_ = 1;
  UninitializedVector<uint64_t> words_;
};

}  // namespace tidemill
