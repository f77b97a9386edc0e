#include "feature/program/partial_aggregate.h"

#include <bit>
#include <deque>

#include "feature/program/aggregate_states.h"
#include "feature/program/sketched_aggregates.h"
#include "feature/program/varint.h"

namespace tidemill {
namespace {

/// A value that outlives the row it came from.
class KeptValue {
 public:
  explicit KeptValue(Type type) : type_(type) {}
  void Set(const Datum& datum) {
    null_ = datum.null;
    if (null_) return;
    if (HoldsBytes(type_)) {
      text_ = datum.text;
    } else {
      bits_ = type_ == Type::kDouble ? std::bit_cast<int64_t>(datum.number) : datum.integer;
    }
  }
  Datum Get() const {
    if (null_) return Datum::Null();
    if (HoldsBytes(type_)) return Datum::Text(text_);
    return type_ == Type::kDouble ? Datum::Number(std::bit_cast<double>(bits_)) : Datum::Integer(bits_);
  }
  /// Of a number that is not null.
  double number() const { return std::bit_cast<double>(bits_); }
  void Save(std::string& bytes) const {
    AppendVarint(null_ ? 0 : 1, bytes);
    if (null_) return;
    if (HoldsBytes(type_)) {
      AppendVarint(text_.size(), bytes);
      bytes += text_;
    } else if (type_ == Type::kDouble) {
      for (int shift = 0; shift < 64; shift += 8) bytes += static_cast<char>(bits_ >> shift);
    } else {
      AppendSigned(bits_, bytes);
    }
  }
  void Load(VarintReader& reader) {
    null_ = reader.Unsigned() == 0;
    if (null_) return;
    if (HoldsBytes(type_)) {
      text_ = reader.Bytes(reader.Unsigned());
    } else if (type_ == Type::kDouble) {
      uint64_t bits = 0;
      const std::string_view raw = reader.Bytes(8);
      for (size_t i = raw.size(); i-- > 0;) bits = bits << 8 | static_cast<uint8_t>(raw[i]);
      bits_ = static_cast<int64_t>(bits);
    } else {
      bits_ = reader.Signed();
    }
  }
  size_t heap_bytes() const { return text_.capacity() > sizeof(std::string) ? text_.capacity() : 0; }

 private:
  Type type_;
  bool null_ = true;
  int64_t bits_ = 0;
  std::string text_;
};

/// Of a state that can be added up.
template <class State>
class PartialState final : public PartialOf<PartialState<State>> {
  using Base = PartialOf<PartialState<State>>;

 public:
  explicit PartialState(const AggregatePlan& plan) : Base(plan), state_(plan) {
    if constexpr (requires { state_.KeepSampleOnly(); }) state_.KeepSampleOnly();
  }
  void AddRow(const RowStore& rows, size_t row) { state_.Add(aggregate_states::TakenRow{Base::plan_, rows, row}); }
  void AppendPartial(const PartialState& later) { state_.Add(later.state_); }
  void Clear() override { state_.Clear(); }
  Datum Result() override { return state_.Result(); }
  Datum ResultFor(const AggregatePlan& plan) override {
    if constexpr (requires { state_.ResultFor(plan); }) return state_.ResultFor(plan);
    return state_.Result();
  }
  size_t bytes() const override { return sizeof(*this) + state_.heap_bytes(); }
  void Save(std::string& bytes) const override { state_.Save(bytes); }
  bool AppendSaved(std::string_view later) override {
    VarintReader reader(later);
    return state_.AddSaved(reader) && reader.AtEnd();
  }

