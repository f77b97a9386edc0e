#include "feature/program/sketched_aggregates.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "feature/program/decimal_sum.h"
#include "feature/program/hyperloglog.h"
#include "feature/program/log_buckets.h"
#include "feature/program/position_list.h"
#include "feature/program/value_keys.h"

namespace tidemill {
namespace {

size_t SlotOf(const AggregatePlan& plan) { return static_cast<size_t>(plan.slot); }

// ---- distinct values

template <class Key>
class SlidingDistinct : public Aggregator {
 public:
  SlidingDistinct(const AggregatePlan& plan, const RowStore& rows) : plan_(plan), rows_(rows) {}
  void Add(uint32_t row) override {
    const Key key = KeyAt(row);
    if (++counts_[key] == 1 && sketch_) sketch_->Add(KeyHash(key));
  }
  void Remove(uint32_t row) override {
    const auto at = counts_.find(KeyAt(row));
    if (--at->second > 0) return;
    if (sketch_) sketch_->Remove(KeyHash(at->first));
    counts_.erase(at);
  }
  void Clear() override {
    counts_.clear();
    sketch_.reset();
  }
  Datum Result() override {
    const bool exact = plan_.function == "count_distinct" && counts_.size() <= plan_.max_events;
    if (exact) {
      if (counts_.size() <= plan_.max_events / 2) sketch_.reset();
      return Datum::Integer(static_cast<int64_t>(counts_.size()));
    }
    if (!sketch_) {
      sketch_.emplace();
      for (const auto& [key, count] : counts_) sketch_->Add(KeyHash(key));
    }
    return Datum::Integer(sketch_->Estimate());
  }

 private:
  Key KeyAt(uint32_t row) const { return KeyOf<Key>(rows_.Slot(SlotOf(plan_), row), plan_.argument); }

  const AggregatePlan plan_;
  const RowStore& rows_;
  std::unordered_map<Key, int64_t> counts_;
  std::optional<SlidingHyperLogLog> sketch_;
};

/// Keys in order, equal ones once if kUnique: those that were added last wait to be put in order.
template <class Key, bool kUnique>
class SortedKeys {
 public:
  void Add(Key key) {
    waiting_.push_back(std::move(key));
    if (waiting_.size() > 64 && waiting_.size() > keys_.size()) Settle();
  }
  void Add(const SortedKeys& other) {
    for (const auto* keys : {&other.keys_, &other.waiting_}) waiting_.insert(waiting_.end(), keys->begin(), keys->end());
    Settle();
  }
  void Clear() {
    keys_.clear();
    waiting_.clear();
  }
  const std::vector<Key>& Settled() {
    Settle();
    return keys_;
  }
  /// May count keys that are there already.
  size_t size_at_most() const { return keys_.size() + waiting_.size(); }
  size_t heap_bytes() const {
    size_t bytes = (keys_.capacity() + waiting_.capacity()) * sizeof(Key);
    for (const Key& key : keys_) bytes += KeyHeapBytes(key);
    return bytes;
  }

 private:
  void Settle() {
    if (waiting_.empty()) return;
    std::sort(waiting_.begin(), waiting_.end());
    const auto middle = static_cast<ptrdiff_t>(keys_.size());
    keys_.insert(keys_.end(), std::make_move_iterator(waiting_.begin()), std::make_move_iterator(waiting_.end()));
    std::inplace_merge(keys_.begin(), keys_.begin() + middle, keys_.end());
    if (kUnique) keys_.erase(std::unique(keys_.begin(), keys_.end()), keys_.end());
    waiting_.clear();
  }

