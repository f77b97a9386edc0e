#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "feature/program/aggregates.h"
#include "feature/program/functions.h"
#include "feature/program/program.h"
#include "feature/program/result_column.h"

namespace tidemill {

/// Adds times in microseconds; what does not fit becomes the earliest or latest.
inline int64_t AddTimes(int64_t a, int64_t b) {
  int64_t result = 0;
  if (!__builtin_add_overflow(a, b, &result)) return result;
  return b > 0 ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int64_t>::min();
}

/// Which rows an aggregate sees at t: those with event time in (Start(t), End(t)] (in microseconds) and known at t; of a session
/// only the last ones, as long as no gap between them, or from the last of them to End(t), is longer than `session`.
struct WindowPlan {
  static constexpr int64_t kForever = std::numeric_limits<int64_t>::max();
  int64_t delay = 0;
  int64_t reach = kForever;        ///< without the hop: delay and length
  int64_t hop = 0;                 ///< 0: none
  int64_t session = 0;             ///< 0: none
  int64_t limit = kForever;        ///< the ttl, which no hop lengthens
  std::vector<size_t> aggregates;  ///< those with this window

  bool forever() const { return reach == kForever && limit == kForever; }
  /// Does not decrease as t increases.
  int64_t Start(int64_t t) const {
    constexpr int64_t kEarliest = std::numeric_limits<int64_t>::min();
    int64_t start = reach == kForever ? kEarliest : AddTimes(t, -reach);
    if (hop > 0 && start > kEarliest) start = AddTimes(start, -((start % hop + hop) % hop));
    return limit == kForever ? start : std::max(start, AddTimes(t, -limit));
  }
  int64_t End(int64_t t) const { return EndOf(t, delay); }
  /// At the latest time that there is (infinity) every delay is over, as for a row that comes after it by adding the delay.
  static int64_t EndOf(int64_t t, int64_t delay) { return t == kForever ? kForever : AddTimes(t, -delay); }
  bool SameRows(const WindowPlan& other) const {
    return delay == other.delay && reach == other.reach && hop == other.hop && session == other.session && limit == other.limit;
  }
};

/// A program made ready to run: expressions resolved, equal ones computed once, aggregates grouped by window.
/// Immutable, shared by the kernels of all entities, thread-safe.
class CompiledProgram {
 public:
  /// Checks the whole program. Codes: "bad_program", and those of the functions and aggregates.
  static Result<std::shared_ptr<const CompiledProgram>> Make(const Program& program);

  const std::vector<Type>& column_types() const { return column_types_; }
  const std::vector<Type>& slot_types() const { return slot_types_; }
  /// The column that a slot is a copy of; -1: it has to be computed (FillSlots).
  int slot_column(size_t slot) const { return slot_columns_[slot]; }
  const std::vector<AggregatePlan>& aggregates() const { return aggregates_; }
  const std::vector<WindowPlan>& windows() const { return windows_; }
  /// Of the aggregates' results.
  std::vector<Type> result_types() const {
    std::vector<Type> types;
    for (const AggregatePlan& plan : aggregates_) types.push_back(plan.result);
    return types;
  }
  /// Aggregates that differ in nothing but their window, or follow from one another, have the same partial results: one plan for
  /// each, and which one an aggregate has.
  const std::vector<AggregatePlan>& partials() const { return partials_; }
  size_t partial_of(size_t aggregate) const { return partial_of_[aggregate]; }
  /// Whether saved partials mean the same: of the kernel's version, the slots and the partials.
  uint64_t partials_fingerprint() const { return partials_fingerprint_; }
  size_t outputs() const { return outputs_.size(); }
  Type output_type(size_t output) const { return outputs_[output].node.type; }
  std::vector<Type> output_types() const {
    std::vector<Type> types;
    for (const OutputPlan& output : outputs_) types.push_back(output.node.type);
    return types;
  }
  /// Whether the outputs depend on the time asked beyond the rows that are seen then: now().
  bool uses_time() const { return uses_time_; }

  /// Rows at or before this event time are never seen again at t or later; the earliest time there is when some window has no
  /// start.
  int64_t Horizon(int64_t t) const;
  /// Up to which event time rows may be folded, once all rows that are known by t are there: none of these comes later, and every
  /// query at or after t sees all of them that are in one of its windows. nullopt when that gains nothing: without declared
  /// lateness, or without a window that has no start or a hop.
  std::optional<int64_t> FoldHorizon(int64_t t) const;
  /// Whether rows with event times a <= b, both up to FoldHorizon(t), are in the same windows of every query from t on.
  bool SameFold(int64_t a, int64_t b, int64_t t) const;
  /// How many folds rows with event times from a to b make, at most.
  uint64_t FoldsBetween(int64_t a, int64_t b, int64_t t) const;
  /// Whether a partial is of a window that begins before an event time at t or later.
  bool PartialReaches(size_t partial, int64_t event, int64_t t) const;
  bool limits_lateness() const { return lateness_.has_value(); }
  /// Whether the program's lateness rules out a row.
  bool TooLate(int64_t event, int64_t known) const { return lateness_ && known > AddTimes(event, *lateness_); }

  /// Evaluates what the aggregates read of one row. Returns how many values could not be computed (overflow, a bad cast): they are
  /// null.
  uint64_t FillSlots(std::span<const Datum> columns, TextPool& texts, std::span<Datum> slots) const;
  /// The features from the results of the aggregates and the time asked. NaN (0 / 0 over an empty window) is missing like null;
  /// defaults are applied.
  void FillOutputs(std::span<const Datum> aggregates, int64_t time, TextPool& texts, std::span<Datum> outputs) const;

  /// The same for many times, a column for each aggregate and output. Texts stay valid until `texts` is reset.
  void FillManyOutputs(std::span<const int64_t> times, std::span<const ResultColumn> aggregates, TextPool& texts,
                       std::span<const ResultColumn> outputs) const;

 private:
  struct OutputPlan {
    Node node;
    Value default_value;
    int aggregate = -1;  ///< the output is this aggregate's result as it is

    Datum Finish(Datum result) const;
    void FinishMany(const ResultColumn& results, size_t count, ResultColumn output) const;
  };

  Status AddAggregate(const Program& program, const Aggregate& aggregate);
  void AddPartial(const AggregatePlan& plan);
  Result<int> SlotFor(const Expression& expression);

  std::vector<Type> column_types_;
  std::vector<std::string> slot_keys_;
  std::vector<Node> slots_;
  std::vector<int> slot_columns_;
  std::vector<Type> slot_types_;
  std::vector<AggregatePlan> aggregates_;
  std::vector<WindowPlan> windows_;
  std::vector<AggregatePlan> partials_;
  std::vector<size_t> partial_of_;
  uint64_t partials_fingerprint_ = 0;
  std::vector<OutputPlan> outputs_;
  std::optional<int64_t> lateness_;
  bool uses_time_ = false;
};

}  // namespace tidemill
