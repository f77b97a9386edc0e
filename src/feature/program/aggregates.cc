#include "feature/program/aggregates.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "feature/program/aggregate_states.h"

namespace tidemill {
namespace {

using namespace aggregate_states;  // NOLINT: its names are those of this file

/// An Aggregator of a state that rows can be taken out of.
template <class State>
class Sliding : public Aggregator {
 public:
  Sliding(const AggregatePlan& plan, const RowStore& rows) : plan_(plan), rows_(rows), state_(plan) {}
  void Add(uint32_t row) override { state_.Add(TakenRow{plan_, rows_, row}); }
  void Remove(uint32_t row) override { state_.Subtract(TakenRow{plan_, rows_, row}); }
  void Clear() override { state_.Clear(); }
  Datum Result() override { return state_.Result(); }

 private:
  const AggregatePlan plan_;
  const RowStore& rows_;
  State state_;
};

/// What all aggregates over one slot share.
class OverSlot : public Aggregator {
 public:
  OverSlot(const AggregatePlan& plan, const RowStore& rows) : rows_(rows), slot_(static_cast<size_t>(plan.slot)) {}

 protected:
  int64_t Integer(uint32_t row) const { return rows_.Integer(slot_, row); }
  double Number(uint32_t row) const { return rows_.Number(slot_, row); }
  Datum Value(uint32_t row) const { return rows_.Slot(slot_, row); }

  const RowStore& rows_;
  const size_t slot_;
};

/// A list of row positions in increasing order: pushed at (or near) the end, popped at the front.
class PositionList {
 public:
  size_t size() const { return rows_.size() - head_; }
  uint32_t operator[](size_t at) const { return rows_[head_ + at]; }
  void Clear() { rows_.clear(), head_ = 0; }
  void Insert(size_t at, uint32_t row) { rows_.insert(rows_.begin() + static_cast<ptrdiff_t>(head_ + at), row); }
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

/// min, max, arg_min, arg_max: the rows that no later row beats. Among equal values the earliest row is kept, so that
/// arg_min and arg_max are determined; the front is the answer.
class Extreme : public OverSlot {
 public:
  Extreme(const AggregatePlan& plan, const RowStore& rows, bool greatest)
      : OverSlot(plan, rows),
        compared_slot_(static_cast<size_t>(plan.second_slot >= 0 ? plan.second_slot : plan.slot)),
        compared_(rows.slot_type(compared_slot_)),
        greatest_(greatest) {}
  void Add(uint32_t row) override {
    const size_t at = best_.PositionOf(row);
    if (at < best_.size() && Beats(best_[at], row)) return;
    size_t from = at;
    while (from > 0 && Beats(row, best_[from - 1])) --from;
    best_.Erase(from, at);
    best_.Insert(from, row);
  }
  void Remove(uint32_t row) override {
    if (best_.size() > 0 && best_[0] == row) best_.PopFront();
  }
  void Clear() override { best_.Clear(); }
  Datum Result() override { return best_.size() == 0 ? Datum::Null() : Value(best_[0]); }

 private:
  bool Beats(uint32_t a, uint32_t b) const {
    const auto order = CompareDatumsTotally(rows_.Slot(compared_slot_, a), rows_.Slot(compared_slot_, b), compared_);
    return greatest_ ? order > 0 : order < 0;
  }

  const size_t compared_slot_;
  const Type compared_;
  const bool greatest_;
  PositionList best_;
};

/// first; lag by n rows before the last.
class Ordered : public OverSlot {
 public:
  Ordered(const AggregatePlan& plan, const RowStore& rows, bool from_end)
      : OverSlot(plan, rows), from_end_(from_end), offset_(plan.parameter) {}
  void Add(uint32_t row) override { in_.Insert(in_.PositionOf(row), row); }
  void Remove(uint32_t) override { in_.PopFront(); }
  void Clear() override { in_.Clear(); }
  Datum Result() override {
    const auto offset = static_cast<size_t>(offset_);
    if (in_.size() <= offset) return Datum::Null();
    return Value(in_[from_end_ ? in_.size() - 1 - offset : offset]);
  }

