#include "sql/database.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "base/engine_versions.h"
#include "base/files.h"
#include "sql/duckdb_error.h"
#include "sql/testing.h"

namespace tidemill {
namespace {

class DatabaseTest : public testing::SessionTest {
 protected:
  DatabaseTest() : SessionTest({.memory_limit_mb = 128, .threads = 2}) {}

  /// The first value of a query that must succeed.
  Value One(std::string_view sql) {
    const auto result = session_->Query(sql);
    EXPECT_TRUE(result.ok()) << sql << "\n" << result.error().Format();
    if (!result.ok() || result->rows() == 0) return {};
    return result->columns.front().At(0);
  }
};

TEST_F(DatabaseTest, ReadsEveryTypeAsOneOfOurs) {
  struct Case {
    std::string_view expression;
    Type type;
    std::string_view text;
  };
  const Case cases[] = {
      {"true", Type::kBool, "true"},
      {"(-7)::TINYINT", Type::kInt64, "-7"},
      {"(-300)::SMALLINT", Type::kInt64, "-300"},
      {"70000", Type::kInt64, "70000"},
      {"-9223372036854775807", Type::kInt64, "-9223372036854775807"},
      {"200::UTINYINT", Type::kInt64, "200"},
      {"60000::USMALLINT", Type::kInt64, "60000"},
      {"4000000000::UINTEGER", Type::kInt64, "4000000000"},
      {"5::UBIGINT", Type::kInt64, "5"},
      {"(-5)::HUGEINT", Type::kInt64, "-5"},
      {"sum(i)", Type::kInt64, "3"},
      {"5::UHUGEINT", Type::kInt64, "5"},
      {"18446744073709551615::UBIGINT", Type::kDouble, "18446744073709551616"},
      {"0.5::FLOAT", Type::kDouble, "0.5"},
      {"(-0.05)::DECIMAL(4,2)", Type::kDouble, "-0.05"},
      {"123.456", Type::kDouble, "123.456"},
      {"(-12345678901234567890123.5)::DECIMAL(38,1)", Type::kDouble, "-1.2345678901234568e+22"},
      {"'it''s'", Type::kText, "it's"},
      {"'longer than twelve bytes'", Type::kText, "longer than twelve bytes"},
      {"TIMESTAMP '2013-05-01 10:00:00.000001'", Type::kTimestamp, "2013-05-01T10:00:00.000001Z"},
      {"TIMESTAMPTZ '2013-05-01 10:00:00+02'", Type::kTimestamp, "2013-05-01T08:00:00Z"},
      {"TIMESTAMP_S '2013-05-01 10:00:00'", Type::kTimestamp, "2013-05-01T10:00:00Z"},
      {"TIMESTAMP_MS '1969-12-31 23:59:59.001'", Type::kTimestamp, "1969-12-31T23:59:59.001Z"},
      {"TIMESTAMP_NS '1969-12-31 23:59:59.999999001'", Type::kTimestamp, "1969-12-31T23:59:59.999999Z"},
      {"DATE '1969-12-31'", Type::kDate, "1969-12-31"},
      {"NULL", Type::kInt64, ""},
      {"TIME '10:00:00'", Type::kText, "10:00:00"},
      {"INTERVAL 2 HOUR", Type::kText, "02:00:00"},
      {"uuid '550e8400-e29b-41d4-a716-446655440000'", Type::kText, "550e8400-e29b-41d4-a716-446655440000"},
      {"[1, 2, NULL]", Type::kInt64List, "[1, 2, null]"},
      {"{'a': 1, 'b': {'c': 'it''s'}}", Type::kText, R"({"a":1,"b":{"c":"it's"}})"},
      {"MAP {'a': 1}", Type::kText, R"({"a":1})"},
      {"[{'a': 1}]", Type::kText, R"([{"a":1}])"},
      {"'b'::ENUM('a', 'b')", Type::kText, "b"},
      {"'\\xAA'::BLOB", Type::kText, "\\xAA"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.expression);
    const std::string sql = "SELECT " + std::string(c.expression) + " AS x FROM range(3) t(i) LIMIT 1 ; -- end";
    const auto result = session_->Query(sql);
    ASSERT_TRUE(result.ok()) << result.error().Format();
    ASSERT_EQ(result->columns.size(), 1U);
    EXPECT_EQ(result->columns[0].name, "x");
    EXPECT_EQ(result->columns[0].type, c.type);
    ASSERT_EQ(result->rows(), 1U);
    EXPECT_EQ(FormatValue(result->columns[0].At(0)), c.text);
  }
}

TEST_F(DatabaseTest, KeepsOrderDuplicateNamesAndNullsAcrossChunks) {
  const auto result =
      session_->Query("SELECT i AS a, CASE WHEN i % 3 = 0 THEN [[i]] END AS a FROM range(10000) t(i) ORDER BY i DESC");
  ASSERT_TRUE(result.ok()) << result.error().Format();
  ASSERT_EQ(result->rows(), 10000U);
  EXPECT_EQ(result->columns[1].name, "a");
  for (size_t row = 0; row < 10000; ++row) {
    const int64_t i = 9999 - static_cast<int64_t>(row);
    ASSERT_EQ(result->columns[0].At(row), Value(i));
    ASSERT_EQ(result->columns[1].At(row), i % 3 == 0 ? Value("[[" + std::to_string(i) + "]]") : Value());
  }
}

TEST_F(DatabaseTest, WideNumbersTurnAWholeColumnIntoDoubles) {
  const std::string sql = "SELECT CASE WHEN i = 5000 THEN 1e20::HUGEINT ELSE i END AS x FROM range(6000) t(i)";
  const auto result = session_->Query(sql);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->columns[0].type, Type::kDouble);
  EXPECT_EQ(result->columns[0].At(7), Value(7.0));
  EXPECT_EQ(result->columns[0].At(5000), Value(1e20));
  const Status streamed = session_->Stream(sql, [](const Columns&) { return Ok(); });
  ASSERT_FALSE(streamed.ok());
  EXPECT_EQ(streamed.error().code, "sql_value");
}

TEST_F(DatabaseTest, StreamsInBatchesAndStopsAtTheFirstErrorOfTheTaker) {
  int64_t rows = 0;
  int batches = 0;
  const Status all = session_->Stream("SELECT i FROM range(10000) t(i)", [&](const Columns& batch) {
    rows += static_cast<int64_t>(batch.rows());
    ++batches;
    return Ok();
  });
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(rows, 10000);
  EXPECT_GE(batches, 5);
  batches = 0;
  const Status stopped = session_->Stream("SELECT i FROM range(10000) t(i)", [&](const Columns&) -> Status {
    ++batches;
    return UserError("enough", "enough");
  });
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, "enough");
  EXPECT_EQ(batches, 1);
  EXPECT_EQ(One("SELECT 1"), Value(int64_t{1}));
}

TEST_F(DatabaseTest, StreamsWithoutOrderToATakerForEachThread) {
  std::mutex mutex;
  int64_t rows = 0;
  int64_t sum = 0;
  int64_t nulls = 0;
  size_t characters = 0;
  std::map<int, std::set<std::thread::id>> threads_of_taker;
  int takers = 0;
  const Status all = session_->StreamUnordered(
      "SELECT i, CASE WHEN i % 3 > 0 THEN 'text ' || i END AS s, {'a': i} AS j, i::DECIMAL(38, 0) AS d FROM range(500000) t(i);",
      [&]() -> RowTaker {
        const std::lock_guard making(mutex);
        return [&, taker = takers++](const Columns& batch) {
          const std::lock_guard taking(mutex);
          threads_of_taker[taker].insert(std::this_thread::get_id());
          rows += static_cast<int64_t>(batch.rows());
          for (size_t row = 0; row < batch.rows(); ++row) {
            sum += batch.columns[0].ints[row];
            nulls += batch.columns[1].IsNull(row) ? 1 : 0;
            if (!batch.columns[1].IsNull(row)) characters += batch.columns[1].Text(row).size();
            EXPECT_EQ(static_cast<int64_t>(batch.columns[3].doubles[row]), batch.columns[0].ints[row]);
          }
          EXPECT_EQ(batch.columns[2].type, Type::kText);
          return Ok();
        };
      });
  ASSERT_TRUE(all.ok()) << all.error().Format();
  EXPECT_EQ(rows, 500'000);
  EXPECT_EQ(sum, int64_t{500'000} * 499'999 / 2);
  EXPECT_EQ(nulls, 166'667);
  EXPECT_EQ(Value(static_cast<int64_t>(characters)), One("SELECT sum(strlen('text ' || i))::BIGINT FROM range(500000) t(i) WHERE i % 3 > 0"));
  for (const auto& [taker, threads] : threads_of_taker) EXPECT_EQ(threads.size(), 1U);
}

TEST_F(DatabaseTest, ErrorsOfAStreamWithoutOrderKeepTheirPlace) {
  const auto taking = [](Status status) {
    return [status] { return RowTaker([status](const Columns&) { return status; }); };
  };
  const Status stopped = session_->StreamUnordered("SELECT i FROM range(1000000) t(i)", taking(UserError("enough", "enough", "stop here")));
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, "enough");
  EXPECT_EQ(stopped.error().hint, "stop here");
  const Status unknown = session_->StreamUnordered("SELECT i, nothing FROM range(10) t(i)", taking(Ok()));
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, "unknown_column");
  ASSERT_TRUE(unknown.error().place);
  EXPECT_EQ(unknown.error().place->column, 11);
  EXPECT_EQ(session_->StreamUnordered("SELECT CAST(i AS SMALLINT) FROM range(200000) t(i)", taking(Ok())).error().code, "sql_value");
  EXPECT_EQ(session_->StreamUnordered("SELECT 1; SELECT 2", taking(Ok())).error().code, "sql_syntax");
  EXPECT_TRUE(session_->StreamUnordered("SELECT 1 WHERE false", taking(UserError("never", "never"))).ok());
  const auto stray = session_->Query("SELECT tidemill_take(1, 2)");
  ASSERT_FALSE(stray.ok());
  EXPECT_NE(stray.error().message.find("Tidemill's own statements"), std::string::npos);
  EXPECT_EQ(One("SELECT 1"), Value(int64_t{1}));
}

TEST_F(DatabaseTest, AnErrorInALateRowIsAnError) {
  const std::string sql = "SELECT CAST(i AS SMALLINT) AS s FROM range(200000) t(i)";
  EXPECT_FALSE(session_->Query(sql).ok());
  EXPECT_FALSE(session_->Execute(sql).ok());
  const Status streamed = session_->Stream(sql, [](const Columns&) { return Ok(); });
  ASSERT_FALSE(streamed.ok());
  EXPECT_EQ(streamed.error().code, "sql_value");
}

TEST_F(DatabaseTest, RunsSeveralStatementsUpToTheFirstError) {
  ASSERT_TRUE(session_->Execute("CREATE TABLE t (i INT); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2);").ok());
  EXPECT_EQ(One("SELECT sum(i) FROM t"), Value(int64_t{3}));
  EXPECT_FALSE(session_->Execute("INSERT INTO t VALUES (3); INSERT INTO nowhere VALUES (4); INSERT INTO t VALUES (5)").ok());
  EXPECT_EQ(One("SELECT sum(i) FROM t"), Value(int64_t{6}));
  EXPECT_TRUE(session_->Execute(" -- nothing").ok());
  EXPECT_FALSE(session_->Query("SELECT 1; SELECT 2").ok());
  EXPECT_FALSE(session_->Query("").ok());
}

TEST_F(DatabaseTest, ErrorsHaveCodeSentenceHintAndOffset) {
  struct Case {
    std::string_view sql;
    std::string_view code;
    std::string_view message;
    std::string_view hint;
    int column;  // 0: none
  };
  const Case cases[] = {
      {"SELEC 1", "sql_syntax", "syntax error at or near \"SELEC\"", "", 1},
      {"SELECT 1,\n  carier FROM (SELECT 1 AS carrier)", "unknown_column",
       "Referenced column \"carier\" not found in FROM clause", "did you mean 'carrier'? candidates: carrier", 13},
      {"SELECT * FROM nowhere", "unknown_table", "Table with name nowhere does not exist", "", 15},
      {"SELECT avgg(1)", "unknown_function", "Scalar Function with name avgg does not exist", "did you mean 'avg'?", 8},
      {"SELECT [[1]] AS l, foo", "unknown_column", "Referenced column \"foo\" was not found because the FROM clause is missing",
       "", 20},
      {std::string_view("SELECT '\0'", 10), "sql_syntax", "the statement holds a NUL byte", "", 9},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.sql);
    const auto result = session_->Query(c.sql);
    ASSERT_FALSE(result.ok());
    const Error& error = result.error();
    EXPECT_EQ(error.code, c.code);
    EXPECT_EQ(error.message, c.message);
    EXPECT_EQ(error.hint, c.hint);
    EXPECT_EQ(error.place ? error.place->column : 0, c.column);
    EXPECT_EQ(error.Format().find("-->"), std::string::npos);
  }
  // In a statement that needs a cast around it, the offset is still the statement's own.
  const auto bad_cast = session_->Query("SELECT [[1]] AS l, CAST('x' || i AS INT) FROM range(3) t(i)");
  ASSERT_FALSE(bad_cast.ok());
  ASSERT_TRUE(bad_cast.error().place);
  EXPECT_EQ(bad_cast.error().place->column, 20);
}

TEST_F(DatabaseTest, PlacesAnErrorInItsFile) {
  const std::string_view sql = "SELECT 1,\n  'é', carier\nFROM (SELECT 1 AS carrier)";
  const auto result = session_->Describe(sql);
  ASSERT_FALSE(result.ok());
  const Error placed = PlaceInStatement(result.error(), sql, "tables/a.sql", 4);
  ASSERT_TRUE(placed.place);
  EXPECT_EQ(placed.place->line, 5);
  EXPECT_EQ(placed.place->column, 8);
  EXPECT_EQ(placed.place->length, 6);
  EXPECT_EQ(placed.place->excerpt, "  'é', carier");
  EXPECT_EQ(PlaceInStatement(placed, sql, "other.sql").place->file, "tables/a.sql");
  EXPECT_EQ(PlaceInStatement(UserError("a", "b"), sql, "tables/a.sql").place->line, 0);
}

TEST_F(DatabaseTest, MemoryAndDiskRunOutWithTheirOwnCodes) {
  const auto memory = session_->Query("SELECT len(list(i)) FROM range(100000000) t(i)");
  ASSERT_FALSE(memory.ok());
  EXPECT_EQ(memory.error().code, "out_of_memory");
  EXPECT_EQ(memory.error().kind, ErrorKind::kUnavailable);
  const Status disk = session_->Execute("COPY (SELECT i FROM range(100000) t(i)) TO '/dev/full' (FORMAT csv)");
  ASSERT_FALSE(disk.ok());
  EXPECT_EQ(disk.error().code, "disk_full");
  EXPECT_EQ(disk.error().message, "can't write '/dev/full': no space is left on the disk");
}

TEST_F(DatabaseTest, IsTheVersionThatFingerprintsName) {
  EXPECT_EQ(session_->Query("SELECT version()").value().columns[0].Text(0), "v" + std::string(kDuckDbVersion));
}

TEST(ErrorFromDuckDb, AFullDiskIsToldInOurWords) {
  const auto error = ErrorFromDuckDb(
      R"({"exception_type":"TransactionContext","exception_message":"Failed to commit: Failed to execute query \"COMMIT\": disk I/O error"})");
  EXPECT_EQ(error.code, "disk_full");
  EXPECT_EQ(error.message, "can't finish writing: the disk is full, or it fails");
  EXPECT_FALSE(error.hint.empty());
  EXPECT_EQ(ErrorFromDuckDb("IO Error: Could not write file \"/lake/a b.parquet\": File too large").message,
            "can't write '/lake/a b.parquet': a limit on file sizes is reached");
}

