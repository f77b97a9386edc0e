#include "serve/server.h"

#include <chrono>
#include <csignal>

#include <gtest/gtest.h>

#include "base/files.h"
#include "base/value_json.h"
#include "model/trainer.h"
#include "serve/client.h"
#include "serve/http.h"
#include "serve/serve_doubles.h"
#include "serve/spine_rows.h"

namespace tidemill {
namespace {

constexpr int64_t kHour = 3600 * kMicrosPerSecond;
const Timestamp kBegin = ParseTimestamp("2013-01-01").value();
constexpr int64_t kRows = 600;
constexpr const char* kPath = "/v1/models/late/predict";

/// A package that was really trained: late when far, with carriers as noise.
ModelPackage TrainPackage() {
  ModelAsset model;
  model.name = "late";
  model.timestamp = "predict_at";
  model.train = Duration{400 * kHour};
  model.validate = Duration{100 * kHour};
  model.test = Duration{100 * kHour};
  model.algorithm = "lightgbm";
  model.parameters = {{"num_leaves", int64_t{4}}, {"rounds", int64_t{10}}, {"early_stopping", int64_t{0}}};
  Columns rows;
  for (const Field& field : std::vector<Field>{{"predict_at", Type::kTimestamp},
                                               {"label", Type::kBool},
                                               {"label_known_at", Type::kTimestamp},
                                               {"carrier", Type::kText},
                                               {"distance", Type::kDouble}}) {
    rows.columns.emplace_back(field.name, field.type);
  }
  for (int64_t i = 0; i < kRows; ++i) {
    const int64_t distance = i * 7919 % 1000;
    rows.columns[0].AppendInt(kBegin.micros + i * kHour);
    rows.columns[1].AppendInt(distance + i % 13 * 20 > 600 ? 1 : 0);
    rows.columns[2].AppendInt(kBegin.micros + i * kHour);
    rows.columns[3].AppendText(i % 2 == 0 ? "AA" : "UA");
    rows.columns[4].AppendDouble(static_cast<double>(distance));
  }
  PrepareStep ordinal;
  ordinal.kind = "ordinal";
  ordinal.columns = {"carrier"};
  model.prepare = {ordinal};
  const auto split = PlanSplit(model, kBegin, kBegin + Duration{kRows * kHour});
  EXPECT_TRUE(split.ok());
  auto trained = TrainModel(model, SimplePlan().inputs, rows, *split, 1);
  if (!trained.ok()) ADD_FAILURE() << trained.error().Format();
  return trained.ok() ? trained->package : ModelPackage();
}

class ServerTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_.emplace(TemporaryFolder::Make(std::filesystem::temp_directory_path(), "server").value());
    database_ = Database::Open({}).value();
    lake_ = Lake::Open(*database_, {.folder = folder_->path() / "lake"}).value();
    catalog_ = Catalog::Open(folder_->path() / "catalog.sqlite", clock_).value();
    ASSERT_TRUE(lake_
                    ->Commit("planned", Json::object(),
                             [](Session& session) {
                               return session.Execute(
                                   "CREATE TABLE lake.main.planned AS SELECT 7::BIGINT AS id, 'AA' AS "
                                   "carrier, 900.0::DOUBLE AS distance, "
                                   "TIMESTAMP '2013-01-20' AS predict_at, 1::BIGINT AS _seq, TIMESTAMP "
                                   "'2013-01-01' AS _known_at");
                             })
                    .ok());
    store_ = OnlineStore::OpenEmbedded(StoreFolder()).value();
    package_ = TrainPackage();
  }

  void TearDown() override {
    server_.reset();
    store_.reset();
  }

  std::filesystem::path StoreFolder() const { return folder_->path() / "online"; }
  std::filesystem::path EndpointFile() const { return folder_->path() / "server.json"; }

  void AddVersion() {
    ModelVersion version;
    version.model = "late";
    version.status = "accepted";
    version.package_sha256 = lake_->PutArtifact(package_.Serialize()).value();
    version.detail = {{"plan", SimplePlan().ToJson()}};
    version.metrics = Json::object();
    const auto added = catalog_->AddModelVersion(version, "champion", "first");
    ASSERT_TRUE(added.ok()) << added.error().Format();
  }

  void Start() {
    ServerOptions options;
    options.port = 0;
    options.refresh_ms = 10;
    options.endpoint_file = EndpointFile();
    options.now = ParseTimestamp("2013-01-21").value();
    ServerParts parts;
    parts.catalog = catalog_.get();
    parts.lake = lake_.get();
    parts.store = store_.get();
    parts.clock = &clock_;
    parts.models = {"late"};
    auto server = StartServer(options, parts);
    ASSERT_TRUE(server.ok()) << server.error().Format();
    server_ = std::move(server).value();
  }

  Result<Json> Predict(const Json& instances) {
    return PostJson("127.0.0.1", server_->port(), kPath, {{"instances", instances}});
  }

  SystemClock clock_;
  std::optional<TemporaryFolder> folder_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Lake> lake_;
  std::unique_ptr<Catalog> catalog_;
  std::unique_ptr<OnlineStore> store_;
  std::unique_ptr<Server> server_;
  ModelPackage package_;
};

