#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

#include "base/files.h"
#include "feature/batch/join.h"
#include "feature/online/entity_states.h"
#include "orchestrate/asset_names.h"
#include "orchestrate/run.h"
#include "orchestrate/verify_view.h"
#include "serve/materialize.h"
#include "serve/push_door.h"

namespace tidemill {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kStart = 1'772'000'000;  ///< seconds

/// Views over tables that compute their rows from pushed ones.
class PushedTablesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto folder = TemporaryFolder::Make(std::filesystem::temp_directory_path(), "tidemill-pushed-");
    ASSERT_TRUE(folder.ok());
    folder_.emplace(std::move(folder).value());
    Write("tidemill.yaml", "project: cards\n");
    Write("sources/taps.yaml",
          "from: push\ncontract:\n  columns:\n    card: {type: text, required: true}\n    amount: {type: number}\n"
          "    code: {type: text}\n    shop: {type: text}\n    tapped_at: {type: timestamp, required: true}\n");
    WriteTable(
        "payments",
        "SELECT t.card AS who, round(amount * 1.19, 2) AS gross, gross / 3 AS third, upper(trim(shop)) AS shop, CAST(code AS BIGINT) AS code,\n"
        "  date_trunc('hour', tapped_at) AS hour, CAST(amount AS DECIMAL(9, 1)) AS rounded, tapped_at\n"
        "FROM taps t WHERE amount > 0 AND shop IS NOT NULL\n",
        "timestamp: tapped_at\n");
    WriteTable("large", "SELECT * EXCLUDE (tapped_at), gross - 1 AS rest, tapped_at AS paid_at FROM payments WHERE gross > 50\n",
               "timestamp: paid_at\n");
    WriteTable("shops", "SELECT shop, count(*) AS n, max(tapped_at) AS tapped_at FROM taps GROUP BY shop\n",
               "timestamp: tapped_at\n");
    Write(
        "features/spending.yaml",
        "entity: [who]\nfrom: payments\nlookback: 3650d\nfeatures:\n  total: {value: sum(gross), windows: [1d]}\n  thirds: {value: sum(third)}\n"
        "  n: {value: count(*)}\n  codes: {value: sum(code)}\n  shop: {value: last(shop)}\n  hours: {value: count(DISTINCT hour)}\n"
        "  rounded: {value: sum(rounded)}\n");
    Write("features/splurges.yaml",
          "entity: [who]\nfrom: large\nlookback: 3650d\nfeatures:\n  n: {value: count(*)}\n  rest: {value: sum(rest)}\n");
    Write("features/sales.yaml", "entity: [shop]\nfrom: shops\nfeatures:\n  n: {value: last(n)}\n");
    Open();
  }

  void Write(const std::string& name, const std::string& text) {
    const auto path = folder_->path() / name;
    ASSERT_TRUE(MakeFolders(path.parent_path()).ok());
    ASSERT_TRUE(WriteFileAtomic(path, text).ok());
  }
  void WriteTable(const std::string& name, const std::string& sql, const std::string& yaml) {
    Write("tables/" + name + ".sql", sql);
    Write("tables/" + name + ".yaml", yaml);
  }

  void Open() {
    workspace_.reset();
    auto workspace = OpenWorkspace(folder_->path(), clock_);
    ASSERT_TRUE(workspace.ok()) << workspace.error().Format();
    workspace_.emplace(std::move(workspace).value());
    auto door = PushDoor::Make(workspace_->project.sources);
    ASSERT_TRUE(door.ok());
    door_ = std::move(door).value();
    Own();
  }
  void Own() {
    auto owned = OpenOwnedStore(SiteOf(*workspace_), *workspace_->lake);
    ASSERT_TRUE(owned.ok()) << owned.error().Format();
    owned_ = std::move(owned).value();
  }
  void Release() {
    EXPECT_TRUE(owned_.pushes->Stop().ok());
    owned_.pushes.reset();
    owned_.store.reset();
  }

  PushReceipt Push(const Json& rows, int64_t second) {
    auto batch = door_->Read("taps", {{"rows", rows}});
    EXPECT_TRUE(batch.ok()) << batch.error().Format();
    last_ = *batch;
    const auto receipt = owned_.pushes->Push(*batch, [second] { return Timestamp{(kStart + second) * kMicrosPerSecond}; });
    EXPECT_TRUE(receipt.ok()) << receipt.error().Format();
    return receipt.ok() ? *receipt : PushReceipt{};
  }

  static Json Row(const std::string& card, const Json& amount, const Json& code, const Json& shop, int64_t second) {
    return {{"card", card},
            {"amount", amount},
            {"code", code},
            {"shop", shop},
            {"tapped_at", FormatTimestamp(Timestamp{(kStart + second) * kMicrosPerSecond})}};
  }

  std::vector<Value> Ask(const std::string& view, const std::string& card, int64_t second) {
    const auto answer =
        LookUp(*owned_.store, workspace_->programs.at(view), {card}, Timestamp{(kStart + second) * kMicrosPerSecond});
    EXPECT_TRUE(answer.ok()) << answer.error().Format();
    return answer.ok() ? answer->values : std::vector<Value>{};
  }

  Result<RunSummary> Run(int64_t second) {
    Release();
    RunOptions options;
    options.now = Timestamp{(kStart + second) * kMicrosPerSecond};
    auto run = RunProject(*workspace_, options, [](const ProgressEvent&) {});
    Own();
    return run;
  }

  /// What the tables say that the transform made.
  std::vector<Value> Batch(const std::string& view, const std::string& card, int64_t second) {
    const Program& program = workspace_->programs.at(view);
    const std::string& table = workspace_->project.views.at(view).from;
    Columns spine;
    spine.columns = {Column("who", Type::kText), Column("at", Type::kTimestamp)};
    spine.columns[0].AppendText(card);
    spine.columns[1].AppendInt((kStart + second) * kMicrosPerSecond);
    ViewJoin join{&program, MainTable(table), workspace_->project.tables.at(table).timestamp, {"who"}, "v", {}};
    const auto session = workspace_->lake->Connect();
    const auto rows = JoinFeatures(**session, spine, "at", {join}, Timestamp{(kStart + second) * kMicrosPerSecond}, 1);
    EXPECT_TRUE(rows.ok()) << rows.error().Format();
    std::vector<Value> values;
    for (size_t i = 2; rows.ok() && i < rows->columns.size(); ++i) values.push_back(rows->columns[i].At(0));
    return values;
  }

  static std::string Bits(const std::vector<Value>& values) {
    std::string text;
    for (const Value& value : values) {
      const double* number = std::get_if<double>(&value);
      text += (number != nullptr ? std::to_string(std::bit_cast<uint64_t>(*number)) : FormatValue(value)) + " ";
    }
    return text;
  }

  SystemClock clock_;
  std::optional<TemporaryFolder> folder_;
  std::optional<Workspace> workspace_;
  std::unique_ptr<PushDoor> door_;
  PushedBatch last_;
  OwnedStore owned_;
};

