#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>

#include "base/files.h"
#include "project/project.h"

namespace tidemill {
namespace {

namespace fs = std::filesystem;

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Files = std::map<std::string, std::string>;

/// Cards, terminals, and payments to be judged: each test changes a file.
Files CardFiles() {
  return {
      {"tidemill.yaml", "project: cards\n"},
      {"sources/payments.yaml", "from: {files: payments.csv}\n"},
      {"tables/taps.sql", "SELECT * FROM payments\n"},
      {"tables/taps.yaml", "timestamp: happened\n"},
      {"tables/asked.sql", "SELECT * FROM payments\n"},
      {"features/cards.yaml", "entity: [card]\nfrom: taps\nfeatures:\n  mean: {value: avg(amount), windows: [7d]}\n"},
      {"features/terminals.yaml", "entity: [terminal]\nfrom: taps\nfeatures:\n  n: {value: count(*)}\n"},
      {"features/habit.yaml",
       "request: {amount: number, at_home: boolean}\nuses:\n  - cards\n  - {view: terminals, as: at, join: {place: terminal}}\n"
       "features:\n  ratio: {value: amount / cards.mean_7d, default: 1}\n"},
      {"features/alarm.yaml", "uses: [habit]\nfeatures:\n  high: {value: habit.ratio > 3}\n"},
      {"models/fraud.yaml",
       "training_set: {spine: asked, label: was_fraud, timestamp: at, label_known_at: told_at}\n"
       "features: [habit.*, alarm.high, {gap: habit.ratio - cards.mean_7d}]\n"
       "split: {train: 60d, validate: 1w, test: 7d}\nalgorithm: {lightgbm: {objective: binary}}\n"},
  };
}

class DerivedViewProjectTest : public ::testing::Test {
 protected:
  DerivedViewProjectTest() : folder_(std::move(TemporaryFolder::Make(fs::temp_directory_path(), "derived")).value()) {}

  Result<Project> Load(const Files& files) {
    fs::remove_all(folder_.path());
    for (const auto& [name, text] : files) {
      EXPECT_TRUE(MakeFolders((folder_.path() / name).parent_path()).ok());
      EXPECT_TRUE(WriteFileAtomic(folder_.path() / name, text).ok());
    }
    return LoadProject(folder_.path());
  }
  std::string Errors(const std::string& file, const std::string& from, const std::string& to) {
    Files files = CardFiles();
    std::string& text = files[file];
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    const auto project = Load(files);
    if (project.ok()) return "";
    std::string all = project.error().Format();
    for (const Error& other : project.error().others) all += other.Format();
    return all;
  }

