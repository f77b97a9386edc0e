#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "feature/program/aggregates.h"
#include "feature/program/decimal_sum.h"
#include "feature/program/exact_moments.h"
#include "feature/program/value_keys.h"

/// Aggregates whose rows can be taken out again and whose states can be added up: both shapes, the sliding Aggregator and the
/// PartialAggregate, are made of one of these, so that each formula is written once. A state has Add(row), Subtract(row),
/// Add(state), Clear(), Result(), and Save, from whose bytes AddSaved adds the same state again (false after damage).
namespace tidemill::aggregate_states {

/// What an aggregate reads of a row that it takes.
struct TakenRow {
  const AggregatePlan& plan;
  const RowStore& rows;
  size_t row;

  int64_t Event() const { return rows.event(row); }
  int64_t Integer() const { return rows.Integer(static_cast<size_t>(plan.slot), row); }
  double Number() const { return rows.Number(static_cast<size_t>(plan.slot), row); }
  double SecondNumber() const { return rows.Number(static_cast<size_t>(plan.second_slot), row); }
  Datum Value() const { return rows.Slot(static_cast<size_t>(plan.slot), row); }
};

/// Wraps around, because damaged counts may overflow.
inline bool AddSavedCount(VarintReader& reader, int64_t& count) {
  count = static_cast<int64_t>(static_cast<uint64_t>(count) + static_cast<uint64_t>(reader.Signed()));
  return reader.ok();
}

/// count_rows, count, count_if (by its filter).
class Count {
 public:
  explicit Count(const AggregatePlan&) {}
  void Add(const TakenRow&) { ++count_; }
  void Subtract(const TakenRow&) { --count_; }
  void Add(const Count& other) { count_ += other.count_; }
  size_t heap_bytes() const { return 0; }
  void Save(std::string& bytes) const { AppendSigned(count_, bytes); }
  bool AddSaved(VarintReader& reader) { return AddSavedCount(reader, count_); }
  void Clear() { count_ = 0; }
  Datum Result() const { return Datum::Integer(count_); }

 private:
  int64_t count_ = 0;
};

inline bool IsMean(const AggregatePlan& plan) { return plan.function.starts_with("avg"); }

/// sum, avg of integers.
class IntegerSum {
 public:
  explicit IntegerSum(const AggregatePlan& plan) : mean_(IsMean(plan)) {}
  void Add(const TakenRow& row) { AddValue(row.Integer()); }
  void Subtract(const TakenRow& row) { SubtractValue(row.Integer()); }
  void AddValue(int64_t value) { sum_ += value, ++count_; }
  void SubtractValue(int64_t value) { sum_ -= value, --count_; }
  void Add(const IntegerSum& other) { sum_ += other.sum_, count_ += other.count_; }
  size_t heap_bytes() const { return 0; }
  void Save(std::string& bytes) const {
    AppendSigned(count_, bytes);
    AppendVarint(static_cast<uint64_t>(static_cast<unsigned __int128>(sum_)), bytes);
    AppendSigned(static_cast<int64_t>(sum_ >> 64), bytes);
  }
  bool AddSaved(VarintReader& reader) {
    if (!AddSavedCount(reader, count_)) return false;
    const uint64_t low = reader.Unsigned();
    const auto high = static_cast<unsigned __int128>(static_cast<uint64_t>(reader.Signed()));
    sum_ = static_cast<__int128>(static_cast<unsigned __int128>(sum_) + (high << 64 | low));
    return reader.ok();
  }
  void Clear() { sum_ = 0, count_ = 0; }
  Datum Result() const { return ResultAs(mean_); }
  /// As another aggregate of the same state gives it.
  Datum ResultFor(const AggregatePlan& plan) const { return ResultAs(IsMean(plan)); }