TEST_F(DatabaseTest, DescribesWithoutRunning) {
  const auto fields = session_->Describe("SELECT error('not run') AS a, 1 AS b, now() AS c, sum(1) AS d, [[1]] AS e");
  ASSERT_TRUE(fields.ok()) << fields.error().Format();
  const std::vector<Field> expected = {
      {"a", Type::kInt64}, {"b", Type::kInt64}, {"c", Type::kTimestamp}, {"d", Type::kInt64}, {"e", Type::kText}};
  EXPECT_EQ(*fields, expected);
}

TEST_F(DatabaseTest, LoadsTemporaryTablesAndReadsThemBack) {
  Columns columns;
  for (const Type type : {Type::kBool, Type::kInt64, Type::kDouble, Type::kText, Type::kTimestamp, Type::kDate}) {
    Column column(std::string(TypeName(type)) + " \"x\"", type);
    for (int i = 0; i < 5000; ++i) {
      if (i % 7 == 0) {
        column.AppendNull();
      } else if (type == Type::kDouble) {
        column.AppendDouble(i % 11 == 0 ? INFINITY : i / 3.0);
      } else if (type == Type::kText) {
        column.AppendText(std::string(static_cast<size_t>(i % 40), 'x') + "é" + std::string(1, '\0'));
      } else {
        column.AppendInt(type == Type::kBool ? i % 2 : i - 2500);
      }
    }
    columns.columns.push_back(std::move(column));
  }
  for (int round = 0; round < 2; ++round) {  // the second replaces the first
    const Status loaded = session_->LoadTemporary("my \"table\"", columns);
    ASSERT_TRUE(loaded.ok()) << loaded.error().Format();
  }
  const auto result = session_->Query("SELECT * FROM \"my \"\"table\"\"\"");
  ASSERT_TRUE(result.ok()) << result.error().Format();
  ASSERT_EQ(result->columns.size(), columns.columns.size());
  ASSERT_EQ(result->rows(), 5000U);
  for (size_t i = 0; i < columns.columns.size(); ++i) {
    EXPECT_EQ(result->columns[i].name, columns.columns[i].name);
    EXPECT_EQ(result->columns[i].type, columns.columns[i].type);
    for (size_t row = 0; row < 5000; ++row) ASSERT_EQ(result->columns[i].At(row), columns.columns[i].At(row));
  }
}

