#include "ingest/staging.h"

#include <fmt/format.h>

#include <utility>

namespace tidemill {
namespace {

constexpr size_t kBatchRows = 61'440;  // a multiple of the engine's row groups and vectors
constexpr size_t kRefusedBatchRows = 2'048;
constexpr size_t kRefusedBatchBytes = 8 << 20;

Columns RefusedColumns() {
  Columns columns;
  for (const char* name : {"file", "record", "line"}) columns.columns.emplace_back(name, Type::kInt64);
  for (const char* name : {"reason", "raw"}) columns.columns.emplace_back(name, Type::kText);
  return columns;
}

std::string ColumnList(const Columns& columns) {
  std::string list;
  for (const Column& column : columns.columns)
    list += fmt::format("{} {}, ", QuoteIdentifier(column.name), SqlTypeName(column.type));
  return list;
}

}  // namespace

Result<Staging> Staging::Make(std::unique_ptr<Session> session, std::string_view name, const RowChecker& checker) {
  Staging staging;
  staging.session_ = std::move(session);
  staging.rows_table_ = fmt::format("memory.main.{}", QuoteIdentifier(fmt::format("ingest {} rows", name)));
  staging.refused_table_ = fmt::format("memory.main.{}", QuoteIdentifier(fmt::format("ingest {} refused", name)));
  staging.batch_ = checker.MakeBatch();
  staging.record_of_row_ = Column("_record", Type::kInt64);
  staging.refused_ = RefusedColumns();
  TIDEMILL_RETURN_IF_ERROR(staging.session_->Execute(
      fmt::format("CREATE OR REPLACE TABLE {} ({}_file BIGINT, _record BIGINT);"
                  "CREATE OR REPLACE TABLE {} (file BIGINT, record BIGINT, line BIGINT, reason VARCHAR, raw VARCHAR)",
                  staging.rows_table_, ColumnList(staging.batch_), staging.refused_table_)));
  return staging;
}

Staging::Staging(Staging&& other) noexcept = default;

Staging::~Staging() {
  if (session_ == nullptr) return;
  (void)session_->Execute(fmt::format("DROP TABLE IF EXISTS {}; DROP TABLE IF EXISTS {}", rows_table_, refused_table_));
}

Status Staging::BeginFile(int64_t file) {
  TIDEMILL_RETURN_IF_ERROR(Flush());
  file_ = file;
  return Ok();
}

Status Staging::KeepRow(int64_t record) {
  record_of_row_.AppendInt(record);
  ++rows_;
  return record_of_row_.size() < kBatchRows ? Ok() : FlushRows();
}

Status Staging::Refuse(RefusedRecord refused) {
  const int64_t integers[] = {file_, refused.record, refused.line};
  for (size_t i = 0; i < 3; ++i) refused_.columns[i].AppendInt(integers[i]);
  refused_.columns[3].AppendText(refused.reason);
  refused_.columns[4].AppendText(refused.raw);
  ++refused_rows_;
  const bool full = refused_.rows() >= kRefusedBatchRows || refused_.columns[4].chars.size() >= kRefusedBatchBytes;
  return full ? FlushRefused() : Ok();
}

Status Staging::FlushRows() {
  if (record_of_row_.size() == 0) return Ok();
  batch_.columns.emplace_back("_file", Type::kInt64);
  for (size_t row = 0; row < record_of_row_.size(); ++row) batch_.columns.back().AppendInt(file_);
  batch_.columns.push_back(std::move(record_of_row_));
  TIDEMILL_RETURN_IF_ERROR(session_->LoadTemporary("ingest batch", batch_));
  TIDEMILL_RETURN_IF_ERROR(session_->Execute(
      fmt::format("INSERT INTO {} SELECT * FROM temp.\"ingest batch\"; DROP TABLE temp.\"ingest batch\"", rows_table_)));
  record_of_row_ = Column("_record", Type::kInt64);
  batch_.columns.resize(batch_.columns.size() - 2);
  Truncate(0, &batch_);
  return Ok();
}

Status Staging::FlushRefused() {
  if (refused_.rows() == 0) return Ok();
  TIDEMILL_RETURN_IF_ERROR(session_->LoadTemporary("ingest refused", refused_));
  TIDEMILL_RETURN_IF_ERROR(session_->Execute(
      fmt::format("INSERT INTO {} SELECT * FROM temp.\"ingest refused\"; DROP TABLE temp.\"ingest refused\"", refused_table_)));
  refused_ = RefusedColumns();
  return Ok();
}

Status Staging::Flush() {
  TIDEMILL_RETURN_IF_ERROR(FlushRows());
  return FlushRefused();
}

}  // namespace tidemill
