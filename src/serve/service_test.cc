#include "serve/service.h"

#include <thread>

#include <gtest/gtest.h>

#include "base/value_json.h"
#include "serve/client.h"
#include "serve/serve_doubles.h"

namespace tidemill {
namespace {

class FixedClock : public Clock {
 public:
  Timestamp Now() const override { return ParseTimestamp("2013-05-01T10:00:00Z").value(); }
};

class ServiceTest : public testing::Test {
 protected:
  ServiceTest()
      : log_([this](const auto& batch) { return logged_ += batch.size(), Ok(); }, nullptr,
             {.queue_max = 100, .batch_max = 100, .interval_ms = 60'000, .attempts_max = 1}) {
    ServiceParts parts;
    parts.models = {"late", "untrained"};
    parts.store = &store_;
    parts.log = &log_;
    parts.clock = &clock_;
    parts.champion = [this](const std::string& model) -> Result<std::optional<int64_t>> {
      if (!catalog_problem_.empty()) return Unavailable("locked", catalog_problem_);
      return model == "late" ? std::optional<int64_t>(champion_.load()) : std::nullopt;
    };
    parts.load = [this](const std::string&) -> Result<std::shared_ptr<LiveModel>> {
      if (champion_ == 13) return InternalError("the package is damaged");
      return SimpleModel(champion_);
    };
    parts.materialize = [this](const OnlineWork& work) -> Result<OnlineSummary> {
      materialized_.push_back(work);
      return OnlineSummary();
    };
    service_ = std::make_unique<Service>(std::move(parts));
  }

  Json Ask(const std::string& method, const std::string& path, const std::string& body, int status = 200) {
    const HttpResponse response = service_->Handle({method, path, body});
    EXPECT_EQ(response.status, status) << response.body;
    return Json::parse(response.body, nullptr, false);
  }

  FixedClock clock_;
  MemoryStore store_;
  size_t logged_ = 0;
  std::atomic<int64_t> champion_{1};
  std::string catalog_problem_;
  std::vector<OnlineWork> materialized_;
  PredictionLog log_;
  std::unique_ptr<Service> service_;
};

constexpr const char* kPredict = "/v1/models/late/predict";
constexpr const char* kInstance = R"({"instances": [{"carrier": "AA", "distance": 500}]})";

TEST_F(ServiceTest, PredictsAndLogs) {
  const Json answer = Ask("POST", kPredict, kInstance);
  EXPECT_EQ(answer["model"], "late");
  EXPECT_EQ(answer["version"], 1);
  EXPECT_EQ(answer["predictions"][0]["score"], 0.5);
  EXPECT_EQ(answer["predictions"][0]["at"], "2013-05-01T10:00:00Z");
  log_.Stop();
  EXPECT_EQ(logged_, 1u);
}

TEST_F(ServiceTest, TakesOverANewChampion) {
  champion_ = 2;
  EXPECT_EQ(Ask("POST", kPredict, kInstance)["version"], 1);
  service_->RefreshChampions();
  EXPECT_EQ(Ask("POST", kPredict, kInstance)["version"], 2);
}

TEST_F(ServiceTest, KeepsAnsweringWhenTheNewChampionIsDamagedOrTheCatalogBusy) {
  champion_ = 13;
  service_->RefreshChampions();
  EXPECT_EQ(Ask("POST", kPredict, kInstance)["version"], 1);
  EXPECT_NE(Ask("GET", "/health", "")["models"]["late"]["problem"].get<std::string>().find("damaged"), std::string::npos);
  catalog_problem_ = "busy";
  champion_ = 2;
  service_->RefreshChampions();
  EXPECT_EQ(Ask("POST", kPredict, kInstance)["version"], 1);
}

TEST_F(ServiceTest, RefusesWithWhatWasExpected) {
  struct Case {
    std::string method, path, body;
    int status;
    const char* code;
  };
  const std::string deep(100, '[');
  const Case cases[] = {
      {"GET", "/", "", 404, "unknown_route"},
      {"GET", "/v1", "", 404, "unknown_route"},
      {"GET", "//..//\xFF", "", 404, "unknown_route"},
      {"GET", kPredict, "", 405, "wrong_method"},
      {"POST", "/health", "", 405, "wrong_method"},
      {"POST", "/v1/models/lat/predict", kInstance, 404, "unknown_model"},
      {"POST", "/v1/models/untrained/predict", kInstance, 503, "no_champion"},
      {"POST", kPredict, "", 400, "bad_json"},
      {"POST", kPredict, "{", 400, "bad_json"},
      {"POST", kPredict, "\xFF\xFE", 400, "bad_json"},
      {"POST", kPredict,
       R"({"instances": [{"carrier": ")"
       "\xFF"
       R"("}]})",
       400, "bad_json"},
      {"POST", kPredict, deep, 400, "bad_json"},
      {"POST", kPredict, R"({"instances": [], "instances": []})", 400, "bad_json"},
      {"POST", kPredict, R"({"instances": [{"carrier": "AA", "distance": 1e999}]})", 400, "bad_json"},
      {"POST", kPredict, "[]", 400, "bad_request"},
      {"POST", kPredict, "{}", 400, "missing_field"},
      {"POST", kPredict, R"({"instances": {}})", 400, "bad_request"},
      {"POST", kPredict, R"({"instance": []})", 400, "unknown_field"},
      {"POST", kPredict, R"({"instances": [{"carrier": 1, "distance": 1}]})", 400, "bad_value"},
      {"POST", kPredict, R"({"instances": [], "at": "noon"})", 400, "bad_value"},
      {"POST", "/v1/features/nothing", R"({"entities": []})", 404, "unknown_view"},
      {"POST", "/v1/materialize", "{}", 400, "bad_request"},
      {"POST", "/v1/materialize", R"({"until": "2013-05-01", "views": [5]})", 400, "bad_request"},
      {"GET", "/v2/models/nothing", "", 404, "unknown_model"},
      {"GET", "/v2/nothing", "", 404, "unknown_route"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.method + " " + c.path + " " + c.body);
    const Json answer = Ask(c.method, c.path, c.body, c.status);
    ASSERT_TRUE(answer.is_object() && answer.contains("error")) << answer.dump();
    EXPECT_EQ(answer["error"]["code"], c.code);
    EXPECT_FALSE(answer["error"]["message"].get<std::string>().empty());
  }
}

