#include <gtest/gtest.h>

#include <algorithm>

#include "sql/statement.h"
#include "sql/testing.h"

namespace tidemill {
namespace {

/// Two schemas with the same tables: `plain` as users see them on the day `now`, `lake` with `_seq` and `_known_at` and
/// with further rows that became known later. A rewritten statement over `lake` must show what the written one shows
/// over `plain`.
class LakeRewriteTest : public testing::SessionTest {
 protected:
  void SetUp() override {
    SessionTest::SetUp();
    Run("CREATE SCHEMA lake; CREATE SCHEMA plain");
    MakeTable("a",
              "i % 4 AS k, CASE WHEN i % 5 = 0 THEN NULL ELSE i % 7 END AS x, 'n' || (i % 3) AS name, [i, i + 1] AS l, "
              "TIMESTAMP '2020-01-01' + to_hours((i * 7 % 24)::INT) AS t",
              40, 100);
    MakeTable("b", "i % 5 AS k, i * 10 % 11 AS y, TIMESTAMP '2020-01-01' + to_hours((i * 5 % 24)::INT) AS t", 15, 1000);
    MakeTable("c", "i AS k, i % 2 = 0 AS flag", 3, 2000);
  }

  void Run(const std::string& sql) {
    const Status status = session_->Execute(sql);
    ASSERT_TRUE(status.ok()) << sql << "\n" << status.error().Format();
  }

  /// Rows i = 0, 1, ...: `_seq` = first_seq + i, known on day i % 9 + 1 of January 2020; those of day 8 and 9 are not known yet.
  void MakeTable(const std::string& name, const std::string& columns, int rows, int first_seq) {
    const std::string all = "SELECT " + columns + ", " + std::to_string(first_seq) + " + i AS _seq, TIMESTAMP '2020-01-01' + " +
                            "to_days((i % 9)::INT) AS _known_at FROM range(" + std::to_string(rows) + ") r(i)";
    Run("CREATE TABLE lake." + name + " AS " + all);
    Run("CREATE TABLE plain." + name + " AS SELECT * EXCLUDE (_seq, _known_at) FROM (" + all +
        ") WHERE _known_at <= TIMESTAMP '2020-01-07'");
  }

  Result<std::string> Rewrite(std::string_view sql) {
    TIDEMILL_ASSIGN_OR_RETURN(const SelectStatement statement, ParseSelect(*session_, sql, "tables/t.sql"));
    return RewriteForLake(*session_, statement, Now());
  }

  static Timestamp Now() { return *ParseTimestamp("2020-01-07"); }

  Result<Columns> QueryIn(const std::string& schema, const std::string& sql) {
    TIDEMILL_RETURN_IF_ERROR(session_->Execute("SET schema = '" + schema + "'"));
    return session_->Query(sql);
  }

  void ExpectSameShown(const std::string& written) {
    SCOPED_TRACE(written);
    const auto expected = QueryIn("plain", written);
    ASSERT_TRUE(expected.ok()) << expected.error().Format();
    const auto rewritten = Rewrite(written);
    ASSERT_TRUE(rewritten.ok()) << rewritten.error().Format();
    SCOPED_TRACE(*rewritten);
    const auto carried = QueryIn("lake", *rewritten);
    ASSERT_TRUE(carried.ok()) << carried.error().Format();
    ASSERT_GE(carried->columns.size(), 2U);
    Columns shown = *carried;
    const Column known_at = shown.columns.back();
    shown.columns.pop_back();
    const Column seq = shown.columns.back();
    shown.columns.pop_back();
    EXPECT_EQ(Header(shown), Header(*expected));
    EXPECT_EQ(SortedRows(shown), SortedRows(*expected));
    EXPECT_EQ(Header({{seq, known_at}}), "_seq integer|_known_at timestamp|");
    for (size_t row = 0; row < carried->rows(); ++row) {
      ASSERT_FALSE(seq.IsNull(row));
      ASSERT_FALSE(known_at.IsNull(row));
      ASSERT_LE(known_at.ints[row], Now().micros);
    }
  }

  static std::vector<std::string> SortedRows(const Columns& columns) {
    std::vector<std::string> rows(columns.rows());
    for (size_t row = 0; row < rows.size(); ++row) {
      for (const Column& column : columns.columns) rows[row] += SqlLiteral(column.At(row)) + "|";
    }
    std::sort(rows.begin(), rows.end());
    return rows;
  }

