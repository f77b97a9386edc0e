#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "catalog/catalog.h"
#include "feature/online/store.h"
#include "lake/lake.h"
#include "model/predictor.h"
#include "model/training_set.h"

namespace tidemill {

/// Gives prediction ids "<model>-o<hex>" that never come again: the time in microseconds, moved on for each
/// id, and bits of chance that keep processes apart. Thread-safe.
class PredictionIds {
 public:
  PredictionIds();
  std::string Next(const std::string& model);

 private:
  std::atomic<int64_t> last_micros_{0};
  uint32_t chance_ = 0;
};

/// A model that answers: what the champion alias points at. Thread-safe for predictions.
struct LiveModel {
  std::string name;
  int64_t version = 0;
  FeaturePlan plan;
  std::unique_ptr<Predictor> predictor;
  PredictionIds ids;
};

/// Loads the champion of a model from catalog and lake; code "no_champion" when there is none yet.
Result<std::shared_ptr<LiveModel>> LoadChampion(Catalog& catalog, Lake& lake, const std::string& model);

/// A prediction and how it came about.
struct Prediction {
  std::string id;  ///< leads back through `tidemill lineage`
  std::string model;
  int64_t version = 0;
  double score = 0;
  Timestamp at;      ///< the time that features were asked for
  Json request;      ///< the fields it was made from, completed
  Columns features;  ///< one row: the model's inputs
};

/// Predicts for requests given as JSON objects of entity keys and request fields. A request that has the
/// spine's key but lacks other fields is completed from the spine's row in the online store
/// (serve/spine_rows.h). The time of each: its "at", else `at`, else the row's own prediction time where that
/// is not after `now`, else `now`. Errors name the field, what was expected and what came.
Result<std::vector<Prediction>> PredictOnline(LiveModel& model, OnlineStore& store, const Json& requests,
                                              std::optional<Timestamp> at, Timestamp now);

}  // namespace tidemill
