#include "lake/lake.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <thread>

#include "base/files.h"
#include "base/sha256.h"
#include "catalog/sqlite_file.h"

namespace tidemill {
namespace {
namespace fs = std::filesystem;

constexpr Timestamp kLater{4'000'000'000'000'000};  // after any wall clock of ours: 2096

/// A lake with the engine it lives in.
struct OpenLake {
  std::unique_ptr<Database> database;
  std::unique_ptr<Lake> lake;
  std::unique_ptr<Session> session;

  static OpenLake At(const fs::path& folder, bool read_only = false) {
    OpenLake open;
    auto database = Database::Open({});
    EXPECT_TRUE(database.ok()) << database.error().Format();
    open.database = std::move(database).value();
    auto lake = Lake::Open(*open.database, {.folder = folder, .read_only = read_only});
    EXPECT_TRUE(lake.ok()) << lake.error().Format();
    if (!lake.ok()) return open;
    open.lake = std::move(lake).value();
    open.session = std::move(open.lake->Connect()).value();
    return open;
  }

  void Close() {
    session.reset();
    lake.reset();
    database.reset();
  }

  int64_t Commit(const std::string& sql) {
    const auto snapshot = lake->Commit("test", Json::object(), [&](Session& writer) { return writer.Execute(sql); });
    EXPECT_TRUE(snapshot.ok()) << snapshot.error().Format();
    return snapshot.ok() ? snapshot.value() : -1;
  }

  int64_t Number(const std::string& sql) {
    const auto result = session->Query(sql);
    EXPECT_TRUE(result.ok()) << result.error().Format();
    return result.ok() ? result.value().columns.at(0).ints.at(0) : -1;
  }

  Json Digest(const std::string& relation) {
    const auto digest = ContentDigest(*session, relation);
    EXPECT_TRUE(digest.ok()) << digest.error().Format();
    return digest.ok() ? digest.value() : Json();
  }
};

class LakeTest : public ::testing::Test {
 protected:
  TemporaryFolder temporary = TemporaryFolder::Make("/tmp", "tidemill lake's ").value();
  fs::path folder = temporary.path() / "lake";
};

size_t CountFiles(const fs::path& folder) {
  size_t count = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) count += entry.is_regular_file() ? 1 : 0;
  return count;
}

void ChangeOneByte(const fs::path& file, std::streamoff position) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(position);
  const char byte = static_cast<char>(stream.get());
  stream.seekp(position);
  stream.put(static_cast<char>(byte ^ 1));
}

TEST_F(LakeTest, CommitsAreSnapshotsWithTheirMessage) {
  auto open = OpenLake::At(folder);
  const int64_t first = open.Commit("CREATE TABLE t(i BIGINT); INSERT INTO t VALUES (1), (2)");
  const auto second = open.lake->Commit("it's run 7", {{"run", 7}},
                                        [](Session& session) { return session.Execute("DELETE FROM t WHERE i = 1"); });
  ASSERT_TRUE(second.ok());
  EXPECT_GT(second.value(), first);
  EXPECT_EQ(open.lake->CurrentSnapshot().value(), second.value());
  EXPECT_EQ(open.Number("SELECT count(*) FROM t"), 1);
  EXPECT_EQ(open.Number("SELECT count(*) FROM t AT (VERSION => " + std::to_string(first) + ")"), 2);
  const auto snapshots = open.lake->Snapshots().value();
  EXPECT_EQ(snapshots.back().id, second.value());
  EXPECT_EQ(snapshots.back().author, "tidemill");
  EXPECT_EQ(snapshots.back().message, "it's run 7");
  EXPECT_EQ(snapshots.back().extra["run"], 7);
  EXPECT_GT(snapshots.back().created_at.micros, 0);
}

TEST_F(LakeTest, ACommitThatChangesNothingMakesNoSnapshot) {
  auto open = OpenLake::At(folder);
  const int64_t before = open.lake->CurrentSnapshot().value();
  EXPECT_EQ(open.Commit("SELECT 1"), before);
}

TEST_F(LakeTest, NothingIsLeftOfAFailedChange) {
  auto open = OpenLake::At(folder);
  const int64_t before = open.Commit("CREATE TABLE t(i BIGINT)");
  const auto failed = open.lake->Commit("x", {}, [](Session& session) -> Status {
    TIDEMILL_RETURN_IF_ERROR(session.Execute("INSERT INTO t SELECT range FROM range(1000); CREATE TABLE u(i BIGINT)"));
    return UserError("mine", "stop");
  });
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, "mine");
  EXPECT_EQ(open.lake->CurrentSnapshot().value(), before);
  EXPECT_EQ(open.Number("SELECT count(*) FROM t"), 0);
  EXPECT_FALSE(open.lake->HasTable("u").value());
  EXPECT_FALSE(
      open.lake->Commit("x", {}, [](Session& session) { return session.Execute("INSERT INTO nosuch VALUES (1)"); }).ok());
  EXPECT_GT(open.Commit("INSERT INTO t VALUES (1)"), before);
}

