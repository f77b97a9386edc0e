#include "feature/view_rows.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidemill {
namespace {

constexpr size_t kLeadingColumns = 3;  // event time, known time, sequence number

std::string SelectRows(const Program& program, const std::string& table_sql, const std::string& event_time,
                       const std::string& condition) {
  const std::string event = QuoteIdentifier(event_time);
  std::string sql = fmt::format("SELECT CAST({} AS TIMESTAMP), CAST(_known_at AS TIMESTAMP), _seq", event);
  for (const Field& field : program.keys) sql += ", " + QuoteIdentifier(field.name);
  for (const Field& field : program.columns) sql += ", " + QuoteIdentifier(field.name);
  sql += fmt::format(" FROM {} WHERE {} IS NOT NULL AND _known_at IS NOT NULL", table_sql, event);
  for (const Field& field : program.keys) sql += fmt::format(" AND {} IS NOT NULL", QuoteIdentifier(field.name));
  return sql + (condition.empty() ? "" : " AND " + condition);
}

Status CheckTypes(const Columns& batch, const Program& program) {
  for (size_t i = 0; i < program.keys.size() + program.columns.size(); ++i) {
    const Field& field = i < program.keys.size() ? program.keys[i] : program.columns[i - program.keys.size()];
    const Type type = batch.columns[kLeadingColumns + i].type;
    if (type == field.type || (type == Type::kInt64 && field.type == Type::kDouble && i >= program.keys.size())) continue;
    return UserError(
        "column_type",
        fmt::format("column '{}' of view '{}' is {} now, not {}", field.name, program.view, TypeName(type), TypeName(field.type)),
        "run the view again: its table has changed");
  }
  return Ok();
}

Datum Read(const Column& column, size_t row, Type type) {
  const Datum datum = ColumnDatum(column, row);
  return column.type != type && !datum.null ? Datum::Number(static_cast<double>(datum.integer)) : datum;
}

}  // namespace

std::string TimeCondition(const std::string& column, const std::string& comparison, int64_t micros) {
  // Outside of the years that SQL can write, a bound decides for all rows or none.
  constexpr int64_t kMin = -60'000'000'000'000'000;
  constexpr int64_t kMax = 250'000'000'000'000'000;
  return fmt::format("{} {} make_timestamp({})", column, comparison, std::clamp(micros, kMin, kMax));
}

Status StreamViewRows(Session& session, const Program& program, const std::string& table_sql, const std::string& event_time,
                      const std::string& condition, const std::function<Status(const ViewRow& row)>& take) {
  std::vector<Datum> keys(program.keys.size());
  std::vector<Datum> columns(program.columns.size());
  return session.Stream(SelectRows(program, table_sql, event_time, condition), [&](const Columns& batch) -> Status {
    TIDEMILL_RETURN_IF_ERROR(CheckTypes(batch, program));
    for (size_t row = 0; row < batch.rows(); ++row) {
      ViewRow result{batch.columns[0].ints[row], batch.columns[1].ints[row], batch.columns[2].ints[row], keys, columns};
      for (size_t i = 0; i < keys.size(); ++i) keys[i] = Read(batch.columns[kLeadingColumns + i], row, program.keys[i].type);
      for (size_t i = 0; i < columns.size(); ++i) {
        columns[i] = Read(batch.columns[kLeadingColumns + keys.size() + i], row, program.columns[i].type);
      }
      TIDEMILL_RETURN_IF_ERROR(take(result));
    }
    return Ok();
  });
}

}  // namespace tidemill