TEST_F(DatabaseTest, ListsGoInAndOut) {
  const std::pair<const char*, const char*> cases[] = {
      {"[1, NULL, -3]", "integer[]: [1, null, -3]"},
      {"[1.5::DECIMAL(9,2), 2]", "number[]: [1.5, 2]"},
      {"['a, b', '']", "text[]: [\"a, b\", \"\"]"},
      {"[true, NULL]", "boolean[]: [true, null]"},
      {"[TIMESTAMP '2013-05-01']", "timestamp[]: [\"2013-05-01T00:00:00Z\"]"},
      {"[DATE '2013-05-01']", "date[]: [\"2013-05-01\"]"},
      {"[]", "integer[]: []"},
      {"[NULL]", "integer[]: [null]"},
      {"NULL::FLOAT[]", "number[]: "},
      {"[1, 2]::FLOAT[2]", "number[]: [1, 2]"},
      {"['01:00'::TIME]", "text[]: [\"01:00:00\"]"},
      {"[[1], [2]]", "text: [[1],[2]]"},
  };
  for (const auto& [sql, expected] : cases) {
    SCOPED_TRACE(sql);
    const auto read = session_->Query(fmt::format("SELECT {} AS l FROM range(3000)", sql));
    ASSERT_TRUE(read.ok()) << read.error().Format();
    const Column& column = read->columns[0];
    EXPECT_EQ(fmt::format("{}: {}", TypeName(column.type), FormatValue(column.At(2999))), expected);
    EXPECT_EQ(column.At(0), column.At(2999));
    ASSERT_TRUE(session_->LoadTemporary("lists", *read).ok());
    const auto back = session_->Query("SELECT l FROM lists");
    ASSERT_TRUE(back.ok()) << back.error().Format();
    ASSERT_EQ(back->columns[0].type, column.type);
    for (size_t row = 0; row < 3000; ++row) ASSERT_EQ(back->columns[0].At(row), column.At(row));
    EXPECT_EQ(One(fmt::format("SELECT {}", SqlLiteral(column.At(0)))), column.At(0));
  }
  EXPECT_EQ(session_->Query("SELECT [9223372036854775808]").error().code, "sql_value");
}