TEST_F(LakeTest, KnowsTablesAndTheirSchemas) {
  auto open = OpenLake::At(folder);
  open.Commit(
      "CREATE TABLE t(i BIGINT, \"it's\" VARCHAR, ts TIMESTAMP); CREATE TABLE lake.training.m(d DOUBLE); "
      "CREATE TABLE gone(i "
      "INT)");
  open.Commit("DROP TABLE gone");
  EXPECT_TRUE(open.lake->HasTable("t").value());
  EXPECT_TRUE(open.lake->HasTable("main.t").value());
  EXPECT_TRUE(open.lake->HasTable("training.m").value());
  EXPECT_FALSE(open.lake->HasTable("m").value());
  EXPECT_FALSE(open.lake->HasTable("gone").value());
  const std::vector<Field> expected{{"i", Type::kInt64}, {"it's", Type::kText}, {"ts", Type::kTimestamp}};
  EXPECT_EQ(open.lake->Schema("t").value(), expected);
  EXPECT_EQ(open.lake->Schema("nosuch").error().code, "unknown_table");
}

TEST_F(LakeTest, SequenceNumbersAreNeverGivenTwice) {
  {
    auto open = OpenLake::At(folder);
    EXPECT_EQ(open.lake->ReserveSequence(10).value(), 1);
    EXPECT_EQ(open.lake->ReserveSequence(0).value(), 11);
    EXPECT_EQ(open.lake->ReserveSequence(5).value(), 11);
  }
  auto again = OpenLake::At(folder);
  EXPECT_EQ(again.lake->ReserveSequence(1).value(), 16);
}

TEST_F(LakeTest, WhoAsksAgainForTheSameGetsItsNumbersUntilTheyAreSettled) {
  {
    auto open = OpenLake::At(folder);
    EXPECT_EQ(open.lake->ReserveSequence(10, "a").value(), 1);
    EXPECT_EQ(open.lake->ReserveSequence(5, "b").value(), 11);
  }
  auto again = OpenLake::At(folder);
  EXPECT_EQ(again.lake->ReserveSequence(5, "b").value(), 11);
  EXPECT_EQ(again.lake->ReserveSequence(10, "a").value(), 1);
  EXPECT_EQ(again.lake->ReserveSequence(11, "a").value(), 16) << "another count needs other numbers";
  ASSERT_TRUE(again.lake->SettleSequences({"a", "unknown"}).ok());
  EXPECT_EQ(again.lake->ReserveSequence(11, "a").value(), 27);
  EXPECT_EQ(again.lake->ReserveSequence(5, "b").value(), 11);
  EXPECT_EQ(again.lake->ReserveSequence(2).value(), 38);
  EXPECT_EQ(again.lake->ReserveSequence(2).value(), 40) << "nobody in particular never gets the same";
}

