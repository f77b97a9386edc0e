#include "lake/pushed_rows.h"

#include <fmt/format.h>

#include <map>

namespace tidemill {
namespace {

std::string PushedTableName(const std::string& source) { return "lake.main." + QuoteIdentifier(source); }

std::string MakeTableSql(const std::string& source, const std::vector<Field>& columns) {
  std::string list;
  for (const Field& column : columns) list += fmt::format("{} {}, ", QuoteIdentifier(column.name), SqlTypeName(column.type));
  return fmt::format("{};\nCREATE TABLE IF NOT EXISTS {} ({}_seq BIGINT, _known_at TIMESTAMP)", SourceBooksSql(), PushedTableName(source), list);
}

std::vector<Field> FieldsOf(const Columns& rows) {
  std::vector<Field> fields;
  for (const Column& column : rows.columns) fields.push_back({column.name, column.type});
  return fields;
}

/// The rows of all pushes of one source as they are stored.
Result<Columns> RowsToStore(const std::vector<const PushedBatch*>& batches) {
  Columns rows;
  for (const Field& field : FieldsOf(batches.front()->rows)) rows.columns.emplace_back(field.name, field.type);
  rows.columns.emplace_back("_seq", Type::kInt64);
  rows.columns.emplace_back("_known_at", Type::kTimestamp);
  for (const PushedBatch* batch : batches) {
    const size_t columns = batch->rows.columns.size();
    if (columns + 2 != rows.columns.size()) return InternalError("pushes of one source have different columns");
    for (size_t row = 0; row < batch->known_at.size(); ++row) {
      for (size_t i = 0; i < columns; ++i) TIDEMILL_RETURN_IF_ERROR(rows.columns[i].Append(batch->rows.columns[i].At(row)));
      rows.columns[columns].AppendInt(batch->Sequence(row));
      rows.columns[columns + 1].AppendInt(batch->known_at[row]);
    }
  }
  return rows;
}

Result<int64_t> LastStored(Session& session, const std::string& source) {
  TIDEMILL_ASSIGN_OR_RETURN(
      const Columns last,
      session.Query(fmt::format("SELECT coalesce(max(first_seq + records - 1), -1)::BIGINT FROM lake.tidemill.files WHERE source = {}",
                                QuoteText(source))));
  return last.columns[0].ints[0];
}

Status InsertBooks(Session& session, const std::vector<const PushedBatch*>& batches) {
  Columns files;
  files.columns = {Column("source", Type::kText), Column("file", Type::kText), Column("first_seq", Type::kInt64),
                   Column("records", Type::kInt64), Column("arrived_at", Type::kTimestamp)};
  Columns refused;
  refused.columns = {Column("source", Type::kText), Column("file", Type::kText), Column("record", Type::kInt64),
                     Column("reason", Type::kText), Column("raw", Type::kText), Column("at", Type::kTimestamp)};
  for (const PushedBatch* batch : batches) {
    files.columns[0].AppendText(batch->source);
    files.columns[1].AppendText(PushName(*batch));
    files.columns[2].AppendInt(batch->first_seq);
    files.columns[3].AppendInt(batch->records);
    files.columns[4].AppendInt(batch->arrived_at.micros);
    for (const RefusedPushRow& row : batch->refused) {
      refused.columns[0].AppendText(batch->source);
      refused.columns[1].AppendText(PushName(*batch));
      refused.columns[2].AppendInt(row.record);
      refused.columns[3].AppendText(row.reason);
      refused.columns[4].AppendText(row.raw);
      refused.columns[5].AppendInt(batch->arrived_at.micros);
    }
  }
  TIDEMILL_RETURN_IF_ERROR(session.LoadTemporary("pushed_files", files));
  TIDEMILL_RETURN_IF_ERROR(session.Execute(
      "INSERT INTO lake.tidemill.files SELECT source, file, '', first_seq, records, arrived_at, 0, '', false FROM pushed_files; "
      "DROP TABLE pushed_files"));
  if (refused.rows() == 0) return Ok();
  TIDEMILL_RETURN_IF_ERROR(session.LoadTemporary("pushed_refused", refused));
  return session.Execute(
      "INSERT INTO lake.tidemill.quarantine SELECT source, file, record, 0, reason, raw, 0, \"at\" FROM pushed_refused; "
      "DROP TABLE pushed_refused");
}

Status StoreSource(Session& session, const std::string& source, const std::vector<const PushedBatch*>& all) {
  TIDEMILL_RETURN_IF_ERROR(session.Execute(MakeTableSql(source, FieldsOf(all.front()->rows))));
  TIDEMILL_ASSIGN_OR_RETURN(const int64_t last, LastStored(session, source));
  std::vector<const PushedBatch*> batches;
  for (const PushedBatch* batch : all) {
    if (batch->first_seq > last) batches.push_back(batch);
  }
  if (batches.empty()) return Ok();
  TIDEMILL_ASSIGN_OR_RETURN(const Columns rows, RowsToStore(batches));
  if (rows.rows() > 0) {
    TIDEMILL_RETURN_IF_ERROR(session.LoadTemporary("pushed_rows", rows));
    TIDEMILL_RETURN_IF_ERROR(
        session.Execute(fmt::format("INSERT INTO {} SELECT * FROM pushed_rows; DROP TABLE pushed_rows", PushedTableName(source))));
  }
  return InsertBooks(session, batches);
}

}  // namespace

std::string_view SourceBooksSql() {
  return R"sql(
CREATE TABLE IF NOT EXISTS lake.tidemill.files(source VARCHAR, file VARCHAR, sha256 VARCHAR, first_seq BIGINT, records BIGINT,
  ingested_at TIMESTAMP, run_id BIGINT, definition VARCHAR, replaced BOOLEAN);
CREATE TABLE IF NOT EXISTS lake.tidemill.quarantine(source VARCHAR, file VARCHAR, record BIGINT, line BIGINT, reason VARCHAR,
  raw VARCHAR, run_id BIGINT, quarantined_at TIMESTAMP))sql";
}

