#include "model/training_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Timestamp At(const std::string& text) { return ParseTimestamp(text).value(); }

std::string TableNamed(const std::string& table) { return table; }

std::vector<std::string> ColumnNames(const Columns& columns) {
  std::vector<std::string> names;
  for (const Column& column : columns.columns) names.push_back(column.name);
  return names;
}

std::vector<std::string> Texts(const Columns& columns, const std::string& name) {
  std::vector<std::string> texts;
  const Column* column = columns.Find(name);
  EXPECT_NE(column, nullptr) << name;
  for (size_t row = 0; column != nullptr && row < column->size(); ++row) texts.push_back(FormatValue(column->At(row)));
  return texts;
}

/// Visits to shops as events; visits planned as the spine, of a shop and of a second shop to compare with.
class TrainingSetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    database_ = Database::Open({}).value();
    session_ = database_->Connect().value();
    Execute(
        "CREATE TEMP TABLE visits AS SELECT * FROM (VALUES"
        " (TIMESTAMP '2020-01-01 08:00', 'a', 10.0, 1::BIGINT, TIMESTAMP '2020-01-01 08:00'),"
        " (TIMESTAMP '2020-01-01 09:00', 'a', 30.0, 2, TIMESTAMP '2020-01-01 09:00'),"
        " (TIMESTAMP '2020-01-01 09:30', 'b', 5.0, 3, TIMESTAMP '2020-01-01 12:30'),"  // known three hours late
        " (TIMESTAMP '2020-01-01 11:00', 'b', 7.5, 4, TIMESTAMP '2020-01-01 11:00')) v(happened, shop, spent, _seq, _known_at)");
    Execute(
        "CREATE TEMP TABLE plans AS SELECT * FROM (VALUES"
        " (3::BIGINT, TIMESTAMP '2020-01-01 12:00', 'b', 'a', 1.5, true, TIMESTAMP '2020-01-01 13:00', 13::BIGINT, TIMESTAMP "
        "'2020-01-01 11:00'),"
        " (1, TIMESTAMP '2020-01-01 10:00', 'a', 'b', 2.5, false, TIMESTAMP '2020-01-01 11:00', 11, TIMESTAMP '2020-01-01 "
        "10:00'),"
        " (2, TIMESTAMP '2020-01-01 10:00', 'b', 'a', NULL, true, TIMESTAMP '2020-01-03 00:00', 12, TIMESTAMP '2020-01-01 "
        "10:00'),"
        " (4, TIMESTAMP '2020-01-01 12:00', 'c', NULL, 4.0, NULL, TIMESTAMP '2020-01-01 12:00', 14, TIMESTAMP '2020-01-01 "
        "10:00'),"
        // Known only after its own prediction time: never seen.
        " (5, TIMESTAMP '2020-01-01 12:30', 'a', 'a', 5.0, true, TIMESTAMP '2020-01-01 13:00', 15, TIMESTAMP '2020-01-01 12:31'))"
        " v(id, at_time, shop, other_shop, distance, bought, bought_at, _seq, _known_at)");
    project_.tables["visits"].name = "visits";
    project_.tables["visits"].timestamp = "happened";
    project_.tables["plans"].name = "plans";
    project_.tables["plans"].key = {"id"};
    FeatureViewAsset& view = project_.views["spending"];
    view.name = "spending";
    view.entity = {"shop"};
    view.from = "visits";
    view.features = {Feature("spent_mean", "avg(spent)", {Duration{2 * 3600 * kMicrosPerSecond}}),
                     Feature("visits", "count(*)", {}), Feature("last_spent", "last(spent)", {})};
    view.features[1].default_value = int64_t{0};
    model_.name = "buys";
    model_.spine = "plans";
    model_.label = "bought";
    model_.timestamp = "at_time";
    model_.label_known_at = "bought_at";
    model_.place = Place{.file = "models/buys.yaml", .line = 1, .column = 1, .length = 1, .excerpt = ""};
    model_.features = {View("spending", "*"),
                       Expression("shop", "shop"),
                       View("spending", "last_spent", "other", {{"other_shop", "shop"}}),
                       Expression("far", "distance > 2"),
                       Expression("hour", "hour(at_time)"),
                       Expression("id", "id")};
  }

  void Execute(const std::string& sql) {
    const auto status = session_->Execute(sql);
    ASSERT_TRUE(status.ok()) << status.error().Format();
  }
  static FeatureDefinition Feature(std::string name, std::string value, std::vector<Duration> windows) {
    FeatureDefinition feature;
    feature.name = std::move(name);
    feature.value = std::move(value);
    feature.windows = std::move(windows);
    return feature;
  }
  static ModelFeature View(std::string view, std::string feature, std::string as = "",
                           std::map<std::string, std::string> join = {}) {
    ModelFeature made;
    made.view = std::move(view);
    made.feature = std::move(feature);
    made.as = std::move(as);
    made.join = std::move(join);
    made.place = Place{.file = "models/buys.yaml", .line = 7, .column = 3, .length = 1, .excerpt = ""};
    return made;
  }
  static ModelFeature Expression(std::string name, std::string expression) {
    ModelFeature made;
    made.name = std::move(name);
    made.expression = std::move(expression);
    made.place = Place{.file = "models/buys.yaml", .line = 8, .column = 3, .length = 1, .excerpt = ""};
    return made;
  }
  Result<FeaturePlan> TryPlan() {
    std::map<std::string, std::vector<Field>> fields;
    for (const char* table : {"visits", "plans"}) {
      fields[table] = session_->Describe(std::string("SELECT * EXCLUDE (_seq, _known_at) FROM ") + table).value();
    }
    return PlanFeatures(project_, model_, fields, *session_);
  }
  FeaturePlan Plan() {
    auto plan = TryPlan();
    EXPECT_TRUE(plan.ok()) << plan.error().Format();
    return plan.ok() ? std::move(plan).value() : FeaturePlan();
  }
  std::string PlanError() {
    const auto plan = TryPlan();
    return plan.ok() ? "planned" : plan.error().code + ": " + plan.error().Format();
  }
  Columns Build(const FeaturePlan& plan, const RowsWanted& wanted, Timestamp now, int threads = 1) {
    auto rows = BuildRows(plan, *session_, TableNamed, wanted, now, threads);
    EXPECT_TRUE(rows.ok()) << rows.error().Format();
    return rows.ok() ? std::move(rows).value() : Columns();
  }

  std::unique_ptr<Database> database_;
  std::unique_ptr<Session> session_;
  Project project_;
  ModelAsset model_;
};

