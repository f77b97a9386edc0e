#include "feature/online/pushes.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <limits>

#include "base/files.h"
#include "feature/batch/join.h"
#include "feature/online/push_record.h"
#include "feature/testing.h"

namespace tidemill {
namespace {

using testing::kSecond;
using testing::SameBits;

/// A place for pushes as the lake is one: what is there already by its numbers is left out.
struct FakeLake {
  std::vector<PushedBatch> batches;
  int64_t sequences = 1;
  bool fails = false;

  Status Store(const std::vector<PushedBatch>& more) {
    if (fails) return Unavailable("disk_full", "no space");
    for (const PushedBatch& batch : more) {
      if (batches.empty() || batch.first_seq > batches.back().last_seq()) batches.push_back(batch);
    }
    return Ok();
  }
};

class PushesTest : public testing::FeatureTest {
 protected:
  void SetUp() override {
    FeatureTest::SetUp();
    auto folder = TemporaryFolder::Make(std::filesystem::temp_directory_path(), "tidemill-push-");
    ASSERT_TRUE(folder.ok());
    folder_.emplace(std::move(folder).value());
    program_ = Compile({"k", "g"}, {Feature("n", "count(*)", {20, 100}), Feature("mean", "avg(x)", {60}),
                                    Feature("spread", "var_pop(x)", {60}), Feature("latest", "last(s)", {90}),
                                    Feature("low", "min(x)", {45}), Feature("all", "sum(i)")});
    program_.lookback = Duration{1000 * kSecond};
    OpenStore();
  }

  void OpenStore() {
    auto store = OnlineStore::OpenEmbedded(folder_->path());
    ASSERT_TRUE(store.ok()) << store.error().Format();
    store_ = std::move(store).value();
  }

  PushedView View() const {
    std::map<std::string, std::string> columns;
    for (const Field& field : Fields()) columns[field.name] = "its_" + field.name;
    return {program_, "taps", "events", "happened", {TableOfColumns("events", "taps", columns)}};
  }

  void OpenPushes(const PushOptions& options = {}) {
    OnlinePushes::Parts parts;
    parts.store = store_.get();
    parts.reserve_sequence = [this](int64_t count) { return Result<int64_t>(std::exchange(lake_.sequences, lake_.sequences + count)); };
    parts.store_in_lake = [this](const std::vector<PushedBatch>& batches) { return lake_.Store(batches); };
    auto pushes = OnlinePushes::Open(parts, {View()}, options);
    ASSERT_TRUE(pushes.ok()) << pushes.error().Format();
    pushes_ = std::move(pushes).value();
  }

  /// Rows of RandomRows as they are pushed, with the known time that they declare.
  static PushedBatch Batch(const Columns& rows, size_t begin, size_t end) {
    PushedBatch batch;
    batch.source = "taps";
    for (const Field& field : Fields()) batch.rows.columns.emplace_back("its_" + field.name, field.type);
    for (size_t row = begin; row < end; ++row) {
      for (size_t i = 0; i < Fields().size(); ++i) EXPECT_TRUE(batch.rows.columns[i].Append(rows.columns[i].At(row)).ok());
      batch.record_of_row.push_back(static_cast<int64_t>(row - begin) + 1);
      batch.known_at.push_back(rows.Find("_known_at")->ints[row]);
    }
    batch.records = static_cast<int64_t>(end - begin);
    return batch;
  }

  PushReceipt Push(PushedBatch batch, int64_t second) {
    auto receipt = pushes_->Push(std::move(batch), [second] { return Timestamp{second * kSecond}; });
    EXPECT_TRUE(receipt.ok()) << receipt.error().Format();
    return receipt.ok() ? *receipt : PushReceipt{};
  }