 private:
  Datum ResultAs(bool mean) const {
    if (count_ == 0) return Datum::Null();
    if (mean) return Datum::Number(static_cast<double>(sum_) / static_cast<double>(count_));
    constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
    constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
    return sum_ < kMin || sum_ > kMax ? Datum::Null() : Datum::Integer(static_cast<int64_t>(sum_));
  }

  bool mean_;
  __int128 sum_ = 0;
  int64_t count_ = 0;
};

/// sum, avg of decimals.
class SumOfDecimals {
 public:
  static constexpr bool kOfUnits = true;
  explicit SumOfDecimals(const AggregatePlan& plan) : plan_(plan) {}
  void Add(const TakenRow& row) { Change(ValueOf(row), 1); }
  void Subtract(const TakenRow& row) { Change(ValueOf(row), -1); }
  template <class Key>
  void AddValue(const Key& key) {
    Change(ValueOf(key), 1);
  }
  template <class Key>
  void SubtractValue(const Key& key) {
    Change(ValueOf(key), -1);
  }
  void Add(const SumOfDecimals& other) { sum_.Add(other.sum_), count_ += other.count_; }
  size_t heap_bytes() const { return 0; }
  void Save(std::string& bytes) const {
    AppendSigned(count_, bytes);
    sum_.Save(bytes);
  }
  bool AddSaved(VarintReader& reader) { return AddSavedCount(reader, count_) && sum_.AddSaved(reader); }
  void Clear() { sum_.Clear(), count_ = 0; }
  Datum Result() { return ResultFor(plan_); }
  Datum ResultFor(const AggregatePlan& plan) { return DoubledResult(plan, 0); }
  /// A sum multiplied by two so many times. One that 128 bits don't hold is an empty text, which is no key.
  Datum DoubledResult(const AggregatePlan& plan, int doublings) {
    if (count_ == 0) return Datum::Null();
    if (plan.function.starts_with("decimal_avg")) return Datum::Number(sum_.Mean(std::max<int64_t>(count_, 1), static_cast<int>(plan.parameter)));
    const std::optional<__int128> value = sum_.Value(doublings);
    key_ = value ? DecimalKey(*value) : std::string();
    return Datum::Text(key_);
  }

 private:
  static __int128 ValueOf(int64_t units) { return units; }
  static __int128 ValueOf(std::string_view key) { return DecimalOfKey(key).value_or(0); }
  static __int128 ValueOf(const TakenRow& row) {
    return row.plan.argument == Type::kInt64 ? ValueOf(row.Integer()) : ValueOf(row.Value().text);
  }
  void Change(__int128 value, int sign) {
    sum_.Add(sign > 0 ? value : -value);
    count_ += sign;
  }

  AggregatePlan plan_;
  DecimalSum sum_;
  int64_t count_ = 0;
  std::string key_;
};

/// sum, avg of numbers.
class NumberSum {
 public:
  explicit NumberSum(const AggregatePlan& plan) : mean_(IsMean(plan)) {}
  void Add(const TakenRow& row) { AddValue(row.Number()); }
  void Subtract(const TakenRow& row) { SubtractValue(row.Number()); }
  void AddValue(double value) { sum_.Add(value), ++count_; }
  void SubtractValue(double value) { sum_.Subtract(value), --count_; }
  void Add(const NumberSum& other) { sum_.Add(other.sum_), count_ += other.count_; }
  size_t heap_bytes() const { return 0; }
  void Save(std::string& bytes) const {
    AppendSigned(count_, bytes);
    sum_.Save(bytes);
  }
  bool AddSaved(VarintReader& reader) { return AddSavedCount(reader, count_) && sum_.AddSaved(reader); }
  void Clear() { sum_.Clear(), count_ = 0; }
  Datum Result() const { return ResultAs(mean_); }
  Datum ResultFor(const AggregatePlan& plan) const { return ResultAs(IsMean(plan)); }

 private:
  Datum ResultAs(bool mean) const {
    if (count_ == 0) return Datum::Null();
    return Datum::Number(mean ? sum_.Round() / static_cast<double>(count_) : sum_.Round());
  }