TEST_F(LakeTest, ALakeOfTheFirstLayoutIsBroughtUp) {
  {
    auto open = OpenLake::At(folder);
    EXPECT_EQ(open.lake->ReserveSequence(10).value(), 1);
    open.Commit(R"sql(CREATE TABLE scores.late(_seq BIGINT, "at" TIMESTAMP); CREATE TABLE tidemill.quarantine(file TEXT, "at" TIMESTAMP);
                      CREATE TABLE main.mine("at" TIMESTAMP); INSERT INTO scores.late VALUES (7, TIMESTAMP '2013-05-01'))sql");
  }
  {
    auto file = std::move(SqliteFile::Open(folder / "tidemill.sqlite", {.version = 2, .create = ""}, "x")).value();
    for (const char* sql : {"DROP TABLE reservations", "ALTER TABLE state DROP COLUMN tables_layout", "PRAGMA user_version=1"}) {
      ASSERT_TRUE(file->Run(sql).ok()) << sql;
    }
  }
  {
    auto database = std::move(Database::Open({})).value();
    const auto reading = Lake::Open(*database, {.folder = folder, .read_only = true});
    ASSERT_FALSE(reading.ok());
    EXPECT_EQ(reading.error().code, "lake_older");
  }
  for (int opened = 0; opened < 2; ++opened) {
    auto open = OpenLake::At(folder);
    EXPECT_EQ(open.Number("SELECT _seq FROM lake.scores.late WHERE predicted_at = TIMESTAMP '2013-05-01'"), 7);
    EXPECT_EQ(open.Number("SELECT count(quarantined_at) FROM lake.tidemill.quarantine"), 0);
    EXPECT_EQ(open.Number("SELECT count(\"at\") FROM lake.main.mine"), 0) << "a user's own columns keep their names";
    EXPECT_EQ(open.lake->ReserveSequence(5, "a").value(), 11);
  }
}

