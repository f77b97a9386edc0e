#include "catalog/catalog.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <limits>
#include <thread>

#include "base/files.h"
#include "catalog/sqlite_file.h"

namespace tidemill {
namespace {

class FixedClock : public Clock {
 public:
  Timestamp Now() const override { return now; }
  Timestamp now{1'000'000};
};

class CatalogTest : public ::testing::Test {
 protected:
  void SetUp() override { catalog = Open(); }

  std::unique_ptr<Catalog> Open() {
    auto opened = Catalog::Open(folder.path() / "catalog.sqlite", clock);
    if (!opened.ok()) {
      ADD_FAILURE() << opened.error().Format();
      return nullptr;
    }
    return std::move(opened).value();
  }

  TemporaryFolder folder = TemporaryFolder::Make("/tmp", "tidemill-catalog-").value();
  FixedClock clock;
  std::unique_ptr<Catalog> catalog;
};

ModelVersion SomeVersion(std::string model) {
  ModelVersion version;
  version.model = std::move(model);
  version.status = "accepted";
  version.reason = "first";
  version.project_clock = {5};
  version.package_sha256 = "ab";
  version.metrics = {{"auc", 0.75}};
  version.detail = {{"gates", Json::array()}};
  return version;
}

TEST_F(CatalogTest, RecordsARunWithItsSteps) {
  const auto id = catalog->BeginRun("run", {42});
  ASSERT_TRUE(id.ok()) << id.error().Format();
  EXPECT_EQ(catalog->Runs(10).value().at(0).status, "running");
  ASSERT_TRUE(catalog->AddStep({id.value(), "flights", "succeeded", "new data", 10, 0.5, ""}).ok());
  ASSERT_TRUE(catalog->AddStep({id.value(), "departures", "failed", "behind", 0, 0.1, "it's broken"}).ok());
  clock.now.micros += 7;
  ASSERT_TRUE(catalog->FinishRun(id.value(), "failed", "departures").ok());

  const auto runs = catalog->Runs(10).value();
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].status, "failed");
  EXPECT_EQ(runs[0].project_clock.micros, 42);
  EXPECT_EQ(runs[0].started_at.micros, 1'000'000);
  EXPECT_EQ(runs[0].ended_at.micros, 1'000'007);
  const auto steps = catalog->Steps(id.value()).value();
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].asset, "flights");
  EXPECT_EQ(steps[0].rows, 10);
  EXPECT_EQ(steps[1].error, "it's broken");
}

TEST_F(CatalogTest, RefusesASecondRunAndSaysWhoRuns) {
  const auto id = catalog->BeginRun("run late_arrival", {42});
  ASSERT_TRUE(id.ok());
  const auto other = Open();
  for (Catalog* one : {catalog.get(), other.get()}) {
    const auto second = one->BeginRun("run", {43});
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, "run_active");
    EXPECT_EQ(second.error().message,
              "run 1 ('run late_arrival') is active since 1970-01-01T00:00:01Z in process " + std::to_string(getpid()));
    EXPECT_FALSE(second.error().hint.empty());
  }
  ASSERT_TRUE(catalog->FinishRun(id.value(), "succeeded", "").ok());
  const auto second = other->BeginRun("run", {43});
  ASSERT_TRUE(second.ok()) << second.error().Format();
  EXPECT_EQ(second.value(), 2);
  EXPECT_EQ(other->Runs(10).value().at(1).status, "succeeded");
}

TEST_F(CatalogTest, AnUnfinishedRunOfAGoneCatalogIsOrphaned) {
  ASSERT_TRUE(catalog->BeginRun("run", {1}).ok());
  catalog = Open();  // the first one goes away without finishing
  const auto next = catalog->BeginRun("run", {2});
  ASSERT_TRUE(next.ok()) << next.error().Format();
  const auto runs = catalog->Runs(10).value();
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].status, "running");
  EXPECT_EQ(runs[1].status, "orphaned");
  EXPECT_NE(runs[1].error, "");
}

