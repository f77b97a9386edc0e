#include "serve/service.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "base/text_distance.h"
#include "base/value_json.h"
#include "feature/online/online_memory.h"
#include "serve/features.h"

namespace tidemill {
namespace {

HttpResponse JsonResponse(const Json& json, int status = 200) {
  return {status, "application/json", json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"};
}

int StatusOf(const Error& error) {
  if (error.code == "unknown_route" || error.code == "unknown_model" || error.code == "unknown_view" || error.code == "unknown_source") return 404;
  if (error.code == "wrong_method") return 405;
  switch (error.kind) {
    case ErrorKind::kUser:
      return 400;
    case ErrorKind::kUnavailable:
      return 503;
    case ErrorKind::kInternal:
      break;
  }
  return 500;
}

HttpResponse ErrorResponse(const Error& error) {
  Json json = {{"code", error.code}, {"message", error.message}};
  if (!error.hint.empty()) json["hint"] = error.hint;
  return JsonResponse({{"error", std::move(json)}}, StatusOf(error));
}

std::vector<std::string> SplitPath(const std::string& path) {
  std::vector<std::string> parts;
  size_t at = 0;
  while (at < path.size()) {
    const size_t begin = path.find_first_not_of('/', at);
    if (begin == std::string::npos) break;
    at = std::min(path.find('/', begin), path.size());
    parts.push_back(path.substr(begin, at - begin));
  }
  return parts;
}

Error UnknownRoute(const HttpRequest& request) {
  return UserError("unknown_route", fmt::format("there is no {} {}", request.method, ShortJson(request.path)),
                   "GET /health, GET /v1/models, POST /v1/models/MODEL/predict, POST /v1/features/VIEW, POST /v1/push/SOURCE, "
                   "POST /v1/materialize, "
                   "GET /metrics");
}

Status WantMethod(const HttpRequest& request, std::string_view method) {
  if (request.method == method) return Ok();
  return UserError("wrong_method", fmt::format("{} takes {}, not {}", request.path, method, request.method));
}

/// The body of a call: an object with the list `list`, and perhaps "at".
struct CallBody {
  Json list;
  std::optional<Timestamp> at;
};

Result<CallBody> ReadCall(const std::string& body, const std::string& list) {
  const std::string shape = fmt::format("send {{\"{}\": [{{...}}, ...]}}, with \"at\" for another time than now", list);
  auto json = ParseJson(body);
  if (!json.ok()) {
    Error error = std::move(json).error();
    error.hint = shape;
    return error;
  }
  if (!json->is_object()) return UserError("bad_request", fmt::format("expected an object, came {}", ShortJson(*json)), shape);
  for (const auto& [name, value] : json->items()) {
    if (name != list && name != "at")
      return UserError("unknown_field", fmt::format("unknown field '{}'", name), SuggestionHint(name, {list, "at"}));
  }
  if (!json->contains(list)) return UserError("missing_field", fmt::format("the request lacks '{}'", list), shape);
  CallBody call;
  call.list = std::move((*json)[list]);
  if (!call.list.is_array())
    return UserError("bad_request", fmt::format("'{}': expected a list, came {}", list, ShortJson(call.list)), shape);
  if (json->contains("at")) {
    auto at = ValueFromJson((*json)["at"], Type::kTimestamp);
    if (!at.ok()) return std::move(at).error().WithContext("field 'at'");
    if (!IsNull(*at)) call.at = std::get<Timestamp>(*at);
  }
  return call;
}

Json PredictionJson(const Prediction& prediction) {
  return {{"prediction_id", prediction.id}, {"score", prediction.score}, {"at", FormatTimestamp(prediction.at)}};
}

/// Datatypes of the Open Inference Protocol.
std::string_view InferenceType(Type type) {
  switch (type) {
    case Type::kBool:
      return "BOOL";
    case Type::kInt64:
      return "INT64";
    case Type::kDouble:
      return "FP64";
    default:
      return "BYTES";
  }
}

}  // namespace

Service::Service(ServiceParts parts) : parts_(std::move(parts)), now_(parts_.now) {
  for (const OnlineWork::View& view : parts_.views) Publish(view.program);
  for (const auto& [name, plan] : parts_.derived_views) derived_views_[name] = std::make_shared<const FeaturePlan>(plan);
  for (const std::string& model : parts_.models) models_[model] = {};
  RefreshChampions();
}

HttpResponse Service::Handle(const HttpRequest& request) {
  const auto begin = std::chrono::steady_clock::now();
  std::string route = "other";
  HttpResponse response;
  try {
    auto answer = Route(request, &route);
    response = answer.ok() ? std::move(answer).value() : ErrorResponse(answer.error());
  } catch (const std::exception& problem) {
    response = ErrorResponse(InternalError(problem.what()));
  }
  metrics_.CountRequest(route, response.status, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  return response;
}

void Service::RefreshChampions() {
  for (const std::string& model : parts_.models) RefreshChampion(model);
}

void Service::RefreshChampion(const std::string& model) {
  const auto note = [&](const std::string& problem) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Slot& slot = models_[model];
    const bool changed = slot.problem != problem;
    slot.problem = problem;
    return changed;
  };
  const auto champion = parts_.champion(model);
  if (!champion.ok()) {
    if (note(champion.error().message) && parts_.tell) parts_.tell(fmt::format("{}: {}", model, champion.error().message));
    return;
  }
  int64_t version = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Slot& slot = models_[model];
    version = slot.live ? slot.live->version : 0;
  }
  if (!*champion || **champion == version) return;
  auto loaded = parts_.load(model);
  if (!loaded.ok()) {
    if (note(loaded.error().message) && parts_.tell) parts_.tell(fmt::format("{}: {}", model, loaded.error().message));
    return;
  }
  const int64_t taken = (*loaded)->version;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    models_[model] = {std::move(loaded).value(), ""};
  }
  if (parts_.tell) parts_.tell(fmt::format("{}: version {} answers", model, taken));
}

