#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "catalog/catalog.h"
#include "feature/online/store.h"
#include "lake/lake.h"
#include "model/predictor.h"
#include "model/training_set.h"

namespace tidemill {

/// A model that answers: what the champion alias points at.
struct LiveModel {
  std::string name;
  int64_t version = 0;
  FeaturePlan plan;
  std::unique_ptr<Predictor> predictor;
};
/// Loads the champion of a model from catalog and lake; code "no_champion" when there is none yet.
Result<std::shared_ptr<LiveModel>> LoadChampion(Catalog& catalog, Lake& lake, const std::string& model);

/// A prediction and how it came about.
struct Prediction {
  std::string id;       ///< leads back through `tidemill lineage`
  std::string model;
  int64_t version = 0;
  double score = 0;
  Timestamp at;         ///< the time that features were asked for
  Columns features;     ///< one row
};

/// Predicts for requests given as JSON objects of entity keys and request fields. A request that has the spine's key but lacks other
/// fields is completed from the spine's row in the online store. Errors name the field, what was expected and what came.
Result<std::vector<Prediction>> PredictOnline(LiveModel& model, OnlineStore& store, const Json& requests, std::optional<Timestamp> at, Timestamp now);

struct ServerOptions {
  std::string address = "127.0.0.1";
  int port = 8080;      ///< 0: chosen by the system
  std::filesystem::path endpoint_file;  ///< written when ready with {"address", "port", "pid"}; removed at the end
  Timestamp now;        ///< project clock; 0: the wall clock moves on
};

/// HTTP. Routes: GET /health, GET /v1/models, POST /v1/models/M/predict ({"instances": [{...}], "at": optional}), POST /v1/features/VIEW,
/// POST /v1/materialize (asked by `run` while the server owns the online store), GET /metrics. Errors are JSON {"error": {code, message, hint}} with 4xx.
/// Every prediction goes through a bounded queue to the lake table `tidemill.predictions`; when the queue is full it is counted, never waited for.
class Server {
 public:
  virtual ~Server() = default;
  virtual int port() const = 0;
  virtual Status Wait() = 0;   ///< until Stop() or a signal
  virtual void Stop() = 0;     ///< finishes requests under way and writes the log
};

}  // namespace tidemill
