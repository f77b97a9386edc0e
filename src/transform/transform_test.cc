#include "transform/transform.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "sql/statement.h"

namespace tidemill {
namespace {

/// A lake with a source `events` (k, v, moment) and tables over it.
class TransformTest : public testing::Test {
 protected:
  void SetUp() override {
    auto database = Database::Open({});
    ASSERT_TRUE(database.ok());
    database_ = std::move(database).value();
    auto parser = database_->Connect();
    ASSERT_TRUE(parser.ok());
    parser_ = std::move(parser).value();
    auto lake = Lake::Open(*database_, {.folder = folder_.path() / "lake"});
    ASSERT_TRUE(lake.ok()) << lake.error().Format();
    lake_ = std::move(lake).value();
    auto reader = lake_->Connect();
    ASSERT_TRUE(reader.ok());
    reader_ = std::move(reader).value();
    AddSource("events");
    Write("CREATE TABLE events (k VARCHAR, v BIGINT, moment TIMESTAMP, _seq BIGINT, _known_at TIMESTAMP)");
  }

  void AddSource(const std::string& name, bool history = false) {
    SourceAsset source;
    source.name = name;
    source.history = history;
    project_.sources[name] = source;
    project_.graph.push_back({name, AssetKind::kSource, {}, "sources/" + name + ".yaml", ""});
  }

  TableAsset& AddTable(const std::string& name, const std::string& sql) {
    TableAsset table;
    table.name = name;
    table.sql = sql;
    table.file = "tables/" + name + ".sql";
    table.place = {"tables/" + name + ".yaml", 1, 1, 1, ""};
    const auto statement = ParseSelect(*parser_, sql, table.file);
    EXPECT_TRUE(statement.ok()) << statement.error().Format();
    table.tree = statement->tree;
    for (const TableReference& reference : statement->tables) table.inputs.push_back(reference.name);
    project_.graph.push_back({name, AssetKind::kTable, table.inputs, table.file, ""});
    return project_.tables[name] = table;
  }

  void Write(const std::string& sql) {
    const auto snapshot = lake_->Commit("test", Json::object(), [&](Session& session) { return session.Execute(sql); });
    ASSERT_TRUE(snapshot.ok()) << snapshot.error().Format();
  }

  struct Event {
    int64_t seq;
    int moment, known;  // hours
  };

  void WriteEvents(const std::vector<Event>& events) {
    std::string values;
    for (const Event& event : events) {
      values += (values.empty() ? "" : ", ") + std::string("('k") + std::to_string(event.seq % 2) + "', " +
                std::to_string(event.seq * 10) + ", " + Hour(event.moment) + ", " + std::to_string(event.seq) + ", " +
                Hour(event.known) + ")";
    }
    if (!events.empty()) Write("INSERT INTO events VALUES " + values);
  }

