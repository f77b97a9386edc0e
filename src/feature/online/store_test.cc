#include "feature/online/store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/files.h"
#include "feature/batch/join.h"
#include "feature/online/online_memory.h"
#include "feature/testing.h"

namespace tidemill {
namespace {

using testing::kSecond;
using testing::SameBits;

TemporaryFolder MakeFolder() {
  auto folder = TemporaryFolder::Make(std::filesystem::temp_directory_path(), "tidemill-online-");
  EXPECT_TRUE(folder.ok());
  return std::move(folder).value();
}

std::unique_ptr<OnlineStore> Open(const std::filesystem::path& path) {
  auto store = OnlineStore::OpenEmbedded(path);
  EXPECT_TRUE(store.ok()) << store.error().Format();
  return std::move(store).value();
}

TEST(EncodeKey, TellsKeysApart) {
  const std::vector<std::vector<Value>> keys = {{int64_t{1}, int64_t{12}},
                                                {int64_t{11}, int64_t{2}},
                                                {std::string("1"), int64_t{12}},
                                                {int64_t{1}, std::string("12")},
                                                {std::string("a"), std::string("")},
                                                {std::string(""), std::string("a")},
                                                {std::string("a\0", 2), std::string("b")},
                                                {std::string("a"), std::string("\0b", 2)},
                                                {1.0, int64_t{12}},
                                                {true, int64_t{12}},
                                                {Value(), int64_t{12}},
                                                {Timestamp{1}, int64_t{12}},
                                                {Date{1}, int64_t{12}},
                                                {int64_t{1}},
                                                {}};
  for (size_t i = 0; i < keys.size(); ++i) {
    for (size_t j = 0; j < keys.size(); ++j) EXPECT_EQ(EncodeKey(keys[i]) == EncodeKey(keys[j]), i == j) << i << " " << j;
  }
  EXPECT_EQ(EncodeKey({0.0}), EncodeKey({-0.0}));
}

TEST(EncodeKey, KeepsOrder) {
  EXPECT_LT(EncodeKey({int64_t{-2}}), EncodeKey({int64_t{-1}}));
  EXPECT_LT(EncodeKey({int64_t{-1}}), EncodeKey({int64_t{3}}));
  EXPECT_LT(EncodeKey({-2.5}), EncodeKey({-1.0}));
  EXPECT_LT(EncodeKey({-1.0}), EncodeKey({0.5}));
  EXPECT_LT(EncodeKey({std::string("a")}), EncodeKey({std::string("a\0", 2)}));
  EXPECT_LT(EncodeKey({std::string("a"), int64_t{9}}), EncodeKey({std::string("ab"), int64_t{1}}));
}

TEST(EmbeddedStore, SpacesDoNotMix) {
  const TemporaryFolder folder = MakeFolder();
  const auto store = Open(folder.path() / "online");
  ASSERT_TRUE(store->Put({{"a", "k", "1"}, {"ab", "k", "2"}, {"a", "", "3"}, {std::string("a\0", 2), "k", "4"}}).ok());
  EXPECT_EQ(*store->Get("a", "k"), std::optional<std::string>("1"));
  EXPECT_EQ(*store->GetMany("a", {"k", "x", ""}), (std::vector<std::optional<std::string>>{"1", std::nullopt, "3"}));
  ASSERT_TRUE(store->Clear("a").ok());
  EXPECT_EQ(*store->Get("a", "k"), std::nullopt);
  EXPECT_EQ(*store->Get("ab", "k"), std::optional<std::string>("2"));
  EXPECT_EQ(*store->Get(std::string("a\0", 2), "k"), std::optional<std::string>("4"));
}

TEST(EmbeddedStore, HasOneOwner) {
  const TemporaryFolder folder = MakeFolder();
  const auto store = Open(folder.path());
  const auto second = OnlineStore::OpenEmbedded(folder.path());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, "store_owned");
}

TEST(EmbeddedStore, AcknowledgedWritesSurviveKill) {
  const TemporaryFolder folder = MakeFolder();
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto store = OnlineStore::OpenEmbedded(folder.path());
    for (int32_t i = 0; store.ok() && (*store)->Put({{"s", std::to_string(i), "x"}, {"t", std::to_string(i), "y"}}).ok(); ++i) {
      if (write(pipe_ends[1], &i, sizeof(i)) != sizeof(i)) break;
    }
    _exit(1);
  }
  int32_t acknowledged = -1;
  while (acknowledged < 100)
    ASSERT_EQ(read(pipe_ends[0], &acknowledged, sizeof(acknowledged)), static_cast<ssize_t>(sizeof(acknowledged)));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(pipe_ends[1]);
  for (int32_t more = 0; read(pipe_ends[0], &more, sizeof(more)) > 0;) acknowledged = more;
  close(pipe_ends[0]);
  const auto store = Open(folder.path());
  for (int32_t i = 0; i <= acknowledged; ++i) {
    ASSERT_TRUE(store->Get("s", std::to_string(i))->has_value()) << i;
    ASSERT_TRUE(store->Get("t", std::to_string(i))->has_value()) << i;
  }
}

