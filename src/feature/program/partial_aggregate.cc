#include "feature/program/partial_aggregate.h"

#include <bit>
#include <limits>

#include "feature/program/exact_sum.h"
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

/// count_rows, count.
class PartialCount final : public PartialOf<PartialCount> {
 public:
  using PartialOf::PartialOf;
  void AddRow(const RowStore&, size_t) { ++count_; }
  void AppendPartial(const PartialCount& later) { count_ += later.count_; }
  void Clear() override { count_ = 0; }
  Datum Result() override { return Datum::Integer(static_cast<int64_t>(count_)); }
  size_t bytes() const override { return sizeof(*this); }
  void Save(std::string& bytes) const override { AppendVarint(count_, bytes); }
  bool AppendSaved(std::string_view later) override {
    VarintReader reader(later);
    count_ += reader.Unsigned();
    return reader.ok() && reader.AtEnd();
  }

 private:
  uint64_t count_ = 0;
};

/// sum, avg of integers.
class PartialIntegers final : public PartialOf<PartialIntegers> {
 public:
  PartialIntegers(const AggregatePlan& plan, bool mean) : PartialOf(plan), mean_(mean) {}
  void AddRow(const RowStore& rows, size_t row) {
    sum_ += static_cast<Wide>(static_cast<__int128>(rows.Integer(slot(), row)));
    ++count_;
  }
  void AppendPartial(const PartialIntegers& later) {
    sum_ += later.sum_;
    count_ += later.count_;
  }
  void Clear() override { sum_ = 0, count_ = 0; }
  Datum Result() override {
    const auto sum = static_cast<__int128>(sum_);
    if (count_ == 0) return Datum::Null();
    if (mean_) return Datum::Number(static_cast<double>(sum) / static_cast<double>(count_));
    constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
    constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
    return sum < kMin || sum > kMax ? Datum::Null() : Datum::Integer(static_cast<int64_t>(sum));
  }
  size_t bytes() const override { return sizeof(*this); }
  void Save(std::string& bytes) const override {
    AppendVarint(count_, bytes);
    AppendVarint(static_cast<uint64_t>(sum_), bytes);
    AppendSigned(static_cast<int64_t>(sum_ >> 64), bytes);
  }
  bool AppendSaved(std::string_view later) override {
    VarintReader reader(later);
    count_ += reader.Unsigned();
    const uint64_t low = reader.Unsigned();
    sum_ += static_cast<Wide>(static_cast<uint64_t>(reader.Signed())) << 64 | low;
    return reader.ok() && reader.AtEnd();
  }

 private:
  using Wide = unsigned __int128;  // wraps around where damaged bytes overflow it

  const bool mean_;
  Wide sum_ = 0;
  uint64_t count_ = 0;
};

/// sum, avg of numbers.
class PartialNumbers final : public PartialOf<PartialNumbers> {
 public:
  PartialNumbers(const AggregatePlan& plan, bool mean) : PartialOf(plan), mean_(mean) {}
  void AddRow(const RowStore& rows, size_t row) {
    sum_.Add(rows.Number(slot(), row));
    ++count_;
  }
  void AppendPartial(const PartialNumbers& later) {
    sum_.Add(later.sum_);
    count_ += later.count_;
  }
  void Clear() override {
    sum_.Clear();
    count_ = 0;
  }
  Datum Result() override {
    if (count_ == 0) return Datum::Null();
    return Datum::Number(mean_ ? sum_.Round() / static_cast<double>(count_) : sum_.Round());
  }
  size_t bytes() const override { return sizeof(*this); }
  void Save(std::string& bytes) const override {
    AppendVarint(count_, bytes);
    sum_.Save(bytes);
  }
  bool AppendSaved(std::string_view later) override {
    VarintReader reader(later);
    count_ += reader.Unsigned();
    return sum_.AddSaved(reader) && reader.AtEnd();
  }