  bool mean_;
  ExactSum sum_;
  int64_t count_ = 0;
};

/// var_samp, var_pop, stddev_samp, stddev_pop.
class Variance {
 public:
  explicit Variance(const AggregatePlan& plan) : statistic_(plan) {}
  void Add(const TakenRow& row) { AddValue(row.Number()); }
  void Subtract(const TakenRow& row) { SubtractValue(row.Number()); }
  void AddValue(double value) { moments_.Add(value); }
  void SubtractValue(double value) { moments_.Subtract(value); }
  void Add(const Variance& other) { moments_.Add(other.moments_); }
  size_t heap_bytes() const { return 0; }
  void Save(std::string& bytes) const { moments_.Save(bytes); }
  bool AddSaved(VarintReader& reader) { return moments_.AddSaved(reader); }
  void Clear() { moments_.Clear(); }
  Datum Result() const { return ResultAs(statistic_); }
  Datum ResultFor(const AggregatePlan& plan) const { return ResultAs(Statistic(plan)); }

 private:
  struct Statistic {
    explicit Statistic(const AggregatePlan& plan)
        : ddof(plan.function.find("_samp") != std::string::npos ? 1 : 0), root(plan.function.starts_with("stddev")) {}
    int ddof;
    bool root;
  };
  Datum ResultAs(Statistic statistic) const {
    if (moments_.count() <= statistic.ddof || !moments_.finite()) return Datum::Null();
    const double variance = moments_.Variance(statistic.ddof);
    if (!std::isfinite(variance)) return Datum::Null();
    return Datum::Number(statistic.root ? std::sqrt(variance) : variance);
  }

  Statistic statistic_;
  ExactMoments moments_;
};

inline Datum FiniteOrNull(double value) { return std::isfinite(value) ? Datum::Number(value) : Datum::Null(); }

class Skewness {
 public:
  explicit Skewness(const AggregatePlan&) {}
  void Add(const TakenRow& row) { AddValue(row.Number()); }
  void Subtract(const TakenRow& row) { SubtractValue(row.Number()); }
  void AddValue(double value) { moments_.Add(value); }
  void SubtractValue(double value) { moments_.Subtract(value); }
  void Add(const Skewness& other) { moments_.Add(other.moments_); }
  size_t heap_bytes() const { return 0; }
  void Save(std::string& bytes) const { moments_.Save(bytes); }
  bool AddSaved(VarintReader& reader) { return moments_.AddSaved(reader); }
  void Clear() { moments_.Clear(); }
  Datum Result() const { return FiniteOrNull(moments_.Skewness()); }

 private:
  ExactThirdMoments moments_;
};

/// corr, covar_samp, covar_pop, regr_slope.
class Pairs {
 public:
  explicit Pairs(const AggregatePlan& plan) : statistic_(StatisticOf(plan)) {}
  void Add(const TakenRow& row) { pairs_.Add(row.Number(), row.SecondNumber()); }
  void Subtract(const TakenRow& row) { pairs_.Subtract(row.Number(), row.SecondNumber()); }
  void Add(const Pairs& other) { pairs_.Add(other.pairs_); }
  size_t heap_bytes() const { return 0; }
  void Save(std::string& bytes) const { pairs_.Save(bytes); }
  bool AddSaved(VarintReader& reader) { return pairs_.AddSaved(reader); }
  void Clear() { pairs_.Clear(); }
  Datum Result() const { return ResultAs(statistic_); }
  Datum ResultFor(const AggregatePlan& plan) const { return ResultAs(StatisticOf(plan)); }

 private:
  enum class Statistic { kSampleCovariance, kCovariance, kCorrelation, kSlope };
  Datum ResultAs(Statistic statistic) const {
    switch (statistic) {
      case Statistic::kSampleCovariance:
        return FiniteOrNull(pairs_.Covariance(1));
      case Statistic::kCovariance:
        return FiniteOrNull(pairs_.Covariance(0));
      case Statistic::kCorrelation:
        return FiniteOrNull(pairs_.Correlation());
      case Statistic::kSlope:
        break;
    }
    return FiniteOrNull(pairs_.SlopeOverY());
  }

