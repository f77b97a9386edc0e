#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "feature/program/datum.h"
#include "feature/program/program.h"

namespace tidemill {

class CompiledProgram;
class StateScratch;

/// A row of the view's table, for one entity. `values` follow Program::columns.
struct FeatureEvent {
  Timestamp event_time;
  Timestamp known_at;
  int64_t seq = 0;
  std::vector<Value> values;
};

/// A piece of a state that is stored under a number of its own. Number 0 is the head, which small states consist of.
struct StateRecord {
  uint64_t id = 0;
  std::string bytes;
};

/// What has to be written to storage, in one step, to have the state there as it is now.
struct StateChanges {
  std::vector<StateRecord> written;
  std::vector<uint64_t> removed;  ///< records that are not needed any more
};

/// What the kernel remembers of one entity: Update with rows in any order, Query at any time within the look-back.
///
/// Query(t) sees the rows with known_at <= t and event time <= t, in windows over event time; equal event times are peers; `last`
/// and the like take the largest (event time, seq). Answers depend only on the set of rows, bit for bit: not on their order
/// of arrival, on restarts, or on queries in between. Update and Query cost O(log rows), Update a little more for rows that come
/// out of order; aggregates without saved partial results (PartialAggregate::Saves) cost O(rows in their window). A state of n
/// rows is stored as records of up to about 1,000 rows, of which few change with an update. Not thread-safe.
class EntityState {
 public:
  /// Reads the record with this number.
  using Fetch = std::function<Result<std::string>(uint64_t id)>;

  /// nullptr when the program is not valid (CompileView and Program::FromJson give valid ones).
  static std::unique_ptr<EntityState> Make(const Program& program);
  /// The same for many entities: the program is made ready once, with CompiledProgram::Make.
  static std::unique_ptr<EntityState> Make(const Program& program, std::shared_ptr<const CompiledProgram> compiled);
  virtual ~EntityState() = default;

  /// A row that is there already, equal in its times, seq and what the program reads of it, is stored once. One that became known
  /// later than the program's lateness allows is left out.
  virtual Status Update(const FeatureEvent& event) = 0;
  /// The same for values that are not copied; they follow Program::columns.
  virtual Status Update(Timestamp event_time, Timestamp known_at, int64_t seq, std::span<const Datum> values) = 0;
  /// The features, following Program::outputs. All null when records can't be read: see Read.
  virtual std::vector<Value> Query(Timestamp time) = 0;
  /// The same without allocating: `scratch` is of the same program, and texts stay valid until it is used again. Errors: those of
  /// `fetch`, and "bad_state".
  virtual Status Read(Timestamp time, StateScratch& scratch, std::span<Datum> outputs) = 0;
  /// Adds all rows of another state of the same entity and program. Code "folded_state" when rows of it have been folded and this
  /// one has rows.
  virtual Status Merge(const EntityState& other) = 0;
  /// Forgets rows that no query at or after `time` can see.
  virtual void Expire(Timestamp time) = 0;
  /// To be called when all rows that are known by `time` have been added. Rows of which queries at or after `time` can tell no
  /// more than what their partial results say go, and these stay: in windows without a start, or with a hop. Only programs with a
  /// declared lateness, which says that no such rows come any more: those that come nevertheless are left out (rows_behind).
  /// Queries before `time` may fail with "too_long_ago".
  virtual void Fold(Timestamp time) = 0;

  /// The state in one piece of versioned bytes.
  virtual std::string Save() const = 0;
  /// Reads what Save, or an older version of it, gave. Code "bad_state": then the state is as it was before.
  virtual Status Load(std::string_view bytes) = 0;
  /// What changed since the last call, or since Make, Open or Load: for storage that holds each record by itself. Empty when
  /// nothing did; otherwise the head is in it.
  virtual StateChanges TakeChanges() = 0;
  /// Whether TakeChanges has anything to give.
  virtual bool changed() const = 0;
  /// Opens a state stored by TakeChanges: the head now, other records when they are needed. Older Save bytes are fine too.
  virtual Status Open(std::string_view head, Fetch fetch) = 0;
  /// Drops from memory what `fetch` can read again.
  virtual void Release() = 0;

  virtual size_t rows() const = 0;         ///< also those that were folded
  virtual size_t folded_rows() const = 0;  ///< of which only partial results are left
  /// Rows left out because rows of their time have been folded, since Make.
  virtual size_t rows_behind() const = 0;
  /// Memory in use, in bytes.
  virtual size_t memory_bytes() const = 0;
  /// The earliest event time there is.
  virtual std::optional<Timestamp> oldest() const = 0;
  /// Rows left out for their lateness, since Make.
  virtual size_t late_rows() const = 0;
  /// The sequence numbers of the rows that Query(time) would use, but for folded ones: lineage. Reads all rows.
  virtual std::vector<int64_t> VisibleRows(Timestamp time) const = 0;
};

}  // namespace tidemill
