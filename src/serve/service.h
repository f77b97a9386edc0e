#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "feature/online/store.h"
#include "serve/http.h"
#include "serve/live_model.h"
#include "serve/materialize.h"
#include "serve/metrics.h"
#include "serve/prediction_log.h"
#include "serve/push_door.h"

namespace tidemill {

/// What a service asks of the world; tests put their own in.
struct ServiceParts {
  std::vector<std::string> models;      ///< those that may be asked for
  std::vector<OnlineWork::View> views;  ///< for POST /v1/features/VIEW
  std::map<std::string, FeaturePlan> derived_views;  ///< for the same
  OnlineStore* store = nullptr;
  OnlinePushes* pushes = nullptr;  ///< nullptr: none are taken
  const PushDoor* door = nullptr;  ///< not nullptr where pushes is
  std::vector<LaterView> later;    ///< views that see pushes with the next run
  PredictionLog* log = nullptr;
  const Clock* clock = nullptr;  ///< operations clock
  Timestamp now;                 ///< project clock, moved on by materialization; 0: `clock`
  std::function<Result<std::optional<int64_t>>(const std::string& model)> champion;  ///< version of the alias
  std::function<Result<std::shared_ptr<LiveModel>>(const std::string& model)> load;  ///< of that version
  std::function<Result<OnlineSummary>(const OnlineWork& work)> materialize;
  std::function<void(const std::string&)> tell;
};

/// Answers the routes of serve/server.h, without HTTP around it. Thread-safe.
class Service {
 public:
  explicit Service(ServiceParts parts);

  /// Never throws: a defect becomes an answer with status 500.
  HttpResponse Handle(const HttpRequest& request);
  static bool IsSlow(const HttpRequest& request) { return request.path == "/v1/materialize" || request.path == "/v1/flush"; }

  /// Takes over champions that have changed. A model that cannot be loaded keeps answering with what it had.
  void RefreshChampions();

 private:
  struct Slot {
    std::shared_ptr<LiveModel> live;
    std::string problem;  ///< why there is none, or why a newer one could not be loaded
  };

  /// A view as it is published: look-ups under way go on with the one before.
  struct Published {
    Program program;
    KeptOnlineView online;
  };

  Result<HttpResponse> Route(const HttpRequest& request, std::string* route);
  Result<HttpResponse> RouteV1(const std::vector<std::string>& parts, const HttpRequest& request, std::string* route);
  Result<HttpResponse> RouteV2(const std::vector<std::string>& parts, std::string* route);
  Result<HttpResponse> Health();
  Result<HttpResponse> ListModels();
  Result<HttpResponse> Predict(const std::string& model, const HttpRequest& request);
  void Publish(const Program& program);  ///< under mutex_, or alone
  Result<HttpResponse> Features(const std::string& view, const HttpRequest& request);
  Result<HttpResponse> Memory(const std::string& view);
  Result<HttpResponse> Materialize(const HttpRequest& request);
  Result<HttpResponse> Push(const std::string& source, const HttpRequest& request);
  Result<HttpResponse> FlushPushed();
  std::string PushMetrics() const;
  Result<HttpResponse> MetricsPage();
  Result<HttpResponse> ModelMetadata(const std::string& model);

  Timestamp Now() const;
  /// The time that is asked for when none is given: before what is being pushed right now.
  Timestamp AskedNow() const;
  Result<std::shared_ptr<LiveModel>> Live(const std::string& model) const;
  void RefreshChampion(const std::string& model);

  ServiceParts parts_;
  Metrics metrics_;
  mutable std::mutex mutex_;
  std::map<std::string, Slot> models_;  // under mutex_, as below
  std::map<std::string, std::shared_ptr<const Published>> published_;
  std::map<std::string, std::shared_ptr<const FeaturePlan>> derived_views_;
  Timestamp now_;
};

}  // namespace tidemill