  std::vector<Key> keys_;
  std::vector<Key> waiting_;
};

/// Keys up to a limit, and then what a Sketch keeps of them. Sketch: Add(key's form), Add(sketch), Clear, Save, AddSaved.
template <class Key, bool kUnique, class Sketch>
class KeysOrSketch {
 public:
  KeysOrSketch(size_t limit, std::function<void(const Key&, Sketch&)> put) : limit_(limit), put_(std::move(put)) {
    sketched_ = limit_ == 0;
  }
  void Add(Key key) {
    if (sketched_) return put_(key, sketch_);
    keys_.Add(std::move(key));
    KeepLimit();
  }
  void Add(const KeysOrSketch& other) {
    if (other.sketched_) {
      MakeSketch();
      sketch_.Add(other.sketch_);
    } else if (sketched_) {
      SortedKeys<Key, kUnique> keys = other.keys_;
      for (const Key& key : keys.Settled()) put_(key, sketch_);
    } else {
      keys_.Add(other.keys_);
      KeepLimit();
    }
  }
  void Clear() {
    keys_.Clear();
    sketch_.Clear();
    sketched_ = limit_ == 0;
  }
  bool sketched() const { return sketched_; }
  const Sketch& sketch() const { return sketch_; }
  const std::vector<Key>& Keys() { return keys_.Settled(); }
  size_t heap_bytes() const { return keys_.heap_bytes() + sketch_.heap_bytes(); }

  void Save(std::string& bytes) const {
    AppendVarint(sketched_ ? 1 : 0, bytes);
    if (sketched_) return sketch_.Save(bytes);
    SortedKeys<Key, kUnique> keys = keys_;
    AppendVarint(keys.Settled().size(), bytes);
    for (const Key& key : keys.Settled()) SaveKey(key, bytes);
  }
  bool AddSaved(VarintReader& reader) {
    if (reader.Unsigned() != 0) {
      MakeSketch();
      return sketch_.AddSaved(reader);
    }
    const uint64_t count = reader.Unsigned();
    for (uint64_t i = 0; i < count && reader.ok(); ++i) {
      if (Key key = LoadKey<Key>(reader); reader.ok()) Add(std::move(key));
    }
    return reader.ok();
  }

 private:
  void KeepLimit() {
    if (keys_.size_at_most() > limit_ && keys_.Settled().size() > limit_) MakeSketch();
  }
  void MakeSketch() {
    if (sketched_) return;
    sketched_ = true;
    for (const Key& key : keys_.Settled()) put_(key, sketch_);
    keys_.Clear();
  }

  size_t limit_;
  std::function<void(const Key&, Sketch&)> put_;
  bool sketched_;
  SortedKeys<Key, kUnique> keys_;
  Sketch sketch_;
};

template <class Key>
class PartialDistinct final : public PartialOf<PartialDistinct<Key>> {
  using Base = PartialOf<PartialDistinct<Key>>;

 public:
  explicit PartialDistinct(const AggregatePlan& plan)
      : Base(plan), values_(plan.function == "count_distinct" ? plan.max_events : 0, [](const Key& key, HyperLogLog& sketch) {
          sketch.Add(KeyHash(key));
        }) {}
  void AddRow(const RowStore& rows, size_t row) { values_.Add(KeyOf<Key>(rows.Slot(Base::slot(), row), Base::plan_.argument)); }
  void AppendPartial(const PartialDistinct& later) { values_.Add(later.values_); }
  void Clear() override { values_.Clear(); }
  Datum Result() override {
    return Datum::Integer(values_.sketched() ? values_.sketch().Estimate() : static_cast<int64_t>(values_.Keys().size()));
  }
  size_t bytes() const override { return sizeof(*this) + values_.heap_bytes(); }
  void Save(std::string& bytes) const override { values_.Save(bytes); }
  bool AppendSaved(std::string_view later) override {
    VarintReader reader(later);
    return values_.AddSaved(reader) && reader.AtEnd();
  }

