#include "orchestrate/verify_view.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "feature/online/entity_states.h"
#include "orchestrate/run.h"
#include "serve/answer_log.h"
#include "serve/features.h"
#include "serve/push_door.h"

namespace tidemill {
namespace {

constexpr int64_t kSecond = kMicrosPerSecond;

class VerifyViewTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto folder = TemporaryFolder::Make(std::filesystem::temp_directory_path(), "tidemill-verify-");
    ASSERT_TRUE(folder.ok());
    folder_.emplace(std::move(folder).value());
    Write("tidemill.yaml", "project: cards\n");
    Write("sources/taps.yaml",
          "from: push\ncontract:\n  columns:\n    card: {type: text, required: true}\n    amount: {type: number}\n"
          "    shop: {type: text}\n    tapped_at: {type: timestamp, required: true}\n");
    Write("tables/payments.sql", "SELECT * FROM taps\n");
    Write("tables/payments.yaml", "timestamp: tapped_at\n");
    Write("features/spending.yaml",
          "entity: [card]\nfrom: payments\nfeatures:\n  total: {value: sum(amount), windows: [1h]}\n  n: {value: count(*)}\n");
    Write("features/shops.yaml", "entity: [shop]\nfrom: payments\nfeatures:\n  n: {value: count(*)}\n");
    Write(
        "features/habit.yaml",
        "request: {amount: number}\nuses: [spending, shops]\nfeatures:\n  ratio: {value: amount / spending.total_1h, default: -1}\n"
        "  both: {value: spending.n + shops.n}\n");
    Write("features/alarm.yaml", "uses: [habit, spending]\nfeatures:\n  odd: {value: habit.ratio > 2 AND habit.both > 1}\n");
    auto workspace = OpenWorkspace(folder_->path(), clock_);
    ASSERT_TRUE(workspace.ok()) << workspace.error().Format();
    workspace_.emplace(std::move(workspace).value());
    auto owned = OpenOwnedStore(SiteOf(*workspace_), *workspace_->lake);
    ASSERT_TRUE(owned.ok()) << owned.error().Format();
    owned_ = std::move(owned).value();
    owned_.store->states().SetSampler(&sampler_);
  }

  void Write(const std::string& name, const std::string& text) {
    const auto path = folder_->path() / name;
    ASSERT_TRUE(MakeFolders(path.parent_path()).ok());
    ASSERT_TRUE(WriteFileAtomic(path, text).ok());
  }

  void Push(const std::string& id, double amount, int64_t second) {
    const auto door = PushDoor::Make(workspace_->project.sources);
    ASSERT_TRUE(door.ok());
    const Json row = {{"card", "a"},
                      {"amount", amount},
                      {"shop", "s" + std::to_string(second % 3)},
                      {"tapped_at", FormatTimestamp(Timestamp{second * kSecond})}};
    auto batch = (*door)->Read("taps", {{"id", id}, {"rows", Json::array({row})}});
    ASSERT_TRUE(batch.ok()) << batch.error().Format();
    const auto receipt = owned_.pushes->Push(*batch, [second] { return Timestamp{second * kSecond}; });
    ASSERT_TRUE(receipt.ok()) << receipt.error().Format();
  }

  void Ask(int64_t second) {
    const auto answer = LookUp(*owned_.store, workspace_->programs.at("spending"), {std::string("a")}, Timestamp{second * kSecond});
    ASSERT_TRUE(answer.ok()) << answer.error().Format();
  }

  void AskDerived(const std::string& view, const Json& question, int64_t second) {
    const auto answer = AnswerDerivedFeatures(*owned_.store, view, workspace_->derived_plans.at(view), Json::array({question}),
                                              Timestamp{second * kSecond});
    ASSERT_TRUE(answer.ok()) << answer.error().Format();
  }

  ViewVerification Verify(int64_t second, const std::string& view = "spending") {
    EXPECT_TRUE(owned_.pushes->Flush().ok());
    auto report = VerifyView(*workspace_, view, 0, Timestamp{second * kSecond});
    EXPECT_TRUE(report.ok()) << report.error().Format();
    return report.ok() ? *report : ViewVerification{};
  }

