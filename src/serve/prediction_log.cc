#include "serve/prediction_log.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "base/value_json.h"

namespace tidemill {
namespace {

constexpr std::string_view kMakeTable =
    "CREATE SCHEMA IF NOT EXISTS lake.tidemill;"
    "CREATE TABLE IF NOT EXISTS lake.tidemill.predictions (prediction_id VARCHAR, model VARCHAR, "
    "model_version BIGINT, predicted_at TIMESTAMP, requested_at TIMESTAMP, score DOUBLE, entities VARCHAR, features VARCHAR)";

std::string FeaturesText(const Columns& features) {
  Json json = Json::object();
  for (const Column& column : features.columns) json[column.name] = ValueToJson(column.At(0));
  return json.dump();
}

Columns PredictionRows(const std::vector<LoggedPrediction>& predictions) {
  Columns rows;
  rows.columns = {Column("prediction_id", Type::kText),     Column("model", Type::kText),
                  Column("model_version", Type::kInt64),    Column("predicted_at", Type::kTimestamp),
                  Column("requested_at", Type::kTimestamp), Column("score", Type::kDouble),
                  Column("entities", Type::kText),          Column("features", Type::kText)};
  for (const LoggedPrediction& logged : predictions) {
    const Prediction& prediction = logged.prediction;
    rows.columns[0].AppendText(prediction.id);
    rows.columns[1].AppendText(prediction.model);
    rows.columns[2].AppendInt(prediction.version);
    rows.columns[3].AppendInt(prediction.at.micros);
    rows.columns[4].AppendInt(logged.requested_at.micros);
    rows.columns[5].AppendDouble(prediction.score);
    rows.columns[6].AppendText(prediction.request.dump());
    rows.columns[7].AppendText(FeaturesText(prediction.features));
  }
  return rows;
}

}  // namespace

Status StorePredictions(Lake& lake, const std::vector<LoggedPrediction>& predictions) {
  if (predictions.empty()) return Ok();
  const Columns rows = PredictionRows(predictions);
  const std::string message = fmt::format("log {} prediction{}", predictions.size(), predictions.size() == 1 ? "" : "s");
  const auto committed = lake.Commit(message, Json::object(), [&](Session& session) -> Status {
    TIDEMILL_RETURN_IF_ERROR(session.Execute(kMakeTable));
    TIDEMILL_RETURN_IF_ERROR(session.LoadTemporary("logged_predictions", rows));
    TIDEMILL_RETURN_IF_ERROR(session.Execute("INSERT INTO lake.tidemill.predictions SELECT * FROM logged_predictions"));
    return session.Execute("DROP TABLE logged_predictions");
  });
  return committed.ok() ? Ok() : Status(committed.error());
}

PredictionLog::PredictionLog(Store store, std::function<void(const std::string&)> tell, const PredictionLogOptions& options)
    : store_(std::move(store)), tell_(std::move(tell)), options_(options), thread_([this] { Work(); }) {}

PredictionLog::~PredictionLog() { Stop(); }

bool PredictionLog::Offer(LoggedPrediction prediction) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++counts_.offered;
  if (stopping_ || queue_.size() >= options_.queue_max) {
    ++counts_.dropped;
    return false;
  }
  queue_.push_back(std::move(prediction));
  // The thread wakes by its interval; a batch that is full need not wait for it.
  if (queue_.size() == options_.batch_max) changed_.notify_all();
  return true;
}

void PredictionLog::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

PredictionLog::Counts PredictionLog::counts() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Counts counts = counts_;
  counts.waiting = static_cast<int64_t>(queue_.size());
  return counts;
}

void PredictionLog::Work() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_ || !queue_.empty()) {
    changed_.wait_for(lock, std::chrono::milliseconds(options_.interval_ms),
                      [this] { return stopping_ || queue_.size() >= options_.batch_max; });
    const size_t count = std::min(queue_.size(), options_.batch_max);
    if (count == 0) continue;
    std::vector<LoggedPrediction> batch(std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.begin() + count));
    queue_.erase(queue_.begin(), queue_.begin() + count);
    lock.unlock();
    StoreBatch(std::move(batch));
    lock.lock();
  }
}

void PredictionLog::StoreBatch(std::vector<LoggedPrediction> batch) {
  Status stored = store_(batch);
  for (int attempt = 1; !stored.ok() && attempt < options_.attempts_max; ++attempt) {
    std::unique_lock<std::mutex> lock(mutex_);
    // Waits between attempts, but not when the process is to end.
    changed_.wait_for(lock, std::chrono::milliseconds(options_.interval_ms << attempt), [this] { return stopping_; });
    lock.unlock();
    stored = store_(batch);
  }
  const auto count = static_cast<int64_t>(batch.size());
  if (!stored.ok() && tell_) tell_(fmt::format("{} predictions were not logged: {}", count, stored.error().message));
  const std::lock_guard<std::mutex> lock(mutex_);
  (stored.ok() ? counts_.stored : counts_.dropped) += count;
}

}  // namespace tidemill