 private:
  State state_;
};

/// min, max, arg_min, arg_max: of equal values the earliest row's.
class PartialExtreme final : public PartialOf<PartialExtreme> {
 public:
  PartialExtreme(const AggregatePlan& plan, bool greatest)
      : PartialOf(plan),
        compared_slot_(plan.second_slot >= 0 ? second_slot() : slot()),
        compared_type_(plan.second_slot >= 0 ? plan.second : plan.argument),
        greatest_(greatest),
        value_(plan.argument),
        compared_(compared_type_),
        read_value_(plan.argument),
        read_compared_(compared_type_) {}
  void AddRow(const RowStore& rows, size_t row) {
    if (any_ && compared_type_ == Type::kDouble) {  // most rows change nothing, and this is the quick way to see it
      const double number = rows.Number(compared_slot_, row);
      const double best = compared_.number();
      if (greatest_ ? number < best : number > best) return;
    }
    const Datum compared = rows.Slot(compared_slot_, row);
    if (any_ && !Beats(compared)) return;
    any_ = true;
    compared_.Set(compared);
    if (separate()) value_.Set(rows.Slot(slot(), row));
  }
  void AppendPartial(const PartialExtreme& later) {
    if (later.any_) AppendValue(later.compared_, later.value_);
  }
  void Clear() override { any_ = false; }
  Datum Result() override { return !any_ ? Datum::Null() : separate() ? value_.Get() : compared_.Get(); }
  size_t bytes() const override { return sizeof(*this) + value_.heap_bytes() + compared_.heap_bytes(); }
  void Save(std::string& bytes) const override {
    if (!any_) return;
    compared_.Save(bytes);
    if (separate()) value_.Save(bytes);
  }
  bool AppendSaved(std::string_view later) override {
    if (later.empty()) return true;
    VarintReader reader(later);
    read_compared_.Load(reader);
    if (separate()) read_value_.Load(reader);
    if (!reader.ok() || !reader.AtEnd() || read_compared_.Get().null) return false;
    AppendValue(read_compared_, read_value_);
    return true;
  }

 private:
  bool separate() const { return plan_.second_slot >= 0; }
  void AppendValue(const KeptValue& compared, const KeptValue& value) {
    if (any_ && !Beats(compared.Get())) return;
    any_ = true;
    compared_ = compared;
    if (separate()) value_ = value;
  }
  bool Beats(const Datum& other) const {
    const auto order = CompareDatumsTotally(other, compared_.Get(), compared_type_);
    return greatest_ ? order > 0 : order < 0;
  }

  const size_t compared_slot_;
  const Type compared_type_;
  const bool greatest_;
  bool any_ = false;
  KeptValue value_;
  KeptValue compared_;
  KeptValue read_value_;  ///< what is read in AppendSaved
  KeptValue read_compared_;
};

/// first, last.
class PartialEnd final : public PartialOf<PartialEnd> {
 public:
  PartialEnd(const AggregatePlan& plan, bool first) : PartialOf(plan), first_(first), value_(plan.argument) {}
  void AddRow(const RowStore& rows, size_t row) {
    if (any_ && first_) return;
    any_ = true;
    value_.Set(rows.Slot(slot(), row));
  }
  void AppendPartial(const PartialEnd& later) {
    if (!later.any_ || (any_ && first_)) return;
    any_ = true;
    value_ = later.value_;
  }
  void Clear() override { any_ = false; }
  Datum Result() override { return any_ ? value_.Get() : Datum::Null(); }
  size_t bytes() const override { return sizeof(*this) + value_.heap_bytes(); }
  void Save(std::string& bytes) const override {
    if (any_) value_.Save(bytes);
  }
  bool AppendSaved(std::string_view later) override {
    if (later.empty() || (any_ && first_)) return true;
    VarintReader reader(later);
    any_ = true;
    value_.Load(reader);
    return reader.ok() && reader.AtEnd();
  }