Timestamp Service::Now() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return now_.micros != 0 ? now_ : parts_.clock->Now();
}

Timestamp Service::AskedNow() const {
  const Timestamp now = Now();
  return parts_.pushes == nullptr ? now : parts_.pushes->SettledUntil(now);
}

Result<std::shared_ptr<LiveModel>> Service::Live(const std::string& model) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = models_.find(model);
  if (found == models_.end()) {
    return UserError("unknown_model", fmt::format("there is no model {}", ShortJson(model)),
                     SuggestionHint(model, parts_.models));
  }
  if (found->second.live) return found->second.live;
  const std::string& problem = found->second.problem;
  return Unavailable("no_champion", problem.empty() ? fmt::format("the model '{}' has no champion yet", model) : problem,
                     "'tidemill run' trains it; its gates must accept it");
}

Result<HttpResponse> Service::Route(const HttpRequest& request, std::string* route) {
  const std::vector<std::string> parts = SplitPath(request.path);
  if (parts.empty()) return UnknownRoute(request);
  if (parts.size() == 1 && parts[0] == "health") {
    *route = "health";
    TIDEMILL_RETURN_IF_ERROR(WantMethod(request, "GET"));
    return Health();
  }
  if (parts.size() == 1 && parts[0] == "metrics") {
    *route = "metrics";
    TIDEMILL_RETURN_IF_ERROR(WantMethod(request, "GET"));
    return MetricsPage();
  }
  if (parts[0] == "v1") return RouteV1(parts, request, route);
  if (parts[0] == "v2" && request.method == "GET") return RouteV2(parts, route);
  return UnknownRoute(request);
}

