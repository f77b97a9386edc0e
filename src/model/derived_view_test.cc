#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "base/files.h"
#include "model/training_set.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Timestamp TimeOf(const std::string& text) { return ParseTimestamp(text).value(); }

uint64_t BitsAt(const Column& column, size_t row) {
  return column.IsNull(row) ? 0x7ff8'dead'0000'0000 : std::bit_cast<uint64_t>(column.doubles[row]);
}

/// Payments of cards at terminals: the spine holds the payments to be judged, and views tell of cards and of terminals before.
class DerivedViewTest : public ::testing::Test {
 protected:
  void SetUp() override {
    database_ = Database::Open({}).value();
    session_ = database_->Connect().value();
    // Amounts with infinities and nulls; pseudo-random, the same each time.
    Execute(
        "CREATE TEMP TABLE taps AS SELECT i AS _seq, TIMESTAMP '2020-01-01' + to_minutes(i) AS happened, "
        "TIMESTAMP '2020-01-01' + to_minutes((i + hash(i) % 90)::BIGINT) AS _known_at, (hash(i * 7) % 5)::BIGINT AS card_number, "
        "CASE WHEN hash(i * 3) % 4 = 0 THEN 'north' ELSE 'south' END AS terminal, "
        "CASE hash(i * 5) % 40 WHEN 0 THEN NULL WHEN 1 THEN 'inf'::DOUBLE WHEN 2 THEN 0.0 ELSE (hash(i * 11) % 10000) / 7.0 END "
        "AS amount FROM range(400) r(i)");
    Execute(
        "CREATE TEMP TABLE asked AS SELECT (1000 + i)::BIGINT AS _seq, i::BIGINT AS id, "
        "TIMESTAMP '2020-01-01 00:30' + to_minutes(3 * i) AS at_time, (hash(i * 13) % 6)::BIGINT AS card_number, "
        "CASE hash(i * 17) % 3 WHEN 0 THEN 'north' WHEN 1 THEN 'south' END AS place, "
        "(hash(i * 19) % 500)::BIGINT AS amount, hash(i) % 2 = 0 AS fraud, TIMESTAMP '2020-01-01 00:30' + to_minutes(3 * i) AS "
        "_known_at FROM range(200) r(i)");
    project_.tables["taps"].name = "taps";
    project_.tables["taps"].timestamp = "happened";
    project_.tables["asked"].name = "asked";
    project_.tables["asked"].key = {"id"};
    AddView("cards", "card_number", {{"mean", "avg(amount)"}, {"spread", "stddev_samp(amount)"}, {"n", "count(*)"}});
    AddView("terminals", "terminal", {{"mean", "avg(amount)"}, {"n", "count(*)"}});

    DerivedViewAsset& habit = project_.derived_views["habit"];
    habit.name = "habit";
    habit.request = {{"amount", Type::kDouble}};
    habit.uses = {Use("cards"), Use("terminals", "there", {{"place", "terminal"}})};
    habit.features = {Feature("ratio", "amount / cards.mean", 1.0), Feature("z", "(amount - cards.mean) / cards.spread"),
                      Feature("both", "ratio * there.mean"), Feature("busy", "there.n > 50")};
    DerivedViewAsset& alarm = project_.derived_views["alarm"];
    alarm.name = "alarm";
    alarm.request = {{"home", Type::kText}};
    alarm.uses = {Use("habit", "habit", {{"home", "place"}}), Use("cards")};
    alarm.features = {Feature("strange", "habit.z > 2 AND habit.busy AND home = 'south'"),
                      Feature("score", "habit.both / cards.n")};

    model_.name = "fraud";
    model_.spine = "asked";
    model_.label = "fraud";
    model_.timestamp = "at_time";
    model_.label_known_at = "at_time";
    model_.place = Place{.file = "models/fraud.yaml", .line = 1, .column = 1, .length = 1, .excerpt = ""};
  }