TEST_F(PushedTablesTest, PushesAreInTheAnswersAtOnceWithTheBitsOfTheTables) {
  ASSERT_EQ(workspace_->pushed_views.at_once.size(), 2U);
  ASSERT_EQ(workspace_->pushed_views.later.size(), 1U);
  EXPECT_EQ(workspace_->pushed_views.later[0].view, "sales");
  EXPECT_EQ(workspace_->pushed_views.later[0].reason, "the table 'shops' groups rows");
  std::mt19937_64 random(11);
  std::map<std::string, std::string> at_once;
  int64_t second = 0;
  const auto push_some = [&] {
    for (int push = 0; push < 12; ++push) {
      Json rows = Json::array();
      for (int i = 0; i < 7; ++i) {
        const std::string card(1, static_cast<char>('a' + random() % 3));
        const Json amount = random() % 9 == 0 ? Json() : Json(static_cast<double>(random() % 20'000) / 97.0 - 20);
        rows.push_back(Row(card, amount,
                           random() % 5 == 0 ? Json() : Json(std::to_string(random() % 1000) + (random() % 2 == 0 ? "" : ".5")),
                           random() % 8 == 0 ? Json() : Json("  Straße" + std::to_string(random() % 4) + " "),
                           ++second * 60 - static_cast<int64_t>(random() % 4000)));
      }
      const PushReceipt receipt = Push(rows, second * 60);
      EXPECT_TRUE(receipt.uncomputed.empty());
      const Json told = PushDoor::ToJson("taps", receipt, last_, workspace_->pushed_views.later);
      EXPECT_EQ(told.at("next_run"), Json::parse(R"([{"view": "sales", "reason": "the table 'shops' groups rows"}])"));
    }
    for (const std::string view : {"spending", "splurges"}) {
      for (const std::string card : {"a", "b", "c"}) at_once[view + card] = Bits(Ask(view, card, second * 60));
    }
  };
  const auto expect_same = [&](const std::string& when) {
    for (const std::string view : {"spending", "splurges"}) {
      for (const std::string card : {"a", "b", "c"}) {
        EXPECT_EQ(Bits(Batch(view, card, second * 60)), at_once[view + card]) << view << card << " in batch, " << when;
        EXPECT_EQ(Bits(Ask(view, card, second * 60)), at_once[view + card]) << view << card << " online, " << when;
      }
    }
  };
  push_some();
  EXPECT_GT(std::get<int64_t>(Ask("spending", "a", second * 60)[2]), 5);
  EXPECT_GT(std::get<int64_t>(Ask("splurges", "a", second * 60)[0]), 2);
  const auto first = Run(second * 60);
  ASSERT_TRUE(first.ok()) << first.error().Format();
  expect_same("after the first run");
  push_some();
  const auto again = Run(second * 60);
  ASSERT_TRUE(again.ok()) << again.error().Format();
  expect_same("after the second run");
  Release();
  std::filesystem::remove_all(workspace_->state_folder / "online");
  Own();
  const auto anew = Run(second * 60 + 1);
  ASSERT_TRUE(anew.ok()) << anew.error().Format();
  OnlineWork work;
  work.until = Timestamp{(kStart + second * 60) * kMicrosPerSecond};
  for (const std::string view : {"spending", "splurges"}) {
    const std::string& table = workspace_->project.views.at(view).from;
    work.views.push_back({workspace_->programs.at(view), table, workspace_->project.tables.at(table).timestamp, std::nullopt});
  }
  ASSERT_TRUE(MaterializeOnline(*owned_.store, owned_.pushes.get(), *workspace_->lake, work).ok());
  expect_same("built anew from the lake");
}

TEST_F(PushedTablesTest, ARowThatTheTableCantComputeIsLeftOutAndTheRunSaysSo) {
  const PushReceipt receipt = Push({Row("a", 10, "12", "x", 0), Row("a", 20, "no number", "x", 1),
                                    Row("a", -1, "not looked at", "x", 2), Row("a", 30, "3.5", "x", 3)},
                                   10);
  EXPECT_THAT(receipt.uncomputed, ElementsAre(UncomputedPushRow{2, "payments", "code"}));
  EXPECT_EQ(PushDoor::ToJson("taps", receipt, last_, {}).at("left_out"),
            Json::parse(R"([{"row": 2, "table": "payments", "column": "code"}])"));
  EXPECT_EQ(Ask("spending", "a", 20)[2], Value(int64_t{2}));
  EXPECT_EQ(Ask("spending", "a", 20)[3], Value(int64_t{16}));
  const auto failed = Run(20);
  ASSERT_FALSE(failed.ok());
  EXPECT_THAT(failed.error().Format(), HasSubstr("no number"));
  EXPECT_EQ(Ask("spending", "a", 20)[2], Value(int64_t{2})) << "online goes on with what it has";

  // The table's SQL is mended: states that were made by the earlier one are built anew.
  Release();
  WriteTable(
      "payments",
      "SELECT card AS who, round(amount, 2) AS gross, gross / 3 AS third, shop, try_cast(code AS BIGINT) AS code,\n"
      "  date_trunc('hour', tapped_at) AS hour, CAST(amount AS DECIMAL(9, 1)) AS rounded, tapped_at\nFROM taps WHERE amount > 10\n",
      "timestamp: tapped_at\n");
  Open();
  EXPECT_TRUE(owned_.pushes->IsOutdated("spending"));
  Push(Json::array({Row("a", 5, "1", "x", 4)}), 12);
  EXPECT_EQ(Ask("spending", "a", 20)[2], Value(int64_t{2})) << "rows of the earlier SQL and of this one are never in one state";
  EXPECT_EQ(Ask("spending", "a", 20)[3], Value(int64_t{16}));
  const auto mended = Run(30);
  ASSERT_TRUE(mended.ok()) << mended.error().Format();
  EXPECT_FALSE(owned_.pushes->IsOutdated("spending"));
  EXPECT_EQ(Bits(Ask("spending", "a", 20)), Bits(Batch("spending", "a", 20)));
  EXPECT_EQ(Ask("spending", "a", 20)[2], Value(int64_t{2}));  // 20 and 30
  EXPECT_EQ(Ask("spending", "a", 20)[3], Value(int64_t{4}));
}

TEST_F(PushedTablesTest, AServerWithEarlierDefinitionsRefusesToMaterialize) {
  OnlineWork work;
  work.until = Timestamp{kStart * kMicrosPerSecond};
  work.views.push_back({workspace_->programs.at("spending"), "payments", "tapped_at", "(SELECT something else)"});
  const auto done = MaterializeOnline(*owned_.store, owned_.pushes.get(), *workspace_->lake, work);
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, "view_moved");
  work.views[0].pushed_rows = "";
  EXPECT_EQ(MaterializeOnline(*owned_.store, owned_.pushes.get(), *workspace_->lake, work).error().code, "view_moved");
  const auto read = OnlineWork::FromJson(work.ToJson());
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->views[0].pushed_rows, std::optional<std::string>(""));
}