  static std::string Header(const Columns& columns) {
    std::string header;
    for (const Column& column : columns.columns) header += column.name + " " + std::string(TypeName(column.type)) + "|";
    return header;
  }
};

TEST_F(LakeRewriteTest, ShowsWhatTheWrittenStatementShows) {
  const std::string_view statements[] = {
      "SELECT * FROM a",
      "FROM a",
      "TABLE a",
      "SELECT x, name AS n, x + 1 FROM a WHERE k > 1 ORDER BY x LIMIT 1000",
      "SELECT a.*, a.x AS again FROM a",
      "SELECT t.x, t.* EXCLUDE (l) FROM a AS t",
      "SELECT p, q FROM a AS t(p, q)",
      "SELECT * EXCLUDE (l) REPLACE (x + 1 AS x) RENAME (name AS label) FROM a",
      "SELECT COLUMNS('^[kx]') FROM a",
      "SELECT COLUMNS(lambda c: c LIKE '%n%') FROM a",
      "SELECT COLUMNS(* EXCLUDE (l, t)) + 0 FROM (SELECT k, x, l, t FROM a)",
      "SELECT COLUMNS(['x', 'k']) FROM a",
      "SELECT * LIKE 'n%' FROM a",
      "SELECT * FROM a JOIN b ON a.k = b.k",
      "SELECT a.*, b.y FROM a JOIN b USING (k)",
      "SELECT * FROM a LEFT JOIN b USING (k)",
      "SELECT * FROM a RIGHT JOIN b ON a.x = b.y",
      "SELECT * FROM a FULL JOIN b ON a.x = b.y",
      "SELECT * FROM a NATURAL JOIN c",
      "SELECT * FROM a, c WHERE a.k = c.k",
      "SELECT * FROM a CROSS JOIN c",
      "SELECT * FROM a SEMI JOIN b ON a.x = b.y",
      "SELECT * FROM a ANTI JOIN b ON a.x = b.y",
      "SELECT * FROM a SEMI JOIN (SELECT * FROM b JOIN c USING (k)) s ON a.x = s.y",
      "SELECT a.k, a.t, b.y FROM a ASOF LEFT JOIN (SELECT k, t, max(y) AS y FROM b GROUP BY ALL) b ON a.k = b.k AND a.t >= b.t",
      "SELECT u.x, v.x AS vx FROM a AS u JOIN a AS v ON u.k = v.k AND u.x < v.x",
      "SELECT * FROM a LEFT JOIN (b JOIN c USING (k)) ON a.x = b.y",
      "SELECT s.z FROM (SELECT x AS z FROM a) AS s",
      "SELECT xx FROM (SELECT x, k FROM a) AS s(xx)",
      "SELECT * FROM (SELECT * FROM (FROM a) WHERE x > 1) s JOIN c USING (k)",
      "WITH p AS (SELECT * FROM a WHERE x > 2), q(kk) AS (SELECT k, x FROM p) SELECT * FROM p JOIN q ON p.k = q.kk",
      "WITH a AS (SELECT k + 1 AS k FROM a) SELECT * FROM a",
      "WITH p AS MATERIALIZED (SELECT k, count(*) AS n FROM a GROUP BY k) SELECT p.n, b.* FROM b JOIN p USING (k)",
      "WITH p AS (SELECT k FROM a) SELECT k FROM p UNION ALL SELECT k + 10 FROM p",
      "WITH P AS (SELECT k FROM a) SELECT K FROM p",
      "SELECT k, count(*), sum(x) AS s FROM a GROUP BY k",
      "SELECT k % 2, max(x) FROM a GROUP BY 1 HAVING count(*) > 3 ORDER BY 2",
      "SELECT k, name, avg(x) FROM a GROUP BY ALL",
      "SELECT k, name, count(*) FROM a GROUP BY ROLLUP (k, name)",
      "SELECT count(*), max(x) FROM a",
      "SELECT count(*) AS n FROM a WHERE x > 1000",
      "SELECT max(k) FROM a HAVING count(*) > 100000",
      "SELECT k FROM a GROUP BY k ORDER BY count(*) DESC, k LIMIT 2",
      "SELECT min(COLUMNS(* EXCLUDE (l))) FROM a",
      "SELECT geomean(k + 1), weighted_avg(k, 2) FROM a",
      "SELECT count(*) FILTER (WHERE x > 2), string_agg(name, ',' ORDER BY t, name) FROM a GROUP BY k",
      "SELECT a.k, count(b.y), min(a.x) FROM a LEFT JOIN b USING (k) GROUP BY a.k",
      "SELECT DISTINCT k, name FROM a",
      "SELECT DISTINCT * EXCLUDE (l, t) FROM a",
      "SELECT DISTINCT a.k AS key, b.y FROM a JOIN b USING (k) ORDER BY a.k, y LIMIT 5",
      "SELECT DISTINCT x FROM a ORDER BY x LIMIT 3 OFFSET 1",
      "SELECT DISTINCT * FROM c ORDER BY c.k LIMIT 2",
      "SELECT DISTINCT k % 2, count(*) FROM a GROUP BY k",
      "SELECT DISTINCT ON (k) k, x, t FROM a ORDER BY k, t, x",
      "SELECT k, x FROM a UNION ALL SELECT k, y FROM b",
      "SELECT k, x FROM a UNION ALL SELECT k, y FROM b ORDER BY 1, 2 LIMIT 7",
      "SELECT k FROM a UNION SELECT k FROM b",
      "SELECT k FROM a UNION SELECT k FROM b UNION ALL SELECT y FROM b ORDER BY k LIMIT 20",
      "SELECT k, x FROM a UNION ALL BY NAME SELECT y, k FROM b",
      "SELECT k, x FROM a UNION BY NAME SELECT x, k + 1 AS k FROM a",
      "SELECT * FROM (SELECT k FROM a UNION ALL BY NAME SELECT k, y FROM b) u JOIN c USING (k)",
      "SELECT x, row_number() OVER (PARTITION BY k ORDER BY t, x, name) AS r FROM a",
      "SELECT * FROM a QUALIFY row_number() OVER (PARTITION BY k ORDER BY t DESC, x, name) = 1",
      "SELECT k, sum(x) OVER w, lag(x) OVER w FROM a WINDOW w AS (PARTITION BY k ORDER BY t, x, name)",
      "SELECT k, sum(count(*)) OVER (ORDER BY k) FROM a GROUP BY k",
      "SELECT k, x, (SELECT max(y) FROM b WHERE b.k = a.k) AS top FROM a",
      "SELECT * FROM a WHERE EXISTS (SELECT * FROM b WHERE b.y = a.x)",
      "SELECT * FROM a WHERE k IN (FROM (SELECT k FROM c))",
      "SELECT * FROM a WHERE (k, true) IN (SELECT * FROM c)",
      "WITH p AS (SELECT k, flag FROM c) SELECT * FROM a WHERE (k, true) IN (FROM p)",
      "SELECT k FROM a WHERE k IN (SELECT k FROM b INTERSECT SELECT k FROM c)",
      "SELECT k FROM a WHERE x > ALL (SELECT k FROM c)",
      "SELECT k, unnest(l) AS item FROM a",
      "SELECT a.k, u.item FROM a, unnest(a.l) AS u(item)",
      "SELECT a.x, s.z FROM a, LATERAL (SELECT a.x + 1 AS z) s",
      "SELECT a.k, s.top FROM a, LATERAL (SELECT max(y) AS top FROM b WHERE b.k = a.k) s",
      "SELECT * FROM a POSITIONAL JOIN b",
      "SELECT * FROM (SELECT k, x, y FROM a JOIN b USING (k)) UNPIVOT (v FOR n IN (x, y))",
      "UNPIVOT c ON k INTO NAME n VALUE v",
      "SELECT 1 AS one, 'x' AS two",
      "VALUES (1, 'p'), (2, 'q')",
      "SELECT i * 2 AS d FROM range(5) t(i)",
      "SELECT count(*) FROM range(5)",
      "SELECT DISTINCT i % 2 AS p FROM range(5) t(i), range(i) u(j)",
      "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 4) SELECT r.i, a.x FROM r JOIN a ON a.k = r.i",
      "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 4) SELECT * FROM r",
      "SELECT v.n, a.x FROM (VALUES (0, 'zero'), (1, 'one')) v(k, n) JOIN a USING (k)",
      "SELECT x FROM a ORDER BY ALL LIMIT 9",
      "SELECT coalesce(x, 0)::DECIMAL(6, 2) AS d, CASE WHEN x IS NULL THEN 'none' END AS c, {'p': x}.p FROM a",
      "SELECT extract(hour FROM t) AS h, t + INTERVAL 1 DAY AS tomorrow, t AT TIME ZONE 'America/New_York' AS zoned FROM a",
      "SELECT \"k\" AS \"a \"\"quoted\"\" name\", 'it''s' AS s FROM \"a\" -- comment",
  };
  for (const std::string_view written : statements) ExpectSameShown(std::string(written));
}

/// Compares what a rewritten statement carries with a statement over `lake` that says it outright.
TEST_F(LakeRewriteTest, CarriesWhereRowsCameFrom) {
  struct Case {
    std::string_view written;
    std::string expected;
  };
  const std::string a = "(SELECT * FROM a WHERE _known_at <= TIMESTAMP '2020-01-07')";
  const std::string b = "(SELECT * FROM b WHERE _known_at <= TIMESTAMP '2020-01-07')";
  const Case cases[] = {
      {"SELECT x FROM a", "SELECT x, _seq, _known_at FROM " + a},
      {"SELECT x, _seq AS s, a._known_at AS w FROM a WHERE _seq > 105",
       "SELECT x, _seq, _known_at, _seq, _known_at FROM " + a + " WHERE _seq > 105"},
      {"SELECT x, y FROM a JOIN b ON a.k = b.k",
       "SELECT x, y, a._seq, greatest(a._known_at, b._known_at) FROM " + a + " a JOIN " + b + " b ON a.k = b.k"},
      {"SELECT x, y FROM a LEFT JOIN b ON a.x = b.y",
       "SELECT x, y, a._seq, CASE WHEN b._known_at > a._known_at THEN b._known_at ELSE a._known_at END FROM " + a +
           " a LEFT JOIN " + b + " b ON a.x = b.y"},
      {"SELECT x, y FROM a FULL JOIN b ON a.x = b.y",
       "SELECT x, y, coalesce(a._seq, b._seq), greatest(a._known_at, b._known_at) FROM " + a + " a FULL JOIN " + b +
           " b ON a.x = b.y"},
      {"SELECT k, max(x) FROM a GROUP BY k", "SELECT k, max(x), min(_seq), max(_known_at) FROM " + a + " GROUP BY k"},
      {"SELECT DISTINCT k FROM a", "SELECT k, min(_seq), max(_known_at) FROM " + a + " GROUP BY k"},
      {"SELECT k FROM a UNION SELECT k FROM b", "SELECT k, min(_seq), max(_known_at) FROM (SELECT k, _seq, _known_at FROM " + a +
                                                    " UNION ALL SELECT k, _seq, _known_at FROM " + b + ") GROUP BY k"},
      {"SELECT k FROM a UNION ALL SELECT k FROM b",
       "SELECT k, _seq, _known_at FROM " + a + " UNION ALL SELECT k, _seq, _known_at FROM " + b},
      {"WITH s AS (SELECT k, min(y) AS y FROM b GROUP BY k) SELECT x, y FROM s JOIN a USING (k)",
       "SELECT x, y, s.q, greatest(s.w, _known_at) FROM (SELECT k, min(y) AS y, min(_seq) AS q, max(_known_at) AS w FROM " + b +
           " GROUP BY k) s JOIN " + a + " USING (k)"},
      {"SELECT x FROM (VALUES (1)) v(k) JOIN a USING (k)", "SELECT x, _seq, _known_at FROM " + a + " WHERE k = 1"},
      {"SELECT x FROM a WHERE k IN (SELECT k FROM b)",
       "SELECT x, _seq, _known_at FROM " + a + " WHERE k IN (SELECT k FROM " + b + ")"},
      {"SELECT 1 AS i", "SELECT 1, -1000000000000000, TIMESTAMP '1970-01-01'"},
      {"SELECT i FROM range(2) t(i)", "SELECT i, -999999999999999 + i, TIMESTAMP '1970-01-01' FROM range(2) t(i)"},
      {"SELECT count(*) AS n FROM a WHERE x > 100", "SELECT 0, -1000000000000000, TIMESTAMP '1970-01-01'"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.written);
    const auto expected = QueryIn("lake", c.expected);
    ASSERT_TRUE(expected.ok()) << expected.error().Format();
    const auto rewritten = Rewrite(c.written);
    ASSERT_TRUE(rewritten.ok()) << rewritten.error().Format();
    SCOPED_TRACE(*rewritten);
    const auto carried = QueryIn("lake", *rewritten);
    ASSERT_TRUE(carried.ok()) << carried.error().Format();
    EXPECT_EQ(SortedRows(*carried), SortedRows(*expected));
  }
}

TEST_F(LakeRewriteTest, TheClockIsTheProjectsAndColumnsKeepTheirNames) {
  const auto statement =
      ParseSelect(*session_,
                  "SELECT now(), current_timestamp AS a, today(), current_date, localtimestamp, get_current_time(), "
                  "localtime, date_diff('day', t, now()) AS days, age(t) AS old FROM a WHERE t < NOW() AND k IN "
                  "(SELECT day(today()) FROM c)",
                  "t.sql");
  ASSERT_TRUE(statement.ok()) << statement.error().Format();
  const auto rewritten = RewriteForLake(*session_, *statement, *ParseTimestamp("2020-01-02T03:04:05.25Z"));
  ASSERT_TRUE(rewritten.ok()) << rewritten.error().Format();
  const auto result = QueryIn("lake", *rewritten);
  ASSERT_TRUE(result.ok()) << *rewritten << result.error().Format();
  ASSERT_GT(result->rows(), 0U);
  const std::pair<std::string_view, std::string_view> expected[] = {{"now()", "2020-01-02T03:04:05.250Z"},
                                                                    {"a", "2020-01-02T03:04:05.250Z"},
                                                                    {"today()", "2020-01-02"},
                                                                    {"current_date", "2020-01-02"},
                                                                    {"localtimestamp", "2020-01-02T03:04:05.250Z"},
                                                                    {"get_current_time()", "03:04:05.25+00"},
                                                                    {"localtime", "03:04:05.25"},
                                                                    {"days", "1"}};
  for (size_t i = 0; i < std::size(expected); ++i) {
    EXPECT_EQ(result->columns[i].name, expected[i].first);
    EXPECT_EQ(FormatValue(result->columns[i].At(0)), expected[i].second);
  }
}

TEST_F(LakeRewriteTest, HistoriesAreReadWhole) {
  const auto statement = ParseSelect(*session_, "SELECT count(*) AS n FROM a", "t.sql");
  ASSERT_TRUE(statement.ok());
  const auto rewritten = RewriteForLake(*session_, *statement, Now(), {"a"});
  ASSERT_TRUE(rewritten.ok());
  const auto result = QueryIn("lake", *rewritten);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->columns[0].At(0), Value(int64_t{40}));
}

TEST_F(LakeRewriteTest, RefusesWhatCannotCarry) {
  struct Case {
    std::string_view sql;
    std::string_view code;
    std::string_view word;
  };
  const Case cases[] = {
      {"SELECT k FROM a INTERSECT SELECT k FROM b", "sql_unsupported", "INTERSECT"},
      {"SELECT k FROM a EXCEPT SELECT k FROM b", "sql_unsupported", "EXCEPT"},
      {"WITH RECURSIVE r AS (SELECT k FROM a UNION ALL SELECT k + 1 FROM r WHERE k < 9) FROM r", "sql_unsupported", "recursive"},
      {"SELECT * FROM b PIVOT (sum(y) FOR k IN (1, 2))", "sql_unsupported", "PIVOT"},
      {"SELECT k AS _seq FROM a", "reserved_name", "_seq"},
      {"SELECT _known_at FROM a", "reserved_name", "_known_at"},
      {"SELECT COLUMNS('(k)') AS 'my_\\1' FROM a", "sql_unsupported", "COLUMNS"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.sql);
    const auto rewritten = Rewrite(c.sql);
    ASSERT_FALSE(rewritten.ok()) << *rewritten;
    EXPECT_EQ(rewritten.error().code, c.code);
    EXPECT_NE(rewritten.error().message.find(c.word), std::string::npos) << rewritten.error().message;
    EXPECT_FALSE(rewritten.error().hint.empty());
  }
}

}  // namespace
}  // namespace tidemill
