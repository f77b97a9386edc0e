#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "sql/database.h"

namespace tidemill {

/// A table that a statement reads, by the name written there (never a common table expression of its own).
struct TableReference {
  std::string name;
  Place place;
};

/// A SELECT, parsed by DuckDB's own parser (`json_serialize_sql`).
struct SelectStatement {
  Json tree;                           ///< DuckDB's parse tree of the one statement
  std::vector<TableReference> tables;  ///< each name once, in order of appearance
};

/// Parses exactly one SELECT. Errors (also: PIVOT and other statements that DuckDB can't serialize, several
/// statements, volatile functions such as random() and uuid()) carry file, line, column and a hint.
/// `first_line` is the line in `file` where `sql` begins (for SQL inside YAML).
Result<SelectStatement> ParseSelect(Session& session, std::string_view sql, const std::string& file, int first_line = 1);

/// Parses one scalar or aggregate expression: the tree of the expression alone.
Result<Json> ParseExpression(Session& session, std::string_view expression, const Place& place);

/// The statement as text for fingerprints: what is equal but for layout, comments and the case of keywords gives
/// equal text (positions left out).
std::string CanonicalText(const Json& tree);

/// Back to SQL text.
Result<std::string> RenderSelect(Session& session, const Json& tree);

/// A SELECT that also carries `_seq` and `_known_at` of the rows it came from (docs/ARCHITECTURE.md, "Row identity"),
/// for inputs that all have these two columns; of each only the rows known at `now` are read, except of those named in
/// `histories` (exports of history, whose own `_known_at` says nothing).
/// - `_seq`: of the row of the first table in FROM (joins); of the smallest row of the group (GROUP BY, DISTINCT);
///   UNION ALL: each branch its own;
/// - `_known_at`: the latest of all the rows that a result row was made from (left joins: nulls skipped). Rows looked at
///   by subqueries in expressions (EXISTS, IN, scalar), SEMI and ANTI joins and windows do not count.
/// Rows that come from no table (VALUES, range()) are known always and have negative `_seq`.
/// `SELECT *` never shows the two columns. now(), current_timestamp, today(), current_date become the project clock's
/// `now`. Where a form can't carry them (INTERSECT, EXCEPT, a recursive CTE over tables) it is refused with a hint; such
/// errors have an offset into the statement's text: see PlaceInStatement().
Result<std::string> RewriteForLake(Session& session, const SelectStatement& statement, Timestamp now,
                                   const std::vector<std::string>& histories = {});

}  // namespace tidemill
