#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "lake/lake.h"
#include "serve/live_model.h"

namespace tidemill {

/// A prediction as it goes into the lake.
struct LoggedPrediction {
  Prediction prediction;
  Timestamp requested_at;  ///< operations clock
};

/// Appends predictions to `lake.tidemill.predictions` (prediction_id, model, model_version, predicted_at, requested_at,
/// score, entities, features; the last two as JSON texts), in one commit. Makes the table when missing.
Status StorePredictions(Lake& lake, const std::vector<LoggedPrediction>& predictions);

struct PredictionLogOptions {
  size_t queue_max = 20'000;
  size_t batch_max = 5'000;
  int interval_ms = 1'000;  ///< between two batches
  int attempts_max = 5;     ///< to store a batch, before it is dropped and counted
};

/// A bounded queue with a thread that stores what comes, batch by batch. Offering never waits: when the queue
/// is full the prediction is dropped and counted. Thread-safe.
class PredictionLog {
 public:
  using Store = std::function<Status(const std::vector<LoggedPrediction>&)>;
  PredictionLog(Store store, std::function<void(const std::string&)> tell, const PredictionLogOptions& options);
  ~PredictionLog();
  PredictionLog(const PredictionLog&) = delete;
  PredictionLog& operator=(const PredictionLog&) = delete;

  bool Offer(LoggedPrediction prediction);
  /// Stores what waits and ends the thread. Later offers are dropped.
  void Stop();

  struct Counts {
    int64_t offered = 0, stored = 0, dropped = 0, waiting = 0;
  };
  Counts counts() const;

 private:
  void Work();
  void StoreBatch(std::vector<LoggedPrediction> batch);

  const Store store_;
  const std::function<void(const std::string&)> tell_;
  const PredictionLogOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<LoggedPrediction> queue_;  // under mutex_, as all below
  Counts counts_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tidemill
