#include "feature/program/entity_state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "feature/program/aggregates.h"
#include "feature/program/entity_kernel.h"
#include "feature/program/exact_moments.h"
#include "feature/program/hyperloglog.h"
#include "feature/program/testing.h"
#include "feature/program/value_keys.h"

namespace tidemill {
namespace {

using testing::Call;
using testing::Col;
using testing::Const;
using testing::SameBits;

/// What an aggregate must give, written without regard to speed, from the definition in docs/features.md.
class Oracle {
 public:
  Oracle(const Program& program, std::vector<FeatureEvent> events) : program_(program), events_(std::move(events)) {
    std::sort(events_.begin(), events_.end(), [](const FeatureEvent& a, const FeatureEvent& b) {
      return std::pair(a.event_time, a.seq) < std::pair(b.event_time, b.seq);
    });
  }

  std::vector<Value> Query(Timestamp time) const {
    std::vector<Value> values;
    for (const Aggregate& aggregate : program_.aggregates) {
      values.push_back(Compute(aggregate, Visible(aggregate, time)));
      const double* number = std::get_if<double>(&values.back());
      if (number != nullptr && std::isnan(*number)) values.back() = {};  // a feature is never NaN
    }
    return values;
  }

 private:
  using Rows = std::vector<const FeatureEvent*>;

  /// Columns of the test program: 0 number, 1 integer, 2 text, 3 boolean. Arguments are bare columns, so is the filter.
  Rows Visible(const Aggregate& aggregate, Timestamp time) const {
    Rows rows;
    const Timestamp end = time - aggregate.delay;
    for (const FeatureEvent& event : events_) {
      if (event.known_at > time || event.event_time > end) continue;
      if (program_.lateness && event.known_at > event.event_time + *program_.lateness) continue;
      if (aggregate.window && event.event_time <= Start(aggregate, end)) continue;
      if (program_.ttl && event.event_time < time - *program_.ttl) continue;
      rows.push_back(&event);
    }
    if (aggregate.session) rows = LastSession(rows, *aggregate.session, end);
    std::erase_if(rows, [&](const FeatureEvent* row) { return aggregate.filter && row->values[3] != Value(true); });
    return rows;
  }

  static Timestamp Start(const Aggregate& aggregate, Timestamp end) {
    Timestamp start = end - *aggregate.window;
    while (aggregate.hop && start.micros % aggregate.hop->micros != 0) start.micros -= kMicrosPerSecond;
    return start;
  }

  static Rows LastSession(const Rows& rows, Duration gap, Timestamp end) {
    Rows session;
    for (size_t row = rows.size(); row-- > 0;) {
      if (rows[row]->event_time + gap < end) break;
      end = rows[row]->event_time;
      session.insert(session.begin(), rows[row]);
    }
    return session;
  }

  static const Value& At(const FeatureEvent* row, const Aggregate& aggregate, size_t argument = 0) {
    return row->values[static_cast<size_t>(aggregate.arguments[argument].column)];
  }

  static bool Less(const Value& a, const Value& b) {
    const double* x = std::get_if<double>(&a);
    if (x == nullptr) return a < b;
    const double y = std::get<double>(b);
    if (std::isnan(*x) || std::isnan(y)) return std::isnan(y) && !std::isnan(*x);
    return *x < y || (*x == y && std::signbit(*x) && !std::signbit(y));
  }

  static Value Compute(const Aggregate& aggregate, Rows rows) {
    const std::string& f = aggregate.function;
    if (f == "count_rows") return static_cast<int64_t>(rows.size());
    if (f == "first") return rows.empty() ? Value() : At(rows.front(), aggregate);
    if (f == "last") return rows.empty() ? Value() : At(rows.back(), aggregate);
    if (f == "list") {
      const auto most = static_cast<size_t>(std::get<int64_t>(aggregate.arguments[1].constant));
      rows.erase(rows.begin(), rows.end() - static_cast<ptrdiff_t>(std::min(most, rows.size())));
      std::vector<Value> values;
      for (const FeatureEvent* row : rows) values.push_back(At(row, aggregate));
      return rows.empty() ? Value() : Value(MakeList(aggregate.arguments[0].type, values));
    }
    if (f == "lag") {
      const auto back = static_cast<size_t>(std::get<int64_t>(aggregate.arguments[1].constant));
      return rows.size() <= back ? Value() : At(rows[rows.size() - 1 - back], aggregate);
    }
    std::erase_if(rows, [&](const FeatureEvent* row) { return IsNull(At(row, aggregate)); });
    if (f == "corr" || f == "covar_samp" || f == "covar_pop" || f == "regr_slope") return Paired(aggregate, rows);
    if (f == "slope" || f == "ewm_mean") return OverTime(aggregate, rows);
    if (f == "arg_min" || f == "arg_max") return ArgExtreme(aggregate, rows);
    if (f == "count") return static_cast<int64_t>(rows.size());
    std::vector<Value> values;
    for (const FeatureEvent* row : rows) values.push_back(At(row, aggregate));
    if (f == "count_distinct" || f.ends_with("_distinct")) {
      std::set<Value, bool (*)(const Value&, const Value&)> distinct(DistinctLess);
      for (const Value& value : values) distinct.insert(Plain(value));
      values.assign(distinct.begin(), distinct.end());
      if (f == "count_distinct" && values.size() <= static_cast<size_t>(aggregate.max_events.value_or(4096)))
        return static_cast<int64_t>(values.size());
      if (f == "count_distinct") return Sketched(values);
      if (values.size() > static_cast<size_t>(aggregate.max_events.value_or(4096))) return OfSample(aggregate, values);
    }
    if (f == "approx_count_distinct") return Sketched(values);
    if (values.empty()) return {};
    if (f == "mode" || f == "top_k") return Frequent(aggregate, rows);
    std::stable_sort(values.begin(), values.end(), Less);
    if (f == "min") return values.front();
    if (f == "max") return values.back();
    if (f == "bool_and") return std::all_of(values.begin(), values.end(), [](const Value& v) { return std::get<bool>(v); });
    if (f == "bool_or") return std::any_of(values.begin(), values.end(), [](const Value& v) { return std::get<bool>(v); });
    return Numeric(aggregate, values);
  }