TEST_F(CatalogTest, AKilledProcessLosesItsLease) {
  catalog.reset();
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto mine = Catalog::Open(folder.path() / "catalog.sqlite", clock);
    const bool begun = mine.ok() && mine.value()->BeginRun("run", {1}).ok();
    (void)!write(ready[1], begun ? "y" : "n", 1);
    pause();
    _exit(0);
  }
  char begun = 0;
  ASSERT_EQ(read(ready[0], &begun, 1), 1);
  ASSERT_EQ(begun, 'y');
  catalog = Open();
  const auto refused = catalog->BeginRun("run", {2});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("process " + std::to_string(child)), std::string::npos) << refused.error().message;
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(catalog->BeginRun("run", {2}).ok());
  EXPECT_EQ(catalog->Runs(1000).value().at(1).status, "orphaned");
  close(ready[0]);
  close(ready[1]);
}

TEST_F(CatalogTest, FinishingSomebodyElsesRunIsADefect) {
  EXPECT_EQ(catalog->FinishRun(7, "succeeded", "").error().kind, ErrorKind::kInternal);
}

TEST_F(CatalogTest, KeepsTheStateOfAssets) {
  EXPECT_FALSE(catalog->State("flights").value().has_value());
  AssetState state{"flights", "f1", {{"raw", "v1"}}, "v9", {10}, Timestamp{20}, 3, {{"rows", 5}}};
  ASSERT_TRUE(catalog->PutState(state).ok());
  state.fingerprint = "f2";
  state.next_known_at.reset();
  ASSERT_TRUE(catalog->PutState(state).ok());
  const auto found = Open()->State("flights").value();
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->fingerprint, "f2");
  EXPECT_EQ(found->inputs, state.inputs);
  EXPECT_EQ(found->version, "v9");
  EXPECT_FALSE(found->next_known_at.has_value());
  EXPECT_EQ(found->detail, state.detail);
  ASSERT_TRUE(catalog->PutState({"a", "", {}, "", {1}, Timestamp{-5}, 1, {}}).ok());
  const auto states = catalog->States().value();
  ASSERT_EQ(states.size(), 2u);
  EXPECT_EQ(states[0].asset, "a");
  EXPECT_EQ(states[0].next_known_at->micros, -5);
  EXPECT_TRUE(states[0].detail.is_null());
  ASSERT_TRUE(catalog->RemoveState("flights").ok());
  EXPECT_FALSE(catalog->State("flights").value().has_value());
}

TEST_F(CatalogTest, NumbersVersionsPerModelAndMovesAliases) {
  EXPECT_EQ(catalog->AddModelVersion(SomeVersion("late"), "champion", "first").value(), 1);
  EXPECT_EQ(catalog->AddModelVersion(SomeVersion("late"), "", "").value(), 2);
  EXPECT_EQ(catalog->AddModelVersion(SomeVersion("churn"), "champion", "").value(), 1);
  EXPECT_EQ(catalog->Alias("late", "champion").value(), 1);
  ASSERT_TRUE(catalog->SetAlias({"late", "champion", 2, {9}, "better"}).ok());
  EXPECT_EQ(catalog->Alias("late", "champion").value(), 2);
  EXPECT_FALSE(catalog->Alias("late", "challenger").value().has_value());
  const auto history = catalog->AliasHistory("late").value();
  ASSERT_EQ(history.size(), 2u);
  EXPECT_EQ(history[0].version, 1);
  EXPECT_EQ(history[1].reason, "better");
  EXPECT_EQ(catalog->ModelVersions("late").value().size(), 2u);
  EXPECT_EQ(catalog->ModelVersions("").value().size(), 3u);
  const auto version = catalog->GetModelVersion("late", 2).value();
  EXPECT_EQ(version.metrics["auc"], 0.75);
  EXPECT_EQ(version.created_at.micros, clock.now.micros);
}

TEST_F(CatalogTest, RefusesVersionsThatDoNotExist) {
  (void)catalog->AddModelVersion(SomeVersion("late"), "", "");
  const auto missing = catalog->GetModelVersion("late", 7);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, "unknown_version");
  EXPECT_EQ(missing.error().hint, "its versions are: 1");
  EXPECT_EQ(catalog->SetAlias({"late", "champion", 7, {9}, ""}).error().code, "unknown_version");
  EXPECT_TRUE(catalog->AliasHistory("").value().empty());
}

