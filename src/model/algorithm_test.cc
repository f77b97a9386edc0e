#include "model/algorithm.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/boosted_trees.h"
#include "model/logistic_regression.h"
#include "model/predictor.h"
#include "model/preparation.h"
#include "model/synthetic_rows.h"
#include "stats/classification_metrics.h"

namespace tidemill {
namespace {

using ::testing::HasSubstr;

/// 400 rows of three columns. What scikit-learn 1.9 makes of the same rows is noted in the tests.
FittingRows OracleRows() {
  synthetic::Random random(11);
  FittingRows rows{.matrix = {}, .labels = {}, .width = 3};
  for (int i = 0; i < 400; ++i) {
    const double a = std::floor(random.Uniform() * 100) / 10;
    const double b = std::floor(random.Uniform() * 50);
    const double c = std::floor(random.Uniform() * 3);
    const double lean = a / 3 - b / 25 + (c == 1 ? 1.5 : 0) - 1;
    rows.matrix.insert(rows.matrix.end(), {a, b, c});
    rows.labels.push_back(random.Uniform() < 1 / (1 + std::exp(-lean)) ? 1.0F : 0.0F);
  }
  return rows;
}

AlgorithmSettings Settings(const std::string& algorithm, const std::map<std::string, Value>& parameters = {}) {
  ModelAsset model;
  model.name = "m";
  model.algorithm = algorithm;
  model.parameters = parameters;
  auto settings = ReadAlgorithmSettings(model);
  if (!settings.ok()) ADD_FAILURE() << settings.error().Format();
  return settings.ok() ? std::move(settings).value() : AlgorithmSettings();
}

Error RefusedSettings(const std::string& algorithm, const std::map<std::string, Value>& parameters) {
  ModelAsset model;
  model.algorithm = algorithm;
  model.parameters = parameters;
  model.place = Place{.file = "models/m.yaml", .line = 9, .column = 1, .length = 1, .excerpt = ""};
  const auto settings = ReadAlgorithmSettings(model);
  EXPECT_FALSE(settings.ok());
  return settings.ok() ? Error() : settings.error();
}

LinearFunction Logistic(const std::map<std::string, Value>& parameters) {
  const auto fitted = FitLogisticRegression(Settings("logistic_regression", parameters), OracleRows(), {});
  if (!fitted.ok()) ADD_FAILURE() << fitted.error().Format();
  return fitted.ok() ? std::get<LinearFunction>(fitted->function) : LinearFunction{.weights = {0, 0, 0}};
}

void ExpectWeights(const LinearFunction& function, const std::vector<double>& weights, double intercept) {
  for (size_t i = 0; i < weights.size(); ++i) EXPECT_NEAR(function.weights[i], weights[i], 1e-9) << i;
  EXPECT_NEAR(function.intercept, intercept, 1e-9);
}

TEST(LogisticRegression, WeightsAreThoseOfScikitLearn) {
  ExpectWeights(Logistic({}), {0.3295275911110583, -0.0368145423188046, -0.19316393448489508}, -0.3410673236493819);
  // C = 0.1
  ExpectWeights(Logistic({{"l2", int64_t{10}}}), {0.3235855688994265, -0.03663907712278238, -0.16505813331367597},
                -0.3449331860838988);
  ExpectWeights(Logistic({{"balanced", true}}), {0.32885643517841306, -0.03721007684716827, -0.19449701420679597},
                -0.4674747400953018);
}

TEST(LogisticRegression, ClassesThatCanBeSeparatedHaveFiniteWeights) {
  FittingRows rows{.matrix = {}, .labels = {}, .width = 1};
  for (int i = 0; i < 100; ++i) {
    rows.matrix.push_back(i);
    rows.labels.push_back(i < 50 ? 0.0F : 1.0F);
  }
  const auto fitted = FitLogisticRegression(Settings("logistic_regression", {{"l2", 1e-6}}), rows, {});
  ASSERT_TRUE(fitted.ok()) << fitted.error().Format();
  const auto& function = std::get<LinearFunction>(fitted->function);
  EXPECT_GT(function.weights[0], 1);
  const double at = 49.5;
  EXPECT_NEAR(Evaluate(function, &at), 0, 1e-4);
}

TEST(LogisticRegression, ColumnsThatNeverChangeOrAreTwiceDoNoHarm) {
  FittingRows rows = OracleRows();
  FittingRows wide{.matrix = {}, .labels = rows.labels, .width = 5};
  for (size_t row = 0; row < rows.labels.size(); ++row) {
    const double* x = rows.matrix.data() + row * 3;
    wide.matrix.insert(wide.matrix.end(), {x[0], x[1], x[2], x[0], 4.0});
  }
  const auto fitted = FitLogisticRegression(Settings("logistic_regression"), wide, {});
  ASSERT_TRUE(fitted.ok()) << fitted.error().Format();
  const auto& function = std::get<LinearFunction>(fitted->function);
  EXPECT_NEAR(function.weights[0], function.weights[3], 1e-9);
  EXPECT_NEAR(function.weights[4], 0, 1e-6);
}

TEST(DecisionTree, SplitsAsScikitLearnDoes) {
  const FittingRows rows = OracleRows();
  const auto fitted = FitTrees(Settings("decision_tree", {{"max_depth", int64_t{2}}}), rows, nullptr, rows.matrix, 1);
  ASSERT_TRUE(fitted.ok()) << fitted.error().Format();
  const auto& trees = std::get<TreeEnsemble>(fitted->function).trees;
  ASSERT_EQ(trees.size(), 1U);
  ASSERT_EQ(trees[0].column.size(), 3U);
  EXPECT_EQ(trees[0].column[0], 0);
  EXPECT_NEAR(trees[0].threshold[0], 3.35, 1e-6);
  std::vector<double> leaves = trees[0].leaf_value;
  std::sort(leaves.begin(), leaves.end());
  EXPECT_THAT(leaves, ::testing::Pointwise(::testing::DoubleNear(1e-12),
                                           {0.10869565217391304, 0.33653846153846156, 0.5894039735099338, 0.8585858585858586}));
  EXPECT_NEAR(fitted->raw_sample[0], 0.5894039735099338, 1e-12);
  EXPECT_NEAR(fitted->raw_sample[2], 0.8585858585858586, 1e-12);
}

TEST(DecisionTree, GrowsToTheEnd) {
  const FittingRows rows = OracleRows();
  const auto fitted = FitTrees(Settings("decision_tree"), rows, nullptr, rows.matrix, 2);
  ASSERT_TRUE(fitted.ok()) << fitted.error().Format();
  double squares = 0;
  for (size_t i = 0; i < rows.labels.size(); ++i) squares += std::pow(fitted->raw_sample[i] - rows.labels[i], 2);
  EXPECT_NEAR(squares, 0.5, 1e-9);  // two rows that are equal but for their labels, as in scikit-learn
}

TEST(RandomForest, IsAMeanOfTreesAndBeatsOne) {
  const FittingRows rows = OracleRows();
  const auto forest = FitTrees(Settings("random_forest", {{"trees", int64_t{30}}, {"min_data_in_leaf", int64_t{5}}}), rows,
                               nullptr, rows.matrix, 1);
  ASSERT_TRUE(forest.ok()) << forest.error().Format();
  EXPECT_EQ(std::get<TreeEnsemble>(forest->function).trees.size(), 30U);
  const std::vector<int> labels(rows.labels.begin(), rows.labels.end());
  EXPECT_GT(AreaUnderRoc(forest->raw_sample, labels).value_or(0), 0.8);
  for (const double score : forest->raw_sample) {
    EXPECT_GE(score, 0);
    EXPECT_LE(score, 1);
  }
}

TEST(Algorithms, RefuseWithAHint) {
  EXPECT_EQ(RefusedSettings("xgboost", {}).code, "unknown_algorithm");
  EXPECT_THAT(RefusedSettings("decision_trees", {}).hint, HasSubstr("decision_tree"));
  EXPECT_THAT(RefusedSettings("logistic_regression", {{"C", 1.0}}).hint, HasSubstr("'l2'"));
  EXPECT_THAT(RefusedSettings("random_forest", {{"n_estimators", int64_t{10}}}).hint, HasSubstr("'trees'"));
  EXPECT_THAT(RefusedSettings("lightgbm", {{"n_estimators", int64_t{10}}}).hint, HasSubstr("'rounds'"));
  EXPECT_EQ(RefusedSettings("logistic_regression", {{"l2", int64_t{0}}}).code, "bad_parameter");
  EXPECT_EQ(RefusedSettings("decision_tree", {{"max_depth", 2.5}}).code, "bad_parameter");
  EXPECT_EQ(RefusedSettings("decision_tree", {{"learning_rate", 0.1}}).code, "unknown_parameter");
}

TEST(Algorithms, TermsAreAddedByHalves) {
  const LinearFunction function{.weights = {1, 1, 1, 1, 1}, .intercept = 0.5};
  const double row[] = {1e16, 1, -1e16, 1, 3};
  // (1e16 + 3) + (-1e16) is 4, for 1e16 + 3 rounds to 1e16 + 4; then (1 + 1).
  EXPECT_EQ(Evaluate(function, row), 6.5);
}

// ---- Through the trainer ----

struct AlgorithmCase {
  std::string name;
  std::map<std::string, Value> parameters;
};

class TrainedAlgorithms : public ::testing::TestWithParam<AlgorithmCase> {
 protected:
  static ModelAsset Model() {
    ModelAsset model = synthetic::Model(kRows);
    model.algorithm = GetParam().name;
    model.parameters = GetParam().parameters;
    for (PrepareStep& step : model.prepare) {
      if (step.kind == "impute") step.columns = {"numeric"};
    }
    PrepareStep standardize;
    standardize.kind = "standardize";
    standardize.columns = {"numeric"};
    model.prepare.push_back(standardize);
    return model;
  }
  static Result<TrainingResult> Train(const ModelAsset& model, int threads) {
    return TrainModel(model, synthetic::Inputs(), synthetic::Rows(kRows, 1), synthetic::Split(model, kRows), threads);
  }
  static constexpr size_t kRows = 3000;
};

TEST_P(TrainedAlgorithms, LearnAndAnswerTheSameEverywhere) {
  const auto result = Train(Model(), 1);
  ASSERT_TRUE(result.ok()) << result.error().Format();
  EXPECT_GT(result->metrics["auc"].get<double>(), 0.65);
  EXPECT_EQ(result->package.description["verification"]["rows_equal_to_algorithm"], 2000);
  EXPECT_EQ(result->package.description["algorithm"], GetParam().name);
  double total = 0;
  for (const auto& [input, share] : result->importances.items()) total += share.get<double>();
  EXPECT_NEAR(total, 1.0, 1e-9);
  EXPECT_GT(result->importances["delay"].get<double>(), 0.05);
  const Columns rows = synthetic::Rows(500, 9);
  auto predictor = Predictor::Load(result->package, 2).value();
  const std::vector<double> scores = predictor->Predict(rows).value();
  for (size_t row = 0; row < rows.rows(); row += 7) {
    Columns one;
    for (const Column& column : rows.columns) {
      one.columns.emplace_back(column.name, column.type);
      ASSERT_TRUE(one.columns.back().Append(column.At(row)).ok());
    }
    EXPECT_EQ(predictor->Predict(one).value().at(0), scores[row]) << row;
    EXPECT_GE(scores[row], 0);
    EXPECT_LE(scores[row], 1);
  }
}

TEST_P(TrainedAlgorithms, SameRowsSameBytesWithAnyNumberOfThreads) {
  const auto once = Train(Model(), 1);
  const auto again = Train(Model(), 4);
  ASSERT_TRUE(once.ok() && again.ok());
  EXPECT_EQ(once->package.Serialize(), again->package.Serialize());
}

INSTANTIATE_TEST_SUITE_P(Each, TrainedAlgorithms,
                         ::testing::Values(AlgorithmCase{"logistic_regression", {}},
                                           AlgorithmCase{"decision_tree", {{"max_depth", int64_t{3}}}},
                                           AlgorithmCase{"random_forest", {{"trees", int64_t{10}}, {"max_depth", int64_t{8}}}},
                                           AlgorithmCase{"lightgbm", {{"rounds", int64_t{20}}}}),
                         [](const auto& info) { return info.param.name; });

TEST(TrainedLogisticRegression, DescribesItsCoefficients) {
  ModelAsset model = synthetic::Model(2000);
  model.algorithm = "logistic_regression";
  model.parameters = {};
  model.prepare[0].columns = {"numeric"};
  const auto result = TrainModel(model, synthetic::Inputs(), synthetic::Rows(2000, 1), synthetic::Split(model, 2000), 1);
  ASSERT_TRUE(result.ok()) << result.error().Format();
  const Json& columns = result->package.description["coefficients"]["columns"];
  EXPECT_TRUE(columns.contains("carrier=C0"));
  EXPECT_GT(columns["delay"].get<double>(), 0);
}

TEST(TrainedLogisticRegression, MissingNumbersNeedAFill) {
  ModelAsset model = synthetic::Model(1000);
  model.algorithm = "logistic_regression";
  model.parameters = {};
  const auto result = TrainModel(model, synthetic::Inputs(), synthetic::Rows(1000, 1), synthetic::Split(model, 1000), 1);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, "missing_not_filled");
  EXPECT_THAT(result.error().message, HasSubstr("'delay'"));
  EXPECT_EQ(result.error().place.value_or(Place()).file, "models/late.yaml");
}

TEST(Standardization, TakesOffTheMeanAfterFilling) {
  ModelAsset model = synthetic::Model(10);
  PrepareStep standardize;
  standardize.kind = "standardize";
  standardize.columns = {"x", "constant"};
  PrepareStep fill;
  fill.kind = "impute";
  fill.columns = {"x"};
  fill.with = "zero";
  model.prepare = {standardize, fill};
  Columns rows;
  rows.columns = {Column("x", Type::kDouble), Column("constant", Type::kInt64)};
  for (const Value& value : {Value(6.0), Value(), Value(-3.0), Value(9.0)}) {
    ASSERT_TRUE(rows.columns[0].Append(value).ok());
    rows.columns[1].AppendInt(5);
  }
  const std::vector<Field> inputs{{"x", Type::kDouble}, {"constant", Type::kInt64}};
  const std::vector<size_t> all{0, 1, 2, 3};
  const auto preparation = Preparation::Fit(model, inputs, rows, all);
  ASSERT_TRUE(preparation.ok()) << preparation.error().Format();
  // Filled: 6, 0, -3, 9: mean 3, squared deviations 9, 9, 36, 36.
  const double scale = std::sqrt(22.5);
  EXPECT_EQ(preparation->Matrix(rows, all), (std::vector<double>{3 / scale, 0, -3 / scale, 0, -6 / scale, 0, 6 / scale, 0}));
}

}  // namespace
}  // namespace tidemill
