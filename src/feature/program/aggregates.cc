#include "feature/program/aggregates.h"

#include <algorithm>

#include "feature/program/aggregate_states.h"
#include "feature/program/position_list.h"
#include "feature/program/sketched_aggregates.h"

namespace tidemill {
namespace {

/// An Aggregator of a state that rows can be taken out of.
template <class State>
class Sliding : public Aggregator {
 public:
  Sliding(const AggregatePlan& plan, const RowStore& rows) : plan_(plan), rows_(rows), state_(plan) {}
  void Add(uint32_t row) override { state_.Add(aggregate_states::TakenRow{plan_, rows_, row}); }
  void Remove(uint32_t row) override { state_.Subtract(aggregate_states::TakenRow{plan_, rows_, row}); }
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

 protected:
  const PositionList& in() const { return in_; }

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

/// list: the last n rows.
class LastOnes : public Ordered {
 public:
  LastOnes(const AggregatePlan& plan, const RowStore& rows) : Ordered(plan, rows, true), plan_(plan) {}
  Datum Result() override {
    const size_t rows = in().size();
    if (rows == 0) return Datum::Null();
    ListBuilder list(plan_.argument);
    const size_t from = rows - std::min(rows, static_cast<size_t>(plan_.parameter));
    for (size_t i = from; i < rows; ++i) AppendToList(Value(in()[i]), plan_.argument, list);
    list_ = list.Finish();
    return Datum::Text(list_);
  }

 private:
  const AggregatePlan plan_;
  std::string list_;
};

}  // namespace

void AppendToList(const Datum& datum, Type element, ListBuilder& list) {
  if (datum.null) {
    list.AppendNull();
  } else if (element == Type::kDouble) {
    list.AppendDouble(datum.number);
  } else if (element == Type::kText) {
    list.AppendText(datum.text);
  } else {
    list.AppendInt(datum.integer);
  }
}

std::unique_ptr<Aggregator> MakeAggregator(const AggregatePlan& plan, const RowStore& rows) {
  const std::string_view name = plan.function;
  const auto sliding = [&]<class State>(std::type_identity<State>) -> std::unique_ptr<Aggregator> {
    return std::make_unique<Sliding<State>>(plan, rows);
  };
  if (auto aggregator = aggregate_states::WithState(plan, sliding)) return std::move(*aggregator);
  if (auto aggregator = MakeSketchedAggregator(plan, rows)) return aggregator;
  if (name == "min" || name == "arg_min") return std::make_unique<Extreme>(plan, rows, false);
  if (name == "max" || name == "arg_max") return std::make_unique<Extreme>(plan, rows, true);
  if (name == "first") return std::make_unique<Ordered>(plan, rows, false);
  if (name == "lag") return std::make_unique<Ordered>(plan, rows, true);
  if (name == "last") return std::make_unique<Last>(plan, rows);
  return std::make_unique<LastOnes>(plan, rows);
}

}  // namespace tidemill