  /// Sums of more different values than max_events: level by level those are dropped whose hash has the fewest leading zeros.
  static Value OfSample(const Aggregate& aggregate, std::vector<Value> values) {
    int level = 0;
    for (; values.size() > static_cast<size_t>(*aggregate.max_events); ++level) {
      std::erase_if(values, [level](const Value& value) {
        const double* number = std::get_if<double>(&value);
        return std::countl_zero(KeyHash(number != nullptr ? NumberKey(*number) : std::get<int64_t>(value))) <= level;
      });
    }
    const Value result = values.empty() ? Value() : Numeric(aggregate, values);
    if (IsNull(result) || !aggregate.function.starts_with("sum")) return result;
    if (const double* sum = std::get_if<double>(&result)) return std::ldexp(*sum, level);
    __extension__ const __int128 whole = static_cast<__int128>(std::get<int64_t>(result)) << level;
    return whole == static_cast<int64_t>(whole) ? Value(static_cast<int64_t>(whole)) : Value();
  }

  /// 0.0 and -0.0 are one, and so are all NaN.
  static Value Plain(const Value& value) {
    const double* number = std::get_if<double>(&value);
    if (number == nullptr) return value;
    return *number == 0 ? 0.0 : std::isnan(*number) ? std::nan("") : *number;
  }
  static bool DistinctLess(const Value& a, const Value& b) { return Less(Plain(a), Plain(b)); }

  /// The sketches have their own tests: here they are made of the rows once, from none.
  static Value Sketched(const std::vector<Value>& values) {
    HyperLogLog sketch;
    for (const Value& value : values) {
      if (const std::string* text = std::get_if<std::string>(&value)) {
        sketch.Add(KeyHash(*text));
      } else {
        const double* number = std::get_if<double>(&value);
        const int64_t* integer = std::get_if<int64_t>(&value);
        sketch.Add(KeyHash(number != nullptr    ? NumberKey(*number)
                           : integer != nullptr ? *integer
                                                : int64_t{std::get<bool>(value)}));
      }
    }
    return sketch.Estimate();
  }