 private:
  const bool first_;
  bool any_ = false;
  KeptValue value_;
};

/// lag, list: the last rows.
class PartialLastOnes final : public PartialOf<PartialLastOnes> {
 public:
  explicit PartialLastOnes(const AggregatePlan& plan)
      : PartialOf(plan), most_(static_cast<size_t>(plan.parameter) + (plan.function == "lag" ? 1 : 0)) {}
  void AddRow(const RowStore& rows, size_t row) { Put(rows.Slot(slot(), row)); }
  void AppendPartial(const PartialLastOnes& later) {
    for (const KeptValue& value : later.values_) Put(value.Get());
  }
  void Clear() override { values_.clear(); }
  Datum Result() override {
    if (plan_.function == "lag") return values_.size() < most_ ? Datum::Null() : values_.front().Get();
    if (values_.empty()) return Datum::Null();
    ListBuilder list(plan_.argument);
    for (const KeptValue& value : values_) AppendToList(value.Get(), plan_.argument, list);
    list_ = list.Finish();
    return Datum::Text(list_);
  }
  size_t bytes() const override {
    size_t bytes = sizeof(*this) + values_.size() * sizeof(KeptValue) + list_.capacity();
    for (const KeptValue& value : values_) bytes += value.heap_bytes();
    return bytes;
  }
  void Save(std::string& bytes) const override {
    AppendVarint(values_.size(), bytes);
    for (const KeptValue& value : values_) value.Save(bytes);
  }
  bool AppendSaved(std::string_view later) override {
    VarintReader reader(later);
    const uint64_t count = reader.Unsigned();
    for (uint64_t i = 0; i < count && reader.ok(); ++i) {
      KeptValue value(plan_.argument);
      value.Load(reader);
      Put(value.Get());
    }
    return reader.ok() && reader.AtEnd();
  }

 private:
  void Put(const Datum& datum) {
    values_.emplace_back(plan_.argument).Set(datum);
    if (values_.size() > most_) values_.pop_front();
  }

  const size_t most_;
  std::deque<KeptValue> values_;
  std::string list_;
};

}  // namespace

std::unique_ptr<PartialAggregate> MakePartialAggregate(const AggregatePlan& plan) {
  const auto partial = [&]<class State>(std::type_identity<State>) -> std::unique_ptr<PartialAggregate> {
    return std::make_unique<PartialState<State>>(plan);
  };
  if (auto made = aggregate_states::WithState(plan, partial)) return std::move(*made);
  if (auto made = MakeSketchedPartial(plan)) return made;
  const std::string_view name = plan.function;
  if (name == "min" || name == "arg_min") return std::make_unique<PartialExtreme>(plan, false);
  if (name == "max" || name == "arg_max") return std::make_unique<PartialExtreme>(plan, true);
  if (name == "first" || name == "last") return std::make_unique<PartialEnd>(plan, name == "first");
  return std::make_unique<PartialLastOnes>(plan);
}

namespace {

/// What functions with the same partial have in common.
std::string_view PartialNameOf(std::string_view function) {
  constexpr std::string_view kDistinct = "_distinct";
  const bool distinct = function.ends_with(kDistinct) && function != "count_distinct";
  const std::string_view base = distinct ? function.substr(0, function.size() - kDistinct.size()) : function;
  if (base == "sum" || base == "avg") return distinct ? "sum_distinct" : "sum";
  if (base == "decimal_sum" || base == "decimal_avg") return distinct ? "decimal_sum_distinct" : "decimal_sum";
  if (base.starts_with("var_") || base.starts_with("stddev_")) return distinct ? "var_distinct" : "var";
  if (base == "corr" || base == "regr_slope" || base.starts_with("covar_")) return "pairs";
  return function;
}

}  // namespace

bool SamePartial(const AggregatePlan& a, const AggregatePlan& b) {
  return PartialNameOf(a.function) == PartialNameOf(b.function) && a.slot == b.slot && a.second_slot == b.second_slot &&
         a.filter_slot == b.filter_slot && a.max_events == b.max_events &&
         std::bit_cast<uint64_t>(a.parameter) == std::bit_cast<uint64_t>(b.parameter);
}

}  // namespace tidemill