  TemporaryFolder folder_;
};

TEST_F(DerivedViewProjectTest, IsReadAndStandsInTheGraph) {
  const auto project = Load(CardFiles());
  ASSERT_TRUE(project.ok()) << project.error().Format();
  const DerivedViewAsset& habit = project->derived_views.at("habit");
  EXPECT_THAT(habit.request, ElementsAre(Field{"amount", Type::kDouble}, Field{"at_home", Type::kBool}));
  ASSERT_EQ(habit.uses.size(), 2U);
  EXPECT_EQ(habit.uses[0].as, "cards");
  EXPECT_EQ(habit.uses[1].as, "at");
  EXPECT_EQ(habit.uses[1].join.at("place"), "terminal");
  EXPECT_EQ(habit.features[0].default_value, Value(int64_t{1}));
  EXPECT_EQ(project->Find("habit")->kind, AssetKind::kDerivedView);
  EXPECT_THAT(project->Find("habit")->inputs, ElementsAre("cards", "terminals"));
  EXPECT_THAT(project->Find("alarm")->inputs, ElementsAre("habit"));
  EXPECT_THAT(project->Find("fraud")->inputs, ElementsAre("asked", "habit", "alarm", "cards"));
  EXPECT_EQ(project->views.count("habit"), 0U);
}

TEST_F(DerivedViewProjectTest, FingerprintsFollowWhatIsUsed) {
  const auto before = Fingerprints(Load(CardFiles()).value(), "engine");
  Files files = CardFiles();
  files["features/habit.yaml"] += "# a comment\n";
  EXPECT_EQ(Fingerprints(Load(files).value(), "engine"), before);
  files["features/cards.yaml"] = "entity: [card]\nfrom: taps\nfeatures:\n  mean: {value: avg(amount + 1), windows: [7d]}\n";
  const auto after = Fingerprints(Load(files).value(), "engine");
  for (const std::string name : {"cards", "habit", "alarm", "fraud"}) EXPECT_NE(before.at(name), after.at(name)) << name;
  EXPECT_EQ(before.at("terminals"), after.at("terminals"));
}

TEST_F(DerivedViewProjectTest, WhatIsNotThereIsToldWithItsPlace) {
  EXPECT_THAT(Errors("features/habit.yaml", "- cards", "- crds"), HasSubstr("features/habit.yaml:3:5"));
  EXPECT_THAT(Errors("features/habit.yaml", "- cards", "- crds"), HasSubstr("did you mean 'cards'"));
  EXPECT_THAT(Errors("features/habit.yaml", "- cards", "- taps"), HasSubstr("is a table: a derived view uses feature views"));
  EXPECT_THAT(Errors("features/habit.yaml", "{place: terminal}", "{place: terminals}"), HasSubstr("asks for no 'terminals'"));
  EXPECT_THAT(Errors("features/habit.yaml", "as: at", "as: cards"), HasSubstr("two views are used under the name 'cards'"));
  EXPECT_THAT(Errors("features/habit.yaml", "  ratio:", "  amount:"), HasSubstr("named 'amount'"));
  EXPECT_THAT(Errors("features/habit.yaml", "amount: number", "amount: float"), HasSubstr("features/habit.yaml:1:19"));
  EXPECT_THAT(Errors("features/habit.yaml", "default: 1", "windows: [7d]"),
              HasSubstr("unknown key 'windows' in a derived feature"));
  EXPECT_THAT(Errors("features/habit.yaml", "uses:", "from: taps\nuses:"), HasSubstr("in a feature view"));
  EXPECT_THAT(Errors("models/fraud.yaml", "alarm.high", "alarm.hih"), HasSubstr("did you mean 'high'"));
  EXPECT_THAT(Errors("models/fraud.yaml", "habit.ratio - cards", "habit.ratio - crds"), HasSubstr("unknown feature view 'crds'"));
  EXPECT_THAT(Errors("models/fraud.yaml", "alarm.high", "{view: alarm, as: b, join: {at_home: home}}"),
              HasSubstr("asks for no 'home'"));
}

TEST_F(DerivedViewProjectTest, CirclesAreSpelledOutWithPlaces) {
  const std::string errors = Errors("features/habit.yaml", "- cards", "- cards\n  - alarm");
  EXPECT_THAT(errors, HasSubstr("habit -> alarm (features/habit.yaml:4:5) -> habit (features/alarm.yaml:1:8)"));
  const std::string self = Errors("features/alarm.yaml", "[habit]", "[habit, alarm]");
  EXPECT_THAT(self, HasSubstr("'alarm' uses itself"));
  EXPECT_THAT(self, HasSubstr("features/alarm.yaml:1:15"));
}

TEST_F(DerivedViewProjectTest, AFieldThatTellsTheLabelIsRefused) {
  const std::string direct = Errors("models/fraud.yaml", "label: was_fraud", "label: amount > 3");
  EXPECT_THAT(direct, HasSubstr("'habit.*' reads 'amount', which tells the label"));
  EXPECT_THAT(direct, HasSubstr("'alarm.high' reads 'amount'"));
  const std::string joined = Errors("models/fraud.yaml", "alarm.high", "{view: alarm, as: b, join: {told_at: at_home}}");
  EXPECT_THAT(joined, HasSubstr("reads 'told_at', which tells the label"));
  // A feature of a view is no column of the spine, whatever its name.
  const std::string named = Errors("models/fraud.yaml", "label: was_fraud", "label: mean_7d > 3");
  EXPECT_EQ(named, "");
}

}  // namespace
}  // namespace tidemill
