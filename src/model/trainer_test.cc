#include "model/trainer.h"

#include <cmath>
#include <limits>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/predictor.h"
#include "model/synthetic_rows.h"

namespace tidemill {
namespace {

using ::testing::HasSubstr;

constexpr size_t kRows = 6000;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TrainingResult TrainOnce(const ModelAsset& model, const Columns& rows, int threads = 1) {
  auto result = TrainModel(model, synthetic::Inputs(), rows, synthetic::Split(model, rows.rows()), threads);
  if (!result.ok()) ADD_FAILURE() << result.error().Format();
  return result.ok() ? std::move(result).value() : TrainingResult();
}

Columns Slice(const Columns& rows, size_t first, size_t count) {
  Columns slice;
  for (const Column& column : rows.columns) {
    Column part(column.name, column.type);
    for (size_t row = first; row < first + count; ++row) EXPECT_TRUE(part.Append(column.At(row)).ok());
    slice.columns.push_back(std::move(part));
  }
  return slice;
}

void SetValue(Columns& rows, const std::string& name, size_t row, const Value& value) {
  Column changed(name, rows.Find(name)->type);
  for (size_t i = 0; i < rows.rows(); ++i) ASSERT_TRUE(changed.Append(i == row ? value : rows.Find(name)->At(i)).ok());
  *rows.Find(name) = changed;
}

TEST(Trainer, LearnsAndDescribes) {
  const Columns rows = synthetic::Rows(kRows, 1);
  const TrainingResult result = TrainOnce(synthetic::Model(kRows), rows);
  EXPECT_GT(result.metrics["auc"].get<double>(), 0.7);
  EXPECT_EQ(result.rows_train, 3598);  // two hours' labels come after the window's end
  EXPECT_EQ(result.rows_test, 1200);
  EXPECT_EQ(result.test_scores.size(), 1200u);
  EXPECT_EQ(result.trained_until.micros, rows.Find("at")->ints.back());
  const Json& description = result.package.description;
  EXPECT_EQ(description["inputs"].size(), synthetic::Inputs().size());
  EXPECT_EQ(description["rows"]["fitted"], 6000);
  EXPECT_EQ(description["rows"]["label_too_late"], 4);
  EXPECT_EQ(description["verification"]["rows_equal_to_algorithm"], 2000);
  double total = 0;
  for (const auto& [input, share] : result.importances.items()) total += share.get<double>();
  EXPECT_NEAR(total, 1.0, 1e-9);
  EXPECT_GT(result.importances["delay"].get<double>(), 0.1);
  EXPECT_EQ(result.importances["nothing"].get<double>(), 0.0);
  EXPECT_FALSE(result.curves.roc.empty());
  EXPECT_EQ(result.curves.calibration.size(), 10u);
}

TEST(Trainer, SameRowsSameBytesWithAnyNumberOfThreads) {
  const Columns rows = synthetic::Rows(kRows, 2);
  ModelAsset model = synthetic::Model(kRows);
  model.parameters["bagging_fraction"] = 0.7;
  model.parameters["feature_fraction"] = 0.8;
  const std::string once = TrainOnce(model, rows, 1).package.Serialize();
  EXPECT_EQ(once, TrainOnce(model, rows, 1).package.Serialize());
  EXPECT_EQ(once, TrainOnce(model, rows, 2).package.Serialize());
  EXPECT_EQ(once, TrainOnce(model, rows, 4).package.Serialize());
  EXPECT_NE(once, TrainOnce(model, synthetic::Rows(kRows, 3), 1).package.Serialize());
}

TEST(Trainer, RowsGiveTheSameScoreAloneAndInAnyBatch) {
  const Columns rows = synthetic::Rows(kRows, 4);
  const TrainingResult result = TrainOnce(synthetic::Model(kRows), rows);
  const Columns many = synthetic::Rows(20'000, 5);
  auto one_thread = Predictor::Load(result.package, 1).value();
  auto two_threads = Predictor::Load(result.package, 2).value();
  const std::vector<double> scores = one_thread->Predict(many).value();
  EXPECT_EQ(scores, two_threads->Predict(many).value());
  std::vector<double> by_seven, alone;
  for (size_t i = 0; i + 7 <= 2100; i += 7) {
    const std::vector<double> seven = two_threads->Predict(Slice(many, i, 7)).value();
    by_seven.insert(by_seven.end(), seven.begin(), seven.end());
  }
  for (size_t i = 0; i < 2100; ++i) alone.push_back(two_threads->Predict(Slice(many, i, 1)).value().at(0));
  const std::vector<double> first(scores.begin(), scores.begin() + 2100);
  EXPECT_EQ(by_seven, first);
  EXPECT_EQ(alone, first);
}

TEST(Trainer, PredictsFromManyThreadsAtOnce) {
  const Columns rows = synthetic::Rows(2000, 6);
  auto predictor = Predictor::Load(TrainOnce(synthetic::Model(2000), rows).package, 1).value();
  const std::vector<double> expected = predictor->Predict(rows).value();
  std::vector<std::vector<double>> found(4);
  {
    std::vector<std::jthread> threads;
    for (auto& scores : found) threads.emplace_back([&] { scores = predictor->Predict(rows).value(); });
  }
  for (const auto& scores : found) EXPECT_EQ(scores, expected);
}

TEST(Trainer, ValuesNeverSeenInTraining) {
  const Columns rows = synthetic::Rows(kRows, 7);
  auto predictor = Predictor::Load(TrainOnce(synthetic::Model(kRows), rows).package, 1).value();
  const double infinity = std::numeric_limits<double>::infinity();
  struct Case {
    const char* input;
    Value value;
  };
  const Case cases[] = {{"carrier", "never seen"},
                        {"dest", "D-none"},
                        {"full", kNan},
                        {"full", Value()},
                        {"full", infinity},
                        {"delay", -infinity},
                        {"nothing", 1e300},
                        {"nothing_text", "text"},
                        {"constant", -7.0},
                        {"built", Value()},
                        {"planned", Value()},
                        {"seats", int64_t{1} << 62},
                        {"carrier", std::string("\xff\0x", 3)},
                        {"carrier", ""}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.input);
    Columns row = Slice(rows, 17, 1);
    SetValue(row, c.input, 0, c.value);
    const auto score = predictor->Predict(row);
    ASSERT_TRUE(score.ok());
    EXPECT_TRUE(score->at(0) > 0 && score->at(0) < 1);
  }
  // NaN and null are the same, an empty text and a missing one too, and NaN in a feature that had none in training counts as
  // zero.
  Columns with_nan = Slice(rows, 17, 1), with_null = with_nan, with_zero = with_nan;
  SetValue(with_nan, "full", 0, kNan);
  SetValue(with_null, "full", 0, Value());
  SetValue(with_zero, "full", 0, 0.0);
  EXPECT_EQ(predictor->Predict(with_nan).value(), predictor->Predict(with_null).value());
  EXPECT_EQ(predictor->Predict(with_nan).value(), predictor->Predict(with_zero).value());
}

TEST(Trainer, PredictorNamesWhatIsMissing) {
  const Columns rows = synthetic::Rows(2000, 8);
  auto predictor = Predictor::Load(TrainOnce(synthetic::Model(2000), rows).package, 1).value();
  EXPECT_TRUE(predictor->Predict(Slice(rows, 0, 0)).value().empty());
  Columns lacking = Slice(rows, 0, 1);
  std::erase_if(lacking.columns, [](const Column& column) { return column.name == "delay"; });
  EXPECT_THAT(predictor->Predict(lacking).error().message, HasSubstr("'delay'"));
  Columns retyped = Slice(rows, 0, 1);
  Column text("delay", Type::kText);
  text.AppendText("12");
  *retyped.Find("delay") = text;
  EXPECT_THAT(predictor->Predict(retyped).error().message, HasSubstr("'delay' is number, found text"));
  Columns whole = Slice(rows, 0, 1), real = whole;
  Column integer("delay", Type::kInt64);
  integer.AppendInt(12);
  *whole.Find("delay") = integer;
  SetValue(real, "delay", 0, 12.0);
  EXPECT_EQ(predictor->Predict(whole).value(), predictor->Predict(real).value());
}

TEST(Trainer, PackageRoundTripAndDamage) {
  const TrainingResult result = TrainOnce(synthetic::Model(2000), synthetic::Rows(2000, 9));
  const std::string bytes = result.package.Serialize();
  const ModelPackage parsed = ModelPackage::Parse(bytes).value();
  EXPECT_EQ(parsed.Serialize(), bytes);
  EXPECT_EQ(parsed.onnx, result.package.onnx);
  for (const size_t cut : {size_t{0}, size_t{5}, size_t{30}, bytes.size() / 2, bytes.size() - 1}) {
    EXPECT_FALSE(ModelPackage::Parse(bytes.substr(0, cut)).ok()) << cut;
  }
  EXPECT_FALSE(ModelPackage::Parse(bytes + "x").ok());
  ModelPackage broken = parsed;
  broken.onnx = "not a graph";
  EXPECT_EQ(Predictor::Load(broken, 1).error().code, "bad_model");
  broken = parsed;
  broken.description["inputs"].erase(broken.description["inputs"].begin());
  EXPECT_EQ(Predictor::Load(broken, 1).error().code, "bad_model");
}

TEST(Trainer, NothingToLearnStillGivesAModel) {
  const Columns rows = synthetic::Rows(1000, 10);
  ModelAsset model = synthetic::Model(1000);
  model.prepare.clear();
  const std::vector<Field> inputs{{"constant", Type::kDouble}, {"nothing", Type::kDouble}};
  const auto result = TrainModel(model, inputs, rows, synthetic::Split(model, 1000), 1);
  ASSERT_TRUE(result.ok()) << result.error().Format();
  EXPECT_DOUBLE_EQ(result->metrics["auc"].get<double>(), 0.5);
}

TEST(Trainer, RefusesWithAReason) {
  const Columns rows = synthetic::Rows(1000, 11);
  const auto error_of = [&](const std::function<void(ModelAsset&)>& change, const Columns& with) {
    ModelAsset model = synthetic::Model(1000);
    change(model);
    const auto result = TrainModel(model, synthetic::Inputs(), with, synthetic::Split(model, 1000), 1);
    return result.ok() ? std::string("trained") : result.error().code + ": " + result.error().Format();
  };
  EXPECT_THAT(error_of([](ModelAsset& m) { m.parameters["num_leafs"] = int64_t{3}; }, rows),
              HasSubstr("did you mean 'num_leaves'"));
  EXPECT_THAT(error_of([](ModelAsset& m) { m.parameters["n_estimators"] = int64_t{3}; }, rows), HasSubstr("called 'rounds'"));
  EXPECT_THAT(error_of([](ModelAsset& m) { m.parameters["learning_rate"] = 0.0; }, rows), HasSubstr("above 0"));
  EXPECT_THAT(error_of([](ModelAsset& m) { m.parameters["num_leaves"] = 31.5; }, rows), HasSubstr("whole number"));
  EXPECT_THAT(error_of([](ModelAsset& m) { m.parameters["objective"] = std::string("multiclass"); }, rows), HasSubstr("binary"));
  EXPECT_THAT(error_of([](ModelAsset& m) { m.prepare.pop_back(); }, rows), HasSubstr("text_not_encoded"));
  EXPECT_THAT(error_of([](ModelAsset& m) { m.prepare[0].columns = {"seat"}; }, rows), HasSubstr("did you mean 'seats'"));
  EXPECT_THAT(error_of([](ModelAsset& m) { m.prepare[0].columns = {"dest"}; }, rows), HasSubstr("wrong_type"));
  EXPECT_THAT(error_of([](ModelAsset& m) { m.prepare[1].columns = {"seats"}; }, rows), HasSubstr("wrong_type"));
  EXPECT_THAT(error_of([](ModelAsset& m) { m.prepare[2].columns = {"carrier", "text"}; }, rows), HasSubstr("prepared_twice"));
  EXPECT_THAT(error_of([](ModelAsset& m) { m.prepare[0].with = "medain"; }, rows), HasSubstr("did you mean 'median'"));
  Columns one_class = rows;
  std::fill(one_class.Find("label")->ints.begin(), one_class.Find("label")->ints.end(), 1);
  EXPECT_THAT(error_of([](ModelAsset&) {}, one_class), HasSubstr("one_class"));
  EXPECT_THAT(error_of([](ModelAsset&) {}, Slice(rows, 0, 15)), HasSubstr("too_few_rows"));
  EXPECT_THAT(error_of([](ModelAsset&) {}, Slice(rows, 0, 0)), HasSubstr("too_few_rows"));
  EXPECT_THAT(error_of([](ModelAsset&) {}, Slice(rows, 0, 100)), HasSubstr("validate window"));
  Columns odd = rows;
  *odd.Find("label") = Column("label", Type::kInt64);
  for (size_t i = 0; i < 1000; ++i) odd.Find("label")->AppendInt(static_cast<int64_t>(i % 3));
  EXPECT_THAT(error_of([](ModelAsset&) {}, odd), HasSubstr("bad_label"));
}

TEST(Trainer, LabelsKnownTooLateAreLeftOutOfEvaluationButNotOfTheRefit) {
  Columns rows = synthetic::Rows(1000, 12);
  for (int64_t& known : rows.Find("label_known_at")->ints) known += 98 * synthetic::kHour;  // 100 hours after the prediction
  const TrainingResult result = TrainOnce(synthetic::Model(1000), rows);
  EXPECT_EQ(result.rows_train, 500);
  EXPECT_EQ(result.rows_validate, 100);
  EXPECT_EQ(result.rows_test, 200);
  EXPECT_EQ(result.package.description["rows"]["fitted"], 1000);
}

TEST(PlanSplit, ShrinksInProportionAndSaysSo) {
  ModelAsset model;
  model.train = Duration{76 * kMicrosPerDay};
  model.validate = Duration{14 * kMicrosPerDay};
  model.test = Duration{30 * kMicrosPerDay};
  const Timestamp now{1000 * kMicrosPerDay};
  const SplitTimes whole = PlanSplit(model, Timestamp{0}, now).value();
  EXPECT_EQ(whole.begin.micros, 880 * kMicrosPerDay);
  EXPECT_EQ(whole.train_end.micros, 956 * kMicrosPerDay);
  EXPECT_EQ(whole.validate_end.micros, 970 * kMicrosPerDay);
  EXPECT_EQ(whole.end, now);
  EXPECT_EQ(whole.note, "");
  const Timestamp ninety_days_ago{910 * kMicrosPerDay + 1};
  const SplitTimes less = PlanSplit(model, ninety_days_ago, now).value();
  EXPECT_EQ(less.begin.micros, 910 * kMicrosPerDay);
  EXPECT_EQ(less.train_end.micros, 956 * kMicrosPerDay);
  EXPECT_EQ(less.validate_end.micros, 970 * kMicrosPerDay);
  EXPECT_THAT(less.note, HasSubstr("46.0 days"));
  model.train = kAllHistory;
  EXPECT_EQ(PlanSplit(model, Timestamp{0}, now).value().begin.micros, -1);
  EXPECT_EQ(PlanSplit(model, Timestamp{0}, now).value().train_end.micros, 956 * kMicrosPerDay);
  EXPECT_EQ(PlanSplit(model, Timestamp{0}, now).value().note, "");
  model.train = Duration{76 * kMicrosPerDay};
  const Timestamp first{940 * kMicrosPerDay + 1};
  const SplitTimes shrunk = PlanSplit(model, first, now).value();
  EXPECT_EQ(shrunk.begin.micros, 940 * kMicrosPerDay);
  EXPECT_LT(shrunk.begin, first);
  EXPECT_EQ((shrunk.end - shrunk.validate_end).micros, 15 * kMicrosPerDay);
  EXPECT_EQ((shrunk.validate_end - shrunk.train_end).micros, 7 * kMicrosPerDay);
  EXPECT_THAT(shrunk.note, HasSubstr("60.0 days"));
  EXPECT_EQ(PlanSplit(model, Timestamp{now.micros + 1}, now).error().code, "too_little_history");
  model.train = Duration{0};
  EXPECT_EQ(PlanSplit(model, first, now).error().code, "bad_split");
}

}  // namespace
}  // namespace tidemill
