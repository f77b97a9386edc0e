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

double RowStore::Number(size_t slot, size_t row) const { return std::bit_cast<double>(slots_[slot].bits[row]); }

Datum RowStore::Slot(size_t slot, size_t row) const {
  const Slots& column = slots_[slot];
  if (column.valid[row] == 0) return Datum::Null();
  if (column.type == Type::kDouble) return Datum::Number(Number(slot, row));
  if (!HoldsBytes(column.type)) return Datum::Integer(column.bits[row]);
  return Datum::Text(std::string_view(column.chars).substr(static_cast<size_t>(column.bits[row]), column.lengths[row]));
}

std::weak_ordering RowStore::Compare(size_t a, size_t b) const {
  if (events_[a] != events_[b]) return events_[a] <=> events_[b];
  if (sequences_[a] != sequences_[b]) return sequences_[a] <=> sequences_[b];
  if (known_[a] != known_[b]) return known_[a] <=> known_[b];
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    const Slots& column = slots_[slot];
    if (column.valid[a] != column.valid[b]) return column.valid[a] <=> column.valid[b];
    // Doubles are compared by their bits: any order that tells all values apart will do.
    const auto order = HoldsBytes(column.type) ? std::weak_ordering(Slot(slot, a).text <=> Slot(slot, b).text)
                                                  : std::weak_ordering(column.bits[a] <=> column.bits[b]);
    if (order != 0) return order;
  }
  return std::weak_ordering::equivalent;
}

RowStore RowStore::Gather(std::span<const size_t> rows) const {
  std::vector<Type> types;
  for (const Slots& column : slots_) types.push_back(column.type);
  RowStore result(std::move(types));
  for (const size_t row : rows) result.AppendFrom(*this, row);
  return result;
}

size_t RowStore::SortUnique() {
  if (sorted_) return 0;
  std::vector<size_t> order(size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [this](size_t a, size_t b) { return Compare(a, b) < 0; });
  order.erase(std::unique(order.begin(), order.end(), [this](size_t a, size_t b) { return Compare(a, b) == 0; }), order.end());
  const size_t dropped = size() - order.size();
  *this = Gather(order);
  sorted_ = true;  // rows that share event time and sequence number (a join multiplied them) are in the order of their content
  return dropped;
}

void RowStore::DropFirst(size_t rows) {
  std::vector<size_t> kept(size() - rows);
  std::iota(kept.begin(), kept.end(), rows);
  const bool was_sorted = sorted_;
  *this = Gather(kept);
  sorted_ = was_sorted;
}

}  // namespace tidemill