 private:
  KeysOrSketch<Key, true, HyperLogLog> values_;
};

// ---- quantiles

/// Between the two neighbours of position q (n - 1).
template <class AtRank>
Datum QuantileOf(int64_t count, double fraction, AtRank at_rank) {
  if (count == 0) return Datum::Null();
  const double position = static_cast<double>(count - 1) * fraction;
  const auto below = static_cast<int64_t>(std::floor(position));
  const double low = at_rank(below);
  const double high = at_rank(std::min(below + 1, count - 1));
  const double part = position - std::floor(position);
  return Datum::Number(part == 0 || low == high ? low : low * (1 - part) + high * part);
}
Datum QuantileOf(const LogBuckets& buckets, double fraction) {
  return QuantileOf(buckets.size(), fraction, [&](int64_t rank) { return buckets.AtRank(rank); });
}
double FractionOf(const AggregatePlan& plan) { return plan.function == "median" ? 0.5 : plan.parameter; }

/// Quantiles of numbers.
struct QuantileOfNumbers {
  using Key = int64_t;
  static Key At(const RowStore& rows, size_t slot, size_t row) { return NumberKey(rows.Number(slot, row)); }
  static int64_t BucketOf(Key key) { return key; }
  Datum Exact(const std::vector<Key>& keys, double fraction) {
    return QuantileOf(static_cast<int64_t>(keys.size()), fraction,
                      [&](int64_t rank) { return KeyNumber(keys[static_cast<size_t>(rank)]); });
  }
  Datum Sketched(const LogBuckets& buckets, double fraction) { return QuantileOf(buckets, fraction); }
};

/// Quantiles of decimals, which are decimals with as many digits. What lies between two is computed with doubles and cut off as
/// DuckDB does: of units of 64 bits towards the lower one, of others towards zero.
template <class UnitsKey>
class QuantileOfDecimals {
 public:
  using Key = UnitsKey;
  static Key At(const RowStore& rows, size_t slot, size_t row) {
    if constexpr (kShort) {
      return rows.Integer(slot, row);
    } else {
      return Key(rows.Slot(slot, row).text);
    }
  }
  static int64_t BucketOf(const Key& key) { return NumberKey(static_cast<double>(Units(key))); }
  Datum Exact(const std::vector<Key>& keys, double fraction) {
    if (keys.empty()) return Datum::Null();
    const double position = static_cast<double>(keys.size() - 1) * fraction;
    const auto below = static_cast<size_t>(std::floor(position));
    const __int128 low = Units(keys[below]);
    const __int128 high = Units(keys[std::min(below + 1, keys.size() - 1)]);
    const double part = position - std::floor(position);
    if (kShort) return Result(low + static_cast<__int128>(static_cast<double>(high - low) * part));
    const double between = static_cast<double>(low) * (1 - part) + static_cast<double>(high) * part;
    return Result(part == 0 || !(std::fabs(between) < 0x1p127) ? low : std::clamp(static_cast<__int128>(between), low, high));
  }
  Datum Sketched(const LogBuckets& buckets, double fraction) {
    const Datum number = QuantileOf(buckets, fraction);
    return number.null || !(std::fabs(number.number) < 1e38) ? Datum::Null() : Result(static_cast<__int128>(number.number));
  }

 private:
  static constexpr bool kShort = std::is_same_v<Key, int64_t>;
  static __int128 Units(const Key& key) {
    if constexpr (kShort) {
      return key;
    } else {
      return DecimalOfKey(key).value_or(0);
    }
  }
  Datum Result(__int128 units) {
    if constexpr (kShort) {
      return Datum::Integer(static_cast<int64_t>(units));
    } else {
      key_ = DecimalKey(units);
      return Datum::Text(key_);
    }
  }

  std::string key_;
};

/// Keeps the form of the last result, and the other one while the number of rows is not far from the limit, so that a window
/// that grows and shrinks around it is not sorted again and again.
template <class Of>
class SlidingQuantile : public Aggregator {
  using Key = typename Of::Key;

 public:
  SlidingQuantile(const AggregatePlan& plan, const RowStore& rows) : plan_(plan), rows_(rows) {}
  void Add(uint32_t row) override {
    in_.Insert(row);
    const Key key = KeyAt(row);
    if (sorted_) sorted_->insert(std::lower_bound(sorted_->begin(), sorted_->end(), key), key);
    if (buckets_) buckets_->Add(Of::BucketOf(key));
    if (sorted_ && in_.size() > 2 * plan_.max_events) sorted_.reset();
  }
  void Remove(uint32_t row) override {
    in_.PopFront();
    const Key key = KeyAt(row);
    if (sorted_) sorted_->erase(std::lower_bound(sorted_->begin(), sorted_->end(), key));
    if (buckets_) buckets_->Remove(Of::BucketOf(key));
    if (buckets_ && in_.size() < plan_.max_events / 2) buckets_.reset();
  }
  void Clear() override {
    in_.Clear();
    sorted_.emplace();
    buckets_.reset();
  }
  Datum Result() override {
    if (in_.size() <= plan_.max_events) {
      if (!sorted_) Sort();
      return of_.Exact(*sorted_, FractionOf(plan_));
    }
    if (!buckets_) {
      buckets_.emplace();
      for (size_t i = 0; i < in_.size(); ++i) buckets_->Add(Of::BucketOf(KeyAt(in_[i])));
    }
    return of_.Sketched(*buckets_, FractionOf(plan_));
  }