  void Execute(const std::string& sql) {
    const auto status = session_->Execute(sql);
    ASSERT_TRUE(status.ok()) << status.error().Format();
  }
  void AddView(const std::string& name, const std::string& key,
               const std::vector<std::pair<std::string, std::string>>& features) {
    FeatureViewAsset& view = project_.views[name];
    view.name = name;
    view.entity = {key};
    view.from = "taps";
    for (const auto& [feature, value] : features) view.features.push_back(Feature(feature, value));
  }
  static FeatureDefinition Feature(std::string name, std::string value, Value otherwise = {}) {
    FeatureDefinition feature;
    feature.name = std::move(name);
    feature.value = std::move(value);
    feature.default_value = std::move(otherwise);
    feature.place = Place{.file = "features/habit.yaml", .line = 4, .column = 3, .length = 1, .excerpt = ""};
    return feature;
  }
  static ViewUse Use(std::string view, std::string as = "", std::map<std::string, std::string> join = {}) {
    ViewUse use;
    use.as = as.empty() ? view : std::move(as);
    use.view = std::move(view);
    use.join = std::move(join);
    use.place = Place{.file = "features/habit.yaml", .line = 2, .column = 8, .length = 1, .excerpt = ""};
    return use;
  }
  static ModelFeature Item(std::string view, std::string feature, std::map<std::string, std::string> join = {},
                           std::string as = "") {
    ModelFeature item;
    item.view = std::move(view);
    item.feature = std::move(feature);
    item.join = std::move(join);
    item.as = std::move(as);
    item.place = Place{.file = "models/fraud.yaml", .line = 7, .column = 3, .length = 1, .excerpt = ""};
    return item;
  }
  static ModelFeature Expression(std::string name, std::string expression, std::vector<std::string> views) {
    ModelFeature item;
    item.name = std::move(name);
    item.expression = std::move(expression);
    item.named_views = std::move(views);
    item.place = Place{.file = "models/fraud.yaml", .line = 8, .column = 3, .length = 1, .excerpt = ""};
    return item;
  }
  std::map<std::string, std::vector<Field>> Fields() {
    std::map<std::string, std::vector<Field>> fields;
    for (const std::string table : {"taps", "asked"})
      fields[table] = session_->Describe("SELECT * EXCLUDE (_seq, _known_at) FROM " + table).value();
    return fields;
  }
  FeaturePlan Plan() {
    auto plan = PlanFeatures(project_, model_, Fields(), *session_);
    EXPECT_TRUE(plan.ok()) << plan.error().Format();
    return plan.ok() ? std::move(plan).value() : FeaturePlan();
  }
  std::string PlanError() {
    const auto plan = PlanFeatures(project_, model_, Fields(), *session_);
    return plan.ok() ? "planned" : plan.error().code + ": " + plan.error().Format();
  }
  std::string ViewError(const std::string& view) {
    const auto plan = PlanDerivedView(project_, view, Fields(), *session_);
    return plan.ok() ? "planned" : plan.error().code + ": " + plan.error().Format();
  }
  Columns Build(const FeaturePlan& plan) {
    auto rows = BuildRows(
        plan, *session_, [](const std::string& table) { return table; }, {.from = {}, .until = now_}, now_, 2);
    EXPECT_TRUE(rows.ok()) << rows.error().Format();
    return rows.ok() ? std::move(rows).value() : Columns();
  }
  std::unique_ptr<OnlineStore> FillStore() {
    folder_ = TemporaryFolder::Make(std::filesystem::temp_directory_path(), "derived").value();
    auto store = OnlineStore::OpenEmbedded(folder_->path()).value();
    for (const auto& [name, view] : project_.views) {
      const Program program = CompiledView(name);
      EXPECT_TRUE(MaterializeView(*store, program, "taps", "happened", *session_, now_).ok());
    }
    return store;
  }
  Program CompiledView(const std::string& name) {
    ModelAsset model = model_;
    model.features = {Item(
        name, "*",
        name == "terminals" ? std::map<std::string, std::string>{{"place", "terminal"}} : std::map<std::string, std::string>{})};
    return PlanFeatures(project_, model, Fields(), *session_).value().views.at(0).program;
  }
  Columns Requests(const FeaturePlan& plan, std::vector<Timestamp>* times) {
    std::string sql = "SELECT at_time AS the_time";
    for (const Field& field : plan.request_fields) sql += ", " + QuoteIdentifier(field.name);
    Columns rows = session_->Query(sql + " FROM asked ORDER BY at_time, _seq").value();
    for (const int64_t micros : rows.columns[0].ints) times->push_back(Timestamp{micros});
    return rows;
  }

  const Timestamp now_ = TimeOf("2020-01-01T11:00:00Z");
  std::optional<TemporaryFolder> folder_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Session> session_;
  Project project_;
  ModelAsset model_;
};