std::string PushName(const PushedBatch& batch) {
  return batch.id.empty() ? fmt::format("push #{}", batch.first_seq) : "push " + batch.id;
}

Status MakePushedTable(Lake& lake, const std::string& source, const std::vector<Field>& columns) {
  TIDEMILL_ASSIGN_OR_RETURN(const bool there, lake.HasTable(source));
  if (there) {
    TIDEMILL_ASSIGN_OR_RETURN(std::vector<Field> stored, lake.Schema(source));
    std::erase_if(stored, [](const Field& field) { return field.name == "_seq" || field.name == "_known_at"; });
    if (stored == columns) return Ok();
    return UserError("source_redefined", fmt::format("the source '{}' has rows with other columns than its contract declares now", source),
                     "pushed rows can't be read again: give the source a new name");
  }
  const auto made = lake.Commit(fmt::format("make {}", source), Json::object(),
                                [&](Session& session) { return session.Execute(MakeTableSql(source, columns)); });
  return made.ok() ? Ok() : Status(made.error());
}

Status StorePushedRows(Lake& lake, const std::vector<PushedBatch>& batches) {
  if (batches.empty()) return Ok();
  std::map<std::string, std::vector<const PushedBatch*>> by_source;
  int64_t rows = 0;
  for (const PushedBatch& batch : batches) {
    by_source[batch.source].push_back(&batch);
    rows += static_cast<int64_t>(batch.known_at.size());
  }
  const std::string message =
      fmt::format("push: {} row{} in {} push{}", rows, rows == 1 ? "" : "s", batches.size(), batches.size() == 1 ? "" : "es");
  const auto committed = lake.Commit(message, Json::object(), [&](Session& session) -> Status {
    for (const auto& [source, those] : by_source) TIDEMILL_RETURN_IF_ERROR(StoreSource(session, source, those));
    return Ok();
  });
  return committed.ok() ? Ok() : Status(committed.error());
}

}  // namespace tidemill