Result<HttpResponse> Service::RouteV1(const std::vector<std::string>& parts, const HttpRequest& request, std::string* route) {
  if (parts.size() == 2 && parts[1] == "models") {
    *route = "models";
    TIDEMILL_RETURN_IF_ERROR(WantMethod(request, "GET"));
    return ListModels();
  }
  if (parts.size() == 4 && parts[1] == "models" && parts[3] == "predict") {
    *route = "predict";
    TIDEMILL_RETURN_IF_ERROR(WantMethod(request, "POST"));
    return Predict(parts[2], request);
  }
  if (parts.size() == 3 && parts[1] == "features") {
    *route = "features";
    TIDEMILL_RETURN_IF_ERROR(WantMethod(request, "POST"));
    return Features(parts[2], request);
  }
  if (parts.size() == 4 && parts[1] == "features" && parts[3] == "memory") {
    *route = "memory";
    TIDEMILL_RETURN_IF_ERROR(WantMethod(request, "GET"));
    return Memory(parts[2]);
  }
  if (parts.size() == 3 && parts[1] == "push") {
    *route = "push";
    TIDEMILL_RETURN_IF_ERROR(WantMethod(request, "POST"));
    return Push(parts[2], request);
  }
  if (parts.size() == 2 && parts[1] == "flush") {
    *route = "flush";
    TIDEMILL_RETURN_IF_ERROR(WantMethod(request, "POST"));
    return FlushPushed();
  }
  if (parts.size() == 2 && parts[1] == "materialize") {
    *route = "materialize";
    TIDEMILL_RETURN_IF_ERROR(WantMethod(request, "POST"));
    return Materialize(request);
  }
  return UnknownRoute(request);
}

Result<HttpResponse> Service::RouteV2(const std::vector<std::string>& parts, std::string* route) {
  *route = "v2";
  if (parts.size() == 1)
    return JsonResponse({{"name", "tidemill"}, {"version", TIDEMILL_VERSION}, {"extensions", Json::array()}});
  if (parts.size() == 3 && parts[1] == "health" && parts[2] == "live") return JsonResponse({{"live", true}});
  if (parts.size() == 3 && parts[1] == "health" && parts[2] == "ready") {
    const bool ready =
        std::all_of(parts_.models.begin(), parts_.models.end(), [&](const std::string& model) { return Live(model).ok(); });
    return JsonResponse({{"ready", ready}}, ready ? 200 : 503);
  }
  if (parts.size() == 3 && parts[1] == "models") return ModelMetadata(parts[2]);
  if (parts.size() == 4 && parts[1] == "models" && parts[3] == "ready") {
    const auto live = Live(parts[2]);
    if (!live.ok() && live.error().code == "unknown_model") return live.error();
    return JsonResponse({{"name", parts[2]}, {"ready", live.ok()}}, live.ok() ? 200 : 503);
  }
  return UserError("unknown_route", "there is no such call of the Open Inference Protocol here",
                   "health and metadata are; predict by POST /v1/models/MODEL/predict");
}

Result<HttpResponse> Service::Health() {
  Json models = Json::object();
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [name, slot] : models_) {
    Json json = {{"ready", slot.live != nullptr}};
    if (slot.live) json["version"] = slot.live->version;
    if (!slot.problem.empty()) json["problem"] = slot.problem;
    models[name] = std::move(json);
  }
  return JsonResponse({{"status", "ok"}, {"models", std::move(models)}});
}

Result<HttpResponse> Service::ListModels() {
  Json models = Json::array();
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [name, slot] : models_) {
    Json json = {{"name", name}, {"ready", slot.live != nullptr}};
    if (slot.live) {
      json["version"] = slot.live->version;
      json["key"] = slot.live->plan.spine_key;
      json["fields"] = Json::array();
      for (const Field& field : slot.live->plan.request_fields) {
        json["fields"].push_back({{"name", field.name}, {"type", std::string(TypeName(field.type))}});
      }
    }
    models.push_back(std::move(json));
  }
  return JsonResponse({{"models", std::move(models)}});
}

