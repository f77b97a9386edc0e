#include "orchestrate/verify_view.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "serve/answer_log.h"
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
          "    tapped_at: {type: timestamp, required: true}\n");
    Write("tables/payments.sql", "SELECT * FROM taps\n");
    Write("tables/payments.yaml", "timestamp: tapped_at\n");
    Write("features/spending.yaml",
          "entity: [card]\nfrom: payments\nfeatures:\n  total: {value: sum(amount), windows: [1h]}\n  n: {value: count(*)}\n");
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
    const Json row = {{"card", "a"}, {"amount", amount}, {"tapped_at", FormatTimestamp(Timestamp{second * kSecond})}};
    auto batch = (*door)->Read("taps", {{"id", id}, {"rows", Json::array({row})}});
    ASSERT_TRUE(batch.ok()) << batch.error().Format();
    const auto receipt = owned_.pushes->Push(*batch, [second] { return Timestamp{second * kSecond}; });
    ASSERT_TRUE(receipt.ok()) << receipt.error().Format();
  }

  void Ask(int64_t second) {
    const auto answer = LookUp(*owned_.store, workspace_->programs.at("spending"), {std::string("a")}, Timestamp{second * kSecond});
    ASSERT_TRUE(answer.ok()) << answer.error().Format();
  }

  ViewVerification Verify(int64_t second) {
    EXPECT_TRUE(owned_.pushes->Flush().ok());
    auto report = VerifyView(*workspace_, "spending", 0, Timestamp{second * kSecond});
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