TEST_F(TrainingSetTest, RowsSeeOnlyWhatWasKnownAtTheirOwnTime) {
  const Columns rows = Build(Plan(), {.from = {}, .until = At("2020-01-02"), .labelled_only = false}, At("2020-01-02"));
  EXPECT_THAT(ColumnNames(rows),
              ElementsAre("_seq", "id", "at_time", "label", "label_known_at", "spending__spent_mean_2h", "spending__visits",
                          "spending__last_spent", "shop", "other__last_spent", "far", "hour"));
  EXPECT_THAT(Texts(rows, "_seq"), ElementsAre("11", "12", "13", "14"));
  EXPECT_THAT(Texts(rows, "label"), ElementsAre("false", "", "true", ""));  // one is known on the third only
  EXPECT_THAT(Texts(rows, "spending__spent_mean_2h"), ElementsAre("30", "", "7.5", ""));
  EXPECT_THAT(Texts(rows, "spending__visits"), ElementsAre("2", "0", "1", "0"));
  EXPECT_THAT(Texts(rows, "other__last_spent"), ElementsAre("", "30", "30", ""));
  EXPECT_THAT(Texts(rows, "far"), ElementsAre("true", "", "false", "true"));
  EXPECT_THAT(Texts(rows, "hour"), ElementsAre("10", "10", "12", "12"));
}