TEST_F(LakeTest, ThreadsCommitAtOnceAndReadBeside) {
  auto open = OpenLake::At(folder);
  open.Commit("CREATE TABLE t(thread INT, i INT)");
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&open, thread] {
      auto reader = std::move(open.lake->Connect()).value();
      for (int i = 0; i < 5; ++i) {
        const auto committed = open.lake->Commit("t", {}, [&](Session& session) {
          return session.Execute("INSERT INTO t VALUES (" + std::to_string(thread) + ", " + std::to_string(i) + ")");
        });
        EXPECT_TRUE(committed.ok()) << committed.error().Format();
        EXPECT_TRUE(reader->Query("SELECT count(*) FROM t").ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(open.Number("SELECT count(DISTINCT (thread, i)) FROM t"), 15);
  EXPECT_EQ(open.Number("SELECT count(*) FROM t"), 15);
}

TEST_F(LakeTest, TwoEnginesShareALake) {
  auto one = OpenLake::At(folder);
  one.Commit("CREATE TABLE t(i INT)");
  auto two = OpenLake::At(folder);
  std::thread thread([&two] {
    for (int i = 0; i < 5; ++i) two.Commit("INSERT INTO t VALUES (2)");
  });
  for (int i = 0; i < 5; ++i) one.Commit("INSERT INTO t VALUES (1)");
  thread.join();
  EXPECT_EQ(one.Number("SELECT count(*) FROM t WHERE i = 2"), 5);
  EXPECT_EQ(two.Number("SELECT count(*) FROM t"), 10);
  const auto problems = one.lake->Verify({}, 0).value();
  for (const DataFileProblem& problem : problems) ADD_FAILURE() << problem.path << " " << problem.problem;
}

TEST_F(LakeTest, AWriterWaitsForTheOtherAndThenSaysWhy) {
  auto one = OpenLake::At(folder);
  auto database = std::move(Database::Open({})).value();
  auto impatient = std::move(Lake::Open(*database, {.folder = folder, .lock_timeout_ms = 20})).value();
  one.lake
      ->Commit("slow", {},
               [&](Session&) -> Status {
                 const auto second = impatient->Commit("x", {}, [](Session&) { return Ok(); });
                 EXPECT_FALSE(second.ok());
                 EXPECT_EQ(second.error().code, "locked");
                 EXPECT_FALSE(second.error().hint.empty());
                 return Ok();
               })
      .ok();
  EXPECT_TRUE(impatient->Commit("x", {}, [](Session&) { return Ok(); }).ok());
}

TEST_F(LakeTest, ReadingOnlyChangesNothing) {
  auto database = std::move(Database::Open({})).value();
  EXPECT_EQ(Lake::Open(*database, {.folder = folder, .read_only = true}).error().code, "lake_missing");
  EXPECT_FALSE(fs::exists(folder));
  auto writer = OpenLake::At(folder);
  writer.Commit("CREATE TABLE t AS SELECT 5 AS i");
  auto reader = OpenLake::At(folder, true);
  EXPECT_EQ(reader.Number("SELECT i FROM t"), 5);
  EXPECT_FALSE(reader.session->Execute("DELETE FROM t").ok());
  EXPECT_FALSE(reader.lake->Commit("x", {}, [](Session&) { return Ok(); }).ok());
  writer.Commit("INSERT INTO t VALUES (6)");
  EXPECT_EQ(reader.Number("SELECT count(*) FROM t"), 2);
}

TEST_F(LakeTest, OpensAsItWasAtASnapshot) {
  auto now = OpenLake::At(folder);
  const int64_t snapshot = now.Commit("CREATE TABLE t AS SELECT 5 AS i");
  now.Commit("INSERT INTO t VALUES (6)");
  auto database = std::move(Database::Open({})).value();
  EXPECT_EQ(Lake::Open(*database, {.folder = folder, .snapshot = 99}).error().code, "snapshot_missing");
  auto then = Lake::Open(*database, {.folder = folder, .snapshot = snapshot});
  ASSERT_TRUE(then.ok()) << then.error().Format();
  auto session = std::move(then.value()->Connect()).value();
  EXPECT_EQ(session->Query("SELECT count(*) FROM t").value().columns[0].ints[0], 1);
  EXPECT_FALSE(session->Execute("INSERT INTO t VALUES (7)").ok());
  EXPECT_FALSE(then.value()->Commit("x", {}, [](Session&) { return Ok(); }).ok());
}

TEST_F(LakeTest, RefusesALakeOfANewerTidemill) {
  { auto open = OpenLake::At(folder); }
  ASSERT_TRUE(SqliteFile::Open(folder / "tidemill.sqlite", {.version = 99, .create = ""}, "x").ok());
  auto database = std::move(Database::Open({})).value();
  const auto opened = Lake::Open(*database, {.folder = folder});
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, "lake_newer");
  EXPECT_FALSE(opened.error().hint.empty());
}

TEST_F(LakeTest, AHalfCopiedLakeIsRefusedInsteadOfStartingAnew) {
  {
    auto open = OpenLake::At(folder);
    open.Commit("CREATE TABLE t AS SELECT 1 AS i");
  }
  auto database = std::move(Database::Open({})).value();
  fs::rename(folder / "tidemill.sqlite", temporary.path() / "aside");
  EXPECT_EQ(Lake::Open(*database, {.folder = folder}).error().code, "lake_damaged");
  fs::rename(temporary.path() / "aside", folder / "tidemill.sqlite");
  fs::rename(folder / "catalog.sqlite", temporary.path() / "aside");
  EXPECT_EQ(Lake::Open(*database, {.folder = folder}).error().code, "lake_damaged");
}

TEST_F(LakeTest, ListsFilesOfATableAtASnapshotWithDigests) {
  auto open = OpenLake::At(folder);
  const int64_t first = open.Commit("CREATE TABLE t AS SELECT range AS i FROM range(100); CREATE TABLE u AS SELECT 1 AS i");
  const int64_t second = open.Commit("INSERT INTO t SELECT range FROM range(50)");
  const int64_t third = open.Commit("CREATE OR REPLACE TABLE t AS SELECT 7 AS i");
  const auto before = open.lake->Files("t", first).value();
  ASSERT_EQ(before.size(), 1u);
  EXPECT_EQ(before[0].table, "main.t");
  EXPECT_EQ(before[0].rows, 100);
  EXPECT_EQ(before[0].sha256, Sha256File(folder / "data" / before[0].path).value());
  EXPECT_EQ(open.lake->Files("main.t", second).value().size(), 2u);
  const auto after = open.lake->Files("t", third).value();
  ASSERT_EQ(after.size(), 1u);
  EXPECT_EQ(after[0].rows, 1);
  EXPECT_TRUE(open.lake->Files("nosuch", third).value().empty());
}

TEST_F(LakeTest, VerifyFindsChangedAndMissingFiles) {
  auto open = OpenLake::At(folder);
  const int64_t first = open.Commit("CREATE TABLE t AS SELECT range AS i FROM range(100); CREATE TABLE u AS SELECT 1 AS i");
  open.Commit("CREATE OR REPLACE TABLE t AS SELECT 7 AS i");
  EXPECT_TRUE(open.lake->Verify({}, 0).value().empty());
  const std::string changed = open.lake->Files("t", first).value().at(0).path;
  ChangeOneByte(folder / "data" / changed, 60);
  const auto problems = open.lake->Verify({"t"}, first).value();
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].table, "main.t");
  EXPECT_EQ(problems[0].path, changed);
  EXPECT_EQ(problems[0].problem.substr(0, 18), "changed: SHA-256 i");
  EXPECT_TRUE(open.lake->Verify({"u"}, first).value().empty());
  EXPECT_EQ(open.lake->Compact({0}, kLater).error().code, "data_changed");
  fs::remove(folder / "data" / changed);
  EXPECT_EQ(open.lake->Verify({}, 0).value().at(0).problem, "missing");
}

