#include "model/predictor.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "model/onnx_graph.h"
#include "model/onnx_session.h"

namespace tidemill {
namespace {

Result<std::vector<Field>> InputsOfPackage(const ModelPackage& package) {
  const auto damaged = [] {
    return UserError("bad_model", "the model package's description has no list of inputs", "train the model again");
  };
  const auto list = package.description.find("inputs");
  if (list == package.description.end() || !list->is_array()) return damaged();
  std::vector<Field> inputs;
  for (const Json& item : *list) {
    if (!item.is_object() || !item.contains("name") || !item.contains("type") || !item["name"].is_string() ||
        !item["type"].is_string())
      return damaged();
    TIDEMILL_ASSIGN_OR_RETURN(const Type type, ParseType(item["type"].get<std::string>()));
    inputs.push_back({item["name"].get<std::string>(), type});
  }
  return inputs;
}

/// Scores chunk by chunk; many chunks are shared among threads, each with the same session, so that no sum depends on their
/// number.
class OnnxPredictor : public Predictor {
 public:
  OnnxPredictor(std::unique_ptr<OnnxSession> session, int threads)
      : session_(std::move(session)), threads_(std::max(1, threads)) {}

  const std::vector<Field>& inputs() const override { return session_->inputs(); }

  Result<std::vector<double>> Predict(const Columns& rows) override {
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<const Column*> columns, session_->Bind(rows));
    std::vector<float> scores(rows.rows());
    const size_t chunks = (scores.size() + OnnxSession::kRowsMax - 1) / OnnxSession::kRowsMax;
    const size_t workers = std::min(static_cast<size_t>(threads_), chunks);
    if (workers <= 1) {
      for (size_t chunk = 0; chunk < chunks; ++chunk) TIDEMILL_RETURN_IF_ERROR(PredictChunk(columns, chunk, scores));
    } else {
      TIDEMILL_RETURN_IF_ERROR(PredictTogether(columns, chunks, workers, scores));
    }
    return std::vector<double>(scores.begin(), scores.end());
  }

 private:
  Status PredictChunk(const std::vector<const Column*>& columns, size_t chunk, std::vector<float>& scores) {
    const size_t first = chunk * OnnxSession::kRowsMax;
    const size_t count = std::min(OnnxSession::kRowsMax, scores.size() - first);
    return session_->Run(columns, first, count, kScoreOutput, scores.data() + first);
  }

  Status PredictTogether(const std::vector<const Column*>& columns, size_t chunks, size_t workers, std::vector<float>& scores) {
    std::atomic<size_t> next{0};
    std::mutex mutex;
    std::optional<Error> failure;
    const auto work = [&] {
      for (size_t chunk = next++; chunk < chunks; chunk = next++) {
        Status done = PredictChunk(columns, chunk, scores);
        if (done.ok()) continue;
        const std::lock_guard lock(mutex);
        failure = std::move(done).error();
        return;
      }
    };
    {
      std::vector<std::jthread> helpers;
      for (size_t i = 1; i < workers; ++i) helpers.emplace_back(work);
      work();
    }
    if (failure) return *failure;
    return Ok();
  }

  std::unique_ptr<OnnxSession> session_;
  int threads_;
};

}  // namespace

Result<std::unique_ptr<Predictor>> Predictor::Load(const ModelPackage& package, int threads) {
  TIDEMILL_ASSIGN_OR_RETURN(std::vector<Field> inputs, InputsOfPackage(package));
  TIDEMILL_ASSIGN_OR_RETURN(std::unique_ptr<OnnxSession> session, OnnxSession::Load(package.onnx, std::move(inputs)));
  std::unique_ptr<Predictor> predictor = std::make_unique<OnnxPredictor>(std::move(session), threads);
  return predictor;
}

}  // namespace tidemill
