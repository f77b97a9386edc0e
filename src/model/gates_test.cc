#include "model/gates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/synthetic_rows.h"

namespace tidemill {
namespace {

using ::testing::HasSubstr;

/// Gives every row the value of its column "score_column".
class ColumnPredictor : public Predictor {
 public:
  explicit ColumnPredictor(std::string column) : inputs_{{std::move(column), Type::kDouble}} {}
  const std::vector<Field>& inputs() const override { return inputs_; }
  Result<std::vector<double>> Predict(const Columns& rows) override {
    ++calls;
    return rows.Find(inputs_[0].name)->doubles;
  }
  int calls = 0;

 private:
  std::vector<Field> inputs_;
};

class CompareTest : public ::testing::Test {
 protected:
  /// Rows an hour apart; the last `test_rows` are the test window. "good" tells the label apart from nothing wrong, "bad" only
  /// half of the time.
  void Make(size_t count, size_t test_rows) {
    rows_.columns = {Column("at", Type::kTimestamp), Column("label", Type::kBool), Column("good", Type::kDouble),
                     Column("bad", Type::kDouble)};
    for (size_t i = 0; i < count; ++i) {
      const bool positive = i % 3 == 0;
      rows_.columns[0].AppendInt(static_cast<int64_t>(i) * synthetic::kHour);
      rows_.columns[1].AppendInt(positive ? 1 : 0);
      rows_.columns[2].AppendDouble(positive ? 0.9 : 0.1);
      rows_.columns[3].AppendDouble(i % 2 == 0 ? 0.6 : 0.4);
    }
    for (size_t row = count - test_rows; row < count; ++row) {
      challenger_.test_rows.push_back(row);
      challenger_.test_scores.push_back(rows_.columns[2].doubles[row]);
    }
    model_.timestamp = "at";
  }
  ChampionComparison Compare(Predictor& champion, size_t trained_until_row) {
    return CompareWithChampion(model_, challenger_, rows_, champion, Timestamp{rows_.columns[0].ints[trained_until_row]}).value();
  }

  ModelAsset model_;
  Columns rows_;
  TrainingResult challenger_;
};

TEST_F(CompareTest, UsesOnlyRowsThatNeitherWasFittedOn) {
  Make(1000, 400);
  ColumnPredictor champion("bad");
  const ChampionComparison old_champion = Compare(champion, 100);
  ASSERT_TRUE(old_champion.compared);
  EXPECT_EQ(old_champion.rows, 400);
  const ChampionComparison comparison = Compare(champion, 749);
  ASSERT_TRUE(comparison.compared) << comparison.note;
  EXPECT_EQ(comparison.rows, 250);
  EXPECT_EQ(comparison.challenger["auc"], 1.0);
  EXPECT_NEAR(comparison.champion["auc"].get<double>(), 0.5, 0.02);
}

TEST_F(CompareTest, SkipsWithAReason) {
  Make(1000, 400);
  ColumnPredictor champion("good"), stranger("another");
  EXPECT_THAT(Compare(champion, 801).note, HasSubstr("only 198 test rows"));
  EXPECT_THAT(Compare(stranger, 100).note, HasSubstr("'another'"));
  EXPECT_FALSE(Compare(stranger, 100).compared);
  std::fill(rows_.columns[1].ints.begin(), rows_.columns[1].ints.end(), 0);
  EXPECT_THAT(Compare(champion, 100).note, HasSubstr("same label"));
}

TEST(Gates, ReportEachBound) {
  ModelAsset model;
  const auto gate = [](std::string metric, std::optional<double> min, std::optional<double> max, std::optional<double> drop) {
    Gate made;
    made.metric = std::move(metric);
    made.min = min;
    made.max = max;
    made.max_drop_from_champion = drop;
    return made;
  };
  model.gates = {gate("auc", 0.7, {}, 0.01), gate("log_loss", {}, 0.5, 0.02), gate("latency_p99_ms", {}, 5, {}),
                 gate("brier", 0.1, {}, {})};
  ChampionComparison comparison;
  comparison.compared = true;
  comparison.rows = 500;
  comparison.challenger = Json{{"auc", 0.74}, {"log_loss", 0.45}};
  comparison.champion = Json{{"auc", 0.76}, {"log_loss", 0.44}};
  const Json metrics{{"auc", 0.7}, {"log_loss", 0.51}, {"brier", nullptr}};
  const Json results = EvaluateGates(model, metrics, comparison, 5.0);
  const std::vector<std::pair<std::string, bool>> expected{{"auc.min", true},
                                                           {"auc.max_drop_from_champion", false},
                                                           {"log_loss.max", false},
                                                           {"log_loss.max_drop_from_champion", true},
                                                           {"latency_p99_ms.max", true},
                                                           {"brier.min", false}};
  ASSERT_EQ(results.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(results[i]["gate"], expected[i].first);
    EXPECT_EQ(results[i]["passed"], expected[i].second) << results[i].dump();
  }
  EXPECT_THAT(results[1]["text"].get<std::string>(), HasSubstr("worse by 0.0200"));
  EXPECT_TRUE(results[5]["value"].is_null());
  EXPECT_FALSE(GatesPassed(results));

  model.gates = {gate("auc", 0.7, {}, 0.01)};
  EXPECT_TRUE(GatesPassed(EvaluateGates(model, metrics, std::nullopt, 0)));
  EXPECT_THAT(EvaluateGates(model, metrics, std::nullopt, 0)[1]["text"].get<std::string>(), HasSubstr("no champion"));
  EXPECT_FALSE(GatesPassed(EvaluateGates(model, Json(nullptr), std::nullopt, 0)));
  EXPECT_TRUE(GatesPassed(Json::array()));
}

TEST(Gates, LatencyIsOfSingleRows) {
  Columns rows;
  rows.columns = {Column("x", Type::kDouble)};
  ColumnPredictor predictor("x");
  EXPECT_EQ(MeasureLatencyP99Ms(predictor, rows).value(), 0.0);
  for (int i = 0; i < 10; ++i) rows.columns[0].AppendDouble(i);
  const double p99_ms = MeasureLatencyP99Ms(predictor, rows).value();
  EXPECT_GT(p99_ms, 0.0);
  EXPECT_EQ(predictor.calls, 220);
  ColumnPredictor lacking("y");
  EXPECT_FALSE(MeasureLatencyP99Ms(lacking, rows).ok());
}

}  // namespace
}  // namespace tidemill
