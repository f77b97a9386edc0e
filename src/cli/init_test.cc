#include "cli/init.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "base/files.h"
#include "project/project.h"

namespace tidemill {
namespace {

namespace fs = std::filesystem;

constexpr Timestamp kNow{1'750'000'000 * kMicrosPerSecond};  // 2025-06-15T15:06:40Z

class InitTest : public ::testing::Test {
 protected:
  InitTest() : folder_(std::move(TemporaryFolder::Make(fs::temp_directory_path(), "init")).value()) {}

  fs::path Path(std::string_view name) const { return folder_.path() / name; }
  void Write(std::string_view name, std::string_view text) {
    ASSERT_TRUE(MakeFolders(Path(name).parent_path()).ok());
    ASSERT_TRUE(WriteFileAtomic(Path(name), text).ok());
  }

  Result<NewProject> Init(const std::string& folder, const std::string& csv, const std::string& predict) {
    InitOptions options;
    options.folder = Path(folder);
    if (!csv.empty()) options.from_csv = Path(csv);
    options.predict = predict;
    options.now = kNow;
    return InitProject(options);
  }

  /// The text of a file of the new project.
  std::string Text(const std::string& name) const { return ReadFile(Path(name)).value(); }

  TemporaryFolder folder_;
};

/// 200 customers without a time.
std::string ChurnCsv() {
  std::string csv = "Customer ID,plan,city,Monthly Fee,group,calls,always,churned\n";
  for (int i = 0; i < 200; ++i) {
    csv += "C" + std::to_string(1000 + i) + "," +
           (i % 3 == 0   ? "basic"
            : i % 3 == 1 ? "plus"
                         : "") +
           ",town" + std::to_string(i % 40) + "," + std::to_string(10 + i % 7) + ".5," + std::to_string(i % 5) + "," +
           (i % 10 == 0 ? "NA" : std::to_string(i % 11)) + ",x," + (i % 4 == 0 ? "left" : "stays") + "\n";
  }
  return csv;
}

TEST_F(InitTest, TheExampleLoadsAndIsAlwaysTheSame) {
  const auto first = Init("a", "", "");
  ASSERT_TRUE(first.ok()) << first.error().Format();
  EXPECT_EQ(Init("b", "", "").value().files, first->files);
  const auto project = LoadProject(Path("a"));
  ASSERT_TRUE(project.ok()) << project.error().Format();
  EXPECT_EQ(project->graph.size(), 9U);
  EXPECT_TRUE(project->models.contains(first->model));
  // The data ends where the project clock stands: the newest orders are not decided yet.
  const std::string orders = Text("a/data/orders.csv");
  EXPECT_NE(orders.find("2025-06-1"), std::string::npos);
  EXPECT_EQ(orders.find("2025-06-16"), std::string::npos);
  EXPECT_TRUE(orders.ends_with(",,\n"));
}

TEST_F(InitTest, ACsvWithoutTimesGetsARandomSplit) {
  Write("churn.csv", ChurnCsv());
  const auto made = Init("shop", "churn.csv", "churned");
  ASSERT_TRUE(made.ok()) << made.error().Format();
  EXPECT_EQ(made->model, "churned");
  EXPECT_FALSE(made->now.has_value());
  EXPECT_EQ(Text("shop/data/churn.csv"), ChurnCsv());
  EXPECT_EQ(
      Text("shop/sources/churn.yaml"),
      "# Where rows come from, and what they must look like. Rows that don't are put aside with the reason.\n"
      "from: {files: \"data/churn.csv\", null: [\"\", NA]}\n"
      "# What is predicted stands beside what it is predicted from, so the file holds more than was known at any one time.\n"
      "history: true\ncontract:\n  columns:\n"
      "    \"Customer ID\": {type: text, required: true}\n    plan: {type: text}\n    city: {type: text, required: true}\n"
      "    \"Monthly Fee\": {type: number, required: true}\n    group: {type: integer, required: true}\n    calls: {type: "
      "integer}\n"
      "    always: {type: text, required: true}\n    churned: {type: text, required: true}\n");
  const std::string sql = Text("shop/tables/churn_rows.sql");
  EXPECT_NE(sql.find("SELECT\n  \"Customer ID\" AS customer_id,\n  plan,\n  city,\n  \"Monthly Fee\" AS monthly_fee,\n  "
                     "\"group\" AS group_,\n"),
            std::string::npos)
      << sql;
  EXPECT_NE(sql.find("TIMESTAMP '2015-06-18 00:00:00' + to_seconds("), std::string::npos) << sql;
  EXPECT_EQ(
      Text("shop/models/churned.yaml"),
      "# The file doesn't tell when the truth came out: it counts as known at the time of the row. If a column tells it, name it "
      "under label_known_at.\n"
      "training_set: {spine: churn_rows, label: \"churned = 'left'\", timestamp: predicted_at, label_known_at: predicted_at}\n"
      "# Take out what is only known after the outcome, or the model will look better than it is.\n"
      "# Left out:\n#   customer_id: it has another value in nearly every row\n#   always: it has one value only\n#   churned: "
      "it is what is predicted\n"
      "features:\n  - plan\n  - city\n  - monthly_fee\n  - group_\n  - calls\n"
      "split: {train: 2482d, validate: 547d, test: 547d, refit: all}\n"
      "prepare:\n  - one_hot: {columns: [plan], other_below: 10}\n  - ordinal: {columns: [city], other_below: 10}\n"
      "algorithm: {lightgbm: {objective: binary, learning_rate: 0.05, num_leaves: 15, rounds: 300, early_stopping: 20}}\n"
      "# 0.5 is guessing: raise it to what you need.\ngates:\n  - auc: {min: 0.5}\n");
  EXPECT_TRUE(LoadProject(Path("shop")).ok());
}

TEST_F(InitTest, ACsvWithTimesIsSplitInTime) {
  std::string csv = "started;load;ok\n";
  for (int i = 0; i < 100; ++i)
    csv += "2020-0" + std::to_string(1 + i / 28) + "-" + (i % 28 < 9 ? "0" : "") + std::to_string(1 + i % 28) + " 10:30:00;" +
           std::to_string(i % 9) + ";" + (i % 3 == 0 ? "0" : "1") + "\n";
  Write("in/runs 2020.csv", csv);
  const auto made = Init("in", "in/runs 2020.csv", "OK");
  ASSERT_TRUE(made.ok()) << made.error().Format();
  EXPECT_EQ(FormatTimestamp(*made->now), "2020-04-16T10:30:01Z");
  EXPECT_FALSE(fs::exists(Path("in/data")));
  EXPECT_NE(Text("in/sources/runs_2020.yaml").find("from: {files: \"runs 2020.csv\", null: [\"\"], delimiter: \";\"}"),
            std::string::npos);
  const std::string model = Text("in/models/ok.yaml");
  EXPECT_NE(model.find("training_set: {spine: runs_2020_rows, label: \"ok = 1\", timestamp: started, label_known_at: started}"),
            std::string::npos)
      << model;
  EXPECT_NE(model.find("features:\n  - load\n  - {hour_of_day: hour(started)}\n  - {day_of_week: isodow(started)}\nsplit: "
                       "{train: 72d, validate: 16d, test: 16d, refit: all}\n"),
            std::string::npos)
      << model;
  EXPECT_EQ(Text("in/tables/runs_2020_rows.yaml"), "timestamp: started\nknown_at: started\n");
}

TEST_F(InitTest, AColumnWithTwoAnswersIsATruthValue) {
  std::string csv = "day,order,Größe,x,won\n";
  for (int i = 0; i < 60; ++i)
    csv += (i == 7 ? std::string() : "2024-03-" + std::to_string(10 + i % 20)) + "," + std::to_string(i % 9) + "," +
           std::to_string(i % 7) + "," + std::to_string(i) + "," + (i % 3 == 0 ? "no" : "yes") + "\n";
  Write("games.csv", csv);
  const auto made = Init("games", "games.csv", "won");
  ASSERT_TRUE(made.ok()) << made.error().Format();
  EXPECT_NE(Text("games/models/won.yaml").find("label: won,"), std::string::npos);
  EXPECT_EQ(Text("games/tables/games_rows.sql"),
            "-- One row for each prediction.\nSELECT\n  CAST(day AS TIMESTAMP) AS day,\n  \"order\" AS order_,\n  \"Größe\" AS "
            "gr_e,\n  x,\n  won\n"
            "FROM games\nWHERE day IS NOT NULL\n");
  EXPECT_EQ(Text("games/models/won.yaml").find("hour("), std::string::npos) << "a date has no hours";
}

TEST_F(InitTest, NothingThatExistsIsReplaced) {
  Write("shop/models/return_risk.yaml", "mine");
  const auto made = Init("shop", "", "");
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, "file_exists");
  EXPECT_EQ(Text("shop/models/return_risk.yaml"), "mine");
  EXPECT_FALSE(fs::exists(Path("shop/tidemill.yaml")));
}

TEST_F(InitTest, BadInputsAreExplained) {
  Write("churn.csv", ChurnCsv());
  Write("few.csv", "a,b\n1,0\n2,1\n");
  Write(
      "one.csv", "a,b\n1,0\n" + [] {
        std::string rows;
        for (int i = 0; i < 100; ++i) rows += "1,0\n";
        return rows;
      }());
  Write("churn.txt", ChurnCsv());
  Write("empty.csv", "");
  struct Case {
    std::string csv, predict, message, hint;
  };
  const Case kCases[] = {
      {"churn.csv", "chruned", "the file has no column 'chruned'",
       "did you mean 'churned'? allowed: Customer ID, plan, city, Monthly Fee, group, calls, always, churned"},
      {"churn.csv", "calls", "'calls' has 11 different values; a model here predicts which of two it will be",
       "choose a column with two values; or make a project by hand, whose label is a condition, such as amount > 100"},
      {"churn.csv", "always", "'always' has one value only; a model here predicts which of two it will be",
       "choose a column with two values; or make a project by hand, whose label is a condition, such as amount > 100"},
      {"one.csv", "b", "'b' has one value only; a model here predicts which of two it will be",
       "choose a column with two values; or make a project by hand, whose label is a condition, such as amount > 100"},
      {"few.csv", "b", "'few.csv' has 2 rows; a model needs at least 50", "bring more rows"},
      {"churn.csv", "", "--from and --predict go together",
       "tidemill init --from FILE.csv --predict COLUMN; without both an example is made"},
      {"", "churned", "--from and --predict go together",
       "tidemill init --from FILE.csv --predict COLUMN; without both an example is made"},
      {"churn.txt", "churned", "'churn.txt' is not a CSV by its name",
       "give a .csv, .csv.gz or .tsv; other files can be named in sources/NAME.yaml by hand"},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.csv + " " + c.predict);
    const auto made = Init("shop", c.csv, c.predict);
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().message, c.message);
    EXPECT_EQ(made.error().hint, c.hint);
  }
  EXPECT_EQ(Init("shop", "none.csv", "x").error().code, "file_missing");
  EXPECT_FALSE(Init("shop", "empty.csv", "x").ok());
  EXPECT_FALSE(fs::exists(Path("shop")));
}

}  // namespace
}  // namespace tidemill
