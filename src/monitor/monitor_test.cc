#include "monitor/monitor.h"

#include <cmath>

#include <gtest/gtest.h>

#include "sql/testing.h"

namespace tidemill {
namespace {

constexpr Duration kMonth{28 * kMicrosPerDay};
constexpr Timestamp kNow{1'370'000'000 * kMicrosPerSecond};

/// `rows` scored rows with one input x; a share `right` of the labels agrees with the score.
Columns ScoredRows(int rows, double shift, double right) {
  Columns columns;
  columns.columns = {Column("x", Type::kDouble), Column("score", Type::kDouble), Column("label", Type::kInt64)};
  for (int i = 0; i < rows; ++i) {
    const double unit = std::fmod(i * 0.6180339887498949, 1.0);
    columns.columns[0].AppendDouble(unit + shift);
    columns.columns[1].AppendDouble(unit);
    const bool agrees = std::fmod(i * 0.4142135623730951, 1.0) < right;
    columns.columns[2].AppendInt((unit > 0.5) == agrees ? 1 : 0);
  }
  return columns;
}

class Monitor : public testing::SessionTest {
 protected:
  void SetUp() override {
    SessionTest::SetUp();
    model_.name = "m";
    model_.monitor.emplace();
    model_.monitor->performance_metric = "auc";
    model_.retrain_when = "performance.alert or drift.share > 0.3 or model.age_days >= 56";
    reference_ = ProfileReference(ScoredRows(5000, 0, 1), {{"x", Type::kDouble}}, std::nullopt);
  }

  MonitorResult Run(const Columns& rows, Duration age = kMonth) {
    auto result = MonitorModel(model_, 3, reference_, Json{{"auc", 0.95}}, rows, age, kNow, *session_);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().Format());
    return result.ok() ? *result : MonitorResult{};
  }
  static const Measurement* Find(const MonitorResult& result, std::string_view name) {
    for (const Measurement& m : result.measurements) {
      if (m.name == name) return &m;
    }
    return nullptr;
  }
  ModelAsset model_;
  Json reference_;
};

TEST_F(Monitor, NothingHappens) {
  model_.monitor->alert_below = 0.8;
  const MonitorResult result = Run(ScoredRows(1000, 0, 0.95));
  EXPECT_FALSE(result.drift_alert || result.performance_alert || result.retrain);
  EXPECT_EQ(result.reason, "");
  ASSERT_NE(Find(result, "performance.auc"), nullptr);
  EXPECT_EQ(Find(result, "performance.auc")->version, 3);
  EXPECT_EQ(Find(result, "performance.auc")->at, kNow);
  EXPECT_EQ(Find(result, "performance.auc")->threshold, 0.8);
  ASSERT_NE(Find(result, "drift.column"), nullptr);
  EXPECT_EQ(Find(result, "drift.column")->subject, "x");
}

TEST_F(Monitor, PerformanceBelowItsFloor) {
  model_.monitor->alert_below = 0.9;
  const MonitorResult result = Run(ScoredRows(1000, 0, 0.8));
  EXPECT_TRUE(result.performance_alert);
  EXPECT_TRUE(result.retrain);
  EXPECT_NE(result.reason.find("performance.alert: auc 0."), std::string::npos) << result.reason;
  EXPECT_NE(result.reason.find("is below 0.9 over 28d"), std::string::npos) << result.reason;
  EXPECT_TRUE(Find(result, "performance.auc")->alert);
}

TEST_F(Monitor, PerformanceDropSinceTheGates) {
  model_.monitor->alert_drop = 0.05;
  EXPECT_TRUE(Run(ScoredRows(1000, 0, 0.8)).performance_alert);
  model_.monitor->alert_drop = 0.5;
  EXPECT_FALSE(Run(ScoredRows(1000, 0, 0.8)).performance_alert);
}

TEST_F(Monitor, DriftRetrains) {
  const MonitorResult result = Run(ScoredRows(1000, 0.3, 0.99));
  EXPECT_TRUE(result.drift_alert);
  EXPECT_EQ(result.drifted_columns, 1);
  EXPECT_EQ(result.drift_share, 1);
  EXPECT_TRUE(result.retrain);
  EXPECT_EQ(result.reason, "drift.share > 0.3: 1 of 1 columns drifted (x)");
}

TEST_F(Monitor, AgeRetrainsEvenWithoutRows) {
  const MonitorResult result = Run(Columns{}, Duration{56 * kMicrosPerDay});
  EXPECT_TRUE(result.measurements.empty());
  EXPECT_TRUE(result.retrain);
  EXPECT_EQ(result.reason, "model.age_days >= 56: the model is 56 days old");
  EXPECT_FALSE(Run(Columns{}, Duration{55 * kMicrosPerDay}).retrain);
}

TEST_F(Monitor, TooFewRowsOrLabelsAreNotMeasured) {
  model_.monitor->alert_below = 0.99;
  EXPECT_TRUE(Run(ScoredRows(199, 0.3, 0.5)).measurements.empty());
  Columns rows = ScoredRows(1000, 0, 0.5);
  for (size_t i = 0; i < 801; ++i) rows.columns[2].valid[i] = 0;
  EXPECT_FALSE(Run(rows).performance.has_value()) << "199 labels";
  rows.columns[2].valid[0] = 1;
  EXPECT_TRUE(Run(rows).performance.has_value()) << "200 labels";
  Columns one_class = ScoredRows(1000, 0, 0.5);
  one_class.columns[2].ints.assign(1000, 1);
  EXPECT_FALSE(Run(one_class).performance.has_value());
  EXPECT_FALSE(Run(one_class).retrain);
}

TEST_F(Monitor, WithoutConditionNeverRetrains) {
  model_.retrain_when = "";
  EXPECT_FALSE(Run(ScoredRows(1000, 0.5, 0.1), Duration{400 * kMicrosPerDay}).retrain);
}

TEST_F(Monitor, WithoutSettingsAgeStillCounts) {
  model_.monitor.reset();
  EXPECT_TRUE(Run(ScoredRows(1000, 0, 0.9), Duration{60 * kMicrosPerDay}).retrain);
}

}  // namespace
}  // namespace tidemill