 private:
  Key KeyAt(uint32_t row) const { return Of::At(rows_, SlotOf(plan_), row); }
  void Sort() {
    sorted_.emplace();
    for (size_t i = 0; i < in_.size(); ++i) sorted_->push_back(KeyAt(in_[i]));
    std::sort(sorted_->begin(), sorted_->end());
  }

  const AggregatePlan plan_;
  const RowStore& rows_;
  PositionList in_;
  std::optional<std::vector<Key>> sorted_ = std::vector<Key>();
  std::optional<LogBuckets> buckets_;
  Of of_;
};

template <class Of>
class PartialQuantile final : public PartialOf<PartialQuantile<Of>> {
  using Base = PartialOf<PartialQuantile<Of>>;
  using Key = typename Of::Key;

 public:
  explicit PartialQuantile(const AggregatePlan& plan)
      : Base(plan), values_(plan.max_events, [](const Key& key, LogBuckets& buckets) { buckets.Add(Of::BucketOf(key)); }) {}
  void AddRow(const RowStore& rows, size_t row) { values_.Add(Of::At(rows, Base::slot(), row)); }
  void AppendPartial(const PartialQuantile& later) { values_.Add(later.values_); }
  void Clear() override { values_.Clear(); }
  Datum Result() override {
    const double fraction = FractionOf(Base::plan_);
    return values_.sketched() ? of_.Sketched(values_.sketch(), fraction) : of_.Exact(values_.Keys(), fraction);
  }
  size_t bytes() const override { return sizeof(*this) + values_.heap_bytes(); }
  void Save(std::string& bytes) const override { values_.Save(bytes); }
  bool AppendSaved(std::string_view later) override {
    VarintReader reader(later);
    return values_.AddSaved(reader) && reader.AtEnd();
  }

 private:
  KeysOrSketch<Key, false, LogBuckets> values_;
  Of of_;
};

// ---- most frequent values: of all rows, or of those in a sample

/// How deep in the sample a row is: half of all rows are in level 1 or above, a quarter in 2 ...; by a hash of its event time
/// and sequence number. A sample is all rows from the lowest level on from which there are at most max_events.
int LevelOf(const RowStore& rows, size_t row) {
  constexpr uint64_t kSeed = 0x726f'7773'6861'6d70;
  std::array<char, 16> bytes;
  for (size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<char>(static_cast<uint64_t>(rows.event(row)) >> (8 * i));
    bytes[i + 8] = static_cast<char>(static_cast<uint64_t>(rows.sequence(row)) >> (8 * i));
  }
  return std::countl_zero(Hash64({bytes.data(), bytes.size()}, kSeed));
}

/// The most frequent keys, of equally frequent ones the smallest, as the aggregate's value: one, or a list of k.
template <class Key>
class FrequentResult {
 public:
  explicit FrequentResult(const AggregatePlan& plan) : plan_(plan) {}
  size_t wanted() const { return plan_.function == "mode" ? 1 : static_cast<size_t>(plan_.parameter); }
  /// Text refers to the keys, or to this object.
  template <class Keys>
  Datum Of(const Keys& keys) {
    if (keys.empty()) return Datum::Null();
    if (plan_.function == "mode") return KeyDatum<Key>(**keys.begin(), plan_.argument);
    ListBuilder builder(plan_.argument);
    for (const Key* key : keys) AppendToList(KeyDatum<Key>(*key, plan_.argument), plan_.argument, builder);
    list_ = builder.Finish();
    return Datum::Text(list_);
  }

