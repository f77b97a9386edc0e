#include "sql/statement.h"

#include <gtest/gtest.h>

#include "sql/select_tree.h"
#include "sql/testing.h"

namespace tidemill {
namespace {

class StatementTest : public testing::SessionTest {
 protected:
  std::vector<std::string> Names(std::string_view sql) {
    const auto result = session_->Query(sql);
    EXPECT_TRUE(result.ok());
    std::vector<std::string> names;
    for (size_t row = 0; row < result->rows(); ++row) names.emplace_back(result->columns[0].Text(row));
    return names;
  }
};

TEST_F(StatementTest, ListsTheTablesReadInOrderWithTheirPlaces) {
  const std::string_view sql =
      "WITH c AS (SELECT * FROM flights), d AS (FROM c)\n"
      "SELECT (SELECT max(x) FROM weather) FROM d JOIN planes AS p USING (k), flights\n"
      "WHERE x IN (WITH airports AS (SELECT 1) FROM airports) AND EXISTS (FROM airports) UNION ALL FROM c -- flights2";
  const auto statement = ParseSelect(*session_, sql, "tables/t.sql", 10);
  ASSERT_TRUE(statement.ok()) << statement.error().Format();
  ASSERT_EQ(statement->tables.size(), 4U);
  const std::tuple<std::string_view, int, int> expected[] = {
      {"flights", 10, 26}, {"weather", 11, 28}, {"planes", 11, 49}, {"airports", 12, 73}};
  for (size_t i = 0; i < 4; ++i) {
    const TableReference& table = statement->tables[i];
    EXPECT_EQ(std::tuple(std::string_view(table.name), table.place.line, table.place.column), expected[i]);
    EXPECT_EQ(table.place.length, static_cast<int>(table.name.size()));
    EXPECT_EQ(table.place.file, "tables/t.sql");
  }
}

TEST_F(StatementTest, RefusesWithPlaceAndReason) {
  struct Case {
    std::string_view sql;
    std::string_view code;
    int line;
    int column;
  };
  const Case cases[] = {
      {"SELEC 1", "sql_syntax", 1, 1},
      {"SELECT 1\nFROM a WHERE ( GROUP BY x", "sql_syntax", 2, 16},
      {"", "sql_syntax", 0, 0},
      {"-- nothing", "sql_syntax", 0, 0},
      {"SELECT 1;\nSELECT x FROM b", "sql_unsupported", 2, 8},
      {"PIVOT b ON x USING sum(y)", "sql_unsupported", 0, 0},
      {"INSERT INTO a SELECT 1", "sql_unsupported", 0, 0},
      {"DROP TABLE a", "sql_unsupported", 0, 0},
      {"SELECT x,\n  random() FROM a", "sql_volatile", 2, 3},
      {"SELECT uuid() FROM a", "sql_volatile", 1, 8},
      {"SELECT x FROM a USING SAMPLE 3", "sql_volatile", 1, 8},
      {"SELECT x FROM a TABLESAMPLE 10%", "sql_volatile", 1, 15},
      {"SELECT * FROM read_csv('x.csv')", "sql_unsupported", 1, 15},
      {"SELECT * FROM query('SELECT 1')", "sql_unsupported", 1, 15},
      {"SHOW TABLES", "sql_unsupported", 0, 0},
      {"SELECT $1", "sql_unsupported", 0, 0},
      {std::string_view("SELECT 'a\0b'", 12), "sql_syntax", 1, 10},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.sql);
    const auto statement = ParseSelect(*session_, c.sql, "tables/t.sql");
    ASSERT_FALSE(statement.ok());
    const Error& error = statement.error();
    EXPECT_EQ(error.code, c.code);
    ASSERT_TRUE(error.place);
    EXPECT_EQ(error.place->file, "tables/t.sql");
    if (c.line > 0 || error.place->line > 0) {
      EXPECT_EQ(error.place->line, c.line == 0 ? error.place->line : c.line) << error.Format();
      EXPECT_EQ(error.place->column, c.line == 0 ? error.place->column : c.column) << error.Format();
    }
    if (c.code != "sql_syntax") {
      EXPECT_FALSE(error.message.empty());
    }
  }
  EXPECT_FALSE(ParseSelect(*session_, "SELECT '\xff'", "t.sql").ok());
}

TEST_F(StatementTest, CanonicalTextIgnoresLayoutOnly) {
  const auto canonical = [&](std::string_view sql) {
    const auto statement = ParseSelect(*session_, sql, "t.sql");
    EXPECT_TRUE(statement.ok()) << sql;
    return statement.ok() ? CanonicalText(statement->tree) : "";
  };
  const std::string text = canonical("SELECT x, avg(y) AS m FROM a WHERE z > 1 GROUP BY x");
  EXPECT_EQ(text, canonical("select  x,\n /* why */ AVG( y ) as m -- what\nfrom a where (z>1) group by x;"));
  for (const std::string_view other :
       {"SELECT x, avg(y) AS n FROM a WHERE z > 1 GROUP BY x", "SELECT x, avg(y) AS m FROM b WHERE z > 1 GROUP BY x",
        "SELECT x, avg(y) AS m FROM a WHERE z > 2 GROUP BY x", "SELECT x, avg(y) AS m FROM a WHERE z > 1.0 GROUP BY x",
        "SELECT x, avg(y) AS m FROM a WHERE z > '1' GROUP BY x",
        "SELECT x, avg(DISTINCT y) AS m FROM a WHERE z > 1 GROUP BY x"}) {
    EXPECT_NE(text, canonical(other)) << other;
  }
}

TEST_F(StatementTest, RenderedTextHasTheSameTree) {
  for (const std::string_view sql :
       {"SELECT 'it''s' AS \"a\"\"b\", x::DECIMAL(10, 2), 1e300, 0.1, -5, 170141183460469231731687303715884105727, NULL FROM a",
        "WITH c(y) AS (SELECT x FROM a) SELECT s.* FROM c AS s(z) UNION ALL BY NAME SELECT 1 AS z ORDER BY z LIMIT 3",
        "SELECT sum(x) FILTER (WHERE y) OVER (PARTITION BY k ORDER BY z DESC NULLS LAST) FROM a QUALIFY true",
        "SELECT CASE WHEN x IS DISTINCT FROM y THEN 'é\n\t' END, x[1], try_cast(x AS INT), x NOT IN (1, 2) FROM a LEFT JOIN b "
        "USING (k)"}) {
    SCOPED_TRACE(sql);
    const auto once = ParseSelect(*session_, sql, "t.sql");
    ASSERT_TRUE(once.ok()) << once.error().Format();
    const auto text = RenderSelect(*session_, once->tree);
    ASSERT_TRUE(text.ok()) << text.error().Format();
    const auto again = ParseSelect(*session_, *text, "t.sql");
    ASSERT_TRUE(again.ok()) << *text << again.error().Format();
    const auto text_again = RenderSelect(*session_, again->tree);
    ASSERT_TRUE(text_again.ok());
    EXPECT_EQ(*text, *text_again);
  }
}

TEST_F(StatementTest, ParsesOneExpression) {
  const Place place{"features/a.yaml", 7, 21, 1, "  late_share: {value: count(*)}"};
  const auto tree = ParseExpression(*session_, "count(*) FILTER (WHERE dep_delay >= 15) / count(*)", place);
  ASSERT_TRUE(tree.ok()) << tree.error().Format();
  EXPECT_EQ((*tree)["function_name"], "/");
  struct Case {
    std::string_view text;
    std::string_view code;
    int column;
  };
  const Case cases[] = {
      {"a + ", "sql_syntax", 21},     {"a b c", "sql_syntax", 25},          {"a, b", "sql_syntax", 21},
      {"a FROM t", "sql_syntax", 21}, {"a AS b", "sql_syntax", 21},         {"1; SELECT 2", "sql_syntax", 21},
      {"", "sql_syntax", 21},         {"x + random()", "sql_volatile", 25},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    const auto refused = ParseExpression(*session_, c.text, place);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, c.code);
    ASSERT_TRUE(refused.error().place);
    EXPECT_EQ(refused.error().place->file, "features/a.yaml");
    EXPECT_EQ(refused.error().place->line, 7);
    EXPECT_EQ(refused.error().place->column, c.column) << refused.error().Format();
  }
}

TEST_F(StatementTest, KnowsDuckDbsAggregatesAndVolatileFunctions) {
  for (const std::string& name :
       Names("SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'aggregate' EXCEPT "
             "SELECT unnest(['row_number', 'rank', 'rank_dense', 'dense_rank', 'percent_rank', 'cume_dist', "
             "'ntile', 'lead', 'lag', 'first_value', 'last_value', 'nth_value', 'fill'])")) {
    EXPECT_TRUE(IsAggregateFunction(name)) << name;
  }
  for (const std::string& name : Names("SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability = 'VOLATILE' "
                                       "AND function_name NOT IN ('error', 'tidemill_take')")) {
    EXPECT_TRUE(IsVolatileFunction(name)) << name;
  }
  for (const std::string& name :
       Names("SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('scalar', "
             "'table') EXCEPT SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'")) {
    EXPECT_FALSE(IsAggregateFunction(name)) << name;
  }
  EXPECT_FALSE(IsAggregateFunction(""));
}

}  // namespace
}  // namespace tidemill