TEST_F(TrainingSetTest, TimesAreHalfOpenAndLabelsWaitForTheClock) {
  const FeaturePlan plan = Plan();
  EXPECT_THAT(
      Texts(Build(plan, {.from = At("2020-01-01T10:00:00Z"), .until = At("2020-01-01T12:00:00Z")}, At("2020-01-02")), "_seq"),
      ElementsAre("13", "14"));
  EXPECT_THAT(Texts(Build(plan, {.from = {}, .until = At("2020-01-01T11:59:59Z")}, At("2020-01-02")), "_seq"),
              ElementsAre("11", "12"));
  EXPECT_THAT(Texts(Build(plan, {.from = {}, .until = At("2020-01-02"), .labelled_only = true}, At("2020-01-02")), "_seq"),
              ElementsAre("11", "13"));
  EXPECT_THAT(Texts(Build(plan, {.from = {}, .until = At("2020-01-02"), .labelled_only = true}, At("2020-01-04")), "_seq"),
              ElementsAre("11", "12", "13"));
  EXPECT_THAT(
      Texts(Build(plan, {.from = {}, .until = At("2020-01-02"), .labelled_only = true}, At("2020-01-01T11:00:00Z")), "_seq"),
      ElementsAre("11"));
  EXPECT_EQ(Build(plan, {.from = {}, .until = At("2019-01-02")}, At("2020-01-02")).rows(), 0u);
}

TEST_F(TrainingSetTest, WhatCannotBeComputedIsReportedOrStopsIt) {
  project_.views["spending"].features.push_back(Feature("logarithm", "ln(count(*) - 100)", {}));
  model_.features.push_back(Expression("logarithm", "ln(distance - distance)"));  // the distance of one row is null
  const RowsWanted wanted{.from = {}, .until = At("2020-01-02")};
  std::vector<ValueFailures> failures;
  const auto rows = BuildRows(Plan(), *session_, TableNamed, wanted, At("2020-01-02"), 1, &failures);
  ASSERT_TRUE(rows.ok()) << rows.error().Format();
  ASSERT_EQ(failures.size(), 2U);
  EXPECT_EQ(failures[0].Sentence(),
            "4 values of view 'spending' could not be computed; the first is part of 'logarithm', in the spine's row 1 (2020-01-01T10:00:00Z)");
  EXPECT_EQ(failures[1].Sentence(), "3 values of model 'buys' could not be computed; the first is part of 'logarithm', in the spine's row 1");
  EXPECT_EQ(ValueFailures::FromJson(failures[1].ToJson()).Sentence(), failures[1].Sentence());
  project_.views["spending"].fails_on_error = true;
  const auto stopped = BuildRows(Plan(), *session_, TableNamed, wanted, At("2020-01-02"), 1);
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, "values_failed");
}

TEST_F(TrainingSetTest, PlanTravelsAsJson) {
  const FeaturePlan plan = Plan();
  const auto read = FeaturePlan::FromJson(Json::parse(plan.ToJson().dump()));
  ASSERT_TRUE(read.ok()) << read.error().Format();
  EXPECT_EQ(read->ToJson(), plan.ToJson());
  const RowsWanted wanted{.from = {}, .until = At("2020-01-02")};
  EXPECT_EQ(Texts(Build(*read, wanted, At("2020-01-02")), "spending__visits"),
            Texts(Build(plan, wanted, At("2020-01-02")), "spending__visits"));
  EXPECT_THAT(read->request_fields,
              ElementsAre(Field{"shop", Type::kText}, Field{"distance", Type::kDouble}, Field{"at_time", Type::kTimestamp},
                          Field{"id", Type::kInt64}, Field{"other_shop", Type::kText}));
  const Json whole = plan.ToJson();
  for (const auto& [key, value] : whole.items()) {
    Json damaged = whole;
    damaged.erase(key);
    EXPECT_FALSE(FeaturePlan::FromJson(damaged).ok()) << key;
  }
  EXPECT_FALSE(FeaturePlan::FromJson(Json(3)).ok());
}

TEST_F(TrainingSetTest, SelectedFeaturesOfOneViewAreOneJoin) {
  model_.features = {View("spending", "visits"), View("spending", "spent_mean_2h"), View("spending", "visits", "again")};
  const FeaturePlan plan = Plan();
  ASSERT_EQ(plan.views.size(), 2u);
  EXPECT_THAT(plan.views[0].outputs, ElementsAre("visits", "spent_mean_2h"));
  const Columns rows = Build(plan, {.from = {}, .until = At("2020-01-02")}, At("2020-01-02"));
  EXPECT_EQ(rows.columns[5].name, "spending__visits");
  EXPECT_EQ(Texts(rows, "again__visits"), Texts(rows, "spending__visits"));
}

