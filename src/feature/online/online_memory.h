#pragma once

#include <cstdint>
#include <optional>

#include "base/json.h"
#include "feature/online/store.h"

namespace tidemill {

/// What the online states of a view take.
struct OnlineMemory {
  int64_t entities = 0;
  int64_t rows = 0;                 ///< also folded ones
  int64_t folded_rows = 0;          ///< of which only partial results are left
  int64_t bytes = 0;                ///< stored, of all entities
  int64_t bytes_largest = 0;        ///< of one entity
  std::optional<Timestamp> oldest;  ///< event time of the earliest row
  std::optional<Timestamp>
      forgotten_until;  ///< rows up to this event time are seen by no query any more; nullopt: all rows are seen
  std::optional<Timestamp> folded_until;  ///< rows up to this event time may be folded; nullopt: none
  int64_t cache_states = 0;               ///< decoded, of all views
  int64_t cache_bytes = 0;
  int64_t cache_limit = 0;

  Json ToJson() const;
  static OnlineMemory FromJson(const Json& json);
};

/// Reads all stored states of the view, after those that changed were written. Code "view_stale" when they were made by another
/// program.
Result<OnlineMemory> MeasureMemory(OnlineStore& store, const Program& program);

}  // namespace tidemill
