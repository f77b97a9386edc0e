#include "api/report.h"

#include <gtest/gtest.h>

#include "api/page.h"
#include "base/files.h"

namespace tidemill {
namespace {

/// The data within a page, read back the way a browser does.
Json DataOf(const std::string& page) {
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const size_t begin = page.find(open) + open.size();
  return Json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

TEST(Page, StandsAloneWhateverTheData) {
  const Json data = {{"text", "</script><script>alert(1)</script> <!-- {{report.js}} {{data}} "}, {"bytes", "\xff\xfe"}};
  const std::string page = RenderPage(data);
  EXPECT_EQ(DataOf(page)["text"], data["text"]);
  EXPECT_EQ(page.find("alert(1)</script>"), std::string::npos);
  for (const std::string_view outside : {"src=\"", "href=\"http", "url(", "@import", "fetch("}) {
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  }
  EXPECT_NE(page.find("function assetGraph("), std::string::npos);
  EXPECT_NE(page.find("--paper:"), std::string::npos);
}

/// A small project with a lake and a catalog, put together by hand.
class Report : public ::testing::Test {
 protected:
  void SetUp() override {
    auto folder = TemporaryFolder::Make(std::filesystem::temp_directory_path(), "report");
    ASSERT_TRUE(folder.ok());
    folder_ = std::make_unique<TemporaryFolder>(std::move(folder).value());
    workspace_.project.name = "churn";
    auto database = Database::Open({});
    ASSERT_TRUE(database.ok()) << database.error().Format();
    workspace_.database = std::move(database).value();
    auto lake = Lake::Open(*workspace_.database, {.folder = folder_->path() / "lake"});
    ASSERT_TRUE(lake.ok()) << lake.error().Format();
    workspace_.lake = std::move(lake).value();
    auto catalog = Catalog::Open(folder_->path() / "catalog.sqlite", clock_);
    ASSERT_TRUE(catalog.ok()) << catalog.error().Format();
    workspace_.catalog = std::move(catalog).value();
  }

  void AddAsset(const std::string& name, AssetKind kind, std::vector<std::string> inputs) {
    AssetNode node;
    node.name = name;
    node.kind = kind;
    node.inputs = std::move(inputs);
    workspace_.project.graph.push_back(node);
    workspace_.fingerprints[name] = "now";
    if (kind == AssetKind::kModel) workspace_.project.models[name].name = name;
  }

  void FillLake() {
    const auto filled = workspace_.lake->Commit("fill", Json::object(), [](Session& session) -> Status {
      TIDEMILL_RETURN_IF_ERROR(session.Execute("CREATE TABLE lake.main.customers AS SELECT i AS id, 'p' || (i % 3) AS plan, i AS _seq, TIMESTAMP '2020-01-01' AS _known_at FROM range(50) r(i)"));
      TIDEMILL_RETURN_IF_ERROR(session.Execute("CREATE SCHEMA IF NOT EXISTS lake.tidemill"));
      return session.Execute("CREATE OR REPLACE TABLE lake.tidemill.quarantine AS SELECT 'customers' AS source, 'data/c.csv' AS file, i AS record, i + 1 AS line, "
                             "CASE WHEN i < 5 THEN 'id is not a number' ELSE 'too many fields' END AS reason, 'x,</script>' AS raw FROM range(1, 8) r(i)");
    });
    ASSERT_TRUE(filled.ok()) << filled.error().Format();
  }

  void AddVersion(const std::string& status, Timestamp clock) {
    ModelVersion version;
    version.model = "churned";
    version.status = status;
    version.reason = "first version";
    version.project_clock = clock;
    version.metrics = {{"auc", 0.8125}, {"rows", 100}, {"positives", 25}};
    version.detail = Json::parse(R"({"curves": {"roc": [[0, 0], [0.123456789, 1]]}, "importances": {"plan": 1.0}, "gates": [{"gate": "auc.min", "passed": true}]})");
    ASSERT_TRUE(workspace_.catalog->AddModelVersion(version, status == "accepted" ? "champion" : "", "passed its gates").ok());
  }

  Json Render(const Json* replay = nullptr) {
    const auto page = RenderReport(workspace_, replay);
    EXPECT_TRUE(page.ok()) << (page.ok() ? "" : page.error().Format());
    return page.ok() ? DataOf(*page) : Json();
  }

  SystemClock clock_;
  std::unique_ptr<TemporaryFolder> folder_;
  Workspace workspace_;
};

TEST_F(Report, NothingHasRunYet) {
  AddAsset("customers", AssetKind::kSource, {});
  AddAsset("churned", AssetKind::kModel, {"customers"});
  const Json data = Render();
  EXPECT_EQ(data["project"]["name"], "churn");
  EXPECT_TRUE(data["project"]["clock"].is_null());
  EXPECT_EQ(data["assets"][0]["state"], "never");
  EXPECT_EQ(data["runs"].size(), 0u);
  EXPECT_EQ(data["models"][0]["versions"].size(), 0u);
  EXPECT_EQ(data["quarantine_rows"], 0);
  EXPECT_TRUE(data["replay"].is_null());
}

TEST_F(Report, ShowsWhatHappened) {
  AddAsset("customers", AssetKind::kSource, {});
  AddAsset("plans", AssetKind::kTable, {"customers"});
  AddAsset("churned", AssetKind::kModel, {"plans"});
  FillLake();
  const Timestamp clock = ParseTimestamp("2020-02-01").value();
  const auto run = workspace_.catalog->BeginRun("run", clock);
  ASSERT_TRUE(run.ok());
  ASSERT_TRUE(workspace_.catalog->AddStep({*run, "customers", "succeeded", "1 new file", 50, 0.5, ""}).ok());
  ASSERT_TRUE(workspace_.catalog->AddStep({*run, "plans", "failed", "input is newer", 0, 0.1, "no such column"}).ok());
  ASSERT_TRUE(workspace_.catalog->FinishRun(*run, "failed", "1 asset failed").ok());
  AssetState state;
  state.asset = "customers";
  state.fingerprint = "before";
  state.project_clock = clock;
  ASSERT_TRUE(workspace_.catalog->PutState(state).ok());
  AddVersion("accepted", clock);
  AddVersion("rejected", clock);
  ASSERT_TRUE(workspace_.catalog
                  ->AddMeasurements({{"churned", 1, clock, "drift.share", "", 0.5, 0.5, true, {}},
                                     {"churned", 1, clock, "drift.columns", "", 1, {}, false, {}},
                                     {"churned", 1, clock, "drift.column", "plan", 0.3, 0.1, true, {}},
                                     {"churned", 1, clock, "performance.auc", "", 0.7, 0.72, true, {}},
                                     {"churned", 1, clock, "first.auc", "", 0.69, {}, false, {}},
                                     {"churned", 1, clock + Duration{kMicrosPerDay}, "drift.column", "age", 0.2, 0.1, true, {}}})
                  .ok());

  const Json data = Render();
  EXPECT_EQ(data["project"]["clock"], "2020-02-01T00:00:00Z");
  EXPECT_EQ(data["assets"][0]["state"], "stale");
  EXPECT_EQ(data["assets"][0]["rows"], 50);
  EXPECT_EQ(data["assets"][1]["state"], "failed");
  EXPECT_EQ(data["assets"][2]["state"], "fresh");
  EXPECT_EQ(data["runs"][0]["steps"].size(), 2u);

  ASSERT_EQ(data["profiles"].size(), 1u);
  EXPECT_EQ(data["profiles"][0]["columns"].size(), 2u) << "_seq and _known_at are not shown";

  EXPECT_EQ(data["quarantine_rows"], 7);
  ASSERT_EQ(data["quarantine"].size(), 2u);
  EXPECT_EQ(data["quarantine"][0]["reason"], "id is not a number");
  EXPECT_EQ(data["quarantine"][0]["rows"], 4);
  EXPECT_EQ(data["quarantine"][0]["samples"].size(), 3u);
  EXPECT_EQ(data["quarantine"][0]["samples"][0]["line"], 2);
  EXPECT_EQ(data["quarantine"][0]["samples"][0]["raw"], "x,</script>");

  const Json& model = data["models"][0];
  EXPECT_EQ(model["champion"], 1);
  ASSERT_EQ(model["versions"].size(), 2u);
  EXPECT_EQ(model["versions"][0]["curves"]["roc"][1][0], 0.123457);
  EXPECT_EQ(model["performance"].size(), 1u);
  EXPECT_EQ(model["performance"][0]["alert"], true);
  EXPECT_EQ(model["first"][0]["value"], 0.69);
  EXPECT_EQ(model["drift_share"][0]["columns"], 1);
  ASSERT_EQ(model["drift"]["ticks"].size(), 2u);
  EXPECT_EQ(model["drift"]["columns"][0]["name"], "age");
  EXPECT_TRUE(model["drift"]["columns"][0]["cells"][0].is_null()) << "not measured at the first tick";
  EXPECT_EQ(model["drift"]["columns"][1]["cells"][0], Json({1, 0.3, 0.1}));
}

TEST_F(Report, ShowsHowOnlineAnswersCompareWithBatch) {
  EXPECT_TRUE(Render()["skew"].empty());
  FeatureViewAsset view;
  view.name = "spending";
  workspace_.project.views["spending"] = view;
  EXPECT_TRUE(Render()["skew"].empty()) << "nothing was compared yet";
  const Timestamp at = ParseTimestamp("2020-02-01").value();
  Measurement good{"spending", 0, at, "skew", "", 0, 0, false, {{"answers", 200}}};
  Measurement bad{"spending", 0, at + Duration{kMicrosPerDay}, "skew", "", 3, 0, true, {{"answers", 150}}};
  ASSERT_TRUE(workspace_.catalog->AddMeasurements({good, bad}).ok());
  const Json skew = Render()["skew"];
  ASSERT_EQ(skew.size(), 1u);
  EXPECT_EQ(skew[0]["view"], "spending");
  ASSERT_EQ(skew[0]["checks"].size(), 2u);
  EXPECT_EQ(skew[0]["checks"][0], Json({{"at", "2020-02-01T00:00:00Z"}, {"answers", 200}, {"different", 0.0}, {"alert", false}}));
  EXPECT_EQ(skew[0]["checks"][1]["different"], 3.0);
  EXPECT_EQ(skew[0]["checks"][1]["alert"], true);
}

TEST_F(Report, CarriesTheReplayAndItsModels) {
  AddAsset("churned", AssetKind::kModel, {});
  Json replay = {{"months", Json::array()}, {"ticks", 35}, {"folder", (folder_->path() / "branch").string()}};
  EXPECT_EQ(Render(&replay)["replay"]["ticks"], 35) << "the branch may have been removed";
  EXPECT_FALSE(Render(&replay)["replay"].contains("models"));

  ASSERT_TRUE(MakeFolders(folder_->path() / "branch").ok());
  auto production = std::move(workspace_.catalog);
  workspace_.catalog = Catalog::Open(folder_->path() / "branch" / "catalog.sqlite", clock_).value();
  AddVersion("accepted", Timestamp{0});
  workspace_.catalog = std::move(production);
  const Json data = Render(&replay);
  EXPECT_EQ(data["models"][0]["versions"].size(), 0u);
  EXPECT_EQ(data["replay"]["models"][0]["versions"].size(), 1u);
}

}  // namespace
}  // namespace tidemill