  SystemClock clock_;
  std::optional<TemporaryFolder> folder_;
  std::optional<Workspace> workspace_;
  OwnedStore owned_;
  Timestamp settled_{5000 * kSecond};
  AnswerSampler sampler_{{}, [this](const std::string&) { return std::optional(settled_); }};
};

TEST_F(VerifyViewTest, ReplaysLoggedAnswersAndNamesTheRowsBehindADifference) {
  EXPECT_EQ(Verify(10'000).answers, 0);
  Push("one", 2.5, 1000);
  Ask(999);
  Ask(1000);
  Push("two", 4, 2000);
  Ask(1500);
  Ask(2500);
  settled_ = {1 * kSecond};
  Ask(2600);  // might still change: not kept
  std::vector<SampledAnswer> answers = sampler_.Take();
  ASSERT_EQ(answers.size(), 4U);
  ASSERT_TRUE(StoreAnswers(*workspace_->lake, answers).ok());
  const ViewVerification same = Verify(10'000);
  EXPECT_EQ(same.answers, 4);
  EXPECT_EQ(same.answers_different, 0);
  EXPECT_EQ(Verify(1200).answers, 2);  // for times that have come

  answers.erase(answers.begin(), answers.begin() + 3);
  answers[0].values[0] = 6.0;
  ASSERT_TRUE(StoreAnswers(*workspace_->lake, answers).ok());
  const ViewVerification different = Verify(10'000);
  EXPECT_EQ(different.answers, 5);
  ASSERT_EQ(different.answers_different, 1);
  ASSERT_EQ(different.differences.size(), 1U);
  EXPECT_EQ(different.differences[0].entity, "card = a");
  EXPECT_EQ(different.differences[0].feature, "total_1h");
  EXPECT_EQ(different.differences[0].online, "6.0");
  EXPECT_EQ(different.differences[0].batch, "6.5");
  EXPECT_EQ(different.differences[0].rows, (std::vector<std::string>{"push two, record 1", "push one, record 1"}));
  const auto measured = workspace_->catalog->Measurements("spending", "skew");
  ASSERT_TRUE(measured.ok());
  ASSERT_FALSE(measured->empty());
  EXPECT_TRUE(measured->back().alert);
  EXPECT_FALSE(measured->front().alert);
  EXPECT_EQ(VerifyView(*workspace_, "spendin", 0, Timestamp{}).error().code, "unknown_view");
}

std::vector<SampledAnswer> Of(const std::string& view, const std::vector<SampledAnswer>& answers) {
  std::vector<SampledAnswer> found;
  std::copy_if(answers.begin(), answers.end(), std::back_inserter(found),
               [&](const SampledAnswer& answer) { return answer.view == view; });
  return found;
}

TEST_F(VerifyViewTest, ReplaysDerivedAnswersOverSeveralViews) {
  EXPECT_EQ(Verify(10'000, "habit").answers, 0);
  Push("one", 2.5, 1000);  // shop s1
  Push("two", 4, 2000);    // shop s2
  Push("three", 1, 3001);  // shop s1
  AskDerived("habit", {{"card", "a"}, {"shop", "s1"}, {"amount", 13}}, 1500);
  AskDerived("habit", {{"card", "a"}, {"shop", "s1"}, {"amount", nullptr}}, 3001);
  AskDerived("habit", {{"card", "nobody"}, {"shop", nullptr}, {"amount", 1}}, 3001);
  AskDerived("alarm", {{"card", "a"}, {"shop", "s1"}, {"amount", 100}}, 2500);
  settled_ = {1 * kSecond};
  AskDerived("habit", {{"card", "a"}, {"shop", "s1"}, {"amount", 1}}, 4000);  // might still change: not kept
  const std::vector<SampledAnswer> answers = sampler_.Take();
  ASSERT_EQ(Of("habit", answers).size(), 3U);
  ASSERT_EQ(Of("alarm", answers).size(), 1U);
  EXPECT_EQ(Of("alarm", answers)[0].held.size(), 2U) << "views that are used by those used count too";
  ASSERT_TRUE(StoreAnswers(*workspace_->lake, answers).ok());
  const ViewVerification same = Verify(10'000, "habit");
  EXPECT_EQ(same.answers, 3);
  EXPECT_EQ(same.answers_different, 0) << same.ToJson().dump(2);
  EXPECT_EQ(Verify(2000, "habit").answers, 1) << "for times that have come";
  EXPECT_EQ(Verify(10'000, "alarm").answers, 1);
  EXPECT_EQ(Verify(10'000, "alarm").answers_different, 0);

  std::vector<SampledAnswer> wrong = Of("habit", answers);
  wrong.erase(wrong.begin() + 1, wrong.end());
  ASSERT_EQ(wrong[0].values, (std::vector<Value>{5.2, int64_t{2}}));
  wrong[0].values[1] = int64_t{7};
  ASSERT_TRUE(StoreAnswers(*workspace_->lake, wrong).ok());
  const ViewVerification different = Verify(10'000, "habit");
  EXPECT_EQ(different.answers, 4);
  ASSERT_EQ(different.answers_different, 1);
  ASSERT_EQ(different.differences.size(), 1U);
  EXPECT_EQ(different.differences[0].entity, "amount = 13, card = a, shop = s1");
  EXPECT_EQ(different.differences[0].feature, "both");
  EXPECT_EQ(different.differences[0].online, "7");
  EXPECT_EQ(different.differences[0].batch, "2");
  EXPECT_EQ(different.differences[0].rows,
            (std::vector<std::string>{"spending: push one, record 1", "shops: push one, record 1"}));
  EXPECT_TRUE(workspace_->catalog->Measurements("habit", "skew").value().back().alert);

  owned_.pushes.reset();
  owned_.store.reset();
  RunOptions options;
  options.now = Timestamp{10'000 * kSecond};
  const auto run = RunProject(*workspace_, options, [](const ProgressEvent&) {});
  ASSERT_TRUE(run.ok()) << run.error().Format();
  EXPECT_THAT(run->notes, ::testing::ElementsAre(::testing::HasSubstr("1 of 4 online answers of habit differ from batch")));
}

TEST_F(VerifyViewTest, DerivedAnswersAreReplayedOverTheRowsThatEachViewHeld) {
  Push("one", 2.5, 1000);
  Push("two", 4, 2000);
  EXPECT_TRUE(owned_.pushes->Flush().ok());
  const auto session = workspace_->lake->Connect().value();
  const int64_t first = session->Query("SELECT min(_seq) FROM lake.main.taps").value().columns[0].ints[0];
  // spending had one row when it was asked, shops both: as if neither followed pushes.
  SampledAnswer answer;
  answer.view = "habit";
  answer.program = workspace_->derived_plans.at("habit").Fingerprint();
  answer.key = {std::string("a"), std::string("s2"), 5.0};
  answer.at = Timestamp{2500 * kSecond};
  answer.held = {{"spending", {3000 * kSecond, first, false}}, {"shops", {3000 * kSecond, first + 1, false}}};
  answer.values = {2.0, int64_t{2}};
  const auto& fields = workspace_->derived_plans.at("habit").request_fields;
  ASSERT_EQ(fields.size(), 3U);
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].name == "amount") answer.key[i] = 5.0;
    if (fields[i].name == "card") answer.key[i] = std::string("a");
    if (fields[i].name == "shop") answer.key[i] = std::string("s2");
  }
  ASSERT_TRUE(StoreAnswers(*workspace_->lake, {answer}).ok());
  ViewVerification report = Verify(10'000, "habit");
  EXPECT_EQ(report.answers, 1);
  EXPECT_EQ(report.answers_different, 0) << report.ToJson().dump(2);
  // Once a view that it uses was built anew, its rows may be others: the answer is left out.
  AssetState state;
  state.asset = "spending";
  state.inputs = Json::object();
  state.detail = {{"rebuilt_until", 3001 * kSecond}};
  ASSERT_TRUE(workspace_->catalog->PutState(state).ok());
  EXPECT_EQ(Verify(10'000, "habit").answers, 0);
}

TEST_F(VerifyViewTest, ALogThatKnowsNoDerivedViewsIsReadAndGoesOn) {
  const auto made = workspace_->lake->Commit("log as it was", Json::object(), [](Session& session) {
    return session.Execute(
        "CREATE SCHEMA IF NOT EXISTS lake.tidemill; CREATE TABLE lake.tidemill.answers (view_name VARCHAR, program VARCHAR, entity VARCHAR, "
        "asked_at TIMESTAMP, known_until BIGINT, seq_until BIGINT, follows BOOLEAN, features VARCHAR)");
  });
  ASSERT_TRUE(made.ok()) << made.error().Format();
  Push("one", 2.5, 1000);
  const std::string program = ProgramFingerprint(workspace_->programs.at("spending"));
  const auto logged = workspace_->lake->Commit("an answer as it was", Json::object(), [&](Session& session) {
    return session.Execute(
        fmt::format("INSERT INTO lake.tidemill.answers VALUES ('spending', '{}', '[\"a\"]', TIMESTAMP '1970-01-01 00:20:00', "
                    "0, 0, true, '[2.5,1]')",
                    program));
  });
  ASSERT_TRUE(logged.ok()) << logged.error().Format();
  EXPECT_EQ(Verify(10'000).answers, 1);
  EXPECT_EQ(Verify(10'000).answers_different, 0);
  EXPECT_EQ(Verify(10'000, "habit").answers, 0);
  AskDerived("habit", {{"card", "a"}, {"shop", "s1"}, {"amount", 13}}, 1500);
  ASSERT_TRUE(StoreAnswers(*workspace_->lake, sampler_.Take()).ok());
  EXPECT_EQ(Verify(10'000, "habit").answers, 1);
  EXPECT_EQ(Verify(10'000).answers, 2) << "answers of used views are kept too";
}

TEST_F(VerifyViewTest, LoggedAnswersAreBounded) {
  Lake& lake = *workspace_->lake;
  EXPECT_EQ(TrimAnswers(lake, "spending", {Timestamp{0}, 1}).value(), 0) << "nothing was logged yet";
  const auto answer = [](const std::string& view, int64_t second, double total) {
    SampledAnswer sampled;
    sampled.view = view;
    sampled.key = {std::string("a")};
    sampled.at = Timestamp{second * kSecond};
    sampled.values = {total, int64_t{1}};
    return sampled;
  };
  const auto totals = [&](const std::string& view) {
    const auto session = lake.Connect().value();
    const auto rows =
        session->Query("SELECT features FROM lake.tidemill.answers WHERE view_name = '" + view + "' ORDER BY features");
    EXPECT_TRUE(rows.ok()) << rows.error().Format();
    std::vector<std::string> texts;
    for (size_t row = 0; row < rows->rows(); ++row) texts.emplace_back(rows->columns[0].Text(row));
    return texts;
  };
  // All for one time, as with a clock that stands still, and in two commits.
  ASSERT_TRUE(StoreAnswers(lake, {answer("spending", 1000, 1), answer("spending", 1000, 2), answer("other", 1000, 3)}).ok());
  ASSERT_TRUE(StoreAnswers(lake, {answer("spending", 1000, 4), answer("other", 500, 5)}).ok());
  const int64_t before = lake.CurrentSnapshot().value();
  EXPECT_EQ(TrimAnswers(lake, "spending", {Timestamp{0}, 3}).value(), 0);
  EXPECT_EQ(lake.CurrentSnapshot().value(), before) << "nothing was written";
  EXPECT_EQ(TrimAnswers(lake, "spending", {Timestamp{0}, 2}).value(), 1);
  EXPECT_EQ(totals("spending"), (std::vector<std::string>{"[2.0,1]", "[4.0,1]"})) << "those logged last stay";
  EXPECT_EQ(totals("other").size(), 2U) << "each view has its own";
  EXPECT_EQ(TrimAnswers(lake, "spending", {Timestamp{1000 * kSecond}, 2}).value(), 1);
  EXPECT_EQ(totals("other"), std::vector<std::string>{"[3.0,1]"}) << "old ones go, also of views that are gone";
}

}  // namespace
}  // namespace tidemill
