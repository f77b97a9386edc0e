#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/columns.h"
#include "feature/program/program.h"
#include "project/project.h"
#include "sql/database.h"

namespace tidemill {

/// A table whose rows are those of its one input, each by itself: chosen by a condition, with columns computed from it. The
/// kernel makes them with the bits that DuckDB gives them when the table is updated.
struct RowWiseTable {
  std::string name;
  std::string input;
  std::vector<Field> read;         ///< columns of the input that the expressions index
  std::vector<Output> columns;     ///< of the table, over `read`
  std::vector<Expression> chosen;  ///< over `read`: a row is in the table when all are true
  /// Over `read`: where one is false, the kernel may differ from DuckDB in the last bit, so the row is left to the table's
  /// update.
  std::vector<Expression> exact;
  std::string sql;  ///< its rows with `_seq` and `_known_at`, FROM the name of the input

  /// Nothing but columns of the input.
  bool only_names() const;
};

/// A table that takes columns of its input under other names (column of the table -> column of the input).
RowWiseTable TableOfColumns(const std::string& name, const std::string& input, const std::map<std::string, std::string>& columns);

/// Compiles a table's SQL. Code "not_row_wise" when its rows depend on more than one row of an input, or when the kernel lacks
/// something or gives other bits; the message is the reason, to stand after "its table 'x' ".
Result<RowWiseTable> CompileRowWise(const TableAsset& table, const std::vector<Field>& input_fields,
                                    const std::vector<Field>& table_fields, Session& session);

/// The rows of the last of `tables`, which read one another from the first one on, whose input is in the lake; to stand after
/// FROM.
std::string RowsOfTables(const std::vector<RowWiseTable>& tables);

/// A row of the source that has no row in the last table, because a value of it can't be computed.
struct UncomputedRow {
  size_t row = 0;
  std::string table;
  std::string column;  ///< "" : the condition
};

/// Rows of the first table's input as rows of the last table. Everything refers to what they were made from.
struct RowsOfTable {
  std::map<std::string, const Column*> columns;  ///< each with as many rows as the source
  std::vector<uint8_t> present;                  ///< whether the row is in the table; empty: all are
  std::vector<UncomputedRow> uncomputed;

  bool Has(size_t row) const { return present.empty() || present[row] != 0; }

 private:
  friend class RowWiseTables;
  std::deque<Column> made_;
};

/// Tables ready to run. Thread-safe.
class RowWiseTables {
 public:
  /// Codes: those of Prepare.
  static Result<RowWiseTables> Make(const std::vector<RowWiseTable>& tables);
  /// Code "unknown_column" when `source` lacks a column.
  Result<RowsOfTable> Apply(const Columns& source) const;

 private:
  struct Step;
  std::vector<std::shared_ptr<const Step>> steps_;
};

}  // namespace tidemill
