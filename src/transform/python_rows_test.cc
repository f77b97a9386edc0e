#include "transform/python_rows.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "transform/transform.h"

namespace tidemill {
namespace {

/// A lake with a source `events` (k, v) and Python tables over it; the oracle of each is a query.
class PythonRowsTest : public testing::Test {
 protected:
  void SetUp() override {
    database_ = Database::Open({}).value();
    auto lake = Lake::Open(*database_, {.folder = folder_.path() / "lake"});
    ASSERT_TRUE(lake.ok()) << lake.error().Format();
    lake_ = std::move(lake).value();
    reader_ = lake_->Connect().value();
    project_.root = project_.python.folder = folder_.path();
    project_.python.interpreter = "/usr/bin/python3";
    project_.sources["events"].name = "events";
    Write("CREATE TABLE events (k VARCHAR, v DOUBLE, _seq BIGINT, _known_at TIMESTAMP)");
    Write(
        "INSERT INTO events SELECT 'k' || (i % 7), i / 8, i, TIMESTAMP '2020-01-01' + to_hours((i * 37 % 100)::INT) FROM range(5000) t(i)");
  }

  void Write(const std::string& sql) {
    const auto snapshot = lake_->Commit("test", Json::object(), [&](Session& session) { return session.Execute(sql); });
    ASSERT_TRUE(snapshot.ok()) << snapshot.error().Format();
  }

  TableAsset& AddTable(const std::string& body, const std::vector<Field>& columns, bool keeps_rows) {
    TableAsset& table = project_.tables["made"];
    table = {};
    table.name = "made";
    table.file = "tables/made.py";
    table.place.file = table.file;
    table.inputs = {"events"};
    table.python.emplace();
    table.python->parameters = {"events"};
    table.python->sources[table.file] = "import pyarrow.compute as pc\n\ndef table(events):\n    " + body + "\n";
    table.python->columns = columns;
    table.python->keeps_rows = keeps_rows;
    return table;
  }

  Result<TransformReport> Update(int hour) {
    if (workers_ == nullptr) workers_ = MakePythonWorkers(project_);
    return UpdateTable(project_, project_.tables.at("made"), *lake_,
                       *ParseTimestamp("2020-01-01") + Duration{hour * int64_t{3'600'000'000}}, 7, nullptr, workers_.get());
  }

  int64_t Count(const std::string& sql) {
    const auto result = reader_->Query("SELECT count(*) FROM " + sql);
    EXPECT_TRUE(result.ok()) << result.error().Format();
    return result.ok() ? result->columns[0].ints[0] : -1;
  }

  int64_t Differing(const std::string& a, const std::string& b) {
    return Count("((" + a + " EXCEPT ALL " + b + ") UNION ALL (" + b + " EXCEPT ALL " + a + "))");
  }

  TemporaryFolder folder_ = TemporaryFolder::Make("/tmp", "tidemill").value();
  std::unique_ptr<Database> database_;
  std::unique_ptr<Lake> lake_;
  std::unique_ptr<Session> reader_;
  Project project_;
  std::unique_ptr<WorkerPool> workers_;
};

TEST_F(PythonRowsTest, KeptRowsAreThoseOfTheSameFilterInSql) {
  AddTable("return events.filter(pc.greater(events['v'], 100))", {{"v", Type::kDouble}, {"k", Type::kText}}, true);
  for (const int hour : {10, 50, 99}) {
    const auto report = Update(hour);
    ASSERT_TRUE(report.ok()) << report.error().Format();
    const std::string known = "_known_at <= TIMESTAMP '2020-01-01' + to_hours(" + std::to_string(hour) + ")";
    EXPECT_EQ(Differing("SELECT v, k, _seq, _known_at FROM made",
                        "SELECT v, k, _seq, _known_at FROM events WHERE v > 100 AND " + known),
              0);
    EXPECT_EQ(report->next_known_at.has_value(), hour < 99);
  }
  EXPECT_EQ(workers_->started(), 1);
}

TEST_F(PythonRowsTest, MadeRowsAreThoseOfTheSameGroupsInSqlAndKeepTheirNumbers) {
  TableAsset& table =
      AddTable("return events.group_by('k').aggregate([('v', 'max'), ('v', 'count')]).rename_columns(['k', 'most', 'n'])",
               {{"k", Type::kText}, {"n", Type::kInt64}, {"most", Type::kDouble}}, false);
  table.key = {"k"};
  ASSERT_TRUE(Update(50).ok());
  Write("CREATE TABLE before AS SELECT k, _seq FROM made");
  EXPECT_EQ(Count("made WHERE _known_at = TIMESTAMP '2020-01-03 02:00:00' AND _seq < -1000000000000000"), 7);
  ASSERT_TRUE(Update(99).ok());
  EXPECT_EQ(Differing("SELECT k, n, most FROM made", "SELECT k, count(v), max(v) FROM events GROUP BY k"), 0);
  EXPECT_EQ(Differing("SELECT k, _seq FROM made", "FROM before"), 0);
}

TEST_F(PythonRowsTest, EqualRowsAreToldApart) {
  AddTable("return events.select(['k'])", {{"k", Type::kText}}, false);
  ASSERT_TRUE(Update(99).ok());
  EXPECT_EQ(Count("made"), 5000);
  EXPECT_EQ(Count("(SELECT DISTINCT _seq FROM made)"), 5000);
}

TEST_F(PythonRowsTest, RefusesRowsThatWereNotRead) {
  const std::vector<Field> columns = {{"k", Type::kText}, {"v", Type::kDouble}};
  AddTable("return events.set_column(2, '_seq', pc.add(events['_seq'], 10_000))", columns, true);
  EXPECT_EQ(Update(99).error().code, "python_rows");
  AddTable(
      "return events.set_column(3, '_known_at', pc.subtract(events['_known_at'], __import__('datetime').timedelta(hours=1)))",
      columns, true);
  EXPECT_EQ(Update(99).error().code, "python_rows");
  AddTable("return events.select(['k', 'v'])", columns, true);
  EXPECT_EQ(Update(99).error().code, "python_result");
  AddTable("return events", columns, true);
  EXPECT_TRUE(Update(99).ok());
}

TEST_F(PythonRowsTest, ADeclaredKnownTimeHoldsRowsBack) {
  AddTable(
      "return events.append_column('t', events['_known_at']) if '_known_at' in events.column_names else events.append_column('t', pc.cast("
      "pc.multiply(pc.cast(events['v'], 'int64', safe=False), 3_600_000_000), 'int64').cast('timestamp[us]'))",
      {{"k", Type::kText}, {"v", Type::kDouble}, {"t", Type::kTimestamp}}, false)
      .known_at = "t";
  const auto report = Update(99);
  ASSERT_TRUE(report.ok()) << report.error().Format();
  EXPECT_EQ(Count("made WHERE _known_at <> t"), 0);
  EXPECT_EQ(report->rows, 5000);
}

TEST_F(PythonRowsTest, TextThatIsNotUtf8IsRefused) {
  AddTable(
      "import pyarrow as pa; return pa.table({'k': pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b'\\0\\0\\0\\0\\1\\0\\0\\0'), pa.py_buffer(b'\\xff')])})",
      {{"k", Type::kText}}, false);
  const auto report = Update(99);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, "not_utf8");
  EXPECT_EQ(report.error().place->file, "tables/made.py");
}

}  // namespace
}  // namespace tidemill