  static Statistic StatisticOf(const AggregatePlan& plan) {
    if (plan.function == "covar_samp") return Statistic::kSampleCovariance;
    if (plan.function == "covar_pop") return Statistic::kCovariance;
    return plan.function == "corr" ? Statistic::kCorrelation : Statistic::kSlope;
  }

  Statistic statistic_;
  ExactPairs pairs_;
};

/// slope: over event time.
class Trend {
 public:
  explicit Trend(const AggregatePlan&) {}
  void Add(const TakenRow& row) { trend_.Add(row.Event(), row.Number()); }
  void Subtract(const TakenRow& row) { trend_.Subtract(row.Event(), row.Number()); }
  void Add(const Trend& other) { trend_.Add(other.trend_); }
  size_t heap_bytes() const { return 0; }
  void Save(std::string& bytes) const { trend_.Save(bytes); }
  bool AddSaved(VarintReader& reader) { return trend_.AddSaved(reader); }
  void Clear() { trend_.Clear(); }
  Datum Result() const { return FiniteOrNull(trend_.SlopeADay()); }

 private:
  ExactTrend trend_;
};

/// ewm_mean.
class DecayedMean {
 public:
  explicit DecayedMean(const AggregatePlan& plan) : mean_(static_cast<int64_t>(plan.parameter)) {}
  void Add(const TakenRow& row) { mean_.Add(row.Event(), row.Number()); }
  void Subtract(const TakenRow& row) { mean_.Subtract(row.Event(), row.Number()); }
  void Add(const DecayedMean& other) { mean_.Add(other.mean_); }
  size_t heap_bytes() const { return mean_.heap_bytes(); }
  void Save(std::string& bytes) const { mean_.Save(bytes); }
  bool AddSaved(VarintReader& reader) { return mean_.AddSaved(reader); }
  void Clear() { mean_.Clear(); }
  Datum Result() const { return mean_.empty() ? Datum::Null() : Datum::Number(mean_.Mean()); }

 private:
  ExactDecayedMean mean_;
};

/// bool_and, bool_or.
class AllOrAny {
 public:
  explicit AllOrAny(const AggregatePlan& plan) : all_(plan.function == "bool_and") {}
  void Add(const TakenRow& row) { ++(row.Integer() != 0 ? true_ : false_); }
  void Subtract(const TakenRow& row) { --(row.Integer() != 0 ? true_ : false_); }
  void Add(const AllOrAny& other) { true_ += other.true_, false_ += other.false_; }
  size_t heap_bytes() const { return 0; }
  void Save(std::string& bytes) const {
    AppendSigned(true_, bytes);
    AppendSigned(false_, bytes);
  }
  bool AddSaved(VarintReader& reader) { return AddSavedCount(reader, true_) && AddSavedCount(reader, false_); }
  void Clear() { true_ = false_ = 0; }
  Datum Result() const {
    if (true_ + false_ == 0) return Datum::Null();
    return Datum::Bool(all_ ? false_ == 0 : true_ != 0);
  }

 private:
  bool all_;
  int64_t true_ = 0;
  int64_t false_ = 0;
};

/// sum(DISTINCT x) and the like: each value once. Of more than max_events values a sample stands for all: those from the lowest level
/// on from which there are at most max_events, where half of all values are in level 1 or above, a quarter in 2, and so on, by a
/// hash. Means and moments are those of the sample, a sum is multiplied by how much of the whole it is.
template <class State, class Key = int64_t>
class OfDistinct {
 public:
  explicit OfDistinct(const AggregatePlan& plan) : plan_(plan), numbers_(plan.argument == Type::kDouble) { Clear(); }
  /// Forgets what the sample does not need: nothing can be subtracted any more.
  void KeepSampleOnly() { sample_only_ = true; }