 private:
  const AggregatePlan plan_;
  std::string list_;
};

template <class Key>
class SlidingFrequent : public Aggregator {
 public:
  SlidingFrequent(const AggregatePlan& plan, const RowStore& rows) : plan_(plan), rows_(rows), result_(plan) {}
  void Add(uint32_t row) override {
    const int level = LevelOf(rows_, row);
    levels_[level].Insert(row);
    for (auto& [lowest, counts] : counts_) {
      if (level >= lowest) counts.Change(KeyAt(row), 1);
    }
  }
  void Remove(uint32_t row) override {
    const int level = LevelOf(rows_, row);
    levels_[level].PopFront();
    for (auto& [lowest, counts] : counts_) {
      if (level >= lowest) counts.Change(KeyAt(row), -1);
    }
  }
  void Clear() override {
    levels_.clear();
    counts_.clear();
  }
  Datum Result() override {
    const int lowest = SampleLevel();
    // The neighbours stay, so that a window whose size is near a border does not count anew each time.
    std::erase_if(counts_, [&](const auto& counted) { return std::abs(counted.first - lowest) > 1; });
    auto counts = counts_.find(lowest);
    if (counts == counts_.end()) {
      counts = counts_.emplace(lowest, Counts()).first;
      for (const auto& [level, list] : levels_) {
        for (size_t i = 0; level >= lowest && i < list.size(); ++i) counts->second.Change(KeyAt(list[i]), 1);
      }
    }
    return result_.Of(counts->second.First(result_.wanted()));
  }

 private:
  class Counts {
   public:
    void Change(const Key& key, int64_t change) {
      int64_t& count = counts_[key];
      if (count != 0) order_.erase({-count, key});
      count += change;
      if (count != 0) {
        order_.insert({-count, key});
      } else {
        counts_.erase(key);
      }
    }
    std::vector<const Key*> First(size_t wanted) const {
      std::vector<const Key*> keys;
      for (auto at = order_.begin(); at != order_.end() && keys.size() < wanted; ++at) keys.push_back(&at->second);
      return keys;
    }

   private:
    std::unordered_map<Key, int64_t> counts_;
    std::set<std::pair<int64_t, Key>> order_;
  };

  int SampleLevel() const {
    size_t rows = 0;
    int lowest = levels_.empty() ? 0 : levels_.begin()->first + 1;
    for (const auto& [level, list] : levels_) {
      rows += list.size();
      if (rows > plan_.max_events) return lowest;
      lowest = level;
    }
    return 0;
  }
  Key KeyAt(uint32_t row) const { return KeyOf<Key>(rows_.Slot(SlotOf(plan_), row), plan_.argument); }

  const AggregatePlan plan_;
  const RowStore& rows_;
  std::map<int, PositionList, std::greater<>> levels_;
  std::map<int, Counts> counts_;  ///< of the rows from that level on
  FrequentResult<Key> result_;
};

template <class Key>
class PartialFrequent final : public PartialOf<PartialFrequent<Key>> {
  using Base = PartialOf<PartialFrequent<Key>>;