TEST_F(TrainingSetTest, OnlineRowsEqualBatchRows) {
  const FeaturePlan plan = Plan();
  const TemporaryFolder folder = TemporaryFolder::Make(std::filesystem::temp_directory_path(), "online").value();
  auto store = OnlineStore::OpenEmbedded(folder.path());
  ASSERT_TRUE(store.ok()) << store.error().Format();
  const Timestamp now = At("2020-01-01T13:00:00Z");
  for (const FeaturePlan::View& view : plan.views) {
    ASSERT_TRUE(MaterializeView(**store, view.program, view.table, view.event_time, *session_, now).ok());
  }
  const Columns batch = Build(plan, {.from = {}, .until = now}, now);
  const Columns requests =
      session_
          ->Query("SELECT shop, distance, at_time, id, other_shop FROM plans WHERE _known_at <= at_time ORDER BY at_time, _seq")
          .value();
  std::vector<Timestamp> times;
  for (const int64_t micros : requests.Find("at_time")->ints) times.push_back(Timestamp{micros});
  const auto online = BuildOnlineRows(plan, **store, requests, times);
  ASSERT_TRUE(online.ok()) << online.error().Format();
  ASSERT_EQ(online->columns.size(), plan.inputs.size());
  for (const Field& input : plan.inputs) {
    EXPECT_EQ(Texts(*online, input.name), Texts(batch, input.name)) << input.name;
    EXPECT_EQ(online->Find(input.name)->type, input.type);
  }
  Columns lacking = requests;
  lacking.columns.pop_back();
  EXPECT_THAT(BuildOnlineRows(plan, **store, lacking, times).error().message, HasSubstr("'other_shop'"));
}

TEST_F(TrainingSetTest, ErrorsSayWhereAndWhatToDo) {
  const std::vector<ModelFeature> features = model_.features;
  const auto error_with = [&](ModelFeature feature) {
    model_.features = {std::move(feature)};
    return PlanError();
  };
  project_.views["spending"].entity = {"branch"};
  Execute("ALTER TABLE visits RENAME COLUMN shop TO branch");
  EXPECT_THAT(error_with(View("spending", "*")), HasSubstr("models/buys.yaml:7:3"));
  EXPECT_THAT(error_with(View("spending", "*")), HasSubstr("join: {SPINE_COLUMN: branch}"));
  EXPECT_THAT(error_with(View("spending", "*", "", {{"shops", "branch"}})), HasSubstr("did you mean 'shop'"));
  EXPECT_THAT(error_with(View("spending", "*", "", {{"distance", "branch"}})),
              HasSubstr("is number, but 'branch' of view 'spending' is text"));
  EXPECT_THAT(error_with(View("spending", "visit", "", {{"shop", "branch"}})), HasSubstr("did you mean 'visits'"));
  EXPECT_THAT(error_with(View("spendin", "*")), HasSubstr("did you mean 'spending'"));
  EXPECT_THAT(error_with(Expression("far", "distanc > 2")), HasSubstr("models/buys.yaml:8"));
  EXPECT_THAT(error_with(Expression("label", "distance")), HasSubstr("reserved_name"));
  EXPECT_THAT(error_with(Expression("id", "distance")), HasSubstr("duplicate_name"));
  model_.features = {Expression("far", "distance"), Expression("far", "id")};
  EXPECT_THAT(PlanError(), HasSubstr("duplicate_name"));
  model_.features = {Expression("far", "distance")};
  EXPECT_EQ(PlanError(), "planned");
  model_.timestamp = "at_tim";
  EXPECT_THAT(PlanError(), HasSubstr("did you mean 'at_time'"));
  model_.timestamp = "distance";
  EXPECT_THAT(PlanError(), HasSubstr("not a timestamp"));
}

}  // namespace
}  // namespace tidemill