TEST_F(DerivedViewTest, BatchIsWhatItsPartsSayAndOnlineEqualsItToTheBit) {
  model_.features = {Item("habit", "*"), Item("alarm", "score", {{"place", "home"}}), Item("cards", "*"),
                     Expression("gap", "cards.mean - here.mean", {"cards", "here"}),
                     Item("terminals", "*", {{"place", "terminal"}}, "here")};
  const FeaturePlan plan = Plan();
  // What derived views look up and the model takes too is one look-up.
  EXPECT_EQ(plan.views.size(), 2U);
  EXPECT_THAT(plan.request_fields,
              ElementsAre(Field{"card_number", Type::kInt64}, Field{"place", Type::kText}, Field{"amount", Type::kInt64}));
  const Columns batch = Build(plan);
  ASSERT_EQ(batch.rows(), 200U);
  const Columns asked = session_->Query("SELECT amount FROM asked ORDER BY at_time, _seq").value();
  size_t known = 0;
  size_t missing = 0;
  for (size_t row = 0; row < batch.rows(); ++row) {
    const Column& mean = *batch.Find("cards__mean");
    const Column& spread = *batch.Find("cards__spread");
    const Column& there = *batch.Find("here__mean");
    const auto amount = static_cast<double>(asked.columns[0].ints[row]);
    const double ratio = amount / mean.doubles[row];
    const bool has_ratio = !mean.IsNull(row) && !std::isnan(ratio);
    EXPECT_EQ(batch.Find("habit__ratio")->doubles[row], has_ratio ? ratio : 1.0) << row;
    const double z = (amount - mean.doubles[row]) / spread.doubles[row];
    const bool has_z = !mean.IsNull(row) && !spread.IsNull(row) && !std::isnan(z);
    EXPECT_EQ(batch.Find("habit__z")->IsNull(row), !has_z) << row;
    if (has_z) {
      EXPECT_EQ(batch.Find("habit__z")->doubles[row], z) << row;
    }
    const double gap = mean.doubles[row] - there.doubles[row];
    EXPECT_EQ(batch.Find("gap")->IsNull(row), mean.IsNull(row) || there.IsNull(row)) << row;
    if (!batch.Find("gap")->IsNull(row) && !std::isnan(gap)) {
      EXPECT_EQ(batch.Find("gap")->doubles[row], gap) << row;
    }
    known += has_z;
    missing += !has_z;
  }
  EXPECT_GT(known, 20U);
  EXPECT_GT(missing, 5U);

  const auto store = FillStore();
  std::vector<Timestamp> times;
  const Columns requests = Requests(plan, &times);
  const auto online = BuildOnlineRows(plan, *store, requests, times);
  ASSERT_TRUE(online.ok()) << online.error().Format();
  for (const Field& input : plan.inputs) {
    const Column& a = *batch.Find(input.name);
    const Column& b = *online->Find(input.name);
    ASSERT_EQ(a.type, b.type);
    for (size_t row = 0; row < batch.rows(); ++row) {
      if (input.type == Type::kDouble) {
        EXPECT_EQ(BitsAt(a, row), BitsAt(b, row)) << input.name << " of row " << row;
      } else {
        EXPECT_EQ(a.At(row), b.At(row)) << input.name << " of row " << row;
      }
    }
  }
}

TEST_F(DerivedViewTest, AloneItAsksForItsFieldsAndTheKeysOfAllItUses) {
  const auto plan = PlanDerivedView(project_, "alarm", Fields(), *session_);
  ASSERT_TRUE(plan.ok()) << plan.error().Format();
  EXPECT_THAT(plan->request_fields,
              ElementsAre(Field{"home", Type::kText}, Field{"amount", Type::kDouble}, Field{"card_number", Type::kInt64}));
  EXPECT_THAT(plan->inputs, ElementsAre(Field{"alarm__strange", Type::kBool}, Field{"alarm__score", Type::kDouble}));
  const auto read = FeaturePlan::FromJson(Json::parse(plan->ToJson().dump()));
  ASSERT_TRUE(read.ok()) << read.error().Format();
  EXPECT_EQ(read->ToJson(), plan->ToJson());

  model_.features = {Item("alarm", "*", {{"place", "home"}})};
  const FeaturePlan in_model = Plan();
  const Columns batch = Build(in_model);
  const auto store = FillStore();
  std::vector<Timestamp> times;
  Columns requests = Requests(in_model, &times);
  // As requests have them: by the view's own names and types.
  requests.Find("place")->name = "home";
  Column amount("amount", Type::kDouble);
  for (const int64_t value : requests.Find("amount")->ints) amount.AppendDouble(static_cast<double>(value));
  *requests.Find("amount") = amount;
  std::vector<bool> found;
  const auto online = BuildOnlineRows(*read, *store, requests, times, &found);
  ASSERT_TRUE(online.ok()) << online.error().Format();
  EXPECT_GT(std::count(found.begin(), found.end(), true), 50);
  EXPECT_GT(std::count(found.begin(), found.end(), false), 10);
  for (size_t row = 0; row < batch.rows(); ++row) {
    EXPECT_EQ(BitsAt(*batch.Find("alarm__score"), row), BitsAt(*online->Find("alarm__score"), row)) << row;
    EXPECT_EQ(batch.Find("alarm__strange")->At(row), online->Find("alarm__strange")->At(row)) << row;
  }
}