// Many small appends, deletes and replacements; then the pinned snapshot must read the same after each kind
// of care.
TEST_F(LakeTest, PinnedSnapshotsOutliveCompaction) {
  auto open = OpenLake::At(folder);
  open.Commit(
      "CREATE TABLE t(v DOUBLE, s VARCHAR, _seq BIGINT); CREATE TABLE gone AS SELECT range AS _seq FROM "
      "range(9)");
  const auto append = [&open](int from) {
    open.Commit("INSERT INTO t SELECT random(), 'x' || range, range FROM range(" + std::to_string(from) + ", " +
                std::to_string(from + 10) + ")");
  };
  for (int i = 0; i < 12; ++i) append(i * 10);
  open.Commit("DELETE FROM t WHERE _seq % 7 = 3");
  append(120);
  const int64_t pinned = open.lake->CurrentSnapshot().value();
  ASSERT_TRUE(open.lake->Pin(pinned, "late_arrival@1").ok());
  for (int i = 13; i < 20; ++i) append(i * 10);
  open.Commit("UPDATE t SET v = 0 WHERE _seq < 5");
  open.Commit("DROP TABLE gone");
  const std::string at = " AT (VERSION => " + std::to_string(pinned) + ")";
  const Json t_then = open.Digest("t" + at), gone_then = open.Digest("gone" + at), t_now = open.Digest("t");
  EXPECT_EQ(t_then["rows"], 113);
  EXPECT_NE(t_then, t_now);
  const size_t files_before = CountFiles(folder / "data");

  const auto summary = open.lake->Compact({0}, kLater);
  ASSERT_TRUE(summary.ok()) << summary.error().Format();
  EXPECT_GT(summary.value()["files_merged"], 5);
  EXPECT_GT(summary.value()["snapshots_expired"], 15);
  EXPECT_LT(CountFiles(folder / "data"), files_before);
  EXPECT_EQ(open.Digest("t" + at), t_then);
  EXPECT_EQ(open.Digest("gone" + at), gone_then);
  EXPECT_EQ(open.Digest("t"), t_now);
  EXPECT_EQ(open.lake->Snapshots().value().size(), 2u);
  EXPECT_TRUE(open.lake->Verify({}, 0).value().empty());
  EXPECT_TRUE(open.lake->Verify({"t", "gone"}, pinned).value().empty());

  for (int i = 20; i < 24; ++i) append(i * 10);
  ASSERT_TRUE(open.lake->Compact({0}, kLater).ok());
  EXPECT_EQ(open.Digest("t" + at), t_then);

  open.Close();
  const fs::path elsewhere = temporary.path() / "else where";
  ASSERT_TRUE(CopyFolder(folder, elsewhere, false).ok());
  fs::rename(folder, temporary.path() / "away");
  auto copy = OpenLake::At(elsewhere);
  EXPECT_EQ(copy.Digest("t" + at), t_then);
  EXPECT_EQ(copy.Digest("gone" + at), gone_then);
  ASSERT_TRUE(copy.lake->Compact({0}, kLater).ok());
  EXPECT_EQ(copy.Digest("t" + at), t_then);
  EXPECT_TRUE(copy.lake->Verify({"t"}, pinned).value().empty());
}