  void Add(const TakenRow& row) { Change(KeyOf<Key>(row.Value(), row.plan.argument), 1); }
  void Subtract(const TakenRow& row) { Change(KeyOf<Key>(row.Value(), row.plan.argument), -1); }
  void Add(const OfDistinct& other) {
    RaiseTo(other.lowest_);
    for (const auto& [key, rows] : other.rows_) Change(key, rows);
  }
  void Clear() {
    rows_.clear();
    lowest_ = 0;
    in_level_.fill(0);
    states_.clear();
    states_.emplace_back(0, State(plan_));
  }
  Datum Result() { return ResultFor(plan_); }
  Datum ResultFor(const AggregatePlan& plan) {
    const int level = SampleLevel();
    State& state = StateFrom(level);
    if constexpr (requires { state.DoubledResult(plan, level); }) return state.DoubledResult(plan, level);
    Datum result;
    if constexpr (requires { state.ResultFor(plan); }) {
      result = state.ResultFor(plan);
    } else {
      result = state.Result();
    }
    return level > 0 && plan.function.starts_with("sum") ? Multiplied(result, plan.argument, level) : result;
  }
  size_t heap_bytes() const {
    size_t bytes = rows_.size() * (32 + sizeof(Key)) + states_.capacity() * sizeof(std::pair<int, State>);
    if constexpr (!std::is_same_v<Key, int64_t>) {
      for (const auto& [key, rows] : rows_) bytes += KeyHeapBytes(key);
    }
    return bytes;
  }
  void Save(std::string& bytes) const {
    AppendVarint(static_cast<uint64_t>(lowest_), bytes);
    AppendVarint(rows_.size(), bytes);
    for (const auto& [key, rows] : rows_) SaveKey(key, bytes);
  }
  bool AddSaved(VarintReader& reader) {
    const uint64_t lowest = reader.Unsigned();
    const uint64_t count = reader.Unsigned();
    if (!reader.ok() || lowest >= kLevels) return false;
    RaiseTo(static_cast<int>(lowest));
    for (uint64_t i = 0; i < count; ++i) {
      Key key = LoadKey<Key>(reader);
      if (!reader.ok()) return false;
      Change(key, 1);
    }
    return reader.ok();
  }

 private:
  static constexpr int kLevels = 65;
  static int LevelOfKey(const Key& key) { return std::countl_zero(KeyHash(key)); }

  static Datum Multiplied(const Datum& sum, Type type, int level) {
    if (sum.null) return sum;
    if (type == Type::kDouble) return Datum::Number(std::ldexp(sum.number, level));
    const __int128 whole = static_cast<__int128>(sum.integer) * (__int128{1} << std::min(level, 62));
    return whole == static_cast<int64_t>(whole) ? Datum::Integer(static_cast<int64_t>(whole)) : Datum::Null();
  }

  void Change(const Key& key, int64_t change) {
    const int level = LevelOfKey(key);
    if (level < lowest_) return;
    int64_t& rows = rows_[key];
    const bool appears = rows == 0;
    rows += change;
    const bool goes = rows == 0;
    if (!appears && !goes) return;
    in_level_[static_cast<size_t>(level)] += appears ? 1 : -1;
    for (auto& [from, state] : states_) {
      if (level >= from) ChangeValue(state, key, appears);
    }
    if (goes) rows_.erase(rows_.find(key));
    while (sample_only_ && rows_.size() > plan_.max_events && lowest_ + 1 < kLevels) RaiseTo(lowest_ + 1);
  }

  void ChangeValue(State& state, const Key& key, bool appears) const {
    if constexpr (std::is_same_v<Key, int64_t> && !requires { State::kOfUnits; }) {
      if (numbers_) return appears ? state.AddValue(KeyNumber(key)) : state.SubtractValue(KeyNumber(key));
    }
    appears ? state.AddValue(key) : state.SubtractValue(key);
  }

