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

Column AsDoubles(const Column& column) {
  Column doubles(column.name, Type::kDouble);
  doubles.valid = column.valid;
  doubles.doubles.assign(column.ints.begin(), column.ints.end());
  return doubles;
}

/// Batches of SelectRows as columns of a view; for one thread.
class ViewBatches {
 public:
  explicit ViewBatches(const Program& program) : program_(program), widened_(program.columns.size()) {}

  /// Refers to the batch and to this.
  Result<ViewColumns> Read(const Columns& batch) {
    TIDEMILL_RETURN_IF_ERROR(CheckTypes(batch, program_));
    ViewColumns view{&batch.columns[0], &batch.columns[1], &batch.columns[2], {}, {}};
    for (size_t i = 0; i < program_.keys.size(); ++i) view.keys.push_back(&batch.columns[kLeadingColumns + i]);
    for (size_t i = 0; i < program_.columns.size(); ++i) {
      const Column& column = batch.columns[kLeadingColumns + program_.keys.size() + i];
      const bool as_it_is = column.type == program_.columns[i].type;
      if (!as_it_is) widened_[i] = AsDoubles(column);
      view.columns.push_back(as_it_is ? &column : &widened_[i]);
    }
    return view;
  }

 private:
  const Program& program_;
  std::vector<Column> widened_;
};

}  // namespace

std::string TimeCondition(const std::string& column, const std::string& comparison, int64_t micros) {
  // Outside of the years that SQL can write, a bound decides for all rows or none.
  constexpr int64_t kMin = -60'000'000'000'000'000;
  constexpr int64_t kMax = 250'000'000'000'000'000;
  return fmt::format("{} {} make_timestamp({})", column, comparison, std::clamp(micros, kMin, kMax));
}

Status StreamViewColumns(Session& session, const Program& program, const std::string& table_sql, const std::string& event_time,
                         const std::string& condition, const std::function<ViewTaker()>& make) {
  return session.StreamUnordered(SelectRows(program, table_sql, event_time, condition), [&]() -> RowTaker {
    return [take = make(), batches = ViewBatches(program)](const Columns& batch) mutable -> Status {
      TIDEMILL_ASSIGN_OR_RETURN(const ViewColumns view, batches.Read(batch));
      return take(view);
    };
  });
}

Status StreamViewRows(Session& session, const Program& program, const std::string& table_sql, const std::string& event_time,
                      const std::string& condition, const std::function<Status(const ViewRow& row)>& take) {
  ViewBatches batches(program);
  std::vector<Datum> keys(program.keys.size());
  std::vector<Datum> columns(program.columns.size());
  return session.Stream(SelectRows(program, table_sql, event_time, condition), [&](const Columns& read) -> Status {
    TIDEMILL_ASSIGN_OR_RETURN(const ViewColumns batch, batches.Read(read));
    for (size_t row = 0; row < batch.rows(); ++row) {
      const ViewRow result{batch.event->ints[row], batch.known->ints[row], batch.sequence->ints[row], keys, columns};
      for (size_t i = 0; i < keys.size(); ++i) keys[i] = ColumnDatum(*batch.keys[i], row);
      for (size_t i = 0; i < columns.size(); ++i) columns[i] = ColumnDatum(*batch.columns[i], row);
      TIDEMILL_RETURN_IF_ERROR(take(result));
    }
    return Ok();
  });
}

}  // namespace tidemill
