#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "feature/program/aggregates.h"
#include "feature/program/entity_state.h"
#include "feature/program/testing.h"

/// Random programs, rows and questions: what the property test (property_test.cc) is about. For tests only.
namespace tidemill::testing {

/// A row of a view's table. Null keys and times belong to nobody.
struct CaseRow {
  std::vector<Value> key;
  Value event_time;
  Value known_at;
  int64_t seq = 0;
  std::vector<Value> values;
};

struct CaseQuery {
  std::vector<Value> key;
  Value time;
};

/// A program, the rows of its table, and what is asked. `seed` decides everything, also in which order the rows arrive.
struct RandomCase {
  uint64_t seed = 0;
  Program program;
  std::vector<CaseRow> rows;
  std::vector<CaseQuery> queries;
};

/// Makes a case from its seed. Most are small, so that many can be tried; some are large enough for trees of several levels.
class CaseMaker {
 public:
  explicit CaseMaker(uint64_t seed) : seed_(seed), random_(seed) {}

  RandomCase Make() {
    RandomCase made;
    made.seed = seed_;
    ChooseScale();
    made.program = MakeProgram();
    const std::vector<std::vector<Value>> entities = Entities(made.program.keys);
    const uint64_t rows = OneIn(250) ? 1500 + Below(1500) : OneIn(8) ? Below(300) : Below(50);
    for (uint64_t row = 0; row < rows; ++row) AddRow(made.program, Pick(entities), made.rows);
    const uint64_t queries = 4 + Below(8);
    for (uint64_t query = 0; query < queries; ++query)
      made.queries.push_back({Pick(entities), OneIn(30) ? Value() : Value(Timestamp{std::min(AnyTime(), INT64_MAX - 1)})});
    return made;
  }

 private:
  uint64_t Below(uint64_t bound) { return random_() % bound; }
  bool OneIn(uint64_t times) { return Below(times) == 0; }
  template <typename T>
  const T& Pick(const std::vector<T>& choices) {
    return choices[Below(choices.size())];
  }

  // ---- times: a case has its own unit and span, so that rows meet the edges of windows, peers and gaps

  void ChooseScale() {
    unit_ = Pick<int64_t>({1, kMicrosPerSecond, kMicrosPerSecond, kMicrosPerSecond + 1, kMicrosPerDay});
    span_ = Pick<int64_t>({20, 120, 120, 2000});
    base_ = Pick<int64_t>({0, 1'367'366'400 * kMicrosPerSecond, -2'000'000'000 * kMicrosPerSecond});
    extremes_ = OneIn(6);
  }

  int64_t AnyTime() {
    if (extremes_ && OneIn(12)) return Pick(kExtremeTimes);
    return base_ + static_cast<int64_t>(Below(static_cast<uint64_t>(span_ + span_ / 4))) * unit_ + (OneIn(40) ? 1 : 0);
  }