  /// The table `events` of everything that is in the lake.
  void LoadEvents() {
    Columns rows;
    for (const Field& field : Fields()) rows.columns.emplace_back(field.name, field.type);
    rows.columns.emplace_back("_seq", Type::kInt64);
    rows.columns.emplace_back("_known_at", Type::kTimestamp);
    for (const PushedBatch& batch : lake_.batches) {
      for (size_t row = 0; row < batch.known_at.size(); ++row) {
        for (size_t i = 0; i < Fields().size(); ++i) ASSERT_TRUE(rows.columns[i].Append(batch.rows.columns[i].At(row)).ok());
        rows.columns[Fields().size()].AppendInt(batch.Sequence(row));
        rows.columns[Fields().size() + 1].AppendInt(batch.known_at[row]);
      }
    }
    ASSERT_TRUE(session_->LoadTemporary("events", rows).ok());
  }

  MaterializeReport Materialize(int64_t second) {
    auto report = MaterializeView(*store_, program_, "events", "happened", *session_, Timestamp{second * kSecond}, pushes_.get());
    EXPECT_TRUE(report.ok()) << report.error().Format();
    return report.ok() ? *report : MaterializeReport{};
  }

  void ExpectEqualToBatch(int64_t second, std::mt19937_64& random) {
    ASSERT_TRUE(pushes_->Flush().ok());
    LoadEvents();
    Columns spine = RandomSpine(random, 60, 10);
    for (size_t row = 0; row < spine.rows(); ++row) {
      spine.columns[3].valid[row] = 1;
      spine.columns[3].ints[row] = second * kSecond;
    }
    ViewJoin view{&program_, "events", "happened", {"k", "g"}, "v", {}};
    const auto joined = JoinFeatures(*session_, spine, "t", {view}, Timestamp{second * kSecond}, 1);
    ASSERT_TRUE(joined.ok()) << joined.error().Format();
    for (size_t row = 0; row < spine.rows(); ++row) {
      const auto online =
          LookUp(*store_, program_, {spine.columns[1].At(row), spine.columns[2].At(row)}, Timestamp{second * kSecond});
      ASSERT_TRUE(online.ok()) << online.error().Format();
      for (size_t i = 0; i < online->values.size(); ++i) {
        const Value batch = joined->columns[spine.columns.size() + i].At(row);
        ASSERT_TRUE(SameBits(online->values[i], batch)) << program_.outputs[i].name << " at " << second << ": "
                                                        << FormatValue(online->values[i]) << " and " << FormatValue(batch);
      }
    }
  }