 private:
  const bool from_end_;
  const double offset_;
  PositionList in_;
};

/// The last row leaves a window last, so nothing but it needs to be kept.
class Last : public OverSlot {
 public:
  using OverSlot::OverSlot;
  void Add(uint32_t row) override { last_ = std::max(last_, int64_t{row}); }
  void Remove(uint32_t row) override {
    if (last_ == row) last_ = -1;
  }
  void Clear() override { last_ = -1; }
  Datum Result() override { return last_ < 0 ? Datum::Null() : Value(static_cast<uint32_t>(last_)); }

 private:
  int64_t last_ = -1;
};

class CountDistinct : public OverSlot {
 public:
  CountDistinct(const AggregatePlan& plan, const RowStore& rows) : OverSlot(plan, rows), type_(plan.argument) {}
  void Add(uint32_t row) override { HoldsBytes(type_) ? ++texts_[std::string(Value(row).text)] : ++integers_[Key(row)]; }
  void Remove(uint32_t row) override {
    HoldsBytes(type_) ? Forget(texts_, std::string(Value(row).text)) : Forget(integers_, Key(row));
  }
  void Clear() override { texts_.clear(), integers_.clear(); }
  Datum Result() override { return Datum::Integer(static_cast<int64_t>(texts_.size() + integers_.size())); }

 private:
  /// Equal numbers have equal keys: all NaN are one, and so are 0.0 and -0.0.
  int64_t Key(uint32_t row) const {
    if (type_ != Type::kDouble) return Integer(row);
    const double number = Number(row);
    if (std::isnan(number)) return std::bit_cast<int64_t>(std::numeric_limits<double>::quiet_NaN());
    return number == 0 ? 0 : std::bit_cast<int64_t>(number);
  }
  template <class Map, class Key>
  static void Forget(Map& map, const Key& key) {
    const auto at = map.find(key);
    if (--at->second == 0) map.erase(at);
  }

  const Type type_;
  std::unordered_map<int64_t, int64_t> integers_;
  std::unordered_map<std::string, int64_t> texts_;
};

/// median, quantile_cont: all values in order, interpolated between neighbours.
class Quantile : public OverSlot {
 public:
  Quantile(const AggregatePlan& plan, const RowStore& rows, double fraction) : OverSlot(plan, rows), fraction_(fraction) {}
  void Add(uint32_t row) override { values_.insert(Find(Canonical(row)), Canonical(row)); }
  void Remove(uint32_t row) override { values_.erase(Find(Canonical(row))); }
  void Clear() override { values_.clear(); }
  Datum Result() override {
    if (values_.empty()) return Datum::Null();
    const double position = static_cast<double>(values_.size() - 1) * fraction_;
    const auto below = static_cast<size_t>(std::floor(position));
    const double low = values_[below];
    const double high = values_[std::min(below + 1, values_.size() - 1)];
    const double part = position - std::floor(position);
    return Datum::Number(part == 0 || low == high ? low : low * (1 - part) + high * part);
  }

 private:
  /// All NaN are one, or which of them is found would depend on history.
  double Canonical(uint32_t row) const {
    const double number = Number(row);
    return std::isnan(number) ? std::numeric_limits<double>::quiet_NaN() : number;
  }
  std::vector<double>::iterator Find(double value) {
    return std::lower_bound(values_.begin(), values_.end(), value, [](double a, double b) {
      return CompareDatumsTotally(Datum::Number(a), Datum::Number(b), Type::kDouble) < 0;
    });
  }

  const double fraction_;
  std::vector<double> values_;
};

}  // namespace

std::unique_ptr<Aggregator> MakeAggregator(const AggregatePlan& plan, const RowStore& rows) {
  const std::string_view name = plan.function;
  const auto sliding = [&]<class State>(std::type_identity<State>) -> std::unique_ptr<Aggregator> {
    return std::make_unique<Sliding<State>>(plan, rows);
  };
  if (auto aggregator = WithState(plan, sliding)) return std::move(*aggregator);
  if (name == "count_distinct") return std::make_unique<CountDistinct>(plan, rows);
  if (name == "min" || name == "arg_min") return std::make_unique<Extreme>(plan, rows, false);
  if (name == "max" || name == "arg_max") return std::make_unique<Extreme>(plan, rows, true);
  if (name == "first") return std::make_unique<Ordered>(plan, rows, false);
  if (name == "lag") return std::make_unique<Ordered>(plan, rows, true);
  if (name == "last") return std::make_unique<Last>(plan, rows);
  return std::make_unique<Quantile>(plan, rows, name == "median" ? 0.5 : plan.parameter);
}

}  // namespace tidemill
