#include "serve/server.h"

#include <chrono>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include "base/files.h"
#include "serve/answer_log.h"
#include "serve/http.h"
#include "serve/prediction_log.h"
#include "serve/service.h"

namespace tidemill {
namespace {

/// HTTP, the service, the log, and a thread that looks at the champions. They end in the order: requests,
/// refreshing, log.
class LocalServer : public Server {
 public:
  LocalServer(const ServerOptions& options, const ServerParts& parts) : options_(options), parts_(parts) {}
  ~LocalServer() override { Stop(); }

  Status Start() {
    log_ = std::make_unique<PredictionLog>([this](const auto& batch) { return StorePredictions(*parts_.lake, batch); },
                                           [this](const std::string& line) { Tell(line); }, PredictionLogOptions{});
    service_ = std::make_unique<Service>(MakeParts());
    sampler_ = std::make_unique<AnswerSampler>(AnswerSampler::Options{}, [this](const std::string& view) { return SettledUntil(view); });
    parts_.store->states().SetSampler(sampler_.get());
    HttpServerOptions http;
    http.address = options_.address;
    http.port = options_.port;
    http.threads = options_.threads;
    http.is_slow = [](const HttpRequest& request) { return Service::IsSlow(request); };
    TIDEMILL_ASSIGN_OR_RETURN(http_,
                              HttpServer::Start(http, [this](const HttpRequest& request) { return service_->Handle(request); }));
    refresher_ = std::thread([this] { Refresh(); });
    if (parts_.pushes != nullptr) parts_.pushes->Start();
    return WriteEndpoint();
  }

  int port() const override { return http_->port(); }

  Status Wait() override {
    http_->Wait();
    Stop();
    return Ok();
  }

  void Stop() override {
    if (http_) http_->Stop();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    if (refresher_.joinable()) refresher_.join();
    if (log_) log_->Stop();
    if (sampler_) {
      parts_.store->states().SetSampler(nullptr);
      StoreSample();
    }
    if (parts_.pushes != nullptr) {
      const Status stopped = parts_.pushes->Stop();
      if (!stopped.ok()) Tell("pushed rows stay in the log until the next start: " + stopped.error().message);
    }
    if (endpoint_written_) {
      std::error_code ignored;
      std::filesystem::remove(options_.endpoint_file, ignored);
      endpoint_written_ = false;
    }
  }

 private:
  ServiceParts MakeParts() {
    ServiceParts service;
    service.models = parts_.models;
    service.views = parts_.views;
    service.derived_views = parts_.derived_views;
    service.store = parts_.store;
    service.pushes = parts_.pushes;
    service.door = parts_.door;
    service.later = parts_.later;
    service.log = log_.get();
    service.clock = parts_.clock;
    service.now = options_.now;
    service.champion = [this](const std::string& model) { return parts_.catalog->Alias(model, kChampionAlias); };
    service.load = [this](const std::string& model) { return LoadChampion(*parts_.catalog, *parts_.lake, model); };
    service.materialize = [this](const OnlineWork& work) { return MaterializeOnline(*parts_.store, parts_.pushes, *parts_.lake, work); };
    service.tell = [this](const std::string& line) { Tell(line); };
    return service;
  }

  void Tell(const std::string& line) {
    const std::lock_guard<std::mutex> lock(tell_mutex_);
    if (parts_.tell) parts_.tell(line);
  }

  /// While the clock stands still, a push may still change the answers for its time.
  std::optional<Timestamp> SettledUntil(const std::string& view) const {
    if (parts_.pushes == nullptr || !parts_.pushes->Follows(view)) return std::nullopt;
    if (parts_.pushes->IsOutdated(view)) return Timestamp{std::numeric_limits<int64_t>::min()};  // batch has another table
    if (options_.now.micros != 0) return options_.now - Duration{1};
    return parts_.pushes->SettledUntil(parts_.clock->Now());
  }

  void StoreSample() {
    const Status stored = StoreAnswers(*parts_.lake, sampler_->Take());
    if (!stored.ok()) Tell("sampled answers were not logged: " + stored.error().message);
  }

  void Refresh() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!changed_.wait_for(lock, std::chrono::milliseconds(options_.refresh_ms), [this] { return stopping_; })) {
      lock.unlock();
      service_->RefreshChampions();
      StoreSample();
      lock.lock();
    }
  }

  Status WriteEndpoint() {
    if (options_.endpoint_file.empty()) return Ok();
    const Json json = {{"address", options_.address}, {"port", port()}, {"pid", static_cast<int64_t>(::getpid())}};
    TIDEMILL_RETURN_IF_ERROR(WriteFileAtomic(options_.endpoint_file, json.dump() + "\n"));
    endpoint_written_ = true;
    return Ok();
  }

  const ServerOptions options_;
  const ServerParts parts_;
  std::unique_ptr<PredictionLog> log_;
  std::unique_ptr<AnswerSampler> sampler_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<HttpServer> http_;
  std::thread refresher_;
  std::mutex mutex_;
  std::mutex tell_mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;  // under mutex_
  bool endpoint_written_ = false;
};

}  // namespace

Result<std::unique_ptr<Server>> StartServer(const ServerOptions& options, const ServerParts& parts) {
  auto server = std::make_unique<LocalServer>(options, parts);
  TIDEMILL_RETURN_IF_ERROR(server->Start());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace tidemill