 public:
  explicit PartialFrequent(const AggregatePlan& plan) : Base(plan), result_(plan) {}
  void AddRow(const RowStore& rows, size_t row) {
    Put(LevelOf(rows, row), KeyOf<Key>(rows.Slot(Base::slot(), row), Base::plan_.argument));
  }
  void AppendPartial(const PartialFrequent& later) {
    Raise(later.lowest_);
    for (const auto& [level, key] : later.rows_) Put(level, key);
  }
  void Clear() override {
    rows_.clear();
    lowest_ = 0;
  }
  Datum Result() override {
    std::vector<const Key*> keys;
    for (const auto& [level, key] : rows_) keys.push_back(&key);
    std::sort(keys.begin(), keys.end(), [](const Key* a, const Key* b) { return *a < *b; });
    std::vector<std::pair<int64_t, const Key*>> counted;
    for (const Key* key : keys) {
      if (counted.empty() || *counted.back().second != *key) counted.emplace_back(0, key);
      --counted.back().first;
    }
    std::stable_sort(counted.begin(), counted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    keys.clear();
    for (size_t i = 0; i < counted.size() && i < result_.wanted(); ++i) keys.push_back(counted[i].second);
    return result_.Of(keys);
  }
  size_t bytes() const override {
    size_t bytes = sizeof(*this) + rows_.capacity() * sizeof(rows_[0]);
    for (const auto& [level, key] : rows_) bytes += KeyHeapBytes(key);
    return bytes;
  }
  void Save(std::string& bytes) const override {
    AppendVarint(static_cast<uint64_t>(lowest_), bytes);
    AppendVarint(rows_.size(), bytes);
    for (const auto& [level, key] : rows_) {
      AppendVarint(static_cast<uint64_t>(level), bytes);
      SaveKey(key, bytes);
    }
  }
  bool AppendSaved(std::string_view later) override {
    VarintReader reader(later);
    const uint64_t lowest = reader.Unsigned();
    const uint64_t count = reader.Unsigned();
    if (!reader.ok() || lowest > kLevelMax + 1) return false;
    Raise(static_cast<int>(lowest));
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t level = reader.Unsigned();
      Key key = LoadKey<Key>(reader);
      if (!reader.ok() || level > kLevelMax) return false;
      Put(static_cast<int>(level), std::move(key));
    }
    return reader.AtEnd();
  }

 private:
  static constexpr int kLevelMax = 64;

  void Put(int level, Key key) {
    if (level < lowest_) return;
    rows_.emplace_back(level, std::move(key));
    while (rows_.size() > Base::plan_.max_events) Raise(lowest_ + 1);
  }
  void Raise(int lowest) {
    if (lowest <= lowest_) return;
    lowest_ = lowest;
    std::erase_if(rows_, [lowest](const auto& row) { return row.first < lowest; });
  }

  std::vector<std::pair<int, Key>> rows_;  ///< level and value
  int lowest_ = 0;
  FrequentResult<Key> result_;
};

}  // namespace

std::unique_ptr<Aggregator> MakeSketchedAggregator(const AggregatePlan& plan, const RowStore& rows) {
  const std::string_view name = plan.function;
  const bool bytes = HoldsBytes(plan.argument);
  if (name == "median" || name == "quantile_cont") return std::make_unique<SlidingQuantile<QuantileOfNumbers>>(plan, rows);
  if (name == "decimal_quantile") {
    if (bytes) return std::make_unique<SlidingQuantile<QuantileOfDecimals<std::string>>>(plan, rows);
    return std::make_unique<SlidingQuantile<QuantileOfDecimals<int64_t>>>(plan, rows);
  }
  if (name == "count_distinct" || name == "approx_count_distinct") {
    if (bytes) return std::make_unique<SlidingDistinct<std::string>>(plan, rows);
    return std::make_unique<SlidingDistinct<int64_t>>(plan, rows);
  }
  if (name == "mode" || name == "top_k") {
    if (bytes) return std::make_unique<SlidingFrequent<std::string>>(plan, rows);
    return std::make_unique<SlidingFrequent<int64_t>>(plan, rows);
  }
  return nullptr;
}

std::unique_ptr<PartialAggregate> MakeSketchedPartial(const AggregatePlan& plan) {
  const std::string_view name = plan.function;
  const bool bytes = HoldsBytes(plan.argument);
  if (name == "median" || name == "quantile_cont") return std::make_unique<PartialQuantile<QuantileOfNumbers>>(plan);
  if (name == "decimal_quantile") {
    if (bytes) return std::make_unique<PartialQuantile<QuantileOfDecimals<std::string>>>(plan);
    return std::make_unique<PartialQuantile<QuantileOfDecimals<int64_t>>>(plan);
  }
  if (name == "count_distinct" || name == "approx_count_distinct") {
    if (bytes) return std::make_unique<PartialDistinct<std::string>>(plan);
    return std::make_unique<PartialDistinct<int64_t>>(plan);
  }
  if (name == "mode" || name == "top_k") {
    if (bytes) return std::make_unique<PartialFrequent<std::string>>(plan);
    return std::make_unique<PartialFrequent<int64_t>>(plan);
  }
  return nullptr;
}

}  // namespace tidemill
