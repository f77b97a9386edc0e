#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "feature/program/aggregates.h"
#include "feature/program/functions.h"
#include "feature/program/program.h"

namespace tidemill {

/// Which rows an aggregate sees at t: event time in (t - reach, t - delay] (in microseconds) and known at t.
struct WindowPlan {
  static constexpr int64_t kForever = std::numeric_limits<int64_t>::max();
  int64_t delay = 0;
  int64_t reach = kForever;
  std::vector<size_t> aggregates;  ///< those with this window
  bool operator==(const WindowPlan&) const = default;
};

/// A program made ready to run: expressions resolved, equal ones computed once, aggregates grouped by window.
/// Immutable, shared by the kernels of all entities, thread-safe.
class CompiledProgram {
 public:
  /// Checks the whole program. Codes: "bad_program", and those of the functions and aggregates.
  static Result<std::shared_ptr<const CompiledProgram>> Make(const Program& program);

  const std::vector<Type>& column_types() const { return column_types_; }
  const std::vector<Type>& slot_types() const { return slot_types_; }
  const std::vector<AggregatePlan>& aggregates() const { return aggregates_; }
  const std::vector<WindowPlan>& windows() const { return windows_; }
  size_t outputs() const { return outputs_.size(); }
  Type output_type(size_t output) const { return outputs_[output].node.type; }

  /// The largest reach of a window: rows at or before t - reach are never seen again at t or later.
  int64_t Reach() const;

  /// Evaluates what the aggregates read of one row.
  void FillSlots(std::span<const Datum> columns, TextPool& texts, std::span<Datum> slots) const;
  /// The features from the results of the aggregates. NaN (0 / 0 over an empty window) is missing like null; defaults are
  /// applied.
  void FillOutputs(std::span<const Datum> aggregates, TextPool& texts, std::span<Datum> outputs) const;

 private:
  struct OutputPlan {
    Node node;
    Value default_value;
  };

  Status AddAggregate(const Program& program, const Aggregate& aggregate);
  Result<int> SlotFor(const Expression& expression);

  std::vector<Type> column_types_;
  std::vector<std::string> slot_keys_;
  std::vector<Node> slots_;
  std::vector<Type> slot_types_;
  std::vector<AggregatePlan> aggregates_;
  std::vector<WindowPlan> windows_;
  std::vector<OutputPlan> outputs_;
};

}  // namespace tidemill
