#include "stats/classification_metrics.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

namespace tidemill {
namespace {

struct Sample {
  std::vector<double> scores;
  std::vector<int> labels;
};

/// Scores on `levels` steps (so: ties) and labels that lean on them.
Sample MakeSample(int rows, uint64_t levels, uint64_t noise) {
  Sample sample;
  uint64_t state = 12345;
  const auto next = [&state] { return (state = state * 6364136223846793005u + 1442695040888963407u) >> 33; };
  for (int i = 0; i < rows; ++i) {
    const uint64_t level = next() % levels;
    const uint64_t draw = next() % noise;
    sample.scores.push_back((static_cast<double>(level) + 0.5) / static_cast<double>(levels));
    sample.labels.push_back(draw < level * noise / levels / 2 + noise / 10 ? 1 : 0);
  }
  return sample;
}

/// Computed with scikit-learn 1.x on the same samples.
struct KnownValues {
  int rows;
  uint64_t levels, noise;
  double auc, average_precision, log_loss, brier, accuracy;
};
constexpr KnownValues kKnown[] = {
    {10, 4, 100, 0.3333333333333333, 0.2619047619047619, 1.1486494716483313, 0.415625, 0.4},
    {1000, 37, 1000, 0.6746136375502533, 0.5280276509371715, 0.7344647493577509, 0.2523856829802776, 0.612},
    {5000, 1000003, 1000, 0.6743955786137661, 0.5020064953255501, 0.7538203016424172, 0.25177058947178566, 0.6266},
};

TEST(ClassificationMetrics, AgreeWithScikitLearn) {
  for (const KnownValues& known : kKnown) {
    SCOPED_TRACE(known.rows);
    const Sample sample = MakeSample(known.rows, known.levels, known.noise);
    EXPECT_NEAR(*AreaUnderRoc(sample.scores, sample.labels), known.auc, 1e-14);
    EXPECT_NEAR(*AveragePrecision(sample.scores, sample.labels), known.average_precision, 1e-13);
    EXPECT_NEAR(*LogLoss(sample.scores, sample.labels), known.log_loss, 1e-13);
    EXPECT_NEAR(*BrierScore(sample.scores, sample.labels), known.brier, 1e-13);
    EXPECT_NEAR(*Accuracy(sample.scores, sample.labels), known.accuracy, 1e-14);
  }
}

TEST(ClassificationMetrics, AreaUnderRocIsTheShareOfPairsInOrder) {
  const Sample sample = MakeSample(300, 7, 50);
  double pairs = 0, ordered = 0;
  for (size_t i = 0; i < 300; ++i) {
    for (size_t j = 0; j < 300; ++j) {
      if (sample.labels[i] != 1 || sample.labels[j] != 0) continue;
      ++pairs;
      ordered += sample.scores[i] > sample.scores[j] ? 1.0 : sample.scores[i] == sample.scores[j] ? 0.5 : 0.0;
    }
  }
  EXPECT_DOUBLE_EQ(*AreaUnderRoc(sample.scores, sample.labels), ordered / pairs);
}

TEST(ClassificationMetrics, ExtremeScoresStayFinite) {
  const std::vector<double> scores{1.0, 0.0};
  const std::vector<int> wrong{0, 1};
  EXPECT_NEAR(*LogLoss(scores, wrong), 36.04365338911715, 1e-12);
  EXPECT_EQ(*AreaUnderRoc(scores, wrong), 0.0);
}

TEST(ClassificationMetrics, UndefinedIsNull) {
  const std::vector<double> scores{0.2, 0.7};
  const std::vector<int> one_class{1, 1};
  EXPECT_FALSE(AreaUnderRoc(scores, one_class));
  EXPECT_FALSE(AveragePrecision(scores, one_class));
  EXPECT_TRUE(LogLoss(scores, one_class));
  EXPECT_TRUE(RocCurve(scores, one_class, 200).empty());
  EXPECT_FALSE(AreaUnderRoc({}, {}));
  EXPECT_FALSE(LogLoss({}, {}));
  const std::vector<double> with_nan{0.2, std::numeric_limits<double>::quiet_NaN()};
  const std::vector<int> both{0, 1};
  EXPECT_FALSE(AreaUnderRoc(with_nan, both));
  EXPECT_FALSE(BrierScore(with_nan, both));
  EXPECT_TRUE(CalibrationCurve(with_nan, both, 10).empty());
  EXPECT_FALSE(AreaUnderRoc(scores, std::vector<int>{1}));
}

TEST(ClassificationMetrics, CurvesAreBoundedAndEndWhereTheyMust) {
  const Sample sample = MakeSample(5000, 1000003, 1000);
  const CurvePoints roc = RocCurve(sample.scores, sample.labels, 200);
  ASSERT_LE(roc.size(), 200u);
  ASSERT_GE(roc.size(), 100u);
  EXPECT_EQ(roc.front(), (std::pair{0.0, 0.0}));
  EXPECT_EQ(roc.back(), (std::pair{1.0, 1.0}));
  double area = 0;
  for (size_t i = 1; i < roc.size(); ++i) area += (roc[i].first - roc[i - 1].first) * (roc[i].second + roc[i - 1].second) / 2;
  EXPECT_NEAR(area, *AreaUnderRoc(sample.scores, sample.labels), 0.005);

  const CurvePoints recall = PrecisionRecallCurve(sample.scores, sample.labels, 200);
  ASSERT_LE(recall.size(), 200u);
  EXPECT_EQ(recall.back().first, 1.0);
  EXPECT_NEAR(recall.back().second, 1772.0 / 5000.0, 1e-12);
}

TEST(ClassificationMetrics, CalibrationGroupsKeepEqualScoresTogether) {
  const std::vector<double> scores{0.1, 0.1, 0.1, 0.1, 0.9, 0.9};
  const std::vector<int> labels{0, 0, 0, 1, 1, 0};
  const CurvePoints points = CalibrationCurve(scores, labels, 10);
  ASSERT_EQ(points.size(), 2u);
  EXPECT_DOUBLE_EQ(points[0].first, 0.1);
  EXPECT_DOUBLE_EQ(points[0].second, 0.25);
  EXPECT_DOUBLE_EQ(points[1].second, 0.5);
  EXPECT_EQ(CalibrationCurve(MakeSample(1000, 1000003, 100).scores, MakeSample(1000, 1000003, 100).labels, 10).size(), 10u);
}

TEST(PrecisionAtK, LooksIntoTheBestOfEachPeriodOnce) {
  // Period 1: entities 5 (best score .9, positive), 6 (.8), 7 (.1, positive). Period 2: 5 is found already; 7 (.7, positive), 6
  // (.6), 8 (.2).
  const std::vector<double> scores{0.3, 0.9, 0.8, 0.1, 0.95, 0.7, 0.6, 0.2};
  const std::vector<int> labels{1, 0, 0, 1, 1, 1, 0, 0};
  const std::vector<PeriodEntity> rows{{1, 5}, {1, 5}, {1, 6}, {1, 7}, {2, 5}, {2, 7}, {2, 6}, {2, 8}};
  EXPECT_DOUBLE_EQ(PrecisionAtK(scores, labels, rows, 1).value(), 1.0);
  EXPECT_DOUBLE_EQ(PrecisionAtK(scores, labels, rows, 2).value(), 0.5);
  EXPECT_DOUBLE_EQ(PrecisionAtK(scores, labels, rows, 10).value(), 1.0 / 3);  // 2 of 3, then 0 of 2: 5 and 7 were found
}

TEST(PrecisionAtK, TiesGoByNumberAndPeriodsWithoutCandidatesCountAsNothing) {
  const std::vector<double> scores{0.5, 0.5, 0.5};
  const std::vector<int> labels{0, 1, 1};
  EXPECT_DOUBLE_EQ(PrecisionAtK(scores, labels, std::vector<PeriodEntity>{{1, 2}, {1, 1}, {2, 1}}, 1).value(), 0.5);
  EXPECT_FALSE(PrecisionAtK({}, {}, {}, 1).has_value());
  EXPECT_FALSE(PrecisionAtK(scores, labels, std::vector<PeriodEntity>{{1, 2}, {1, 1}, {2, 1}}, 0).has_value());
  const std::vector<double> undefined{std::numeric_limits<double>::quiet_NaN(), 0.5, 0.5};
  EXPECT_FALSE(PrecisionAtK(undefined, labels, std::vector<PeriodEntity>{{1, 2}, {1, 1}, {2, 1}}, 1).has_value());
}

}  // namespace
}  // namespace tidemill
