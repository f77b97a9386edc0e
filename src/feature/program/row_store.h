#pragma once

#include <bit>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/columns.h"
#include "base/uninitialized_vector.h"
#include "feature/program/datum.h"

namespace tidemill {

/// Rows of a view in columns: three times (event, known, sequence number) and the slots, which are what the aggregates read.
/// About 24 + 9 bytes a slot and row (13 and the characters for text). Not thread-safe while it is changed.
class RowStore {
 public:
  explicit RowStore(std::vector<Type> slot_types);

  void Append(int64_t event, int64_t known, int64_t sequence, std::span<const Datum> slots);
  /// Appends a row of a store with the same slots.
  void AppendFrom(const RowStore& other, size_t row);
  /// The same for rows [begin, end).
  void AppendFrom(const RowStore& other, size_t begin, size_t end);
  /// Values of a slot that does not hold bytes: as in ResultColumn.
  struct SlotValues {
    const int64_t* bits = nullptr;
    const uint8_t* valid = nullptr;  ///< nullptr: all are there
  };
  /// Appends rows with those times, known when they happen unless `known` says otherwise, numbered from `sequence` on unless
  /// `sequences` does. No slot may hold bytes.
  void AppendRun(std::span<const int64_t> events, const int64_t* known, const int64_t* sequences, int64_t sequence,
                 std::span<const SlotValues> slots);
  /// Appends those of some rows that `picked` names, in its order. No slot may hold bytes.
  void AppendPicked(std::span<const int64_t> events, std::span<const int64_t> known, std::span<const int64_t> sequences,
                    std::span<const SlotValues> slots, std::span<const uint32_t> picked);
  /// Puts a row of a store with the same slots where it belongs among sorted rows. False when an equal row is there already.
  bool InsertFrom(const RowStore& other, size_t row);
  void Clear();
  void Reserve(size_t rows);

  /// Appends a compact form of rows [begin, end), which are sorted and not more than kEncodedRowsMax; the rows' own slots only,
  /// not their types.
  void Encode(size_t begin, size_t end, std::string& bytes) const;
  /// Replaces everything by the rows that Encode wrote. False when the bytes are damaged: then the store is empty.
  bool Decode(std::string_view bytes);
  static constexpr size_t kEncodedRowsMax = size_t{1} << 20;

  /// Memory in use beside the object itself.
  size_t heap_bytes() const;
  size_t size() const { return events_.size(); }
  size_t slots() const { return slots_.size(); }
  Type slot_type(size_t slot) const { return slots_[slot].type; }
  int64_t event(size_t row) const { return events_[row]; }
  int64_t known(size_t row) const { return known_[row]; }
  int64_t sequence(size_t row) const { return sequences_[row]; }
  std::span<const int64_t> events() const { return events_; }
  std::span<const int64_t> known_times() const { return known_; }

  /// A slot's values of all rows; not for texts. Of nulls they mean nothing.
  std::span<const int64_t> Bits(size_t slot) const { return slots_[slot].bits; }
  std::span<const uint8_t> Valid(size_t slot) const { return slots_[slot].valid; }
  bool IsNull(size_t slot, size_t row) const { return slots_[slot].valid[row] == 0; }
  bool IsTrue(size_t slot, size_t row) const { return slots_[slot].valid[row] != 0 && slots_[slot].bits[row] != 0; }
  int64_t Integer(size_t slot, size_t row) const { return slots_[slot].bits[row]; }
  double Number(size_t slot, size_t row) const { return std::bit_cast<double>(slots_[slot].bits[row]); }
  /// Text stays valid until the store changes.
  Datum Slot(size_t slot, size_t row) const;

  /// The order of rows by (event, sequence, known, slots): equivalent when they can't be told apart.
  std::weak_ordering Compare(size_t a, const RowStore& other, size_t b) const;
  /// Those rows, in that order.
  RowStore Gather(std::span<const size_t> rows) const;

  /// Rows are strictly increasing by (event, sequence): Append keeps track.
  bool sorted() const { return sorted_; }
  /// Sorts by (event, sequence, known, slots) and drops rows that are equal in all of them. Returns how many were dropped.
  size_t SortUnique();
  /// The same rows, each at its place among them. `for_each` calls what it is given with each number below the first argument,
  /// from as many threads as it likes.
  using ForEach = std::function<void(size_t count, const std::function<void(size_t)>& work)>;
  RowStore Placed(std::span<const uint32_t> place, const ForEach& for_each) const;
  /// Sorts rows [begin, end) by (event, sequence). False when two of them share both: then nothing has moved. Different ranges may
  /// be sorted from different threads.
  bool SortRange(size_t begin, size_t end);
  /// Drops the first rows.
  void DropFirst(size_t rows);

 private:
  friend class RowCodec;

  struct Slots {
    Type type = Type::kDouble;
    UninitializedVector<uint8_t> valid;
    UninitializedVector<int64_t> bits;      ///< integers; doubles by their bits; texts by their offset in chars
    UninitializedVector<uint32_t> lengths;  ///< texts only
    std::string chars;
  };

  void AppendTimes(int64_t event, int64_t known, int64_t sequence);
  /// Whether the rows from `begin` on follow those before them.
  bool InOrderFrom(size_t begin) const;
  void AppendSlots(const RowStore& other, size_t row);

  UninitializedVector<int64_t> events_;
  UninitializedVector<int64_t> known_;
  UninitializedVector<int64_t> sequences_;
  std::vector<Slots> slots_;
  bool sorted_ = true;
};

}  // namespace tidemill