  static Value Frequent(const Aggregate& aggregate, const Rows& rows) {
    const auto most = static_cast<size_t>(aggregate.max_events.value_or(4096));
    Rows sample = rows;
    for (int level = 1; sample.size() > most; ++level) {
      std::erase_if(sample, [&](const FeatureEvent* row) {
        const int64_t key[] = {row->event_time.micros, row->seq};
        const std::string_view bytes(reinterpret_cast<const char*>(key), sizeof(key));
        return Hash64(bytes, 0x726f'7773'6861'6d70) >> (64 - level) != 0;
      });
    }
    std::map<Value, int64_t, bool (*)(const Value&, const Value&)> counts(DistinctLess);
    for (const FeatureEvent* row : sample) ++counts[Plain(At(row, aggregate))];
    std::vector<std::pair<int64_t, Value>> ordered;
    for (const auto& [value, count] : counts) ordered.emplace_back(-count, value);
    std::stable_sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    if (ordered.empty()) return {};
    if (aggregate.function == "mode") return ordered[0].second;
    std::vector<Value> values;
    for (const auto& [count, value] : ordered) values.push_back(value);
    values.resize(std::min(values.size(), static_cast<size_t>(std::get<int64_t>(aggregate.arguments[1].constant))));
    return MakeList(aggregate.arguments[0].type, values);
  }

  static double MiddleOfBucket(double number) {
    if (!std::isfinite(number) || number == 0) return number;
    int exponent = 0;
    const double mantissa = std::frexp(std::fabs(number), &exponent);  // [1/2, 1): 128 buckets
    const double middle = std::ldexp(std::floor(mantissa * 256) + 0.5, exponent - 8);
    return std::copysign(middle, number);
  }

  static Value ArgExtreme(const Aggregate& aggregate, const Rows& rows) {
    const FeatureEvent* best = nullptr;
    for (const FeatureEvent* row : rows) {
      if (IsNull(At(row, aggregate, 1))) continue;
      const bool better =
          best == nullptr || (aggregate.function == "arg_min" ? Less(At(row, aggregate, 1), At(best, aggregate, 1))
                                                              : Less(At(best, aggregate, 1), At(row, aggregate, 1)));
      if (better) best = row;
    }
    return best == nullptr ? Value() : At(best, aggregate);
  }

  /// The formulas have their own tests, over rationals: here they are computed over the rows once, from none.
  static Value NullIfNotFinite(double value) { return std::isfinite(value) ? Value(value) : Value(); }
  static Value Paired(const Aggregate& aggregate, const Rows& rows) {
    ExactPairs pairs;
    for (const FeatureEvent* row : rows) {
      const Value& y = At(row, aggregate, 1);
      if (!IsNull(y)) pairs.Add(std::get<double>(At(row, aggregate)), std::get<double>(y));
    }
    if (aggregate.function == "corr") return NullIfNotFinite(pairs.Correlation());
    if (aggregate.function == "regr_slope") return NullIfNotFinite(pairs.SlopeOverY());
    return NullIfNotFinite(pairs.Covariance(aggregate.function == "covar_samp" ? 1 : 0));
  }
  static Value OverTime(const Aggregate& aggregate, const Rows& rows) {
    ExactTrend trend;
    ExactDecayedMean mean(aggregate.function == "slope" ? 1 : std::get<int64_t>(aggregate.arguments[1].constant));
    for (const FeatureEvent* row : rows) {
      trend.Add(row->event_time.micros, std::get<double>(At(row, aggregate)));
      mean.Add(row->event_time.micros, std::get<double>(At(row, aggregate)));
    }
    if (aggregate.function == "slope") return NullIfNotFinite(trend.SlopeADay());
    return mean.empty() ? Value() : Value(mean.Mean());
  }

  /// Test numbers are multiples of 2^-10 below 2^40, so these sums of __float128 and __int128 are exact.
  static Value Numeric(const Aggregate& aggregate, const std::vector<Value>& values) {
    std::string f = aggregate.function;
    if (const size_t at = f.find("_distinct"); at != std::string::npos) f.resize(at);
    const auto count = static_cast<double>(values.size());
    if (aggregate.arguments[0].type == Type::kInt64) {
      __extension__ __int128 sum = 0;
      for (const Value& value : values) sum += std::get<int64_t>(value);
      if (f == "avg") return static_cast<double>(sum) / count;
      return sum > std::numeric_limits<int64_t>::max() || sum < std::numeric_limits<int64_t>::min()
                 ? Value()
                 : Value(static_cast<int64_t>(sum));
    }
    std::vector<double> numbers;
    for (const Value& value : values) numbers.push_back(std::get<double>(Plain(value)));
    if (f == "median" || f == "quantile_cont") {
      const double fraction = f == "median" ? 0.5 : std::get<double>(aggregate.arguments[1].constant);
      if (numbers.size() > static_cast<size_t>(aggregate.max_events.value_or(4096))) {
        for (double& number : numbers) number = MiddleOfBucket(number);
      }
      const double position = (count - 1) * fraction;
      const double low = numbers[static_cast<size_t>(position)];
      const double high = numbers[static_cast<size_t>(std::ceil(position))];
      const double part = position - std::floor(position);
      return part == 0 || low == high ? low : low * (1 - part) + high * part;
    }
    if (f == "skewness") {
      ExactThirdMoments moments;
      for (const double number : numbers) moments.Add(number);
      return NullIfNotFinite(moments.Skewness());
    }
    __extension__ typedef __float128 Quad;
    Quad sum = 0;
    Quad squares = 0;
    for (const double number : numbers) {
      sum += number;
      squares += Quad{number} * number;
    }
    if (f == "sum") return static_cast<double>(sum);
    if (f == "avg") return static_cast<double>(sum) / count;
    const double ddof = f.ends_with("samp") ? 1 : 0;
    if (count <= ddof || !std::isfinite(static_cast<double>(sum))) return {};
    const double variance = static_cast<double>(squares * count - sum * sum) / (count * (count - ddof));
    return f.starts_with("std") ? std::sqrt(variance) : variance;
  }

  const Program& program_;
  std::vector<FeatureEvent> events_;
};

constexpr int64_t kSecond = kMicrosPerSecond;

Aggregate RandomAggregate(std::mt19937_64& random) {
  const std::vector<std::pair<std::string, std::vector<int>>> choices = {{"count_rows", {}},
                                                                         {"count", {0}},
                                                                         {"count_distinct", {0}},
                                                                         {"count_distinct", {2}},
                                                                         {"sum", {0}},
                                                                         {"sum", {1}},
                                                                         {"avg", {0}},
                                                                         {"avg", {1}},
                                                                         {"min", {0}},
                                                                         {"max", {2}},
                                                                         {"max", {0}},
                                                                         {"min", {1}},
                                                                         {"first", {2}},
                                                                         {"last", {0}},
                                                                         {"lag", {0}},
                                                                         {"arg_min", {2, 0}},
                                                                         {"arg_max", {0, 1}},
                                                                         {"var_samp", {0}},
                                                                         {"var_pop", {0}},
                                                                         {"stddev_pop", {0}},
                                                                         {"stddev_samp", {0}},
                                                                         {"bool_and", {3}},
                                                                         {"bool_or", {3}},
                                                                         {"median", {0}},
                                                                         {"quantile_cont", {0}},
                                                                         {"skewness", {0}},
                                                                         {"sum_distinct", {0}},
                                                                         {"sum_distinct", {1}},
                                                                         {"avg_distinct", {1}},
                                                                         {"var_samp_distinct", {0}},
                                                                         {"skewness_distinct", {0}},
                                                                         {"approx_count_distinct", {0}},
                                                                         {"approx_count_distinct", {2}},
                                                                         {"mode", {0}},
                                                                         {"mode", {2}},
                                                                         {"mode", {3}},
                                                                         {"top_k", {1}},
                                                                         {"top_k", {2}},
                                                                         {"list", {0}},
                                                                         {"list", {2}},
                                                                         {"corr", {0, 0}},
                                                                         {"covar_samp", {0, 0}},
                                                                         {"covar_pop", {0, 0}},
                                                                         {"regr_slope", {0, 0}},
                                                                         {"slope", {0}},
                                                                         {"ewm_mean", {0}}};
  constexpr Type kTypes[] = {Type::kDouble, Type::kInt64, Type::kText, Type::kBool};
  const auto& [function, columns] = choices[random() % choices.size()];
  Aggregate aggregate;
  aggregate.function = function;
  std::vector<Type> types;
  for (const int column : columns) {
    types.push_back(kTypes[column]);
    aggregate.arguments.push_back(Col(column, kTypes[column]));
  }
  aggregate.type = function.starts_with("count") || function == "approx_count_distinct" ? Type::kInt64
                   : function.starts_with("avg") || types[0] == Type::kDouble           ? Type::kDouble
                                                                                        : types[0];
  if (function == "arg_min") aggregate.type = Type::kText;
  if (function == "list" || function == "top_k") {
    aggregate.type = ListType(types[0]);
    aggregate.arguments.push_back(Const(int64_t(1 + random() % 5), Type::kInt64));
  }
  if (HasSketch(function) && random() % 2 == 0) aggregate.max_events = 1 + static_cast<int64_t>(random() % 30);
  if (function == "lag") aggregate.arguments.push_back(Const(int64_t(random() % 4), Type::kInt64));
  if (function == "quantile_cont") aggregate.arguments.push_back(Const(double(random() % 11) / 10, Type::kDouble));
  if (function == "ewm_mean") aggregate.arguments.push_back(Const(int64_t(1 + random() % 3'000'000), Type::kInt64));
  if (random() % 3 == 0) aggregate.filter = Col(3, Type::kBool);
  if (random() % 4 != 0) aggregate.window = Duration{int64_t(1 + random() % 40) * kSecond};
  if (random() % 4 == 0) aggregate.delay = Duration{int64_t(random() % 10) * kSecond};
  if (aggregate.window && random() % 4 == 0) {
    aggregate.hop = Duration{int64_t(1 + random() % 15) * kSecond};
  } else if (random() % 4 == 0) {
    aggregate.session = Duration{int64_t(1 + random() % 4) * kSecond};
  }
  return aggregate;
}

Program RandomProgram(std::mt19937_64& random) {
  Program program;
  program.view = "v";
  program.columns = {{"number", Type::kDouble}, {"integer", Type::kInt64}, {"text", Type::kText}, {"flag", Type::kBool}};
  const int count = 1 + static_cast<int>(random() % 6);
  for (int i = 0; i < count; ++i) {
    program.aggregates.push_back(RandomAggregate(random));
    program.outputs.push_back({"o" + std::to_string(i), Col(i, program.aggregates.back().type), {}});
  }
  if (random() % 3 == 0) program.ttl = Duration{int64_t(random() % 50) * kSecond};
  if (random() % 3 == 0) program.lateness = Duration{int64_t(random() % 20) * kSecond};
  return program;
}

std::vector<FeatureEvent> RandomEvents(std::mt19937_64& random, uint64_t count_max = 120) {
  std::vector<FeatureEvent> events;
  const int count = static_cast<int>(random() % count_max);
  const bool in_order = random() % 3 == 0;
  for (int i = 0; i < count; ++i) {
    FeatureEvent event;
    event.event_time = {int64_t(in_order ? i : random() % 120) * kSecond};  // many peers
    event.known_at = {event.event_time.micros + (random() % 3 == 0 ? int64_t(random() % 30) - 5 : 0) * kSecond};
    event.seq = i + 1;
    double number = std::ldexp(static_cast<double>(static_cast<int64_t>(random() % (1ULL << 40))) - 0x1p39, -10);
    if (random() % 20 == 0) number = random() % 2 == 0 ? 0.0 : -0.0;
    if (random() % 60 == 0) number = std::numeric_limits<double>::quiet_NaN();
    if (random() % 60 == 0) number = std::numeric_limits<double>::infinity();
    event.values = {number, static_cast<int64_t>(random() % 7) - 3,
                    std::string(1 + random() % 3, static_cast<char>('a' + random() % 4)), random() % 2 == 0};
    for (Value& value : event.values) {
      if (random() % 8 == 0) value = {};
    }
    events.push_back(std::move(event));
  }
  return events;
}

size_t TooLate(const Program& program, const std::vector<FeatureEvent>& events) {
  return static_cast<size_t>(std::count_if(events.begin(), events.end(), [&](const FeatureEvent& event) {
    return program.lateness && event.known_at > event.event_time + *program.lateness;
  }));
}

void ExpectAnswers(const Program& program, const std::vector<Value>& actual, const std::vector<Value>& expected, int64_t time) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_TRUE(SameBits(actual[i], expected[i])) << AggregateToJson(program.aggregates[i]) << " at " << time / kSecond << ": "
                                                  << FormatValue(actual[i]) << " instead of " << FormatValue(expected[i]);
  }
}

TEST(EntityState, AnswersDependOnlyOnTheSetOfRows) {
  std::mt19937_64 random(20130501);
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(round);
    const Program program = RandomProgram(random);
    std::vector<FeatureEvent> events = RandomEvents(random);
    if (random() % 2 == 0) std::shuffle(events.begin(), events.end(), random);
    auto state = EntityState::Make(program);
    ASSERT_NE(state, nullptr);
    std::vector<FeatureEvent> present;
    int64_t time = 0;
    const bool ascending = random() % 2 == 0;
    for (size_t at = 0; at <= events.size(); ++at) {
      if (at < events.size()) {
        ASSERT_TRUE(state->Update(events[at]).ok());
        present.push_back(events[at]);
        if (random() % 10 == 0) {
          ASSERT_TRUE(state->Update(events[random() % (at + 1)]).ok());  // delivered twice
        }
      }
      if (random() % 16 == 0) {
        const std::string saved = state->Save();
        state = EntityState::Make(program);
        ASSERT_TRUE(state->Load(saved).ok());
      }
      if (random() % 16 == 0) {
        auto other = EntityState::Make(program);
        for (const FeatureEvent& event : present) {
          if (random() % 2 == 0) {
            ASSERT_TRUE(other->Update(event).ok());
          }
        }
        ASSERT_TRUE(other->Merge(*state).ok());
        state = std::move(other);
      }
      if (random() % 3 != 0) continue;
      for (int query = 0; query < 3; ++query) {
        time = ascending ? time + int64_t(random() % 6) * kSecond : int64_t(random() % 150) * kSecond;
        ExpectAnswers(program, state->Query({time}), Oracle(program, present).Query({time}), time);
        if (HasFatalFailure()) return;
      }
    }
    ASSERT_EQ(state->rows(), present.size() - TooLate(program, present));
  }
}