class MaterializeTest : public testing::FeatureTest {
 protected:
  void SetUp() override {
    FeatureTest::SetUp();
    folder_.emplace(MakeFolder());
    store_ = Open(folder_->path());
  }
  void Execute(const std::string& sql) {
    const auto status = session_->Execute(sql);
    ASSERT_TRUE(status.ok()) << status.error().Format();
  }
  MaterializeReport Materialize(const Program& program, int64_t now_s, const std::string& table = "events") {
    auto report = MaterializeView(*store_, program, table, "happened", *session_, Timestamp{now_s * kSecond});
    EXPECT_TRUE(report.ok()) << report.error().Format();
    return report.ok() ? *report : MaterializeReport{};
  }
  /// Online answers at `second` are those of the batch join, for every key of a spine.
  void ExpectEqualToBatch(const Program& program, int64_t second, std::mt19937_64& random) {
    Columns spine = RandomSpine(random, 60, 10);
    for (size_t row = 0; row < spine.rows(); ++row) {
      spine.columns[3].valid[row] = 1;
      spine.columns[3].ints[row] = second * kSecond;
    }
    ViewJoin view{&program, "events", "happened", {"k", "g"}, "v", {}};
    const auto joined = JoinFeatures(*session_, spine, "t", {view}, Timestamp{second * kSecond}, 1);
    ASSERT_TRUE(joined.ok()) << joined.error().Format();
    for (size_t row = 0; row < spine.rows(); ++row) {
      const auto online =
          LookUp(*store_, program, {spine.columns[1].At(row), spine.columns[2].At(row)}, Timestamp{second * kSecond});
      ASSERT_TRUE(online.ok()) << online.error().Format();
      for (size_t i = 0; i < online->values.size(); ++i) {
        const Value batch = joined->columns[spine.columns.size() + i].At(row);
        ASSERT_TRUE(SameBits(online->values[i], batch)) << program.outputs[i].name << " at " << second << ": "
                                                        << FormatValue(online->values[i]) << " and " << FormatValue(batch);
      }
    }
  }
  std::vector<FeatureDefinition> Features() {
    return {Feature("n", "count(*)", {20, 100}),   Feature("mean", "avg(x)", {60}),
            Feature("spread", "var_pop(x)", {60}), Feature("latest", "last(s)", {90}),
            Feature("low", "min(x)", {45}),        Feature("share", "count(*) FILTER (WHERE b) / count(*)", {60}, int64_t{0})};
  }

  std::optional<TemporaryFolder> folder_;
  std::unique_ptr<OnlineStore> store_;
};

TEST_F(MaterializeTest, InAnyCutsOnlineEqualsBatch) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 6; ++round) {
    SCOPED_TRACE(round);
    ASSERT_TRUE(session_->LoadTemporary("events", RandomRows(random, 500, 400)).ok());
    std::vector<FeatureDefinition> features = Features();
    if (round % 2 == 1) features.push_back(Feature("all", "sum(x)"));  // whole history
    Program program =
        Compile({"k", "g"}, std::move(features), round % 3 == 0 ? std::optional<Duration>(Duration{80 * kSecond}) : std::nullopt);
    program.view = "view" + std::to_string(round);
    program.lookback = Duration{30 * kSecond};
    int64_t now = 0;
    int rebuilt = 0;
    while (now < 450) {
      now += static_cast<int64_t>(random() % 60);
      rebuilt += Materialize(program, now).rebuilt ? 1 : 0;
      ExpectEqualToBatch(program, now, random);
      ExpectEqualToBatch(program, now - static_cast<int64_t>(random() % 30), random);
      if (random() % 3 == 0) {
        store_.reset();
        store_ = Open(folder_->path());
      }
    }
    EXPECT_EQ(rebuilt, 1);
  }
}