Result<HttpResponse> Service::Predict(const std::string& model, const HttpRequest& request) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::shared_ptr<LiveModel> live, Live(model));
  TIDEMILL_ASSIGN_OR_RETURN(const CallBody call, ReadCall(request.body, "instances"));
  TIDEMILL_ASSIGN_OR_RETURN(std::vector<Prediction> predictions, PredictOnline(*live, *parts_.store, call.list, call.at, AskedNow()));
  Json answers = Json::array();
  for (const Prediction& prediction : predictions) answers.push_back(PredictionJson(prediction));
  metrics_.CountPredictions(model, live->version, static_cast<int64_t>(predictions.size()));
  const Timestamp requested_at = parts_.clock->Now();
  for (Prediction& prediction : predictions) parts_.log->Offer({std::move(prediction), requested_at});
  return JsonResponse({{"model", model}, {"version", live->version}, {"predictions", std::move(answers)}});
}

void Service::Publish(const Program& program) {
  published_[program.view] = std::make_shared<const Published>(Published{program, KeptOnlineView()});
}

Result<HttpResponse> Service::Features(const std::string& view, const HttpRequest& request) {
  std::shared_ptr<const Published> published;
  std::shared_ptr<const FeaturePlan> derived;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = published_.find(view);
    const auto found_derived = derived_views_.find(view);
    if (found == published_.end() && found_derived == derived_views_.end()) {
      std::vector<std::string> names;
      for (const auto& [name, unused] : published_) names.push_back(name);
      for (const auto& [name, unused] : derived_views_) names.push_back(name);
      return UserError("unknown_view", fmt::format("there is no feature view {}", ShortJson(view)), SuggestionHint(view, names));
    }
    if (found != published_.end()) published = found->second;
    if (found_derived != derived_views_.end()) derived = found_derived->second;
  }
  TIDEMILL_ASSIGN_OR_RETURN(const CallBody call, ReadCall(request.body, "entities"));
  const Timestamp at = call.at.value_or(AskedNow());
  if (derived) {
    TIDEMILL_ASSIGN_OR_RETURN(const Json answer, AnswerDerivedFeatures(*parts_.store, view, *derived, call.list, at));
    return JsonResponse(answer);
  }
  TIDEMILL_ASSIGN_OR_RETURN(const auto online, published->online.For(published->program));
  TIDEMILL_ASSIGN_OR_RETURN(const Json answer, AnswerFeatures(*parts_.store, *online, call.list, at));
  return JsonResponse(answer);
}

Result<HttpResponse> Service::Memory(const std::string& view) {
  std::shared_ptr<const Published> published;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = published_.find(view);
    if (found == published_.end()) {
      return UserError("unknown_view", fmt::format("there is no feature view {} with states", ShortJson(view)),
                       "derived views have none; those of the views that they use are told of there");
    }
    published = found->second;
  }
  TIDEMILL_ASSIGN_OR_RETURN(const OnlineMemory memory, MeasureMemory(*parts_.store, published->program));
  return JsonResponse(memory.ToJson());
}

Result<HttpResponse> Service::Materialize(const HttpRequest& request) {
  TIDEMILL_ASSIGN_OR_RETURN(const Json json, ParseJson(request.body, 256));
  TIDEMILL_ASSIGN_OR_RETURN(OnlineWork work, OnlineWork::FromJson(json));
  if (work.views.empty() && work.spines.empty() && work.derived_views.empty()) {
    const std::lock_guard<std::mutex> lock(mutex_);
    work.views = parts_.views;
    for (const auto& [name, slot] : models_) {
      if (slot.live) work.spines.push_back(slot.live->plan);
    }
  }
  TIDEMILL_ASSIGN_OR_RETURN(const OnlineSummary summary, parts_.materialize(work));
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const OnlineWork::View& view : work.views) Publish(view.program);
  for (const auto& [name, plan] : work.derived_views) derived_views_[name] = std::make_shared<const FeaturePlan>(plan);
  if (now_.micros != 0) now_ = std::max(now_, work.until);
  return JsonResponse(summary.ToJson());
}