TEST_F(DatabaseTest, RefusesTextThatIsNotUtf8) {
  Columns columns;
  columns.columns.emplace_back("name", Type::kText);
  columns.columns[0].AppendText("\xff\xfe");
  const Status loaded = session_->LoadTemporary("t", columns);
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code, "not_utf8");
}

TEST_F(DatabaseTest, KnowsTimeZonesAndStandsInUtc) {
  EXPECT_EQ(FormatValue(One("SELECT current_setting('TimeZone')")), "UTC");
  EXPECT_EQ(FormatValue(One("SELECT timezone('America/New_York', TIMESTAMP '2013-03-10 03:30:00')")), "2013-03-10T07:30:00Z");
  EXPECT_EQ(FormatValue(One("SELECT TIMESTAMPTZ '2013-03-10 03:30:00'::TIMESTAMP")), "2013-03-10T03:30:00Z");
}

/// Batches of 1000 rows of every type, with nulls.
RowStream ManyRows(int64_t rows, int64_t fail_at = -1) {
  RowStream stream;
  stream.fields = {{"id", Type::kInt64}, {"na\"me", Type::kText}, {"yes", Type::kBool},
                   {"x", Type::kDouble}, {"t", Type::kTimestamp}, {"day", Type::kDate}};
  stream.next = [fields = stream.fields, rows, fail_at, at = int64_t{0}]() mutable -> Result<std::optional<Columns>> {
    if (at == fail_at) return UserError("made_up", "no more rows", "a hint");
    if (at >= rows) return std::optional<Columns>();
    Columns batch;
    for (const Field& field : fields) batch.columns.emplace_back(field.name, field.type);
    for (const int64_t end = std::min(at + 1000, rows); at < end; ++at) {
      batch.columns[0].AppendInt(at);
      for (size_t i = 1; i < fields.size(); ++i) {
        if (at % 7 == static_cast<int64_t>(i)) {
          batch.columns[i].AppendNull();
        } else if (fields[i].type == Type::kText) {
          batch.columns[i].AppendText(std::string(static_cast<size_t>(at % 20), 'a') + "\u00e9");
        } else if (IsList(fields[i].type)) {
          EXPECT_TRUE(batch.columns[i].Append(MakeList(Type::kText, {std::to_string(at), {}, "b"})).ok());
        } else if (fields[i].type == Type::kDouble) {
          batch.columns[i].AppendDouble(static_cast<double>(at) / 3);
        } else {
          batch.columns[i].AppendInt(fields[i].type == Type::kBool ? at % 3 % 2 : at);
        }
      }
    }
    return std::optional<Columns>(std::move(batch));
  };
  return stream;
}

