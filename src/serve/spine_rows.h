#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "feature/online/store.h"
#include "lake/lake.h"
#include "model/training_set.h"

namespace tidemill {

/// The spine's rows that online requests may be completed from. In the space "spine:<model>" a record tells
/// the types of the key and which of two spaces beside it is the live one; each materialization fills the
/// other and then moves over, so readers see one whole generation, and rows that have left the window go
/// away.

/// Stores the rows of the spine with `_known_at` <= now and prediction time > from: EncodeKey(spine key) -> a
/// JSON object of the request fields and "_at", the row's prediction time. Of rows with an equal key the one
/// with the latest prediction time stays. Nothing to do for a spine without a key. Returns nothing; the rows'
/// number is bounded by the window.
Status MaterializeSpine(OnlineStore& store, const FeaturePlan& plan, Session& session, const std::string& table_sql,
                        Timestamp from, Timestamp now);

/// How far before the project clock a spine row's prediction time may lie.
constexpr Duration kSpineLookback{7 * kMicrosPerDay};

/// A stored row.
struct SpineRow {
  Timestamp at;
  Json fields;
};

/// Reads stored rows of one model. The types of the key are read at construction.
class SpineRows {
 public:
  static Result<SpineRows> Open(OnlineStore& store, const FeaturePlan& plan);
  /// The row with the key that `request` (a JSON object) holds; nullopt when there is none. Code "bad_value"
  /// names a key field of the wrong type. The request must have all fields of the key.
  Result<std::optional<SpineRow>> Find(const Json& request) const;

 private:
  OnlineStore* store_ = nullptr;
  std::vector<Field> key_;
  std::string space_;  // "" : never materialized
};

}  // namespace tidemill