TEST_F(LakeTest, CompactionKeepsYoungSnapshotsAndTheNewest) {
  auto open = OpenLake::At(folder);
  open.Commit("CREATE TABLE t AS SELECT 1 AS i");
  open.Commit("INSERT INTO t VALUES (2)");
  const size_t before = open.lake->Snapshots().value().size();
  const Timestamp now = open.lake->Snapshots().value().back().created_at;
  ASSERT_TRUE(open.lake->Compact({3'600'000'000}, now).ok());
  EXPECT_GE(open.lake->Snapshots().value().size(), before);
  ASSERT_TRUE(open.lake->Compact({0}, kLater).ok());
  EXPECT_EQ(open.lake->Snapshots().value().size(), 1u);
  EXPECT_EQ(open.Number("SELECT sum(i)::BIGINT FROM t"), 3);
  EXPECT_EQ(open.lake->Pin(1, "x").error().code, "snapshot_missing");
}

TEST_F(LakeTest, CompactionDeletesWhatAFailedCommitLeft) {
  auto open = OpenLake::At(folder);
  open.Commit("CREATE TABLE t AS SELECT 1 AS i");
  std::ofstream(folder / "data" / "main" / "t" / "ducklake-left.parquet") << "half";
  ASSERT_TRUE(open.lake->Compact({0}, kLater).ok());
  EXPECT_EQ(CountFiles(folder / "data"), 1u);
  EXPECT_EQ(open.Number("SELECT i FROM t"), 1);
}

TEST_F(LakeTest, ACopyIsALakeOfItsOwn) {
  auto open = OpenLake::At(folder);
  open.Commit("CREATE TABLE t AS SELECT range AS i FROM range(10)");
  open.lake->ReserveSequence(41).ok();
  const std::string artifact = open.lake->PutArtifact("model").value();
  for (const bool link : {true, false}) {
    SCOPED_TRACE(link);
    const fs::path target = temporary.path() / (link ? "branch" : "backup");
    const Status copied = open.lake->CopyTo(target, link);
    ASSERT_TRUE(copied.ok()) << copied.error().Format();
    EXPECT_EQ(open.lake->CopyTo(target, link).error().code, "lake_exists");
    auto copy = OpenLake::At(target);
    EXPECT_EQ(copy.lake->GetArtifact(artifact).value(), "model");
    EXPECT_EQ(copy.lake->ReserveSequence(1).value(), 42);
    EXPECT_TRUE(copy.lake->Verify({}, 0).value().empty());
    copy.Commit("DELETE FROM t; INSERT INTO t VALUES (100)");
    ASSERT_TRUE(copy.lake->Compact({0}, kLater).ok());
    EXPECT_EQ(copy.Number("SELECT i FROM t"), 100);
    EXPECT_EQ(open.Number("SELECT count(*) FROM t"), 10);
    EXPECT_TRUE(open.lake->Verify({}, 0).value().empty());
  }
  EXPECT_EQ(open.lake->ReserveSequence(1).value(), 42);
}

TEST_F(LakeTest, ArtifactsAreCheckedWhenRead) {
  auto open = OpenLake::At(folder);
  const std::string bytes("a\0b\xff", 4);
  const std::string sha256 = open.lake->PutArtifact(bytes).value();
  EXPECT_EQ(sha256, Sha256(bytes));
  EXPECT_EQ(open.lake->PutArtifact(bytes).value(), sha256);
  EXPECT_EQ(open.lake->GetArtifact(sha256).value(), bytes);
  EXPECT_EQ(open.lake->GetArtifact(open.lake->PutArtifact("").value()).value(), "");
  EXPECT_EQ(open.lake->GetArtifact(Sha256("other")).error().code, "artifact_missing");
  EXPECT_EQ(open.lake->GetArtifact("../../../../etc/passwd").error().code, "artifact_missing");
  ChangeOneByte(folder / "artifacts" / sha256.substr(0, 2) / sha256, 0);
  EXPECT_EQ(open.lake->GetArtifact(sha256).error().code, "artifact_changed");
  EXPECT_EQ(open.lake->PutArtifact(bytes).value(), sha256);  // mends it
  EXPECT_EQ(open.lake->GetArtifact(sha256).value(), bytes);
}

TEST_F(LakeTest, DigestsFollowContentAndNothingElse) {
  auto open = OpenLake::At(folder);
  const Json a = open.Digest("(VALUES (1, 'x', 1.5), (2, NULL, 2.5)) AS v(_seq, s, d)");
  EXPECT_EQ(a["rows"], 2);
  EXPECT_EQ(a["columns"].size(), 3u);
  EXPECT_EQ(open.Digest("(VALUES (2, NULL, 2.5), (1, 'x', 1.5)) AS v(_seq, s, d)"), a);
  const Json swapped = open.Digest("(VALUES (1, NULL, 1.5), (2, 'x', 2.5)) AS v(_seq, s, d)");
  EXPECT_NE(swapped["columns"]["s"], a["columns"]["s"]);
  EXPECT_EQ(swapped["columns"]["d"], a["columns"]["d"]);
  EXPECT_NE(open.Digest("(VALUES (1, '', 1.5), (2, NULL, 2.5)) AS v(_seq, s, d)"),
            open.Digest("(VALUES (1, NULL, 1.5), (2, NULL, 2.5)) AS v(_seq, s, d)"));
  const Json rows = open.Digest("(VALUES (1, 'x'), (2, 'y')) AS v(a, b)");
  EXPECT_EQ(open.Digest("(VALUES (2, 'y'), (1, 'x')) AS v(a, b)"), rows);
  EXPECT_NE(open.Digest("(VALUES (1, 'y'), (2, 'x')) AS v(a, b)")["row"], rows["row"]);
  EXPECT_NE(open.Digest("(VALUES (1, 'x'), (2, 'y'), (2, 'y')) AS v(a, b)"),
            open.Digest("(VALUES (1, 'x'), (1, 'x'), (2, 'y')) AS v(a, b)"));
  EXPECT_EQ(open.Digest("(SELECT 1 AS a WHERE false)")["rows"], 0);
  EXPECT_FALSE(ContentDigest(*open.session, "nosuch").ok());
}

/// Commits forever: 100 rows into each of two tables at once, which must stay equal.
[[noreturn]] void CommitUntilKilled(const fs::path& folder, int started) {
  auto database = std::move(Database::Open({})).value();
  auto lake = std::move(Lake::Open(*database, {.folder = folder})).value();
  (void)!write(started, "s", 1);
  while (true) {
    const auto seq = lake->ReserveSequence(100).value();
    const std::string rows = "SELECT range AS _seq FROM range(" + std::to_string(seq) + ", " + std::to_string(seq + 100) + ")";
    const auto done = lake->Commit("loop", {}, [&](Session& session) {
      return session.Execute(
          "CREATE TABLE IF NOT EXISTS a(_seq BIGINT); CREATE TABLE IF NOT EXISTS b(_seq BIGINT); INSERT INTO "
          "a " +
          rows + "; INSERT INTO b " + rows);
    });
    if (!done.ok()) _exit(3);
    (void)!write(started, "c", 1);
  }
}

TEST_F(LakeTest, AKilledWriterLeavesOnlyWholeCommits) {
  std::mt19937 random(7);
  int64_t acknowledged = 0;
  for (int round = 0; round < 5; ++round) {
    SCOPED_TRACE(round);
    int pipes[2];
    ASSERT_EQ(pipe(pipes), 0);
    const pid_t child = fork();
    if (child == 0) CommitUntilKilled(folder, pipes[1]);
    close(pipes[1]);
    // The first round may die while the lake is being made.
    if (round > 0) {
      char started = 0;
      ASSERT_EQ(read(pipes[0], &started, 1), 1);
      // Every other round dies after a commit, however slow the machine is.
      while (round % 2 == 1 && started != 'c') ASSERT_EQ(read(pipes[0], &started, 1), 1);
      acknowledged += started == 'c' ? 1 : 0;
    }
    usleep(static_cast<useconds_t>(random() % 200'000));
    kill(child, SIGKILL);
    int ended = 0;
    waitpid(child, &ended, 0);
    EXPECT_TRUE(WIFSIGNALED(ended));
    char event = 0;
    while (read(pipes[0], &event, 1) == 1) acknowledged += event == 'c' ? 1 : 0;
    close(pipes[0]);

    // In a child as well: a process that has had threads must not fork.
    const pid_t checker = fork();
    if (checker == 0) {
      auto open = OpenLake::At(folder);
      bool whole = open.lake->Verify({}, 0).value().empty();
      if (open.lake->HasTable("a").value()) {
        const int64_t rows = open.Number("SELECT count(*) FROM a");
        whole = whole && rows % 100 == 0 && rows >= acknowledged * 100 && rows <= (acknowledged + round + 1) * 100 &&
                open.Number("SELECT count(DISTINCT _seq) FROM a") == rows && open.Digest("a") == open.Digest("b");
      } else {
        whole = whole && acknowledged == 0;
      }
      if (round == 3) whole = whole && open.lake->Compact({0}, kLater).ok();
      _exit(whole ? 0 : 1);
    }
    waitpid(checker, &ended, 0);
    EXPECT_EQ(WEXITSTATUS(ended), 0);
  }
  EXPECT_GT(acknowledged, 0);
}

// The bound on file sizes stands for a full disk: writing fails in the middle.
TEST_F(LakeTest, AFullDiskFailsTheCommitAndDamagesNothing) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    auto open = OpenLake::At(folder);
    const int64_t before = open.Commit("CREATE TABLE t AS SELECT random() AS v FROM range(1000)");
    const Json digest = open.Digest("t");
    const rlimit bound{1'000'000, 1'000'000};
    setrlimit(RLIMIT_FSIZE, &bound);
    const auto failed = open.lake->Commit(
        "x", {}, [](Session& session) { return session.Execute("INSERT INTO t SELECT random() FROM range(1000000)"); });
    if (failed.ok()) _exit(2);
    if (failed.error().code != "disk_full" || failed.error().hint.empty()) {
      fprintf(stderr, "%s %s\n", failed.error().code.c_str(), failed.error().Format().c_str());
      _exit(3);
    }
    if (open.lake->CurrentSnapshot().value() != before || open.Digest("t") != digest) _exit(4);
    if (!open.lake->Commit("y", {}, [](Session& session) { return session.Execute("INSERT INTO t VALUES (1)"); }).ok()) _exit(5);
    _exit(0);
  }
  int ended = 0;
  waitpid(child, &ended, 0);
  EXPECT_EQ(WEXITSTATUS(ended), 0);
  auto open = OpenLake::At(folder);
  EXPECT_EQ(open.Number("SELECT count(*) FROM t"), 1001);
  EXPECT_TRUE(open.lake->Verify({}, 0).value().empty());
}

// Many tables without rows: only DuckLake's own catalog has to grow.
TEST_F(LakeTest, ADiskThatFillsUpDuringTheCommitItselfDamagesNothing) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    auto open = OpenLake::At(folder);
    const int64_t before = open.Commit("CREATE TABLE t AS SELECT 1 AS i");
    rlimit bound{};
    getrlimit(RLIMIT_FSIZE, &bound);
    const rlimit unbound = bound;
    bound.rlim_cur = 200'000;
    setrlimit(RLIMIT_FSIZE, &bound);
    const auto insert = [](Session& session) { return session.Execute("INSERT INTO t VALUES (2)"); };
    const auto failed = open.lake->Commit("x", {}, [&](Session& session) -> Status {
      std::string columns = "i0 INT";
      for (int i = 1; i < 200; ++i) columns += ", i" + std::to_string(i) + " INT";
      for (int i = 0; i < 30; ++i) {
        TIDEMILL_RETURN_IF_ERROR(session.Execute("CREATE TABLE u" + std::to_string(i) + "(" + columns + ")"));
      }
      return insert(session);
    });
    setrlimit(RLIMIT_FSIZE, &unbound);
    if (failed.ok()) _exit(2);
    if (failed.error().code != "disk_full" || failed.error().hint.empty()) {
      fprintf(stderr, "%s %s\n", failed.error().code.c_str(), failed.error().Format().c_str());
      _exit(3);
    }
    if (open.lake->CurrentSnapshot().value() != before || open.Number("SELECT count(*) FROM t") != 1) _exit(4);
    if (open.lake->HasTable("u0").value() || !open.lake->Commit("y", {}, insert).ok()) _exit(5);
    _exit(0);
  }
  int ended = 0;
  waitpid(child, &ended, 0);
  EXPECT_EQ(WEXITSTATUS(ended), 0);
  auto open = OpenLake::At(folder);
  EXPECT_EQ(open.Number("SELECT count(*) FROM t"), 2);
  EXPECT_TRUE(open.lake->Verify({}, 0).value().empty());
}

}  // namespace
}  // namespace tidemill