  /// From one unit to about half of the span, as a rule.
  Duration AnyLength(int64_t least = 1) {
    if (OneIn(40)) return {36'500 * kMicrosPerDay};
    return {std::max(
        least, static_cast<int64_t>(Below(static_cast<uint64_t>(OneIn(2) ? 10 : span_ / 2)) + 1) * unit_ - (OneIn(20) ? 1 : 0))};
  }

  // ---- programs

  Program MakeProgram() {
    Program program;
    program.view = "v";
    const std::vector<Type> key_types = {Type::kInt64, Type::kInt64, Type::kText,  Type::kTimestamp,
                                         Type::kDate,  Type::kBool,  Type::kDouble};
    for (uint64_t i = 0, keys = OneIn(3) ? 2 + Below(2) : 1; i < keys; ++i)
      program.keys.push_back({"k" + std::to_string(i), Pick(key_types)});
    program.columns = {{"number", Type::kDouble}, {"other", Type::kDouble},      {"integer", Type::kInt64},
                       {"text", Type::kText},     {"flag", Type::kBool},         {"moment", Type::kTimestamp},
                       {"day", Type::kDate},      {"numbers", Type::kDoubleList}};
    windows_.clear();
    for (uint64_t i = 0, windows = 1 + Below(3); i < windows; ++i) windows_.push_back(AnyLength());
    const uint64_t aggregates = 1 + Below(6);
    while (program.aggregates.size() < aggregates) AddAggregate(program);
    for (size_t i = 0; i < program.aggregates.size(); ++i)
      AddOutput(program, Col(static_cast<int>(i), program.aggregates[i].type));
    for (uint64_t i = 0, derived = Below(3); i < derived; ++i) AddOutput(program, Derived(program));
    if (OneIn(4)) program.ttl = OneIn(10) ? Duration{0} : AnyLength();
    if (OneIn(4)) program.lateness = OneIn(10) ? Duration{0} : AnyLength();
    return program;
  }

  void AddAggregate(Program& program) {
    static const std::vector<std::string> functions = AggregateNames();
    Aggregate aggregate;
    aggregate.function = Pick(functions);
    std::vector<Type> types;
    for (size_t i = 0; i < RowArgumentsOf(aggregate.function); ++i) {
      aggregate.arguments.push_back(Argument(program));
      types.push_back(aggregate.arguments.back().type);
    }
    const auto signature = ResolveAggregate(aggregate.function, types);
    if (!signature.ok()) return;  // it takes other types: another one
    aggregate.type = signature->result;
    if (const AggregateParameter* parameter = ParameterOf(aggregate.function))
      aggregate.arguments.push_back(Constant(*parameter));
    if (HasSketch(aggregate.function) && OneIn(2)) aggregate.max_events = 1 + static_cast<int64_t>(Below(20));
    if (OneIn(3)) aggregate.filter = Condition();
    if (!OneIn(4)) aggregate.window = Pick(windows_);
    if (OneIn(5)) aggregate.delay = AnyLength();
    if (aggregate.window && OneIn(4)) {
      aggregate.hop = AnyLength();
    } else if (OneIn(5)) {
      aggregate.session = AnyLength();
    }
    program.aggregates.push_back(aggregate);
    while (aggregate.window && OneIn(3)) {  // the same over other windows
      aggregate.window = AnyLength();
      program.aggregates.push_back(aggregate);
    }
  }

  Expression Constant(const AggregateParameter& parameter) {
    if (parameter.is_duration) return Const(AnyLength().micros, Type::kInt64);
    if (parameter.type == Type::kDouble) return Const(static_cast<double>(Below(11)) / 10, Type::kDouble);
    return Const(static_cast<int64_t>(parameter.least) + static_cast<int64_t>(Below(5)), Type::kInt64);
  }

  /// A column, or something of columns that may overflow, fail or be null.
  Expression Argument(const Program& program) {
    const Expression number = Col(0, Type::kDouble);
    const Expression integer = Col(2, Type::kInt64);
    const Expression text = Col(3, Type::kText);
    switch (Below(15)) {
      case 0:
        return Call("*", Type::kDouble, {number, Col(1, Type::kDouble)});
      case 1:
        return Call("*", Type::kInt64, {integer, integer});
      case 2:
        return Call("coalesce", Type::kDouble, {number, Const(-0.0, Type::kDouble)});
      case 3:
        return Call("upper", Type::kText, {text});
      case 4:
        return Call("//", Type::kInt64, {integer, Call("length", Type::kInt64, {text})});
      case 5:
        return number;
      case 6:
        return Call("decimal_key", Type::kText,
                    {Call("decimal", Type::kDecimal, {integer, Const(int64_t{38}, Type::kInt64), Const(int64_t{19}, Type::kInt64)})});
      default: {
        const size_t column = Below(program.columns.size());
        return Col(static_cast<int>(column), program.columns[column].type);
      }
    }
  }

  Expression Condition() {
    const Expression flag = Col(4, Type::kBool);
    const Expression number = Col(0, Type::kDouble);
    switch (Below(4)) {
      case 0:
        return Call(">", Type::kBool, {number, Const(0.0, Type::kDouble)});
      case 1:
        return Call("or", Type::kBool, {flag, Call("is_null", Type::kBool, {number})});
      default:
        return flag;
    }
  }

  /// An output over several aggregates, or over the time asked.
  Expression Derived(const Program& program) {
    std::vector<Expression> numbers;
    std::vector<Expression> moments;
    for (size_t i = 0; i < program.aggregates.size(); ++i) {
      const Type type = program.aggregates[i].type;
      if (type == Type::kDouble) numbers.push_back(Col(static_cast<int>(i), type));
      if (type == Type::kTimestamp) moments.push_back(Col(static_cast<int>(i), type));
    }
    if (!moments.empty()) return Call("micros_between", Type::kInt64, {Pick(moments), Call("now", Type::kTimestamp, {})});
    if (numbers.empty()) return Call("now", Type::kTimestamp, {});
    return Call(Pick<std::string>({"/", "-", "*"}), Type::kDouble, {Pick(numbers), Pick(numbers)});
  }

  void AddOutput(Program& program, Expression expression) {
    Output output;
    output.name = "o" + std::to_string(program.outputs.size());
    if (OneIn(4) && expression.type == Type::kDouble) output.default_value = -1.5;
    if (OneIn(4) && expression.type == Type::kText) output.default_value = std::string("none");
    output.expression = std::move(expression);
    program.outputs.push_back(std::move(output));
  }

  // ---- rows

  std::vector<std::vector<Value>> Entities(const std::vector<Field>& keys) {
    std::vector<std::vector<Value>> entities(1 + Below(5));
    for (std::vector<Value>& entity : entities) {
      for (const Field& key : keys) entity.push_back(OneIn(25) ? Value() : AnyValue(key.type));
    }
    return entities;
  }

  void AddRow(const Program& program, std::vector<Value> key, std::vector<CaseRow>& rows) {
    CaseRow row;
    row.key = std::move(key);
    row.seq = OneIn(3) ? -static_cast<int64_t>(rows.size()) : static_cast<int64_t>(rows.size()) * 3 + 1;
    const int64_t event_time = AnyTime();
    row.event_time = OneIn(60) ? Value() : Value(Timestamp{event_time});
    row.known_at = OneIn(60) ? Value() : Value(Timestamp{KnownAt(event_time)});
    for (const Field& column : program.columns) row.values.push_back(OneIn(8) ? Value() : AnyValue(column.type));
    rows.push_back(std::move(row));
  }

  int64_t KnownAt(int64_t event_time) {
    if (!OneIn(3) || std::find(kExtremeTimes.begin(), kExtremeTimes.end(), event_time) != kExtremeTimes.end()) return event_time;
    if (extremes_ && OneIn(12)) return Pick(kExtremeTimes);
    return event_time + (static_cast<int64_t>(Below(30)) - 5) * unit_;
  }

  Value AnyValue(Type type) {
    switch (type) {
      case Type::kBool:
        return OneIn(2);
      case Type::kInt64:
        return OneIn(20) ? Pick<int64_t>({INT64_MAX, INT64_MIN, INT64_MAX - 1}) : static_cast<int64_t>(Below(9)) - 4;
      case Type::kDouble:
        return AnyNumber();
      case Type::kText:
        return Pick<std::string>(
            {"", "a", "b", "B", "a longer text than fits into the string itself", "\u00e9\u00df", std::string("\0x", 2)});
      case Type::kTimestamp:
        return Timestamp{AnyTime()};
      case Type::kDate:
        return Date{static_cast<int32_t>(Below(50)) - 10};
      default: {
        std::vector<Value> elements(Below(4));
        for (Value& element : elements) element = OneIn(5) ? Value() : AnyValue(ElementType(type));
        return MakeList(ElementType(type), elements);
      }
    }
  }

  double AnyNumber() {
    switch (Below(24)) {
      case 0:
        return Pick<double>({0.0, -0.0});
      case 1:
        return Pick<double>({std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()});
      case 2:
        return OneIn(2) ? std::numeric_limits<double>::quiet_NaN() : 1.0;
      case 3:
        return Pick<double>({std::numeric_limits<double>::max(), -std::numeric_limits<double>::max(), 5e-324, 1e308, -1e-310});
      case 4:
      case 5:
      case 6:  // of any size
        return std::ldexp(static_cast<double>(static_cast<int64_t>(random_())), static_cast<int>(Below(1400)) - 700);
      case 7:
      case 8:
      case 9:
      case 10:
        return static_cast<double>(Below(5));
      default:  // money
        return static_cast<double>(static_cast<int64_t>(Below(2'000'000)) - 500'000) / 100;
    }
  }

  /// The earliest and the latest that a table can hold, and `infinity`, which rows may have and queries not.
  const std::vector<int64_t> kExtremeTimes = {-9'223'372'022'400'000'000, INT64_MAX - 1, INT64_MAX, -INT64_MAX, 0, -1};

  uint64_t seed_;
  std::mt19937_64 random_;
  int64_t unit_ = 1;
  int64_t span_ = 1;
  int64_t base_ = 0;
  bool extremes_ = false;
  std::vector<Duration> windows_;
};

}  // namespace tidemill::testing
