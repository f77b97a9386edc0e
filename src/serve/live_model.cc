#include "serve/live_model.h"

#include <chrono>
#include <random>

#include <fmt/format.h>

namespace tidemill {

PredictionIds::PredictionIds() : chance_(std::random_device{}() & 0xFFFU) {}

std::string PredictionIds::Next(const std::string& model) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const int64_t micros = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  // A clock that is set back, or is too coarse, must not bring an id again.
  int64_t last = last_micros_.load();
  int64_t next = 0;
  do {
    next = std::max(micros, last + 1);
  } while (!last_micros_.compare_exchange_weak(last, next));
  return fmt::format("{}-o{:x}{:03x}", model, next, chance_);
}

Result<std::shared_ptr<LiveModel>> LoadChampion(Catalog& catalog, Lake& lake, const std::string& model) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::optional<int64_t> champion, catalog.Alias(model, kChampionAlias));
  if (!champion) {
    return Unavailable("no_champion", fmt::format("the model '{}' has no champion yet", model),
                       "'tidemill run' trains it; its gates must accept it");
  }
  TIDEMILL_ASSIGN_OR_RETURN(const ModelVersion version, catalog.GetModelVersion(model, *champion));
  const std::string context = fmt::format("loading version {} of model '{}'", *champion, model);
  auto bytes = lake.GetArtifact(version.package_sha256);
  if (!bytes.ok()) return std::move(bytes).error().WithContext(context);
  auto package = ModelPackage::Parse(*bytes);
  if (!package.ok()) return std::move(package).error().WithContext(context);
  const auto plan_json = version.detail.find("plan");
  if (plan_json == version.detail.end()) return InternalError(context + ": its record has no feature plan");
  auto plan = FeaturePlan::FromJson(*plan_json);
  if (!plan.ok()) return std::move(plan).error().WithContext(context);
  auto predictor = Predictor::Load(*package, 1);
  if (!predictor.ok()) return std::move(predictor).error().WithContext(context);

  auto live = std::make_shared<LiveModel>();
  live->name = model;
  live->version = *champion;
  live->plan = std::move(plan).value();
  live->predictor = std::move(predictor).value();
  return live;
}

}  // namespace tidemill
