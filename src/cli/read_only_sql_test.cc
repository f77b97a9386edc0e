#include "cli/read_only_sql.h"

#include <gtest/gtest.h>

namespace tidemill {
namespace {

TEST(CheckReadOnly, TakesStatementsThatRead) {
  const std::pair<const char*, const char*> cases[] = {
      {"SELECT 1", "SELECT 1"},
      {"  select 1 ; ", "select 1"},
      {"-- a comment; DROP TABLE x\nFROM flights", "FROM flights"},
      {"/* nested /* comment; */ */ WITH a AS (SELECT 1) FROM a;;", "WITH a AS (SELECT 1) FROM a"},
      {"(SELECT 1) UNION (SELECT 2)", "(SELECT 1) UNION (SELECT 2)"},
      {"SELECT ';', \"a;b\", $$;$$, $tag$ ; $tag$", "SELECT ';', \"a;b\", $$;$$, $tag$ ; $tag$"},
      {"SELECT 'it''s; fine'", "SELECT 'it''s; fine'"},
      {"EXPLAIN ANALYZE SELECT 1", "EXPLAIN ANALYZE SELECT 1"},
      {"DESCRIBE flights", "DESCRIBE flights"},
      {"SELECT 1 -- the end", "SELECT 1"},
  };
  for (const auto& [sql, expected] : cases) {
    SCOPED_TRACE(sql);
    const auto checked = CheckReadOnly(sql);
    ASSERT_TRUE(checked.ok()) << checked.error().message;
    EXPECT_EQ(*checked, expected);
  }
}

TEST(CheckReadOnly, RefusesTheOthers) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "empty_query"},
      {" ; -- nothing", "empty_query"},
      {"SELECT 1; SELECT 2", "several_statements"},
      {"SELECT 1; DROP TABLE x", "several_statements"},
      {"DELETE FROM flights", "not_read_only"},
      {"/* SELECT */ insert into x values (1)", "not_read_only"},
      {"COPY flights TO 'x.csv'", "not_read_only"},
      {"EXPLAIN ANALYZE COPY flights TO 'x.csv'", "not_read_only"},
      {"explain analyze delete from flights", "not_read_only"},
      {"ATTACH 'x.db'", "not_read_only"},
      {"SET threads = 1", "not_read_only"},
      {"SELEC 1", "not_read_only"},
      {"(DELETE FROM x)", "not_read_only"},
      {"'SELECT'", "not_read_only"},
  };
  for (const auto& [sql, code] : cases) {
    SCOPED_TRACE(sql);
    const auto checked = CheckReadOnly(sql);
    ASSERT_FALSE(checked.ok());
    EXPECT_EQ(checked.error().code, code);
  }
}

TEST(MentionsName, LooksAtWordsAndQuotedNamesOnly) {
  EXPECT_TRUE(MentionsName("SELECT _seq FROM x", "_seq"));
  EXPECT_TRUE(MentionsName("SELECT a._SEQ FROM a", "_seq"));
  EXPECT_TRUE(MentionsName("SELECT \"_seq\" FROM x", "_seq"));
  EXPECT_FALSE(MentionsName("SELECT * FROM x WHERE a = '_seq' -- _seq", "_seq"));
  EXPECT_FALSE(MentionsName("SELECT my_seq FROM x", "_seq"));
}

}  // namespace
}  // namespace tidemill