TEST_F(ServiceTest, MaterializesWhatItServesUnlessToldMore) {
  Ask("POST", "/v1/materialize", R"({"until": "2013-05-01T09:00:00Z"})");
  ASSERT_EQ(materialized_.size(), 1u);
  EXPECT_EQ(FormatTimestamp(materialized_[0].until), "2013-05-01T09:00:00Z");
  ASSERT_EQ(materialized_[0].spines.size(), 1u);
  EXPECT_EQ(materialized_[0].spines[0].model, "late");

  OnlineWork work;
  work.until = ParseTimestamp("2013-05-02").value();
  work.spines = {SimplePlan(), SimplePlan()};
  Ask("POST", "/v1/materialize", work.ToJson().dump());
  ASSERT_EQ(materialized_.size(), 2u);
  EXPECT_EQ(materialized_[1].spines.size(), 2u);
}

Program CountingProgram(const std::string& output) {
  Program program;
  program.view = "rides";
  program.keys = {{"rider", Type::kInt64}};
  Aggregate count;
  count.function = "count_rows";
  count.type = Type::kInt64;
  program.aggregates = {count};
  Expression result;
  result.kind = Expression::Kind::kColumn;
  result.type = Type::kInt64;
  result.column = 0;
  program.outputs = {{output, result, Value()}};
  return program;
}

