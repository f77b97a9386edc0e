#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tidemill {

/// A list of row positions in increasing order: pushed at (or near) the end, popped at the front.
class PositionList {
 public:
  size_t size() const { return rows_.size() - head_; }
  uint32_t operator[](size_t at) const { return rows_[head_ + at]; }
  void Clear() { rows_.clear(), head_ = 0; }
  void Insert(size_t at, uint32_t row) { rows_.insert(rows_.begin() + static_cast<ptrdiff_t>(head_ + at), row); }
  void Insert(uint32_t row) { Insert(PositionOf(row), row); }
  void Erase(size_t from, size_t to) {
    const auto begin = rows_.begin() + static_cast<ptrdiff_t>(head_);
    rows_.erase(begin + static_cast<ptrdiff_t>(from), begin + static_cast<ptrdiff_t>(to));
  }
  void PopFront() {
    ++head_;
    if (head_ * 2 > rows_.size() && head_ > 64) {
      rows_.erase(rows_.begin(), rows_.begin() + static_cast<ptrdiff_t>(head_));
      head_ = 0;
    }
  }
  /// Where `row` belongs.
  size_t PositionOf(uint32_t row) const {
    size_t at = size();
    while (at > 0 && rows_[head_ + at - 1] > row) --at;
    return at;
  }

 private:
  std::vector<uint32_t> rows_;
  size_t head_ = 0;
};

}  // namespace tidemill