TEST_F(DerivedViewTest, RequestsAloneNeedNoView) {
  DerivedViewAsset& only = project_.derived_views["only"];
  only.name = "only";
  only.request = {{"amount", Type::kDouble}, {"place", Type::kText}};
  only.features = {Feature("log", "ln(amount + 1)"), Feature("none", "0.0 * ('nan'::DOUBLE)", 7.0),
                   Feature("south", "place = 'south'", false)};
  model_.features = {Item("only", "*")};
  const FeaturePlan plan = Plan();
  EXPECT_TRUE(plan.views.empty());
  const Columns batch = Build(plan);
  EXPECT_EQ(batch.Find("only__none")->doubles[0], 7.0);  // not a number is missing, and the default takes its place
  EXPECT_EQ(std::count(batch.Find("only__south")->valid.begin(), batch.Find("only__south")->valid.end(), 0), 0);
}

TEST_F(DerivedViewTest, OnlyWhatIsWantedIsComputed) {
  model_.features = {Item("habit", "ratio")};
  const FeaturePlan plan = Plan();
  ASSERT_EQ(plan.views.size(), 1U);
  EXPECT_THAT(plan.views[0].outputs, ElementsAre("mean"));
  ASSERT_EQ(plan.derived.size(), 1U);
  EXPECT_EQ(plan.derived[0].program.outputs.size(), 1U);
}

TEST_F(DerivedViewTest, PlansFromBeforeDerivedViewsLoad) {
  model_.features = {Item("cards", "*")};
  Json old = Plan().ToJson();
  old.erase("version");
  old.erase("derived");
  const auto read = FeaturePlan::FromJson(old);
  ASSERT_TRUE(read.ok()) << read.error().Format();
  EXPECT_EQ(Build(*read).rows(), 200U);
  Json later = Plan().ToJson();
  later["version"] = 3;
  EXPECT_THAT(FeaturePlan::FromJson(later).error().message, HasSubstr("newer Tidemill"));
}

TEST_F(DerivedViewTest, ErrorsSayWhereAndWhatToDo) {
  const auto with = [&](const std::string& value, Value otherwise = {}) {
    project_.derived_views["habit"].features = {Feature("ratio", value, std::move(otherwise))};
    return ViewError("habit");
  };
  EXPECT_THAT(with("amunt / cards.mean"), HasSubstr("did you mean 'amount'"));
  EXPECT_THAT(with("amount / cards.men"), HasSubstr("did you mean 'mean'"));
  EXPECT_THAT(with("amount / card.mean"), HasSubstr("no view is used here under the name 'card'"));
  EXPECT_THAT(with("amount / mean"), HasSubstr("written cards.mean"));
  EXPECT_THAT(with("amount / terminals.mean"), HasSubstr("unknown_view"));
  EXPECT_THAT(with("epoch(now())"), HasSubstr("let the request bring the time"));
  EXPECT_THAT(with("sum(amount)"), HasSubstr("is an aggregate"));
  EXPECT_THAT(with("lower(amount)"), HasSubstr("features/habit.yaml:4"));
  EXPECT_THAT(with("amount", std::string("none")), HasSubstr("default_type"));
  EXPECT_EQ(with("amount / cards.mean"), "planned");

  project_.derived_views["habit"].request = {{"amount", Type::kDouble}, {"card_number", Type::kText}};
  EXPECT_THAT(ViewError("habit"), HasSubstr("'card_number' of 'habit' is text, but 'card_number' of view 'cards' is integer"));
  EXPECT_THAT(ViewError("habit"), HasSubstr("features/habit.yaml:2:8"));
  project_.derived_views["habit"].request = {{"sum_of_all", Type::kDouble}};
  project_.derived_views["habit"].features = {Feature("ratio", "sum_of_all / cards.mean")};
  model_.features = {Item("habit", "*")};
  EXPECT_THAT(PlanError(),
              HasSubstr("asks a request for 'sum_of_all' (number), and the spine 'asked' has no column 'sum_of_all'"));
  EXPECT_THAT(PlanError(), HasSubstr("join: {SPINE_COLUMN: sum_of_all}"));
  EXPECT_THAT(PlanError(), HasSubstr("models/fraud.yaml:7"));
  model_.features = {Item("habit", "*", {{"place", "sum_of_all"}})};
  EXPECT_THAT(PlanError(), HasSubstr("'place' of the spine 'asked' is text, but 'sum_of_all' of view 'habit' is number"));
  model_.features = {Item("habit", "*", {{"amount", "sum_of_all"}})};
  EXPECT_EQ(PlanError(), "planned");
  model_.features = {Expression("gap", "cards.men", {"cards"})};
  EXPECT_THAT(PlanError(), HasSubstr("did you mean 'mean'"));
  model_.features = {Item("cards", "*", {{"plce", "card_number"}}), Expression("gap", "cards.mean", {"cards"})};
  EXPECT_THAT(PlanError(), HasSubstr("no column 'plce'"));
}

}  // namespace
}  // namespace tidemill