TEST_F(CatalogTest, TwoCatalogsAddVersionsAtOnceWithoutLosingOne) {
  const auto other = Open();
  std::thread thread([&] {
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(other->AddModelVersion(SomeVersion("late"), "champion", "").ok());
  });
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(catalog->AddModelVersion(SomeVersion("late"), "champion", "").ok());
  thread.join();
  const auto versions = catalog->ModelVersions("late").value();
  ASSERT_EQ(versions.size(), 40u);
  EXPECT_EQ(versions.back().version, 40);
}

TEST_F(CatalogTest, KeepsMeasurementsInTheOrderOfTime) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  ASSERT_TRUE(catalog
                  ->AddMeasurements({{"late", 1, {20}, "drift.share", "", 0.5, 0.3, true, {{"n", 1}}},
                                     {"late", 1, {10}, "performance.auc", "", nan, std::nullopt, false, {}},
                                     {"churn", 1, {10}, "drift.share", "", 0.1, std::nullopt, false, {}}})
                  .ok());
  const auto all = catalog->Measurements("late", "").value();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_TRUE(std::isnan(all[0].value));
  EXPECT_EQ(all[1].threshold, 0.3);
  EXPECT_TRUE(all[1].alert);
  EXPECT_EQ(catalog->Measurements("", "drift.share").value().size(), 2u);
  EXPECT_TRUE(catalog->Measurements("nobody", "").value().empty());
}

TEST_F(CatalogTest, RefusesACatalogOfANewerTidemill) {
  catalog.reset();
  {
    auto file = SqliteFile::Open(folder.path() / "catalog.sqlite", {.version = 1, .create = ""}, "x").value();
    ASSERT_TRUE(file->Run("PRAGMA user_version=99").ok());
  }
  const auto opened = Catalog::Open(folder.path() / "catalog.sqlite", clock);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, "catalog_newer");
  EXPECT_NE(opened.error().message.find("format 99; this one knows up to 1"), std::string::npos) << opened.error().message;
  EXPECT_FALSE(opened.error().hint.empty());
}

TEST_F(CatalogTest, ADamagedFileIsAnErrorThatSaysSo) {
  const auto file = folder.path() / "other.sqlite";
  ASSERT_TRUE(WriteFileAtomic(file, std::string(4096, 'x')).ok());
  EXPECT_EQ(Catalog::Open(file, clock).error().code, "catalog_damaged");
}

// The bound on file sizes stands for a full disk: writes fail in the middle.
TEST_F(CatalogTest, AFullDiskFailsTheWriteAndDamagesNothing) {
  ASSERT_TRUE(catalog->PutState({"a", "f1", {}, "v1", {1}, std::nullopt, 1, {}}).ok());
  catalog.reset();
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    auto mine = Catalog::Open(folder.path() / "catalog.sqlite", clock);
    if (!mine.ok()) _exit(2);
    const rlimit bound{200'000, 200'000};
    setrlimit(RLIMIT_FSIZE, &bound);
    for (int i = 0; i < 1000; ++i) {
      const Status put =
          mine.value()->PutState({"b" + std::to_string(i), std::string(5000, 'f'), {}, "v", {1}, std::nullopt, 1, {}});
      if (!put.ok()) _exit(put.error().code == "disk_full" ? 0 : 3);
    }
    _exit(4);
  }
  int ended = 0;
  waitpid(child, &ended, 0);
  EXPECT_EQ(WEXITSTATUS(ended), 0);
  catalog = Open();
  ASSERT_NE(catalog, nullptr);
  EXPECT_EQ(catalog->State("a").value()->fingerprint, "f1");
  EXPECT_TRUE(catalog->PutState({"c", "f1", {}, "v1", {1}, std::nullopt, 1, {}}).ok());
}

}  // namespace
}  // namespace tidemill
