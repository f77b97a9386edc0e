#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "project/project.h"
#include "sql/database.h"

namespace tidemill {

/// The parts of TableQuery(): which rows are taken from `rows` decides the caller.
struct TableSelect {
  std::vector<Field> fields;  ///< as users see them
  std::string columns;        ///< the select list with the lake's types, `_seq` and `_known_at` last
  std::string known_at;       ///< when a row of `rows` becomes known, as an expression; may be null
  std::string rows;           ///< a SELECT in parentheses
  std::string order;          ///< what to sort by so that equal content is stored in equal order

  std::string Where(std::string_view condition) const;
};

/// The table's SQL carrying `_seq` and `_known_at`, its last columns. Errors are placed into the SQL file.
Result<std::string> RewriteTable(const Project& project, const TableAsset& table, Session& session, Timestamp now);

/// `session` must see tables named like the inputs, with `_seq` and `_known_at`. Errors are placed into the SQL file.
Result<TableSelect> MakeTableSelect(const Project& project, const TableAsset& table, Session& session, Timestamp now);

/// The error of a statement made from a table's SQL: its offsets mean nothing in the file, so the file alone is its place.
Error InTableFile(Error error, const TableAsset& table);

/// Columns with one name, in whatever case, can't be stored.
Status CheckDistinctNames(const std::vector<Field>& fields, const TableAsset& table);

/// An input whose own known times say nothing: a source that is an export of history.
bool IsHistory(const Project& project, const std::string& input);

}  // namespace tidemill