/// A state brought up to a time that has not come yet takes in what is known in between all the same.
TEST_F(MaterializeTest, AnEndInTheFutureHidesNoRow) {
  std::mt19937_64 random(9);
  ASSERT_TRUE(session_->LoadTemporary("all_events", RandomRows(random, 500, 400)).ok());
  const auto rows_until = [&](int64_t second) {
    Execute("CREATE OR REPLACE TEMP TABLE events AS SELECT * FROM all_events WHERE epoch_us(_known_at) <= " +
            std::to_string(second * kSecond));
  };
  std::vector<FeatureDefinition> features = Features();
  features.push_back(Feature("all", "sum(x)"));
  Program program = Compile({"k", "g"}, std::move(features));
  program.lookback = Duration{200'000 * kSecond};
  rows_until(150);
  Materialize(program, 100'000);
  for (const int64_t second : {200, 300, 460}) {
    rows_until(second);
    Materialize(program, second);
    ExpectEqualToBatch(program, second, random);
  }
  rows_until(500);
  Materialize(program, 100'001);
  ExpectEqualToBatch(program, 500, random);
}

TEST_F(MaterializeTest, ReadsOnlyWhatIsNew) {
  std::mt19937_64 random(4);
  ASSERT_TRUE(session_->LoadTemporary("events", RandomRows(random, 300, 400)).ok());
  Program program = Compile({"k", "g"}, Features());
  program.lookback = Duration{1000 * kSecond};
  const MaterializeReport first = Materialize(program, 300);
  EXPECT_TRUE(first.rebuilt);
  EXPECT_GT(first.rows, 0);
  const MaterializeReport again = Materialize(program, 300);
  EXPECT_FALSE(again.rebuilt);
  EXPECT_EQ(again.rows, 0);
  // A late row: it was known long ago by its own account, but arrived now.
  Execute("INSERT INTO events SELECT 1, 'a', make_timestamp(200000000), 1.5, 1, 's', true, 1000, make_timestamp(200000000)");
  const MaterializeReport late = Materialize(program, 301);
  EXPECT_FALSE(late.rebuilt);
  EXPECT_GE(late.rows, 1);
  ExpectEqualToBatch(program, 301, random);
}

TEST_F(MaterializeTest, ChangesOfTheProgramOrOfOldRowsRebuild) {
  std::mt19937_64 random(5);
  ASSERT_TRUE(session_->LoadTemporary("events", RandomRows(random, 300, 400)).ok());
  Program program = Compile({"k", "g"}, Features());
  EXPECT_TRUE(Materialize(program, 300).rebuilt);
  program.aggregates[0].window = Duration{30 * kSecond};
  EXPECT_TRUE(Materialize(program, 300).rebuilt);
  ExpectEqualToBatch(program, 300, random);
  Execute("UPDATE events SET x = x + 1 WHERE _seq % 7 = 0");
  EXPECT_TRUE(Materialize(program, 310).rebuilt);
  ExpectEqualToBatch(program, 310, random);
  Execute("DELETE FROM events WHERE _seq % 5 = 0");
  EXPECT_TRUE(Materialize(program, 310).rebuilt);
  ExpectEqualToBatch(program, 310, random);
  EXPECT_TRUE(Materialize(program, 200).rebuilt);  // the clock went back
  ExpectEqualToBatch(program, 200, random);
}

TEST_F(MaterializeTest, RowsAreFoldedAndThoseThatComeAmongThemRebuild) {
  Execute(
      "CREATE TEMPORARY TABLE events AS SELECT 1::BIGINT AS k, 'a' AS g, make_timestamp(i * 1000000) AS happened, i / 4.0 AS x, "
      "i AS i, 's' AS s, true AS b, i AS _seq, make_timestamp(i * 1000000) AS _known_at FROM range(1, 1001) t(i)");
  Program program = Compile({"k", "g"}, {Feature("total", "sum(x)"), Feature("latest", "last(i)")});
  program.lateness = Duration{10 * kSecond};
  program.lookback = Duration{5 * kSecond};
  const auto folded = [&] {
    const auto memory = MeasureMemory(*store_, program);
    EXPECT_TRUE(memory.ok()) << memory.error().Format();
    EXPECT_EQ(memory->entities, 1);
    EXPECT_EQ(memory->bytes, memory->bytes_largest);
    EXPECT_FALSE(memory->forgotten_until.has_value());
    return std::pair(memory->rows, memory->folded_rows);
  };
  const auto total = [&](int64_t second) {
    const auto answer = LookUp(*store_, program, {int64_t{1}, std::string("a")}, Timestamp{second * kSecond});
    EXPECT_TRUE(answer.ok()) << answer.error().Format();
    return answer.ok() ? answer->values[0] : Value();
  };
  EXPECT_TRUE(Materialize(program, 700).rebuilt);
  EXPECT_EQ(folded().first, 700);
  EXPECT_GT(folded().second, 600);
  EXPECT_EQ(total(700), Value(700 * 701 / 8.0));
  EXPECT_FALSE(Materialize(program, 1000).rebuilt);
  EXPECT_EQ(folded().first, 1000);
  EXPECT_GT(folded().second, 900);
  EXPECT_EQ(total(1000), Value(1000 * 1001 / 8.0));
  EXPECT_EQ(LookUp(*store_, program, {int64_t{1}, std::string("a")}, Timestamp{100 * kSecond}).error().code, "too_long_ago");
  // A row that was known long ago by its own account, but arrived now.
  Execute("INSERT INTO events SELECT 1, 'a', make_timestamp(200000000), 1.5, 1, 's', true, 2000, make_timestamp(200000000)");
  EXPECT_TRUE(Materialize(program, 1001).rebuilt);
  EXPECT_EQ(total(1001), Value(1000 * 1001 / 8.0 + 1.5));
  EXPECT_GT(folded().second, 900);
}

TEST_F(MaterializeTest, AKeptViewIsMadeOnce) {
  const Program program = Compile({"k", "g"}, Features());
  const KeptOnlineView kept;
  const KeptOnlineView copy = kept;
  const auto first = kept.For(program);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(copy.For(program)->get(), first->get());
  EXPECT_NE(KeptOnlineView().For(program)->get(), first->get());
  Program wrong = program;
  wrong.aggregates[0].function = "nothing";
  EXPECT_FALSE(KeptOnlineView().For(wrong).ok());
}

TEST_F(MaterializeTest, UnknownEntitiesAndWrongKeys) {
  std::mt19937_64 random(6);
  ASSERT_TRUE(session_->LoadTemporary("events", RandomRows(random, 50, 100)).ok());
  const Program program = Compile({"k", "g"}, Features());
  const auto before = LookUp(*store_, program, {int64_t{1}, std::string("a")}, Timestamp{50 * kSecond});
  ASSERT_TRUE(before.ok());
  EXPECT_FALSE(before->found);
  Materialize(program, 100);
  const auto unknown = LookUp(*store_, program, {int64_t{99}, std::string("a")}, Timestamp{50 * kSecond});
  ASSERT_TRUE(unknown.ok());
  EXPECT_FALSE(unknown->found);
  EXPECT_EQ(unknown->values[0], Value(int64_t{0}));
  EXPECT_EQ(unknown->values.back(), Value(0.0));
  EXPECT_EQ(LookUp(*store_, program, {std::string("1"), std::string("a")}, Timestamp{}).error().code, "key_type");
  EXPECT_EQ(LookUp(*store_, program, {int64_t{1}}, Timestamp{}).error().code, "key_type");
  EXPECT_FALSE(LookUp(*store_, program, {Value(), std::string("a")}, Timestamp{})->found);
}

}  // namespace
}  // namespace tidemill