 private:
  const bool mean_;
  ExactSum sum_;
  uint64_t count_ = 0;
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
        compared_(compared_type_) {}
  void AddRow(const RowStore& rows, size_t row) {
    const Datum compared = rows.Slot(compared_slot_, row);
    if (any_ && !Beats(compared)) return;
    any_ = true;
    compared_.Set(compared);
    if (separate()) value_.Set(rows.Slot(slot(), row));
  }
  void AppendPartial(const PartialExtreme& later) {
    if (!later.any_ || (any_ && !Beats(later.compared_.Get()))) return;
    any_ = true;
    compared_ = later.compared_;
    value_ = later.value_;
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
    PartialExtreme read(plan_, greatest_);
    read.any_ = true;
    read.compared_.Load(reader);
    if (separate()) read.value_.Load(reader);
    if (!reader.ok() || !reader.AtEnd() || read.compared_.Get().null) return false;
    AppendPartial(read);
    return true;
  }

 private:
  bool separate() const { return plan_.second_slot >= 0; }
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

/// bool_and, bool_or.
class PartialTruth final : public PartialOf<PartialTruth> {
 public:
  PartialTruth(const AggregatePlan& plan, bool all) : PartialOf(plan), all_(all) {}
  void AddRow(const RowStore& rows, size_t row) { seen_ |= rows.Integer(slot(), row) != 0 ? kTrue : kFalse; }
  void AppendPartial(const PartialTruth& later) { seen_ |= later.seen_; }
  void Clear() override { seen_ = 0; }
  Datum Result() override {
    if (seen_ == 0) return Datum::Null();
    return Datum::Bool(all_ ? (seen_ & kFalse) == 0 : (seen_ & kTrue) != 0);
  }
  size_t bytes() const override { return sizeof(*this); }
  void Save(std::string& bytes) const override { AppendVarint(seen_, bytes); }
  bool AppendSaved(std::string_view later) override {
    VarintReader reader(later);
    seen_ |= reader.Unsigned() & (kTrue | kFalse);
    return reader.ok() && reader.AtEnd();
  }

 private:
  static constexpr uint64_t kTrue = 1;
  static constexpr uint64_t kFalse = 2;
  const bool all_;
  uint64_t seen_ = 0;
};

/// For aggregates without a short form: the rows themselves.
class PartialRows final : public PartialOf<PartialRows> {
 public:
  PartialRows(const AggregatePlan& plan, const std::vector<Type>& slot_types)
      : PartialOf(plan), rows_(slot_types), aggregator_(MakeAggregator(plan, rows_)) {}
  void AddRow(const RowStore& rows, size_t row) { rows_.AppendFrom(rows, row); }
  void AppendPartial(const PartialRows& later) {
    for (size_t row = 0; row < later.rows_.size(); ++row) rows_.AppendFrom(later.rows_, row);
  }
  void Clear() override { rows_.Clear(); }
  Datum Result() override {
    aggregator_->Clear();
    for (size_t row = 0; row < rows_.size(); ++row) aggregator_->Add(static_cast<uint32_t>(row));
    return aggregator_->Result();
  }
  size_t bytes() const override { return sizeof(*this) + rows_.size() * (24 + 13 * rows_.slots()); }
  bool Saves() const override { return false; }
  void Save(std::string&) const override {}
  bool AppendSaved(std::string_view) override { return false; }

 private:
  RowStore rows_;
  std::unique_ptr<Aggregator> aggregator_;
};

}  // namespace

std::unique_ptr<PartialAggregate> MakePartialAggregate(const AggregatePlan& plan, const std::vector<Type>& slot_types) {
  const std::string_view name = plan.function;
  if (name == "count_rows" || name == "count") return std::make_unique<PartialCount>(plan);
  if (name == "sum" || name == "avg") {
    if (plan.argument == Type::kInt64) return std::make_unique<PartialIntegers>(plan, name == "avg");
    return std::make_unique<PartialNumbers>(plan, name == "avg");
  }
  if (name == "min" || name == "arg_min") return std::make_unique<PartialExtreme>(plan, false);
  if (name == "max" || name == "arg_max") return std::make_unique<PartialExtreme>(plan, true);
  if (name == "first" || name == "last") return std::make_unique<PartialEnd>(plan, name == "first");
  if (name == "bool_and" || name == "bool_or") return std::make_unique<PartialTruth>(plan, name == "bool_and");
  return std::make_unique<PartialRows>(plan, slot_types);
}

bool SamePartial(const AggregatePlan& a, const AggregatePlan& b) {
  return a.function == b.function && a.slot == b.slot && a.second_slot == b.second_slot && a.filter_slot == b.filter_slot &&
         std::bit_cast<uint64_t>(a.parameter) == std::bit_cast<uint64_t>(b.parameter);
}

}  // namespace tidemill