Result<HttpResponse> Service::Push(const std::string& source, const HttpRequest& request) {
  if (parts_.pushes == nullptr) {
    return UserError("unknown_source", fmt::format("there is no pushed source {}", ShortJson(source)),
                     "a source takes pushes when its file says 'from: push'");
  }
  TIDEMILL_ASSIGN_OR_RETURN(const Json json, ParseJson(request.body));
  TIDEMILL_ASSIGN_OR_RETURN(PushedBatch batch, parts_.door->Read(source, json));
  TIDEMILL_ASSIGN_OR_RETURN(const PushReceipt receipt, parts_.pushes->Push(batch, [this] { return Now(); }));
  return JsonResponse(PushDoor::ToJson(source, receipt, batch, parts_.later));
}

Result<HttpResponse> Service::FlushPushed() {
  if (parts_.pushes != nullptr) TIDEMILL_RETURN_IF_ERROR(parts_.pushes->Flush());
  return JsonResponse({{"flushed", true}});
}

std::string Service::PushMetrics() const {
  std::string text;
  const auto add = [&](std::string_view name, std::string_view kind, int64_t value) {
    text += fmt::format("# TYPE tidemill_{0} {1}\ntidemill_{0} {2}\n", name, kind, value);
  };
  const EntityStates::Counts states = parts_.store->states().counts();
  add("online_states", "gauge", states.states);
  add("online_states_bytes", "gauge", states.bytes);
  add("online_states_unwritten", "gauge", states.changed);
  add("online_state_hits_total", "counter", states.hits);
  add("online_state_misses_total", "counter", states.misses);
  add("online_states_written_total", "counter", states.written);
  add("online_states_pushed_out_total", "counter", states.pushed_out);
  if (parts_.pushes == nullptr) return text;
  const OnlinePushes::Counts pushes = parts_.pushes->counts();
  add("pushes_total", "counter", pushes.pushes);
  add("pushed_rows_total", "counter", pushes.rows);
  add("quarantined_push_rows_total", "counter", pushes.refused);
  add("repeated_pushes_total", "counter", pushes.repeated);
  add("pushed_rows_waiting", "gauge", pushes.waiting_rows);
  add("push_log_records", "gauge", pushes.log_records);
  return text;
}

Result<HttpResponse> Service::MetricsPage() {
  const PredictionLog::Counts counts = parts_.log->counts();
  std::string text = metrics_.Text();
  text += fmt::format("# TYPE tidemill_logged_predictions_total counter\ntidemill_logged_predictions_total {}\n", counts.stored);
  text +=
      fmt::format("# TYPE tidemill_dropped_predictions_total counter\ntidemill_dropped_predictions_total {}\n", counts.dropped);
  text += fmt::format("# TYPE tidemill_waiting_predictions gauge\ntidemill_waiting_predictions {}\n", counts.waiting);
  text += PushMetrics();
  return HttpResponse{200, "text/plain; version=0.0.4", std::move(text)};
}

Result<HttpResponse> Service::ModelMetadata(const std::string& model) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::shared_ptr<LiveModel> live, Live(model));
  Json inputs = Json::array();
  for (const Field& field : live->plan.request_fields) {
    inputs.push_back({{"name", field.name}, {"datatype", std::string(InferenceType(field.type))}, {"shape", {-1, 1}}});
  }
  Json outputs = Json::array({{{"name", "score"}, {"datatype", "FP64"}, {"shape", {-1, 1}}}});
  return JsonResponse({{"name", model},
                       {"versions", {std::to_string(live->version)}},
                       {"platform", "tidemill_onnx"},
                       {"inputs", std::move(inputs)},
                       {"outputs", std::move(outputs)}});
}

}  // namespace tidemill