TEST_F(DatabaseTest, AStreamOfRowsBecomesATableInItsOrder) {
  const int64_t rows = 300'000;
  const Status made = session_->ExecuteOver("incoming", ManyRows(rows), "CREATE TABLE kept AS SELECT * FROM incoming");
  ASSERT_TRUE(made.ok()) << made.error().Format();
  const auto kept = session_->Query("SELECT * FROM kept");
  ASSERT_TRUE(kept.ok()) << kept.error().Format();
  ASSERT_EQ(kept->rows(), static_cast<size_t>(rows));
  RowStream again = ManyRows(rows);
  size_t at = 0;
  for (auto batch = again.next(); *batch; batch = again.next()) {
    for (size_t i = 0; i < again.fields.size(); ++i) {
      const Column& expected = (*batch)->columns[i];
      const Column& actual = kept->columns[i];
      ASSERT_EQ(actual.name, again.fields[i].name);
      ASSERT_EQ(actual.type, expected.type);
      for (size_t row = 0; row < expected.size(); ++row) ASSERT_EQ(actual.At(at + row), expected.At(row)) << at + row;
    }
    at += (*batch)->rows();
  }
  EXPECT_FALSE(session_->Query("SELECT * FROM incoming").ok());
}

TEST_F(DatabaseTest, AnErrorOfAStreamIsGivenBackWhole) {
  const Status made =
      session_->ExecuteOver("incoming", ManyRows(300'000, 250'000), "CREATE TABLE kept AS SELECT * FROM incoming");
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, "made_up");
  EXPECT_EQ(made.error().hint, "a hint");
  EXPECT_FALSE(session_->Query("SELECT * FROM kept").ok());
  RowStream bad = ManyRows(0);
  bad.fields = {{"name", Type::kText}};
  bad.next = [&]() -> Result<std::optional<Columns>> {
    Columns batch;
    batch.columns.emplace_back("name", Type::kText).AppendText("\xff\xfe");
    return std::optional<Columns>(std::move(batch));
  };
  EXPECT_EQ(session_->ExecuteOver("incoming", bad, "CREATE TABLE kept AS SELECT * FROM incoming").error().code, "not_utf8");
}

