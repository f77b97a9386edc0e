#include "sql/column_lineage.h"

#include <gtest/gtest.h>

#include "sql/database.h"
#include "sql/statement.h"
#include "sql/testing.h"

namespace tidemill {
namespace {

class ColumnLineageTest : public testing::SessionTest {
 protected:
  ColumnLineageTest() : SessionTest({.memory_limit_mb = 128, .threads = 1}) {}

  /// "x <- a.k, (a.x)": columns in brackets only decide about rows.
  std::vector<std::string> Trace(std::string_view sql) {
    const auto statement = ParseSelect(*session_, sql, "test.sql");
    EXPECT_TRUE(statement.ok()) << sql << "\n" << statement.error().Format();
    if (!statement.ok()) return {};
    std::vector<std::string> lines;
    for (const ColumnLineage& column : TraceColumns(statement->tree, tables_)) {
      std::string line = column.column + " <-";
      for (const auto& [origin, direct] : column.origins) {
        const std::string name = origin.table + "." + origin.column;
        line += direct ? " " + name : " (" + name + ")";
      }
      lines.push_back(line);
    }
    return lines;
  }

  using Lines = std::vector<std::string>;
  const std::map<std::string, std::vector<Field>> tables_ = {
      {"a", {{"k", Type::kInt64}, {"x", Type::kInt64}, {"y", Type::kInt64}}}, {"b", {{"k", Type::kInt64}, {"z", Type::kText}}}};
};

TEST_F(ColumnLineageTest, ValuesAndConditions) {
  EXPECT_EQ(Trace("SELECT x + y AS s, 1 AS one FROM a WHERE k > 0"), (Lines{"s <- (a.k) a.x a.y", "one <- (a.k)"}));
  EXPECT_EQ(Trace("SELECT X FROM A"), (Lines{"X <- a.x"}));
  EXPECT_EQ(Trace("SELECT k, sum(x) FILTER (WHERE y > 1) AS s FROM a GROUP BY k"), (Lines{"k <- a.k", "s <- (a.k) a.x a.y"}));
  EXPECT_EQ(Trace("SELECT k, sum(x) AS s FROM a GROUP BY ALL ORDER BY 2"), (Lines{"k <- a.k (a.x)", "s <- (a.k) a.x"}));
  EXPECT_EQ(Trace("SELECT x + 1 AS n, n * 2 AS m FROM a"), (Lines{"n <- a.x", "m <- a.x"}));
}

TEST_F(ColumnLineageTest, Stars) {
  EXPECT_EQ(Trace("SELECT * FROM a JOIN b USING (k)"),
            (Lines{"k <- a.k (b.k)", "x <- (a.k) a.x (b.k)", "y <- (a.k) a.y (b.k)", "z <- (a.k) (b.k) b.z"}));
  EXPECT_EQ(Trace("SELECT t.* EXCLUDE (k) REPLACE (x + k AS x) FROM a t"), (Lines{"x <- a.k a.x", "y <- a.y"}));
  EXPECT_EQ(Trace("SELECT * RENAME (z AS w) FROM b"), (Lines{"k <- b.k", "w <- b.z"}));
}

TEST_F(ColumnLineageTest, JoinsSubqueriesAndCommonTableExpressions) {
  EXPECT_EQ(Trace("SELECT l.x, r.z FROM a l LEFT JOIN b r ON l.k = r.k"),
            (Lines{"x <- (a.k) a.x (b.k)", "z <- (a.k) (b.k) b.z"}));
  EXPECT_EQ(Trace("SELECT q FROM (SELECT x AS q, k FROM a WHERE y = 1) s WHERE s.k = 2"), (Lines{"q <- (a.k) a.x (a.y)"}));
  EXPECT_EQ(Trace("WITH c(p) AS (SELECT x FROM a), d AS (SELECT p + 1 AS p FROM c) SELECT p FROM d"), (Lines{"p <- a.x"}));
  EXPECT_EQ(Trace("SELECT (SELECT max(z) FROM b WHERE b.k = a.k) AS m FROM a"), (Lines{"m <- (a.k) (b.k) b.z"}));
  EXPECT_EQ(Trace("SELECT x FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k)"), (Lines{"x <- (a.k) a.x (b.k)"}));
  EXPECT_EQ(Trace("WITH a AS (SELECT z FROM b) SELECT z FROM a"), (Lines{"z <- b.z"}));
}

TEST_F(ColumnLineageTest, SetOperationsAndWindows) {
  EXPECT_EQ(Trace("SELECT x AS v FROM a UNION ALL SELECT k FROM b"), (Lines{"v <- a.x b.k"}));
  EXPECT_EQ(Trace("SELECT x FROM a UNION ALL BY NAME SELECT z, k AS x FROM b"), (Lines{"x <- a.x b.k", "z <- b.z"}));
  EXPECT_EQ(Trace("SELECT x, sum(y) OVER (PARTITION BY k) AS s FROM a"), (Lines{"x <- a.x", "s <- a.k a.y"}));
  EXPECT_EQ(Trace("SELECT x FROM a QUALIFY row_number() OVER (PARTITION BY k ORDER BY y) = 1"), (Lines{"x <- (a.k) a.x (a.y)"}));
}

TEST_F(ColumnLineageTest, NamesTooManyRatherThanTooFew) {
  EXPECT_EQ(Trace("SELECT v FROM a, unnest([a.x, a.y]) AS u(v)"), (Lines{"v <- a.x a.y"}));
  EXPECT_EQ(Trace("SELECT w FROM (VALUES (1)) t(w)"), (Lines{"w <-"}));
}

}  // namespace
}  // namespace tidemill