TEST_F(ServiceTest, AViewThatIsPublishedAnewAnswersByItsNewDefinition) {
  OnlineWork work;
  work.until = ParseTimestamp("2013-05-01").value();
  const std::string asked = R"({"entities": [{"rider": 7}]})";
  for (const std::string output : {"n", "rides", "rides", "n"}) {
    work.views = {{CountingProgram(output), "rides", "at"}};
    Ask("POST", "/v1/materialize", work.ToJson().dump());
    for (int twice = 0; twice < 2; ++twice) {
      const Json answer = Ask("POST", "/v1/features/rides", asked);
      EXPECT_EQ(answer["results"][0]["features"], Json({{output, 0}}));
    }
  }
}

TEST_F(ServiceTest, TellsWhatAViewsStatesTake) {
  OnlineWork work;
  work.until = ParseTimestamp("2013-05-01").value();
  work.views = {{CountingProgram("n"), "rides", "at"}};
  Ask("POST", "/v1/materialize", work.ToJson().dump());
  const Json memory = Ask("GET", "/v1/features/rides/memory", "");
  EXPECT_EQ(memory["entities"], 0);
  EXPECT_EQ(memory["cache"]["limit"], 256 << 20);
  Ask("GET", "/v1/features/nothing/memory", "", 404);
  Ask("POST", "/v1/features/rides/memory", "{}", 405);
}

TEST_F(ServiceTest, TellsHealthModelsAndMetrics) {
  const Json health = Ask("GET", "/health", "");
  EXPECT_EQ(health["models"]["late"], Json({{"ready", true}, {"version", 1}}));
  EXPECT_EQ(health["models"]["untrained"], Json({{"ready", false}}));
  const Json models = Ask("GET", "/v1/models", "")["models"];
  EXPECT_EQ(models[0]["key"], Json({"id"}));
  EXPECT_EQ(models[0]["fields"][1], Json({{"name", "distance"}, {"type", "number"}}));
  Ask("GET", "/v2/health/live", "");
  EXPECT_EQ(Ask("GET", "/v2/health/ready", "", 503)["ready"], false);
  EXPECT_EQ(Ask("GET", "/v2/models/late", "")["inputs"][1]["datatype"], "FP64");
  EXPECT_EQ(Ask("GET", "/v2/models/late/ready", "")["ready"], true);
  Ask("GET", "/v2/models/untrained/ready", "", 503);
  Ask("POST", kPredict, kInstance);
  const std::string page = service_->Handle({"GET", "/metrics", ""}).body;
  EXPECT_NE(page.find("tidemill_predictions_total{model=\"late\",version=\"1\"} 1\n"), std::string::npos) << page;
  EXPECT_NE(page.find("tidemill_requests_total{route=\"predict\",status=\"200\"} 1\n"), std::string::npos) << page;
  EXPECT_NE(page.find("tidemill_request_seconds_bucket{route=\"predict\",le=\"+Inf\"} 1\n"), std::string::npos) << page;
}

TEST_F(ServiceTest, OverHttpWhileChampionsChange) {
  HttpServerOptions options;
  options.stop_at_signals = false;
  auto server = HttpServer::Start(options, [this](const HttpRequest& request) { return service_->Handle(request); });
  ASSERT_TRUE(server.ok());
  std::atomic<bool> done{false};
  std::thread changing([&] {
    while (!done) {
      champion_ = champion_ % 5 + 1;
      service_->RefreshChampions();
    }
  });
  int good = 0;
  for (int i = 0; i < 200; ++i) {
    const auto answer = PostJson("127.0.0.1", (*server)->port(), kPredict, Json::parse(kInstance));
    good += answer.ok() && (*answer)["predictions"][0]["score"] == 0.5 ? 1 : 0;
  }
  done = true;
  changing.join();
  EXPECT_EQ(good, 200);
  const auto refused = PostJson("127.0.0.1", (*server)->port(), "/v1/models/lat/predict", Json::parse(kInstance));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "unknown_model");
  EXPECT_NE(refused.error().hint.find("did you mean 'late'?"), std::string::npos);
}

}  // namespace
}  // namespace tidemill