/// The kernel of batch and the states of online take the same rows also where adding or taking away a delay leaves the range of times.
TEST(EntityKernel, TheLatestTimeIsAfterEveryDelay) {
  constexpr int64_t kLatest = std::numeric_limits<int64_t>::max();
  constexpr int64_t kEarliest = std::numeric_limits<int64_t>::min();
  Program program;
  program.columns = {{"x", Type::kInt64}};
  for (const int64_t delay : {int64_t{0}, 5 * kSecond}) {
    for (const auto& [window, session] :
         {std::pair<std::optional<Duration>, std::optional<Duration>>{{}, {}}, {Duration{60 * kSecond}, {}}, {{}, Duration{2 * kSecond}}}) {
      for (const char* function : {"sum", "last"}) {
        Aggregate aggregate;
        aggregate.function = function;
        aggregate.arguments = {testing::Col(0, Type::kInt64)};
        aggregate.type = Type::kInt64;
        aggregate.delay = Duration{delay};
        aggregate.window = window;
        aggregate.session = session;
        program.outputs.push_back({"o", testing::Col(static_cast<int>(program.aggregates.size()), Type::kInt64), {}});
        program.aggregates.push_back(aggregate);
      }
    }
  }
  const std::vector<int64_t> events = {kEarliest + 1, kEarliest + kSecond, 0, kLatest - 60 * kSecond, kLatest - 6 * kSecond,
                                       kLatest - 5 * kSecond, kLatest - kSecond, kLatest - 1, kLatest};
  const auto compiled = CompiledProgram::Make(program);
  ASSERT_TRUE(compiled.ok());
  const auto state = EntityState::Make(program);
  EntityKernel sliding(*compiled);
  EntityKernel jumping(*compiled);
  int64_t sequence = 0;
  for (const int64_t event : events) {
    ++sequence;
    ASSERT_TRUE(state->Update({{event}, {event}, sequence, {sequence * 1000}}).ok());
    for (EntityKernel* kernel : {&sliding, &jumping}) kernel->Add(event, event, sequence, std::vector<Datum>{Datum::Integer(sequence * 1000)});
  }
  std::vector<Datum> outputs(program.outputs.size());
  for (const int64_t time : {kEarliest + 1, kEarliest + 3 * kSecond, kEarliest + 7 * kSecond, int64_t{0}, kLatest - 10 * kSecond, kLatest - 6 * kSecond,
                             kLatest - 1, kLatest}) {
    const std::vector<Value> online = state->Query({time});
    for (EntityKernel* kernel : {&sliding, &jumping}) {
      if (kernel == &jumping) kernel->Query(0, outputs);
      kernel->Query(time, outputs);
      for (size_t i = 0; i < outputs.size(); ++i)
        EXPECT_EQ(ToValue(outputs[i], Type::kInt64), online[i]) << "output " << i << " at " << time << (kernel == &jumping ? ", jumping" : "");
    }
  }
  EXPECT_EQ(state->Query({kLatest})[6], Value(int64_t{45'000})) << "every row is in, five seconds late or not";
  EXPECT_EQ(state->Query({kLatest - 1})[6], Value(int64_t{15'000}));
}

TEST(EntityKernel, SlidesToWhatTheOracleSays) {
  std::mt19937_64 random(20130502);
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(round);
    const Program program = RandomProgram(random);
    std::vector<FeatureEvent> events = RandomEvents(random);
    if (random() % 2 == 0) std::shuffle(events.begin(), events.end(), random);
    const auto compiled = CompiledProgram::Make(program);
    ASSERT_TRUE(compiled.ok());
    EntityKernel kernel(*compiled);
    std::vector<Datum> columns(program.columns.size());
    std::vector<Datum> slots((*compiled)->slot_types().size());
    TextPool texts;
    for (const FeatureEvent& event : events) {
      for (size_t i = 0; i < columns.size(); ++i) columns[i] = ToDatum(event.values[i], program.columns[i].type);
      texts.Reset();
      (*compiled)->FillSlots(columns, texts, slots);
      kernel.Add(event.event_time.micros, event.known_at.micros, event.seq, slots);
    }
    EXPECT_EQ(kernel.late_rows(), TooLate(program, events));
    const Oracle oracle(program, events);
    std::vector<Datum> outputs(program.outputs.size());
    int64_t time = 0;
    for (int query = 0; query < 60; ++query) {
      time = random() % 20 == 0 ? int64_t(random() % 150) * kSecond : time + int64_t(random() % 6) * kSecond;
      kernel.Query(time, outputs);
      std::vector<Value> actual;
      for (size_t i = 0; i < outputs.size(); ++i) actual.push_back(ToValue(outputs[i], (*compiled)->output_type(i)));
      ExpectAnswers(program, actual, oracle.Query({time}), time);
      if (HasFatalFailure()) return;
    }
    std::vector<int64_t> times(random() % 40);
    for (int64_t& asked : times) asked = int64_t(random() % 150) * kSecond;
    std::sort(times.begin(), times.end());
    ResultBuffer many((*compiled)->output_types());
    many.Resize(times.size());
    kernel.QueryMany(times, many.columns());
    for (size_t at = 0; at < times.size(); ++at) {
      std::vector<Value> actual;
      for (size_t i = 0; i < program.outputs.size(); ++i)
        actual.push_back(ToValue(many.columns()[i].Get(at, (*compiled)->output_type(i)), (*compiled)->output_type(i)));
      ExpectAnswers(program, actual, oracle.Query({times[at]}), times[at]);
      if (HasFatalFailure()) return;
    }
  }
}

/// Where records lie, as an online store keeps them.
class RecordStore {
 public:
  void Write(StateChanges changes) {
    for (StateRecord& record : changes.written) records_[record.id] = std::move(record.bytes);
    for (const uint64_t id : changes.removed) EXPECT_EQ(records_.erase(id), 1U);
  }
  std::unique_ptr<EntityState> Open(const Program& program) {
    auto state = EntityState::Make(program);
    const Status opened = state->Open(records_[0], [this](uint64_t id) -> Result<std::string> {
      const auto record = records_.find(id);
      if (record == records_.end()) return InternalError("no such record");
      return record->second;
    });
    EXPECT_TRUE(opened.ok());
    return state;
  }
  size_t size() const { return records_.size(); }

 private:
  std::map<uint64_t, std::string> records_;
};

TEST(EntityState, LargeStatesAreKeptInRecords) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 12; ++round) {
    SCOPED_TRACE(round);
    Program program = RandomProgram(random);
    std::vector<FeatureEvent> events = RandomEvents(random, 6000);
    for (FeatureEvent& event : events) {  // a longer time than the other tests', in order for some rounds
      const int64_t late = event.known_at.micros - event.event_time.micros;
      event.event_time = {int64_t(round % 2 == 0 ? event.seq : random() % 3000) * kSecond};
      event.known_at = {event.event_time.micros + late};
    }
    RecordStore store;
    auto state = EntityState::Make(program);
    std::vector<FeatureEvent> present;
    for (size_t at = 0; at < events.size(); ++at) {
      ASSERT_TRUE(state->Update(events[at]).ok());
      present.push_back(events[at]);
      if (random() % 200 != 0 && at + 1 < events.size()) continue;
      if (random() % 2 == 0 || at + 1 == events.size()) {
        store.Write(state->TakeChanges());
        EXPECT_FALSE(state->changed());
        EXPECT_TRUE(state->TakeChanges().written.empty());
        if (random() % 2 == 0) state = store.Open(program);
        if (random() % 2 == 0) state->Release();
      }
      const int64_t time = int64_t(random() % 6000) * kSecond;
      ExpectAnswers(program, state->Query({time}), Oracle(program, present).Query({time}), time);
      if (HasFatalFailure()) return;
    }
    store.Write(state->TakeChanges());
    const size_t records = store.size();
    state = store.Open(program);
    ASSERT_EQ(state->rows(), present.size() - TooLate(program, present));
    const int64_t cut = int64_t(random() % 6000) * kSecond;
    state->Expire({cut});
    store.Write(state->TakeChanges());
    EXPECT_LE(store.size(), records);
    state = store.Open(program);
    auto whole = EntityState::Make(program);
    ASSERT_TRUE(whole->Load(state->Save()).ok());
    EXPECT_EQ(whole->rows(), state->rows());
    for (int query = 0; query < 10; ++query) {
      const int64_t time = cut + int64_t(random() % 6000) * kSecond;
      const auto expected = Oracle(program, present).Query({time});
      ExpectAnswers(program, state->Query({time}), expected, time);
      ExpectAnswers(program, whole->Query({time}), expected, time);
      if (HasFatalFailure()) return;
    }
    if (program.Reach()) {
      state->Expire({int64_t{20'000} * kSecond});
      EXPECT_EQ(state->rows(), 0U);
      store.Write(state->TakeChanges());
      EXPECT_EQ(store.size(), 1U);  // the head
    }
  }
}

TEST(EntityState, ExpireForgetsOnlyWhatNoLaterQuerySees) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(round);
    const Program program = RandomProgram(random);
    auto state = EntityState::Make(program);
    auto expired = EntityState::Make(program);
    for (const FeatureEvent& event : RandomEvents(random)) {
      ASSERT_TRUE(state->Update(event).ok());
      ASSERT_TRUE(expired->Update(event).ok());
    }
    const int64_t cut = int64_t(random() % 150) * kSecond;
    expired->Expire({cut});
    for (int64_t time = cut; time < 200 * kSecond; time += 7 * kSecond) {
      const std::vector<Value> expected = state->Query({time});
      const std::vector<Value> actual = expired->Query({time});
      for (size_t i = 0; i < actual.size(); ++i) ASSERT_TRUE(SameBits(actual[i], expected[i]));
      EXPECT_EQ(state->VisibleRows({time}), expired->VisibleRows({time}));
    }
    if (program.Reach()) {
      expired->Expire({int64_t{1000} * kSecond});
      EXPECT_EQ(expired->rows(), 0U);
    }
  }
}

Program OneAggregate(std::string function, std::vector<Expression> arguments, std::optional<Duration> window = {}) {
  Aggregate aggregate;
  aggregate.function = std::move(function);
  aggregate.arguments = std::move(arguments);
  aggregate.type = aggregate.arguments.empty() ? Type::kInt64 : aggregate.arguments[0].type;
  aggregate.window = window;
  Program program;
  program.columns = {{"number", Type::kDouble}};
  program.outputs = {{"o", Col(0, aggregate.type), {}}};
  program.aggregates = {std::move(aggregate)};
  return program;
}

TEST(EntityState, WindowExcludesItsBeginningAndIncludesPeersAtItsEnd) {
  const auto state = EntityState::Make(OneAggregate("count_rows", {}, Duration{10 * kSecond}));
  for (const int64_t second : {0, 10, 20, 20}) {
    ASSERT_TRUE(
        state->Update({{second * kSecond}, {second * kSecond}, second + static_cast<int64_t>(state->rows()), {1.0}}).ok());
  }
  EXPECT_EQ(state->Query({10 * kSecond})[0], Value(int64_t{1}));
  EXPECT_EQ(state->Query({20 * kSecond})[0], Value(int64_t{2}));
  EXPECT_EQ(state->Query({29 * kSecond})[0], Value(int64_t{2}));
  EXPECT_EQ(state->Query({30 * kSecond})[0], Value(int64_t{0}));
}

TEST(EntityState, TtlIncludesBothEnds) {
  Program program = OneAggregate("last", {Col(0, Type::kDouble)});
  program.ttl = Duration{10 * kSecond};
  program.outputs[0].default_value = -1.0;
  const auto state = EntityState::Make(program);
  ASSERT_TRUE(state->Update({{100 * kSecond}, {100 * kSecond}, 1, {7.0}}).ok());
  EXPECT_EQ(state->Query({100 * kSecond - 1})[0], Value(-1.0));
  EXPECT_EQ(state->Query({100 * kSecond})[0], Value(7.0));
  EXPECT_EQ(state->Query({110 * kSecond})[0], Value(7.0));
  EXPECT_EQ(state->Query({110 * kSecond + 1})[0], Value(-1.0));
}

std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return bytes;
}

/// Bytes that each version of the program has written once: they are read for ever.
TEST(EntityState, SavedByEveryVersion) {
  Program program;
  program.columns = {{"number", Type::kDouble}, {"integer", Type::kInt64}, {"text", Type::kText}, {"flag", Type::kBool}};
  for (int i = 0; i < 4; ++i) {
    Aggregate aggregate;
    aggregate.function = "last";
    aggregate.type = program.columns[static_cast<size_t>(i)].type;
    aggregate.arguments = {Col(i, aggregate.type)};
    program.outputs.push_back({"o" + std::to_string(i), Col(i, aggregate.type), {}});
    program.aggregates.push_back(std::move(aggregate));
  }
  for (
      const std::string_view hex : {
          "544d53310402010300038080a0faa0ccd705000e01000000000000f43f0105010261620102809c9c3980dac40904019a9999999999b9bf00010001"
          "00000006000180c8afa0250000",
          "544d533204020103007ea6173634d7978b010101038080a0faa0ccd705808ece1c0e0a0080dac409808ece1c003c038080a0faa0ccd7058100808e"
          "ce1c01810080ade204020e01040202030281138701010205810583e497d01202020302026162000100020203010001554cd097",
      }) {
    const auto state = EntityState::Make(program);
    const Status loaded = state->Load(FromHex(hex));
    ASSERT_TRUE(loaded.ok()) << loaded.error().Format();
    EXPECT_EQ(state->rows(), 3U);
    EXPECT_EQ(state->oldest(), Timestamp{1'600'000'000'000'000});
    EXPECT_EQ(state->Query({1'600'000'000'000'000}), (std::vector<Value>{1.25, int64_t{-3}, std::string("ab"), true}));
    EXPECT_EQ(state->Query({1'600'000'060'000'000}), (std::vector<Value>{Value(), int64_t{5000000000}, Value(), Value()}));
    EXPECT_EQ(state->VisibleRows({1'600'000'070'000'000}), (std::vector<int64_t>{12}));
  }
}

TEST(EntityState, DamagedBytesAreRefused) {
  const Program program = OneAggregate("last", {Col(0, Type::kDouble)});
  const auto state = EntityState::Make(program);
  for (int64_t i = 0; i < 20; ++i) ASSERT_TRUE(state->Update({{i * kSecond}, {i * kSecond}, i, {double(i)}}).ok());
  const std::string saved = state->Save();
  for (size_t bytes = 0; bytes < saved.size(); ++bytes) {
    EXPECT_FALSE(EntityState::Make(program)->Load(std::string_view(saved).substr(0, bytes)).ok()) << bytes;
  }
  EXPECT_FALSE(EntityState::Make(program)->Load(saved + "x").ok());
  std::mt19937_64 random(3);
  for (int i = 0; i < 2000; ++i) {
    std::string damaged = saved;
    damaged[random() % damaged.size()] ^= static_cast<char>(1U << (random() % 8));
    (void)EntityState::Make(program)->Load(damaged);  // must not crash, hang or read out of bounds
  }
}

TEST(Program, JsonRoundTrip) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 200; ++round) {
    Program program = RandomProgram(random);
    program.outputs.push_back(
        {"share",
         Call("/", Type::kDouble, {Const(std::numeric_limits<double>::infinity(), Type::kDouble), Const(0.1, Type::kDouble)}),
         Value(0.5)});
    const Json json = program.ToJson();
    const auto read = Program::FromJson(Json::parse(json.dump()));
    ASSERT_TRUE(read.ok()) << read.error().Format();
    EXPECT_EQ(read->ToJson(), json);
  }
}

TEST(Program, BadJsonIsRefused) {
  std::mt19937_64 random(13);
  const Json good = RandomProgram(random).ToJson();
  Json bad = good;
  bad["aggregates"][0]["function"] = "average";
  EXPECT_EQ(Program::FromJson(bad).error().code, "unknown_aggregate");
  bad = good;
  bad["outputs"][0]["expression"]["column"] = 99;
  EXPECT_EQ(Program::FromJson(bad).error().code, "bad_program");
  Json deep = {{"type", "number"}, {"constant", 1.0}};
  for (int i = 0; i < 200; ++i) deep = Json{{"type", "number"}, {"call", "-"}, {"arguments", Json::array({deep})}};
  bad = good;
  bad["outputs"][0]["expression"] = deep;
  EXPECT_EQ(Program::FromJson(bad).error().code, "bad_program");
  for (const auto& [key, value] : good.items()) {
    if (key == "lookback_us" || key == "ttl_us") continue;
    bad = good;
    bad.erase(key);
    EXPECT_FALSE(Program::FromJson(bad).ok()) << key;
    bad[key] = "text";
    if (key != "view") {
      EXPECT_FALSE(Program::FromJson(bad).ok()) << key;
    }
  }
}

}  // namespace
}  // namespace tidemill
