#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <type_traits>

#include "feature/program/aggregates.h"
#include "feature/program/exact_moments.h"

/// Aggregates whose rows can be taken out again and whose states can be added up: both shapes, the sliding Aggregator and the
/// PartialAggregate, are made of one of these, so that each formula is written once. A state has Add(row), Subtract(row),
/// Add(state), Clear() and Result(), in which NaN stands for "none" as well.
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

/// count_rows, count, count_if (by its filter).
class Count {
 public:
  explicit Count(const AggregatePlan&) {}
  void Add(const TakenRow&) { ++count_; }
  void Subtract(const TakenRow&) { --count_; }
  void Add(const Count& other) { count_ += other.count_; }
  void Clear() { count_ = 0; }
  Datum Result() const { return Datum::Integer(count_); }

 private:
  int64_t count_ = 0;
};

/// sum, avg of integers.
class IntegerSum {
 public:
  explicit IntegerSum(const AggregatePlan& plan) : mean_(plan.function == "avg") {}
  void Add(const TakenRow& row) { sum_ += row.Integer(), ++count_; }
  void Subtract(const TakenRow& row) { sum_ -= row.Integer(), --count_; }
  void Add(const IntegerSum& other) { sum_ += other.sum_, count_ += other.count_; }
  void Clear() { sum_ = 0, count_ = 0; }
  Datum Result() const {
    if (count_ == 0) return Datum::Null();
    if (mean_) return Datum::Number(static_cast<double>(sum_) / static_cast<double>(count_));
    constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
    constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
    return sum_ < kMin || sum_ > kMax ? Datum::Null() : Datum::Integer(static_cast<int64_t>(sum_));
  }

 private:
  bool mean_;
  __int128 sum_ = 0;
  int64_t count_ = 0;
};

/// sum, avg of numbers.
class NumberSum {
 public:
  explicit NumberSum(const AggregatePlan& plan) : mean_(plan.function == "avg") {}
  void Add(const TakenRow& row) { sum_.Add(row.Number()), ++count_; }
  void Subtract(const TakenRow& row) { sum_.Subtract(row.Number()), --count_; }
  void Add(const NumberSum& other) { sum_.Add(other.sum_), count_ += other.count_; }
  void Clear() { sum_.Clear(), count_ = 0; }
  Datum Result() const {
    if (count_ == 0) return Datum::Null();
    return Datum::Number(mean_ ? sum_.Round() / static_cast<double>(count_) : sum_.Round());
  }

 private:
  bool mean_;
  ExactSum sum_;
  int64_t count_ = 0;
};

/// var_samp, var_pop, stddev_samp, stddev_pop.
class Variance {
 public:
  explicit Variance(const AggregatePlan& plan)
      : ddof_(plan.function.ends_with("_samp") ? 1 : 0), root_(plan.function.starts_with("stddev")) {}
  void Add(const TakenRow& row) { moments_.Add(row.Number()); }
  void Subtract(const TakenRow& row) { moments_.Subtract(row.Number()); }
  void Add(const Variance& other) { moments_.Add(other.moments_); }
  void Clear() { moments_.Clear(); }
  Datum Result() const {
    if (moments_.count() <= ddof_ || !moments_.finite()) return Datum::Null();
    const double variance = moments_.Variance(ddof_);
    if (!std::isfinite(variance)) return Datum::Null();
    return Datum::Number(root_ ? std::sqrt(variance) : variance);
  }

 private:
  int ddof_;
  bool root_;
  ExactMoments moments_;
};

inline Datum FiniteOrNull(double value) { return std::isfinite(value) ? Datum::Number(value) : Datum::Null(); }

class Skewness {
 public:
  explicit Skewness(const AggregatePlan&) {}
  void Add(const TakenRow& row) { moments_.Add(row.Number()); }
  void Subtract(const TakenRow& row) { moments_.Subtract(row.Number()); }
  void Add(const Skewness& other) { moments_.Add(other.moments_); }
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
  void Clear() { pairs_.Clear(); }
  Datum Result() const {
    switch (statistic_) {
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

 private:
  enum class Statistic { kSampleCovariance, kCovariance, kCorrelation, kSlope };
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

/// make(std::type_identity<State>()) for the state of the plan's function; nullopt for a function without one.
template <class Make>
auto WithState(const AggregatePlan& plan, Make make) -> std::optional<decltype(make(std::type_identity<Count>()))> {
  const std::string_view name = plan.function;
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