TEST_F(DatabaseTest, InterruptStopsARunningStatement) {
  std::jthread interrupter([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      session_->Interrupt();
      std::this_thread::yield();
    }
  });
  const auto result = session_->Query("SELECT sum(hash(a.i + b.i)) FROM range(1000000) a(i), range(1000000) b(i)");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, "interrupted");
}

TEST_F(DatabaseTest, LoadsExtensionsBesideTheProgram) {
  for (int round = 0; round < 2; ++round) {
    const Status loaded = database_->LoadExtension("sqlite_scanner");
    ASSERT_TRUE(loaded.ok()) << loaded.error().Format();
  }
  EXPECT_TRUE(session_->Execute("ATTACH ':memory:' AS other (TYPE sqlite)").ok());
}

TEST_F(DatabaseTest, AMissingExtensionSaysWhatToDo) {
  const auto folder = TemporaryFolder::Make("/tmp", "tidemill");
  ASSERT_TRUE(folder.ok());
  const auto database = Database::Open({.extensions_folder = folder->path().string()});
  ASSERT_TRUE(database.ok());
  const Status loaded = (*database)->LoadExtension("ducklake");
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code, "extension_missing");
  EXPECT_FALSE(loaded.error().hint.empty());
}

TEST(QuoteTest, DoublesQuotes) {
  EXPECT_EQ(QuoteIdentifier("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(QuoteText("it's"), "'it''s'");
}

}  // namespace
}  // namespace tidemill
