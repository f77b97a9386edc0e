#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "feature/program/program.h"

namespace tidemill {

class CompiledProgram;

/// A row of the view's table, for one entity. `values` follow Program::columns.
struct FeatureEvent {
  Timestamp event_time;
  Timestamp known_at;
  int64_t seq = 0;
  std::vector<Value> values;
};

/// What the kernel remembers of one entity: Update with rows in any order, Query at any time within the look-back.
///
/// Query(t) sees the rows with known_at <= t and event time <= t, in windows over event time; equal event times are peers; `last`
/// and the like take the largest (event time, seq). Answers depend only on the set of rows, bit for bit: not on their order
/// of arrival, on restarts, or on queries in between. Query is cheapest when times do not decrease.
/// Not thread-safe.
class EntityState {
 public:
  /// nullptr when the program is not valid (CompileView and Program::FromJson give valid ones).
  static std::unique_ptr<EntityState> Make(const Program& program);
  /// The same for many entities: the program is made ready once, with CompiledProgram::Make.
  static std::unique_ptr<EntityState> Make(const Program& program, std::shared_ptr<const CompiledProgram> compiled);
  virtual ~EntityState() = default;
  /// A row that is there already, equal in its times, seq and what the program reads of it, is stored once.
  virtual Status Update(const FeatureEvent& event) = 0;
  virtual std::vector<Value> Query(Timestamp time) = 0;  ///< follows Program::outputs
  /// Adds all rows of another state of the same entity and program.
  virtual Status Merge(const EntityState& other) = 0;
  /// Forgets rows that no query at or after `time` can see.
  virtual void Expire(Timestamp time) = 0;
  virtual std::string Save() const = 0;  ///< versioned bytes
  virtual Status Load(std::string_view bytes) = 0;
  virtual size_t rows() const = 0;
  /// The sequence numbers of the rows that Query(time) would use: lineage.
  virtual std::vector<int64_t> VisibleRows(Timestamp time) const = 0;
};

}  // namespace tidemill
