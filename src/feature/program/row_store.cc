#include "feature/program/row_store.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace tidemill {

RowStore::RowStore(std::vector<Type> slot_types) {
  for (const Type type : slot_types) slots_.emplace_back().type = type;
}

void RowStore::AppendTimes(int64_t event, int64_t known, int64_t sequence) {
  if (!events_.empty() && (event < events_.back() || (event == events_.back() && sequence <= sequences_.back()))) sorted_ = false;
  events_.push_back(event);
  known_.push_back(known);
  sequences_.push_back(sequence);
}

void RowStore::Append(int64_t event, int64_t known, int64_t sequence, std::span<const Datum> slots) {
  AppendTimes(event, known, sequence);
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Datum& datum = slots[i];
    Slots& column = slots_[i];
    column.valid.push_back(datum.null ? 0 : 1);
    if (HoldsBytes(column.type)) {
      column.bits.push_back(static_cast<int64_t>(column.chars.size()));
      column.lengths.push_back(static_cast<uint32_t>(datum.text.size()));
      column.chars.append(datum.text);
    } else if (datum.null) {
      column.bits.push_back(0);
    } else {
      column.bits.push_back(column.type == Type::kDouble ? std::bit_cast<int64_t>(datum.number) : datum.integer);
    }
  }
}

void RowStore::AppendFrom(const RowStore& other, size_t row) {
  AppendTimes(other.events_[row], other.known_[row], other.sequences_[row]);
  AppendSlots(other, row);
}

bool RowStore::InOrderFrom(size_t begin) const {
  for (size_t row = std::max<size_t>(begin, 1); row < size(); ++row) {
    if (events_[row] < events_[row - 1] || (events_[row] == events_[row - 1] && sequences_[row] <= sequences_[row - 1]))
      return false;
  }
  return true;
}

void RowStore::AppendFrom(const RowStore& other, size_t begin, size_t end) {
  const size_t first = size();
  const auto append = [&](auto& to, const auto& from) {
    to.insert(to.end(), from.begin() + static_cast<ptrdiff_t>(begin), from.begin() + static_cast<ptrdiff_t>(end));
  };
  append(events_, other.events_);
  append(known_, other.known_);
  append(sequences_, other.sequences_);
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slots& to = slots_[i];
    const Slots& from = other.slots_[i];
    append(to.valid, from.valid);
    if (!HoldsBytes(to.type)) {
      append(to.bits, from.bits);
      continue;
    }
    append(to.lengths, from.lengths);
    for (size_t row = begin; row < end; ++row) {
      to.bits.push_back(static_cast<int64_t>(to.chars.size()));
      to.chars.append(from.chars, static_cast<size_t>(from.bits[row]), from.lengths[row]);
    }
  }
  sorted_ = sorted_ && InOrderFrom(first);
}

void RowStore::AppendRun(std::span<const int64_t> events, const int64_t* known, const int64_t* sequences, int64_t sequence,
                         std::span<const SlotValues> slots) {
  const size_t first = size();
  const size_t count = events.size();
  events_.insert(events_.end(), events.begin(), events.end());
  known_.insert(known_.end(), known == nullptr ? events.data() : known, (known == nullptr ? events.data() : known) + count);
  if (sequences != nullptr) {
    sequences_.insert(sequences_.end(), sequences, sequences + count);
  } else {
    sequences_.resize(first + count);
    std::iota(sequences_.begin() + static_cast<ptrdiff_t>(first), sequences_.end(), sequence);
  }
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slots& to = slots_[i];
    to.bits.insert(to.bits.end(), slots[i].bits, slots[i].bits + count);
    if (slots[i].valid == nullptr) {
      to.valid.resize(first + count, 1);
    } else {
      to.valid.insert(to.valid.end(), slots[i].valid, slots[i].valid + count);
    }
  }
  sorted_ = sorted_ && InOrderFrom(first);
}