  static std::string Hour(int hour) { return "TIMESTAMP '2020-01-01' + to_hours(" + std::to_string(hour) + ")"; }
  static Timestamp At(int hour) { return *ParseTimestamp("2020-01-01") + Duration{hour * int64_t{3'600'000'000}}; }

  /// Rows as text, columns with commas, rows with blanks.
  std::string Rows(const std::string& sql) {
    const auto result = reader_->Query(sql);
    EXPECT_TRUE(result.ok()) << result.error().Format();
    std::string text;
    for (size_t row = 0; result.ok() && row < result->rows(); ++row) {
      text += row > 0 ? " " : "";
      for (size_t i = 0; i < result->columns.size(); ++i) text += (i > 0 ? "," : "") + FormatValue(result->columns[i].At(row));
    }
    return text;
  }

  TransformReport Update(const std::string& name, int hour, AppendPosition* position = nullptr) {
    const auto report = UpdateTable(project_, project_.tables.at(name), *lake_, At(hour), 7, position);
    EXPECT_TRUE(report.ok()) << report.error().Format();
    return report.ok() ? *report : TransformReport{};
  }

  TemporaryFolder folder_ = TemporaryFolder::Make("/tmp", "tidemill").value();
  std::unique_ptr<Database> database_;
  std::unique_ptr<Session> parser_;
  std::unique_ptr<Lake> lake_;
  std::unique_ptr<Session> reader_;
  Project project_;
};

TEST_F(TransformTest, ReplacesWithWhatIsKnown) {
  WriteEvents({{3, 3, 3}, {1, 1, 1}, {2, 2, 2}});
  AddTable("doubled", "SELECT v * 2 AS w, k FROM events ORDER BY v DESC");
  const TransformReport first = Update("doubled", 2);
  EXPECT_EQ(first.rows, 2);
  EXPECT_EQ(first.rows_added, 2);
  ASSERT_TRUE(first.next_known_at);
  EXPECT_EQ(*first.next_known_at, At(3));
  EXPECT_EQ(first.snapshot, *lake_->CurrentSnapshot());
  EXPECT_EQ(Rows("SELECT w, _seq, hour(_known_at) FROM doubled"), "20,1,1 40,2,2");
  const TransformReport second = Update("doubled", 9);
  EXPECT_EQ(second.rows, 3);
  EXPECT_FALSE(second.next_known_at);
  EXPECT_EQ(Rows("SELECT w, _seq FROM doubled"), "20,1 40,2 60,3");
  const auto snapshots = lake_->Snapshots();
  ASSERT_TRUE(snapshots.ok());
  EXPECT_EQ(snapshots->back().extra["run"], 7);
  EXPECT_EQ(snapshots->back().extra["table"], "doubled");
}

TEST_F(TransformTest, ADeclaredKnownTimeDecidesAndNullIsNeverKnown) {
  WriteEvents({{1, 1, 1}, {2, 2, 1}, {3, 3, 1}});
  TableAsset& table = AddTable("later", "SELECT v, CASE WHEN v <> 20 THEN moment + INTERVAL 5 HOUR END AS arrived FROM events");
  table.known_at = "arrived";
  const TransformReport report = Update("later", 7);
  EXPECT_EQ(report.rows, 1);
  EXPECT_EQ(report.rows_never_known, 1);
  ASSERT_TRUE(report.next_known_at);
  EXPECT_EQ(*report.next_known_at, At(8));
  EXPECT_EQ(Rows("SELECT v, hour(_known_at) FROM later"), "10,6");
}

TEST_F(TransformTest, AnExportOfHistoryIsReadWhole) {
  AddSource("history", true);
  Write(
      "CREATE TABLE history AS SELECT i AS v, TIMESTAMP '2020-01-01' + to_hours(i::INT) AS moment, i AS _seq, TIMESTAMP "
      "'2030-01-01' AS "
      "_known_at FROM range(1, 6) t(i)");
  AddTable("moments", "SELECT * FROM history").known_at = "moment";
  const TransformReport report = Update("moments", 3);
  EXPECT_EQ(report.rows, 3);
  ASSERT_TRUE(report.next_known_at);
  EXPECT_EQ(*report.next_known_at, At(4));
  AddTable("undeclared", "SELECT * FROM history");
  EXPECT_EQ(Update("undeclared", 3).rows, 0);
}

TEST_F(TransformTest, AppendingTellsTheSameAsReplacing) {
  AddTable("all_of_it", "SELECT v, moment FROM events WHERE v >= 0");
  AddTable("appended", "SELECT v, moment FROM events WHERE v >= 0");
  struct Step {
    std::vector<Event> events;
    int now;
    int64_t added;
  };
  const Step steps[] = {
      {{{1, 1, 1}, {2, 2, 2}, {3, 9, 9}}, 2, 2},
      {{}, 2, 0},                         // nothing new
      {{{4, 1, 1}}, 3, 1},                // late: known before the last update, arrived after it
      {{{5, 4, 4}, {6, 20, 20}}, 10, 2},  // 5, and 3 whose time has come
      {{{7, 10, 10}}, 10, 1},             // arrived at the very time of the last update
      {{}, 25, 1},                        // 6
  };
  AppendPosition position;
  for (const Step& step : steps) {
    WriteEvents(step.events);
    const TransformReport report = Update("appended", step.now, &position);
    EXPECT_EQ(report.rows_added, step.added) << step.now;
    Update("all_of_it", step.now);
    EXPECT_EQ(Rows("SELECT v, moment, _seq, _known_at FROM appended ORDER BY _seq"),
              Rows("SELECT v, moment, _seq, _known_at FROM all_of_it"));
    EXPECT_EQ(position.known_until, At(step.now));
  }
  EXPECT_EQ(position.seq_until, 7);
}

TEST_F(TransformTest, AppendsNothingTwiceWhenThePositionWasLost) {
  AddTable("appended", "SELECT v FROM events");
  WriteEvents({{1, 1, 1}});
  AppendPosition position;
  Update("appended", 1, &position);
  const AppendPosition kept = position;
  WriteEvents({{2, 2, 2}});
  Update("appended", 2, &position);
  position = kept;  // as after a kill between the commit and keeping the new position
  EXPECT_EQ(Update("appended", 2, &position).rows, 2);
  position = {};
  EXPECT_EQ(Update("appended", 2, &position).rows, 2);
  EXPECT_EQ(Update("appended", 1, &position).rows, 1);  // a clock set back: computed anew
}

TEST_F(TransformTest, StoresOnlyTheTypesOfTheLake) {
  WriteEvents({{1, 1, 1}});
  AddTable("typed",
           "SELECT sum(v) AS total, avg(v)::DECIMAL(9, 3) AS mean, count(*)::INT AS n, max(moment)::TIMESTAMPTZ AS zoned, "
           "max(moment)::DATE AS day, list(v) AS l, bool_or(v > 0) AS any, 1.5::FLOAT AS f, now() AS asked FROM events");
  Update("typed", 1);
  EXPECT_EQ(Rows("SELECT data_type FROM information_schema.columns WHERE table_name = 'typed' ORDER BY ordinal_position"),
            "BIGINT DOUBLE BIGINT TIMESTAMP DATE BIGINT[] BOOLEAN DOUBLE TIMESTAMP BIGINT TIMESTAMP");
  EXPECT_EQ(Rows("SELECT total, mean, n, zoned, l, asked FROM typed"), "10,10,1,2020-01-01T01:00:00Z,[10],2020-01-01T01:00:00Z");
}

TEST_F(TransformTest, ErrorsAreThoseOfTheSqlFileAndLeaveTheTableAsItWas) {
  WriteEvents({{1, 1, 1}, {2, 2, 2}});
  AddTable("good", "SELECT v FROM events");
  Update("good", 2);
  AddTable("good", "SELECT ('x' || v)::BIGINT AS v FROM events");
  const auto failed = UpdateTable(project_, project_.tables.at("good"), *lake_, At(2), 7, nullptr);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, "sql_value");
  ASSERT_TRUE(failed.error().place);
  EXPECT_EQ(failed.error().place->file, "tables/good.sql");
  EXPECT_FALSE(failed.error().hint.empty());
  EXPECT_EQ(Rows("SELECT v FROM good"), "10 20");
  AddTable("huge", "SELECT sum(v)::HUGEINT * 9223372036854775807 AS total FROM events");
  const auto overflow = UpdateTable(project_, project_.tables.at("huge"), *lake_, At(2), 7, nullptr);
  ASSERT_FALSE(overflow.ok());
  EXPECT_NE(overflow.error().hint.find("DOUBLE"), std::string::npos);
  EXPECT_FALSE(*lake_->HasTable("huge"));
}

TEST_F(TransformTest, TheQueryOfATableGivesItsRows) {
  WriteEvents({{1, 1, 1}, {2, 2, 2}, {3, 3, 3}});
  AddTable("kept", "SELECT k, count(*) AS n FROM events GROUP BY k");
  Update("kept", 2);
  const auto query = TableQuery(project_, project_.tables.at("kept"), *reader_, At(2));
  ASSERT_TRUE(query.ok()) << query.error().Format();
  EXPECT_EQ(Rows("FROM (" + *query + ") ORDER BY _seq"), Rows("FROM kept"));
}

TEST_F(TransformTest, UpdatesTablesOverEmptyInputs) {
  AddTable("empty", "SELECT * FROM events");
  const TransformReport report = Update("empty", 5);
  EXPECT_EQ(report.rows, 0);
  EXPECT_FALSE(report.next_known_at);
  AddTable("counted", "SELECT count(*) AS n FROM events");
  EXPECT_EQ(Update("counted", 5).rows, 1);
}

class BindTablesTest : public TransformTest {
 protected:
  using FieldsByTable = std::map<std::string, std::vector<Field>>;
  const FieldsByTable source_fields_ = {{"events", {{"k", Type::kText}, {"v", Type::kInt64}, {"moment", Type::kTimestamp}}}};
};

TEST_F(BindTablesTest, GivesTheTypesOfAllTables) {
  AddTable("sums", "SELECT k, sum(v) AS total, avg(v) AS mean, max(moment)::DATE AS day FROM events GROUP BY k");
  AddTable("joined", "SELECT e.*, s.total / 2 AS half FROM events e LEFT JOIN sums s USING (k)").known_at = "moment";
  AddSource("elsewhere");
  AddTable("left_out", "SELECT * FROM elsewhere");
  const auto bound = BindTables(project_, source_fields_, *parser_);
  ASSERT_TRUE(bound.ok()) << bound.error().Format();
  const FieldsByTable expected = {
      {"sums", {{"k", Type::kText}, {"total", Type::kInt64}, {"mean", Type::kDouble}, {"day", Type::kDate}}},
      {"joined", {{"k", Type::kText}, {"v", Type::kInt64}, {"moment", Type::kTimestamp}, {"half", Type::kDouble}}}};
  EXPECT_EQ(*bound, expected);
  EXPECT_FALSE(parser_->Query("FROM temp.sums").ok());  // nothing is left behind
}

TEST_F(BindTablesTest, PlacesErrors) {
  struct Case {
    std::string sql;
    std::string key, timestamp, known_at;
    TableUpdate update;
    std::string code;
    std::string file;
    int line, column;
    std::string hint;
  };
  constexpr TableUpdate kReplace = TableUpdate::kReplace;
  constexpr TableUpdate kAppend = TableUpdate::kAppend;
  const std::string file = "tables/t.sql";
  const std::string yaml_file = "tables/t.yaml";
  const Case cases[] = {
      {"SELECT k,\n  vv FROM events", "", "", "", kReplace, "unknown_column", file, 2, 3, "did you mean 'v'?"},
      {"SELECT avgg(v) FROM events", "", "", "", kReplace, "unknown_function", file, 1, 8, "did you mean 'avg'?"},
      {"SELECT k + v, abs(k) FROM events", "", "", "", kReplace, "sql_type", file, 1, 10, ""},
      {"SELECT k, v FROM events", "kk", "", "", kReplace, "unknown_column", yaml_file, 1, 1, "did you mean 'k'?"},
      {"SELECT k, v FROM events", "", "at", "", kReplace, "unknown_column", yaml_file, 1, 1, "allowed: k, v"},
      {"SELECT k, v FROM events", "", "", "v", kReplace, "wrong_type", yaml_file, 1, 1, "v::TIMESTAMP AS v"},
      {"SELECT k, v AS k FROM events", "", "", "", kReplace, "duplicate_column", file, 0, 0, "AS"},
      {"SELECT v AS _seq FROM events", "", "", "", kReplace, "reserved_name", file, 1, 8, "AS"},
      {"SELECT v FROM events\nINTERSECT\nSELECT v + 1 FROM events", "", "", "", kReplace, "sql_unsupported", file, 1, 8,
       "joins"},
      {"SELECT DISTINCT k FROM events", "", "", "", kAppend, "append_unsupported", file, 0, 0, "append"},
      {"SELECT max(v) AS m FROM events", "", "", "", kAppend, "append_unsupported", file, 0, 0, "append"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.sql);
    project_.graph.resize(1);
    project_.tables.clear();
    TableAsset& table = AddTable("t", c.sql);
    if (!c.key.empty()) table.key = {c.key};
    table.timestamp = c.timestamp;
    table.known_at = c.known_at;
    table.update = c.update;
    const auto bound = BindTables(project_, source_fields_, *parser_);
    ASSERT_FALSE(bound.ok());
    const Error& error = bound.error();
    EXPECT_EQ(error.code, c.code) << error.Format();
    ASSERT_TRUE(error.place);
    EXPECT_EQ(error.place->file, c.file);
    EXPECT_EQ(error.place->line, c.line) << error.Format();
    EXPECT_EQ(error.place->column, c.column) << error.Format();
    EXPECT_NE(error.hint.find(c.hint), std::string::npos) << error.hint;
  }
}

TEST_F(BindTablesTest, FindsTheErrorsOfAllTablesAtOnce) {
  AddTable("one", "SELECT x FROM events");
  AddTable("two", "SELECT y FROM events");
  AddTable("three", "SELECT * FROM one");
  const auto bound = BindTables(project_, source_fields_, *parser_);
  ASSERT_FALSE(bound.ok());
  EXPECT_EQ(bound.error().others.size(), 1U);
}

}  // namespace
}  // namespace tidemill
