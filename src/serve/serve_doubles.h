#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "serve/live_model.h"

/// Stand-ins for tests of this folder.
namespace tidemill {

/// An online store in memory.
class MemoryStore : public OnlineStore {
 public:
  Result<std::optional<std::string>> Get(std::string_view space, std::string_view key) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = bytes_.find({std::string(space), std::string(key)});
    return found == bytes_.end() ? std::optional<std::string>() : std::optional<std::string>(found->second);
  }
  Result<std::vector<std::optional<std::string>>> GetMany(std::string_view space, const std::vector<std::string>& keys) override {
    std::vector<std::optional<std::string>> found;
    for (const std::string& key : keys) found.push_back(Get(space, key).value());
    return found;
  }
  Status Put(const std::vector<Write>& writes, Durability) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const Write& write : writes) {
      if (write.bytes) bytes_[{write.space, write.key}] = *write.bytes;
      if (!write.bytes) bytes_.erase({write.space, write.key});
    }
    return Ok();
  }
  Status Clear(std::string_view space) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::erase_if(bytes_, [&](const auto& entry) { return entry.first.first == space; });
    return Ok();
  }
  Status ClearBelow(std::string_view space, std::string_view end) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::erase_if(bytes_, [&](const auto& entry) { return entry.first.first == space && entry.first.second < end; });
    return Ok();
  }
  Status Scan(std::string_view space, std::string_view begin,
              const std::function<Result<bool>(std::string_view key, std::string_view bytes)>& take) override {
    std::map<std::string, std::string> found;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (const auto& [key, bytes] : bytes_) {
        if (key.first == space && key.second >= begin) found[key.second] = bytes;
      }
    }
    for (const auto& [key, bytes] : found) {
      TIDEMILL_ASSIGN_OR_RETURN(const bool goes_on, take(key, bytes));
      if (!goes_on) break;
    }
    return Ok();
  }
  size_t size() const { return bytes_.size(); }

 private:
  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::string> bytes_;
};

/// Scores a row with its "distance" divided by 1000; null gives -1.
class DistancePredictor : public Predictor {
 public:
  const std::vector<Field>& inputs() const override { return inputs_; }
  Result<std::vector<double>> Predict(const Columns& rows) override {
    const Column* distance = rows.Find("distance");
    if (distance == nullptr) return InternalError("no distance");
    std::vector<double> scores;
    for (size_t row = 0; row < rows.rows(); ++row) scores.push_back(distance->IsNull(row) ? -1 : distance->doubles[row] / 1000);
    return scores;
  }

 private:
  std::vector<Field> inputs_ = {{"carrier", Type::kText}, {"distance", Type::kDouble}};
};

/// A model "late" over a spine "planned" with key (id), whose inputs are the spine's columns carrier and
/// distance as they are.
inline FeaturePlan SimplePlan() {
  FeaturePlan plan;
  plan.model = "late";
  plan.spine = "planned";
  plan.timestamp = "predict_at";
  plan.spine_key = {"id"};
  plan.inputs = {{"carrier", Type::kText}, {"distance", Type::kDouble}};
  plan.request_fields = plan.inputs;
  plan.expressions.columns = plan.inputs;
  for (int i = 0; i < 2; ++i) {
    Expression column;
    column.kind = Expression::Kind::kColumn;
    column.column = i;
    column.type = plan.inputs[static_cast<size_t>(i)].type;
    plan.expressions.outputs.push_back({plan.inputs[static_cast<size_t>(i)].name, column, {}});
  }
  return plan;
}

inline std::shared_ptr<LiveModel> SimpleModel(int64_t version) {
  auto live = std::make_shared<LiveModel>();
  live->name = "late";
  live->version = version;
  live->plan = SimplePlan();
  live->predictor = std::make_unique<DistancePredictor>();
  return live;
}

}  // namespace tidemill