void RowStore::AppendPicked(std::span<const int64_t> events, std::span<const int64_t> known, std::span<const int64_t> sequences,
                            std::span<const SlotValues> slots, std::span<const uint32_t> picked) {
  const size_t first = size();
  const auto append = [&](const auto* from, auto& to) {
    for (const uint32_t row : picked) to.push_back(from[row]);
  };
  append(events.data(), events_);
  append(known.data(), known_);
  append(sequences.data(), sequences_);
  for (size_t i = 0; i < slots_.size(); ++i) {
    append(slots[i].bits, slots_[i].bits);
    if (slots[i].valid == nullptr) {
      slots_[i].valid.resize(first + picked.size(), 1);
    } else {
      append(slots[i].valid, slots_[i].valid);
    }
  }
  sorted_ = sorted_ && InOrderFrom(first);
}

void RowStore::AppendSlots(const RowStore& other, size_t row) {
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slots& to = slots_[i];
    const Slots& from = other.slots_[i];
    to.valid.push_back(from.valid[row]);
    if (HoldsBytes(to.type)) {
      to.bits.push_back(static_cast<int64_t>(to.chars.size()));
      to.lengths.push_back(from.lengths[row]);
      to.chars.append(from.chars, static_cast<size_t>(from.bits[row]), from.lengths[row]);
    } else {
      to.bits.push_back(from.bits[row]);
    }
  }
}

bool RowStore::InsertFrom(const RowStore& other, size_t row) {
  size_t low = 0;
  size_t high = size();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (Compare(middle, other, row) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low < size() && Compare(low, other, row) == 0) return false;
  const auto move_last_to = [low](auto& values) {
    std::rotate(values.begin() + static_cast<ptrdiff_t>(low), values.end() - 1, values.end());
  };
  const bool was_sorted = sorted_;
  AppendFrom(other, row);
  move_last_to(events_);
  move_last_to(known_);
  move_last_to(sequences_);
  for (Slots& column : slots_) {
    move_last_to(column.valid);
    move_last_to(column.bits);
    if (HoldsBytes(column.type)) move_last_to(column.lengths);
  }
  sorted_ = was_sorted;
  return true;
}

size_t RowStore::heap_bytes() const {
  size_t bytes = 8 * (events_.capacity() + known_.capacity() + sequences_.capacity()) + slots_.capacity() * sizeof(Slots);
  for (const Slots& column : slots_)
    bytes += column.valid.capacity() + 8 * column.bits.capacity() + 4 * column.lengths.capacity() + column.chars.capacity();
  return bytes;
}

void RowStore::Clear() {
  events_.clear();
  known_.clear();
  sequences_.clear();
  for (Slots& column : slots_) {
    column.valid.clear();
    column.bits.clear();
    column.lengths.clear();
    column.chars.clear();
  }
  sorted_ = true;
}

void RowStore::Reserve(size_t rows) {
  events_.reserve(rows);
  known_.reserve(rows);
  sequences_.reserve(rows);
  for (Slots& column : slots_) {
    column.valid.reserve(rows);
    column.bits.reserve(rows);
    if (HoldsBytes(column.type)) column.lengths.reserve(rows);
  }
}

Datum RowStore::Slot(size_t slot, size_t row) const {
  const Slots& column = slots_[slot];
  if (column.valid[row] == 0) return Datum::Null();
  if (column.type == Type::kDouble) return Datum::Number(Number(slot, row));
  if (!HoldsBytes(column.type)) return Datum::Integer(column.bits[row]);
  return Datum::Text(std::string_view(column.chars).substr(static_cast<size_t>(column.bits[row]), column.lengths[row]));
}

std::weak_ordering RowStore::Compare(size_t a, const RowStore& other, size_t b) const {
  if (events_[a] != other.events_[b]) return events_[a] <=> other.events_[b];
  if (sequences_[a] != other.sequences_[b]) return sequences_[a] <=> other.sequences_[b];
  if (known_[a] != other.known_[b]) return known_[a] <=> other.known_[b];
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    const Slots& column = slots_[slot];
    const Slots& column_b = other.slots_[slot];
    if (column.valid[a] != column_b.valid[b]) return column.valid[a] <=> column_b.valid[b];
    // Doubles are compared by their bits: any order that tells all values apart will do.
    const auto order = HoldsBytes(column.type) ? std::weak_ordering(Slot(slot, a).text <=> other.Slot(slot, b).text)
                                               : std::weak_ordering(column.bits[a] <=> column_b.bits[b]);
    if (order != 0) return order;
  }
  return std::weak_ordering::equivalent;
}