  void RaiseTo(int level) {
    if (level <= lowest_) return;
    lowest_ = level;
    std::erase_if(rows_, [level](const auto& row) { return LevelOfKey(row.first) < level; });
    for (int below = 0; below < level; ++below) in_level_[static_cast<size_t>(below)] = 0;
    std::erase_if(states_, [level](const auto& state) { return state.first < level; });
  }

  int SampleLevel() const {
    if (rows_.size() <= plan_.max_events) return lowest_;
    uint64_t values = 0;
    for (int level = kLevels - 1; level >= lowest_; --level) {
      values += static_cast<uint64_t>(in_level_[static_cast<size_t>(level)]);
      if (values > plan_.max_events) return level + 1;
    }
    return lowest_;
  }

  /// Kept for a level and its neighbours, so that a window at the edge between two is not added up anew with each row.
  State& StateFrom(int level) {
    std::erase_if(states_, [level](const auto& state) { return std::abs(state.first - level) > 1; });
    for (auto& [from, state] : states_) {
      if (from == level) return state;
    }
    State& state = states_.emplace_back(level, State(plan_)).second;
    for (const auto& [key, rows] : rows_) {
      if (LevelOfKey(key) >= level) ChangeValue(state, key, true);
    }
    return state;
  }

  const AggregatePlan plan_;
  const bool numbers_;
  bool sample_only_ = false;
  std::unordered_map<Key, int64_t> rows_;  ///< how many rows have the value, by its key; of those from the lowest level on
  int lowest_ = 0;
  std::array<int64_t, kLevels> in_level_{};    ///< how many values are
  std::vector<std::pair<int, State>> states_;  ///< of the values from that level on
};

/// make(std::type_identity<State>()) for the state of the plan's function; nullopt for a function without one.
template <class Make>
auto WithState(const AggregatePlan& plan, Make make) -> std::optional<decltype(make(std::type_identity<Count>()))> {
  const std::string_view name = plan.function;
  if (name == "decimal_sum" || name == "decimal_avg") return make(std::type_identity<SumOfDecimals>());
  if (name == "decimal_sum_distinct" || name == "decimal_avg_distinct") {
    return plan.argument == Type::kInt64 ? make(std::type_identity<OfDistinct<SumOfDecimals>>())
                                         : make(std::type_identity<OfDistinct<SumOfDecimals, std::string>>());
  }
  if (name == "sum_distinct" || name == "avg_distinct") {
    return plan.argument == Type::kInt64 ? make(std::type_identity<OfDistinct<IntegerSum>>())
                                         : make(std::type_identity<OfDistinct<NumberSum>>());
  }
  if (name.starts_with("var_") && name.ends_with("_distinct")) return make(std::type_identity<OfDistinct<Variance>>());
  if (name.starts_with("stddev_") && name.ends_with("_distinct")) return make(std::type_identity<OfDistinct<Variance>>());
  if (name == "skewness_distinct") return make(std::type_identity<OfDistinct<Skewness>>());
  if (name == "count_rows" || name == "count") return make(std::type_identity<Count>());
  if (name == "sum" || name == "avg")
    return plan.argument == Type::kInt64 ? make(std::type_identity<IntegerSum>()) : make(std::type_identity<NumberSum>());
  if (name.starts_with("var_") || name.starts_with("stddev_")) return make(std::type_identity<Variance>());
  if (name == "skewness") return make(std::type_identity<Skewness>());
  if (name == "corr" || name.starts_with("covar_") || name == "regr_slope") return make(std::type_identity<Pairs>());
  if (name == "slope") return make(std::type_identity<Trend>());
  if (name == "ewm_mean") return make(std::type_identity<DecayedMean>());
  if (name == "bool_and" || name == "bool_or") return make(std::type_identity<AllOrAny>());
  return std::nullopt;
}

}  // namespace tidemill::aggregate_states