  std::optional<TemporaryFolder> folder_;
  std::unique_ptr<OnlineStore> store_;
  FakeLake lake_;
  std::unique_ptr<OnlinePushes> pushes_;
  Program program_;
};

TEST_F(PushesTest, AnswerAtOnceWhatBatchAnswersFromTheLake) {
  std::mt19937_64 random(11);
  const Columns rows = RandomRows(random, 600, 400);
  store_->states().SetCacheBytes(8'000);  // a few states: the others come and go
  PushOptions options;
  options.sequence_block = 7;
  options.write_back_rows = 50;
  OpenPushes(options);
  size_t at = 0;
  for (int64_t second = 0; at < rows.rows(); second += 10) {
    const size_t end = std::min(rows.rows(), at + random() % 20);
    Push(Batch(rows, at, end), second);
    at = end;
    if (random() % 4 == 0) ExpectEqualToBatch(second, random);
    if (random() % 6 == 0) Materialize(second);
    if (random() % 6 == 0) {
      pushes_.reset();
      store_.reset();
      OpenStore();
      store_->states().SetCacheBytes(8'000);
      OpenPushes(options);
    }
  }
  ExpectEqualToBatch(700, random);
  EXPECT_GT(store_->states().counts().bytes, 0);
}

TEST_F(PushesTest, BackfillAndPushesEqualPushesAlone) {
  std::mt19937_64 random(12);
  const Columns rows = RandomRows(random, 500, 400);
  OpenPushes();
  for (size_t at = 0; at < 500; at += 50) Push(Batch(rows, at, at + 50), static_cast<int64_t>(at));
  ExpectEqualToBatch(500, random);
  const auto answers = [&] {
    std::vector<std::string> values;
    for (int64_t k = 0; k < 16; ++k) {
      for (const std::string g : {"a", "b", "aa", "bb"}) {
        for (const int64_t second : {100, 300, 460, 500}) {
          std::string text;
          const auto answer = LookUp(*store_, program_, {k, g}, Timestamp{second * kSecond});
          for (const Value& value : answer->values) text += SqlLiteral(value) + " ";
          values.push_back(text);
        }
      }
    }
    return values;
  };
  const auto pushed = answers();
  // Another store: the first half from the lake, some of it only declared for later, the rest by pushes.
  const std::vector<PushedBatch> all = lake_.batches;
  pushes_.reset();
  store_.reset();
  auto second_folder = TemporaryFolder::Make(std::filesystem::temp_directory_path(), "tidemill-push-");
  folder_.emplace(std::move(second_folder).value());
  OpenStore();
  lake_ = FakeLake{{all.begin(), all.begin() + 5}, all[5].first_seq, false};
  LoadEvents();
  OpenPushes();
  Materialize(230);
  for (size_t at = 250; at < 500; at += 50) Push(Batch(rows, at, at + 50), static_cast<int64_t>(at));
  EXPECT_EQ(answers(), pushed);
  // And a view that is built anew while pushes are on their way to the lake.
  program_ = Compile({"k", "g"}, {Feature("n", "count(*)", {200}), Feature("spread", "var_pop(x)", {60})});
  program_.lookback = Duration{1000 * kSecond};
  lake_.fails = true;
  PushedBatch late = Batch(rows, 0, 5);
  Push(std::move(late), 505);
  Materialize(504);
  lake_.fails = false;
  ExpectEqualToBatch(505, random);
}

TEST_F(PushesTest, APushWithItsIdIsStoredOnce) {
  std::mt19937_64 random(13);
  const Columns rows = RandomRows(random, 40, 100);
  OpenPushes();
  PushedBatch batch = Batch(rows, 0, 10);
  batch.id = "a";
  const PushReceipt first = Push(batch, 100);
  EXPECT_FALSE(first.repeated);
  const PushReceipt again = Push(batch, 120);
  EXPECT_TRUE(again.repeated);
  EXPECT_EQ(again.first_seq, first.first_seq);
  EXPECT_EQ(again.arrived_at, Timestamp{100 * kSecond});
  PushedBatch other = Batch(rows, 10, 20);
  other.id = "a";
  const auto refused = pushes_->Push(other, [] { return Timestamp{}; });
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "push_id_used");
  pushes_.reset();
  store_.reset();
  OpenStore();
  OpenPushes();
  EXPECT_TRUE(Push(batch, 130).repeated);
  ASSERT_TRUE(pushes_->Flush().ok());
  ASSERT_EQ(lake_.batches.size(), 1U);
  EXPECT_EQ(lake_.batches[0].known_at.size(), 10U);
}

TEST_F(PushesTest, ALakeThatTakesNothingHoldsPushesBackInTheEnd) {
  std::mt19937_64 random(14);
  const Columns rows = RandomRows(random, 100, 100);
  PushOptions options;
  options.waiting_rows_max = 50;
  OpenPushes(options);
  lake_.fails = true;
  Push(Batch(rows, 0, 40), 100);
  EXPECT_FALSE(pushes_->Flush().ok());
  const auto refused = pushes_->Push(Batch(rows, 40, 60), [] { return Timestamp{}; });
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "push_backlog");
  lake_.fails = false;
  ASSERT_TRUE(pushes_->Flush().ok());
  Push(Batch(rows, 40, 60), 100);
  ExpectEqualToBatch(100, random);
}

TEST_F(PushesTest, ManyAtOnce) {
  std::mt19937_64 random(15);
  const Columns rows = RandomRows(random, 400, 400);
  store_->states().SetCacheBytes(20'000);
  PushOptions options;
  options.flush_interval_ms = 1;
  OpenPushes(options);
  pushes_->Start();
  std::vector<std::thread> threads;
  std::atomic<bool> pushing{true};
  for (size_t part = 0; part < 4; ++part) {
    threads.emplace_back([&, part] {
      for (size_t at = part * 100; at < (part + 1) * 100; at += 5) Push(Batch(rows, at, at + 5), 450);
    });
  }
  std::thread reader([&] {
    const auto view = OnlineView::Make(program_);
    while (pushing) EXPECT_TRUE(view->LookUp(*store_, {int64_t{1}, std::string("a")}, Timestamp{450 * kSecond}).ok());
  });
  for (std::thread& thread : threads) thread.join();
  pushing = false;
  reader.join();
  ExpectEqualToBatch(450, random);
  ASSERT_TRUE(pushes_->Stop().ok());
  EXPECT_EQ(pushes_->counts().waiting_rows, 0);
  EXPECT_EQ(pushes_->counts().log_records, 0);
}

TEST_F(PushesTest, AcknowledgedPushesSurviveKill) {
  std::mt19937_64 random(16);
  const Columns rows = RandomRows(random, 1000, 400);
  store_.reset();
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    OpenStore();
    store_->states().SetCacheBytes(20'000);
    PushOptions options;
    options.write_back_rows = 30;
    OpenPushes(options);
    for (int32_t i = 0; i < 200; ++i) {
      Push(Batch(rows, static_cast<size_t>(i) * 5, static_cast<size_t>(i + 1) * 5), 450);
      // What the child's lake takes is lost with it: it leaves the log only together with the states.
      if (write(pipe_ends[1], &i, sizeof(i)) != sizeof(i)) break;
      if (i % 10 == 9) (void)store_->states().WriteBack();
    }
    pause();
    _exit(1);
  }
  int32_t acknowledged = -1;
  while (acknowledged < 60)
    ASSERT_EQ(read(pipe_ends[0], &acknowledged, sizeof(acknowledged)), static_cast<ssize_t>(sizeof(acknowledged)));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(pipe_ends[1]);
  for (int32_t more = 0; read(pipe_ends[0], &more, sizeof(more)) > 0;) acknowledged = more;
  close(pipe_ends[0]);
  OpenStore();
  OpenPushes();
  ExpectEqualToBatch(450, random);
  ASSERT_TRUE(pushes_->Flush().ok());
  EXPECT_GE(lake_.batches.size(), static_cast<size_t>(acknowledged + 1));
  int64_t last = 0;
  for (const PushedBatch& batch : lake_.batches) {
    EXPECT_GT(batch.first_seq, last);
    last = batch.last_seq();
  }
}

TEST(PushRecord, ComesBackAsItWasAndDamageIsNoticed) {
  PushedBatch batch;
  batch.source = "taps";
  batch.id = "x";
  batch.records = 3;
  batch.first_seq = 17;
  batch.arrived_at = {123};
  batch.rows.columns = {Column("a", Type::kInt64), Column("b", Type::kText), Column("c", Type::kDouble)};
  for (int64_t i = 0; i < 2; ++i) {
    batch.rows.columns[0].AppendInt(-i);
    batch.rows.columns[1].AppendText(std::string(static_cast<size_t>(i), 'x'));
    batch.rows.columns[2].AppendNull();
    batch.record_of_row.push_back(1 + 2 * i);
    batch.known_at.push_back(200 + i);
  }
  batch.refused.push_back({2, "a: missing", "{}"});
  const std::string bytes = EncodePush(batch);
  const auto back = DecodePush(bytes);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(EncodePush(*back), bytes);
  EXPECT_EQ(back->rows.columns[1].At(1), Value(std::string("x")));
  for (size_t length = 0; length < bytes.size(); ++length) EXPECT_FALSE(DecodePush(bytes.substr(0, length)).ok()) << length;
  EXPECT_FALSE(DecodePush(bytes + "x").ok());
}

}  // namespace
}  // namespace tidemill