TEST_F(PushedTablesTest, TablesThatAreNotRowWiseSayWhy) {
  const std::vector<std::pair<std::string, std::string>> reasons = {
      {"SELECT card AS who, amount, tapped_at FROM taps GROUP BY ALL", "groups rows"},
      {"SELECT DISTINCT card AS who, amount, tapped_at FROM taps", "DISTINCT"},
      {"SELECT card AS who, amount, tapped_at FROM taps ORDER BY amount LIMIT 5", "LIMIT"},
      {"SELECT a.card AS who, a.amount, a.tapped_at FROM taps a JOIN taps b ON a.card = b.card", "joins"},
      {"SELECT card AS who, sum(amount) OVER (PARTITION BY card) AS amount, tapped_at FROM taps", "lacks"},
      {"SELECT card AS who, ln(amount) AS amount, tapped_at FROM taps", "uses ln"},
      {"SELECT card AS who, exp(1.5) * amount AS amount, tapped_at FROM taps", "uses exp"},
      {"SELECT card AS who, amount::FLOAT AS amount, tapped_at FROM taps", "FLOAT"},
      {"WITH x AS (SELECT * FROM taps) SELECT card AS who, amount, tapped_at FROM x", "WITH"},
      {"SELECT card AS who, amount, tapped_at FROM (SELECT * FROM taps) x", "more than a table"},
      {"SELECT card AS who, amount, tapped_at FROM taps WHERE tapped_at < now()", "reads now()"},
      {"SELECT card AS who, amount, tapped_at FROM taps WHERE card IN (SELECT shop FROM taps)", "lacks"},
      {"SELECT card AS who, amount, tapped_at FROM taps QUALIFY row_number() OVER (PARTITION BY card ORDER BY tapped_at) = 1",
       "QUALIFY"},
      {"SELECT card AS who, unnest([amount, 1]) AS amount, tapped_at FROM taps", "lacks"},
  };
  for (const auto& [sql, reason] : reasons) {
    SCOPED_TRACE(sql);
    Release();
    WriteTable("payments", sql + "\n", "timestamp: tapped_at\n");
    WriteTable("large", "SELECT * FROM payments\n", "timestamp: tapped_at\n");
    Write("features/spending.yaml", "entity: [who]\nfrom: payments\nfeatures:\n  total: {value: sum(amount), windows: [1d]}\n");
    Write("features/splurges.yaml", "entity: [who]\nfrom: large\nfeatures:\n  n: {value: count(*)}\n");
    Open();
    EXPECT_TRUE(workspace_->pushed_views.at_once.empty());
    ASSERT_EQ(workspace_->pushed_views.later.size(), 3U);
    EXPECT_THAT(workspace_->pushed_views.later[1].reason, HasSubstr("the table 'payments' "));
    EXPECT_THAT(workspace_->pushed_views.later[1].reason, HasSubstr(reason));
    EXPECT_EQ(workspace_->pushed_views.later[2].reason, workspace_->pushed_views.later[1].reason)
        << "said of the table that is at fault";
  }
}

}  // namespace
}  // namespace tidemill