RowStore RowStore::Gather(std::span<const size_t> rows) const {
  RowStore result(std::vector<Type>{});
  const auto gather = [&](const auto& from, auto& to) {
    to.reserve(rows.size());
    for (const size_t row : rows) to.push_back(from[row]);
  };
  gather(events_, result.events_);
  gather(known_, result.known_);
  gather(sequences_, result.sequences_);
  for (const Slots& from : slots_) {
    Slots& to = result.slots_.emplace_back();
    to.type = from.type;
    gather(from.valid, to.valid);
    if (!HoldsBytes(from.type)) {
      gather(from.bits, to.bits);
      continue;
    }
    gather(from.lengths, to.lengths);
    for (const size_t row : rows) {
      to.bits.push_back(static_cast<int64_t>(to.chars.size()));
      to.chars.append(from.chars, static_cast<size_t>(from.bits[row]), from.lengths[row]);
    }
  }
  result.sorted_ = result.InOrderFrom(0);
  return result;
}

size_t RowStore::SortUnique() {
  if (sorted_) return 0;
  std::vector<size_t> order(size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [this](size_t a, size_t b) { return Compare(a, *this, b) < 0; });
  order.erase(std::unique(order.begin(), order.end(), [this](size_t a, size_t b) { return Compare(a, *this, b) == 0; }),
              order.end());
  const size_t dropped = size() - order.size();
  *this = Gather(order);
  sorted_ = true;  // rows that share event time and sequence number (a join multiplied them) are in the order of their content
  return dropped;
}

RowStore RowStore::Placed(std::span<const uint32_t> place, const ForEach& for_each) const {
  RowStore result(std::vector<Type>{});
  result.slots_.resize(slots_.size());
  const auto put = [&](const auto& from, auto& to) {
    to.resize(from.size());
    for (size_t row = 0; row < from.size(); ++row) to[place[row]] = from[row];
  };
  const auto put_slots = [&](const Slots& from, Slots& to) {
    to.type = from.type;
    put(from.valid, to.valid);
    put(from.bits, to.bits);
    if (!HoldsBytes(from.type)) return;
    put(from.lengths, to.lengths);
    to.chars = from.chars;
  };
  for_each(3 + slots_.size(), [&](size_t column) {
    switch (column) {
      case 0: return put(events_, result.events_);
      case 1: return put(known_, result.known_);
      case 2: return put(sequences_, result.sequences_);
      default: return put_slots(slots_[column - 3], result.slots_[column - 3]);
    }
  });
  result.sorted_ = result.InOrderFrom(0);
  return result;
}

bool RowStore::SortRange(size_t begin, size_t end) {
  struct Key {
    int64_t event;
    int64_t sequence;
    size_t row;
    bool operator<(const Key& other) const { return std::pair(event, sequence) < std::pair(other.event, other.sequence); }
  };
  std::vector<Key> order(end - begin);
  for (size_t i = 0; i < order.size(); ++i) order[i] = {events_[begin + i], sequences_[begin + i], begin + i};
  const auto not_after = [](const Key& a, const Key& b) { return !(a < b); };
  if (std::adjacent_find(order.begin(), order.end(), not_after) == order.end()) return true;
  std::sort(order.begin(), order.end());
  if (std::adjacent_find(order.begin(), order.end(), not_after) != order.end()) return false;
  const auto move = [&](auto& values) {
    std::decay_t<decltype(values)> moved(order.size());
    for (size_t i = 0; i < order.size(); ++i) moved[i] = values[order[i].row];
    std::copy(moved.begin(), moved.end(), values.begin() + static_cast<ptrdiff_t>(begin));
  };
  move(events_);
  move(known_);
  move(sequences_);
  for (Slots& column : slots_) {
    move(column.valid);
    move(column.bits);
    if (HoldsBytes(column.type)) move(column.lengths);
  }
  return true;
}

void RowStore::DropFirst(size_t rows) {
  std::vector<size_t> kept(size() - rows);
  std::iota(kept.begin(), kept.end(), rows);
  const bool was_sorted = sorted_;
  *this = Gather(kept);
  sorted_ = was_sorted;
}

}  // namespace tidemill
