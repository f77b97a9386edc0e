#include "sql/statement_text.h"

#include <gtest/gtest.h>

namespace tidemill {
namespace {

TEST(WithoutStatementEndTest, CutsOnlyWhatFollowsTheLastWord) {
  struct Case {
    std::string_view sql;
    std::string_view kept;
  };
  const Case cases[] = {
      {"", ""},
      {" ; ", ""},
      {"SELECT 1", "SELECT 1"},
      {"SELECT 1 ;\n -- end ; 'x", "SELECT 1"},
      {"SELECT 1 /* ; */ ; /* open", "SELECT 1"},
      {"SELECT ';' -- ;", "SELECT ';'"},
      {"SELECT 'it''s;' ;", "SELECT 'it''s;'"},
      {"SELECT '--' ;", "SELECT '--'"},
      {"SELECT 1 AS \"a;--\" ;", "SELECT 1 AS \"a;--\""},
      {"SELECT $$ ; -- $$ ;", "SELECT $$ ; -- $$"},
      {"SELECT $a$ $$ ; $a$;", "SELECT $a$ $$ ; $a$"},
      {"SELECT $1;", "SELECT $1"},
  };
  for (const Case& c : cases) EXPECT_EQ(WithoutStatementEnd(c.sql), c.kept) << c.sql;
}

}  // namespace
}  // namespace tidemill