TEST_F(ServerTest, ServesATrainedModelAndLogsEveryPrediction) {
  AddVersion();
  Start();
  const auto endpoint = ReadEndpoint(EndpointFile());
  ASSERT_TRUE(endpoint.has_value());
  EXPECT_EQ(endpoint->port, server_->port());

  const auto answer =
      Predict(Json::parse(R"([{"carrier": "AA", "distance": 900}, {"carrier": "never seen", "distance": null}])"));
  ASSERT_TRUE(answer.ok()) << answer.error().Format();
  const auto predictor = Predictor::Load(package_, 1);
  ASSERT_TRUE(predictor.ok());
  Columns rows;
  rows.columns = {Column("carrier", Type::kText), Column("distance", Type::kDouble)};
  rows.columns[0].AppendText("AA");
  rows.columns[1].AppendDouble(900);
  EXPECT_EQ((*answer)["predictions"][0]["score"].get<double>(), (*predictor)->Predict(rows).value()[0]);
  const std::string id = (*answer)["predictions"][0]["prediction_id"].get<std::string>();

  // The spine's row is not there yet; `run` beside the server brings it through the server, which owns the
  // store.
  EXPECT_EQ(Predict(Json::parse(R"([{"id": 7}])")).error().code, "row_missing");
  OnlineWork work;
  work.until = ParseTimestamp("2013-01-21").value();
  work.spines = {SimplePlan()};
  const auto summary = MaterializeWhereOwned({StoreFolder(), EndpointFile(), false, {}}, *lake_, work);
  ASSERT_TRUE(summary.ok()) << summary.error().Format();
  EXPECT_TRUE(summary->by_server);
  const auto completed = Predict(Json::parse(R"([{"id": 7}])"));
  ASSERT_TRUE(completed.ok()) << completed.error().Format();
  EXPECT_EQ((*completed)["predictions"][0]["score"], (*answer)["predictions"][0]["score"]);
  EXPECT_EQ((*completed)["predictions"][0]["at"], "2013-01-20T00:00:00Z");

  server_->Stop();
  EXPECT_FALSE(ReadEndpoint(EndpointFile()).has_value());
  const auto session = lake_->Connect().value();
  const auto logged = session->Query("SELECT * FROM lake.tidemill.predictions ORDER BY prediction_id");
  ASSERT_TRUE(logged.ok()) << logged.error().Format();
  ASSERT_EQ(logged->rows(), 3u);
  EXPECT_EQ(logged->Find("prediction_id")->Text(0), id);
  EXPECT_EQ(logged->Find("model_version")->ints[0], 1);
  EXPECT_EQ(logged->Find("features")->Text(0), R"({"carrier":"AA","distance":900.0})");
  EXPECT_EQ(logged->Find("entities")->Text(2), R"({"id":7,"carrier":"AA","distance":900.0})");
  EXPECT_EQ(logged->Find("predicted_at")->At(2), Value(ParseTimestamp("2013-01-20").value()));
}

TEST_F(ServerTest, WaitsForAChampionAndNoticesIt) {
  Start();
  EXPECT_EQ(Predict(Json::array()).error().code, "no_champion");
  AddVersion();
  bool answered = false;
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);  // never needed on a machine that works
  while (!answered && std::chrono::steady_clock::now() < give_up) answered = Predict(Json::array()).ok();
  EXPECT_TRUE(answered);
}

TEST_F(ServerTest, MaterializesAtOnceWhereNobodyOwnsTheStore) {
  store_.reset();
  OnlineWork work;
  work.until = ParseTimestamp("2013-01-21").value();
  work.spines = {SimplePlan()};
  const auto summary = MaterializeWhereOwned({StoreFolder(), EndpointFile(), false, {}}, *lake_, work);
  ASSERT_TRUE(summary.ok()) << summary.error().Format();
  EXPECT_FALSE(summary->by_server);
  store_ = OnlineStore::OpenEmbedded(StoreFolder()).value();
  const auto rows = SpineRows::Open(*store_, SimplePlan());
  ASSERT_TRUE(rows.ok());
  EXPECT_TRUE(rows->Find({{"id", 7}}).value().has_value());
  // Owned by this process, and no server answers.
  const auto owned = MaterializeWhereOwned({StoreFolder(), EndpointFile(), false, {}}, *lake_, work);
  ASSERT_FALSE(owned.ok());
  EXPECT_EQ(owned.error().code, "store_owned");
}

TEST_F(ServerTest, AnEndpointOfAProcessThatHasGoneIsNone) {
  ASSERT_TRUE(WriteFileAtomic(EndpointFile(), R"({"address": "127.0.0.1", "port": 8080, "pid": 2147483646})").ok());
  EXPECT_FALSE(ReadEndpoint(EndpointFile()).has_value());
  ASSERT_TRUE(WriteFileAtomic(EndpointFile(), "half a fi").ok());
  EXPECT_FALSE(ReadEndpoint(EndpointFile()).has_value());
}

TEST_F(ServerTest, StopsAtASignal) {
  AddVersion();
  Start();
  ASSERT_TRUE(Predict(Json::parse(R"([{"carrier": "AA", "distance": 1}])")).ok());
  ASSERT_EQ(std::raise(SIGTERM), 0);
  EXPECT_TRUE(server_->Wait().ok());
  const auto logged = lake_->Connect().value()->Query("SELECT count(*) AS n FROM lake.tidemill.predictions");
  ASSERT_TRUE(logged.ok());
  EXPECT_EQ(logged->columns[0].ints[0], 1);
}

TEST_F(ServerTest, LoadChampionTellsWhatIsDamaged) {
  EXPECT_EQ(LoadChampion(*catalog_, *lake_, "late").error().code, "no_champion");
  package_.onnx = package_.onnx.substr(0, package_.onnx.size() / 2);
  AddVersion();
  const auto loaded = LoadChampion(*catalog_, *lake_, "late");
  ASSERT_FALSE(loaded.ok());
  EXPECT_NE(loaded.error().message.find("loading version 1 of model 'late'"), std::string::npos) << loaded.error().message;
}

}  // namespace
}  // namespace tidemill
