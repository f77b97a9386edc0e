#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/console.h"
#include "sql/database.h"

namespace tidemill {

/// A field by RFC 4180; null is nothing, an empty text is "".
std::string CsvField(const Value& value);

enum class RowsForm { kTable, kCsv, kJson };

struct RowsOutput {
  RowsForm form = RowsForm::kTable;
  std::optional<int64_t> rows_max;  ///< nullopt: all
  /// Columns that are left out; empty: none.
  std::function<bool(std::string_view column)> hidden;
};

/// Runs a SELECT and writes its rows as they come, without holding them. For JSON the members "columns",
/// "rows" and "truncated". Returns whether rows were left out.
Result<bool> WriteRows(Console& console, Session& session, const std::string& sql, const RowsOutput& output);

}  // namespace tidemill
