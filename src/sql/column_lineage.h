#pragma once

#include <compare>
#include <map>
#include <string>
#include <vector>

#include "base/columns.h"
#include "base/json.h"

namespace tidemill {

/// A column of a table that a SELECT reads.
struct ColumnOrigin {
  std::string table;
  std::string column;
  auto operator<=>(const ColumnOrigin&) const = default;
};

/// A column of a SELECT's result and what it depends on. `true`: its values are computed from it; `false`: it only decides which
/// rows there are, or how they meet (WHERE, JOIN, GROUP BY, HAVING, QUALIFY, ORDER BY).
struct ColumnLineage {
  std::string column;  ///< "" where DuckDB makes the name up
  std::map<ColumnOrigin, bool> origins;
};

/// What each column of a parsed SELECT's result depends on, in their order, through subqueries and common table expressions.
/// `tables` gives the columns of the tables it reads; a table missing there gives no columns. The statement must bind: names that
/// mean nothing are passed over. Where columns can't be told apart (UNPIVOT, table functions, COLUMNS) too many are named rather
/// than too few.
std::vector<ColumnLineage> TraceColumns(const Json& tree, const std::map<std::string, std::vector<Field>>& tables);

}  // namespace tidemill
