#include "ingest/staged_rows.h"

#include <fmt/format.h>

#include "lake/pushed_rows.h"

namespace tidemill {
namespace {

/// Old rows that a changed file still holds: old_seq, and file and record where it is now.
constexpr std::string_view kKept = "temp.main.\"ingest kept\"";

void AddToList(std::string_view item, std::string* list) {
  if (!list->empty()) *list += ", ";
  *list += item;
}

}  // namespace

StagedRows::StagedRows(const SourceAsset& source, const RowChecker& checker, const Staging& staging,
                   const SourceInspection& inspection, Timestamp now, int64_t run_id)
    : source_(source),
      staging_(staging),
      inspection_(inspection),
      columns_(checker.columns()),
      now_(SqlLiteral(now)),
      run_id_(run_id),
      name_(QuoteText(source.name)),
      table_("lake.main." + QuoteIdentifier(source.name)) {
  for (const ContractColumn& column : columns_) column_list_ += QuoteIdentifier(column.name) + ", ";
}

Result<int64_t> StagedRows::Write(Session& writer, const std::vector<StagedFile>& files) const {
  TIDEMILL_RETURN_IF_ERROR(writer.Execute(MakeTables()));
  if (inspection_.redefined) TIDEMILL_RETURN_IF_ERROR(writer.Execute(ForgetAll()));
  int64_t kept = 0;
  const bool some_changed = !inspection_.replaced.empty() && !inspection_.redefined;
  if (some_changed) {
    TIDEMILL_ASSIGN_OR_RETURN(kept, KeepUnchangedRows(writer, files));
  }
  TIDEMILL_RETURN_IF_ERROR(writer.Execute(InsertRows(files, kept > 0)));
  TIDEMILL_RETURN_IF_ERROR(writer.Execute(InsertFiles(files)));
  if (staging_.refused() > 0) TIDEMILL_RETURN_IF_ERROR(writer.Execute(InsertQuarantine(files)));
  return staging_.rows() - kept;
}

std::string StagedRows::MakeTables() const {
  std::string list;
  for (const ContractColumn& column : columns_) {
    list += fmt::format("{} {}, ", QuoteIdentifier(column.name), SqlTypeName(column.type));
  }
  return fmt::format(
      "{};\nCREATE {} {} ({}_seq BIGINT, _known_at TIMESTAMP)", SourceBooksSql(),
      inspection_.redefined ? "OR REPLACE TABLE" : "TABLE IF NOT EXISTS", table_, list);
}

std::string StagedRows::ForgetAll() const {
  return fmt::format(
      "DELETE FROM lake.tidemill.files WHERE source = {0}; DELETE FROM lake.tidemill.quarantine WHERE source = {0}", name_);
}

/// Rows that a changed file still holds keep their number and the time when they became known; the others that it held
/// before are deleted. Equal rows are told apart by counting them. Returns how many were kept.
Result<int64_t> StagedRows::KeepUnchangedRows(Session& writer, const std::vector<StagedFile>& files) const {
  std::string paths, contents, changed, same;
  for (const StoredFile& file : inspection_.replaced) {
    AddToList(QuoteText(file.path), &paths);
    AddToList(QuoteText(file.sha256), &contents);
    for (size_t i = 0; i < files.size(); ++i) {
      if (files[i].file.path == file.path) AddToList(std::to_string(i), &changed);
    }
  }
  for (const ContractColumn& column : columns_) {
    same += fmt::format(" AND o.{0} IS NOT DISTINCT FROM n.{0}", QuoteIdentifier(column.name));
  }
  // Rows kept at an earlier change of the file have numbers of contents before the last one.
  const std::string held_before = fmt::format(
      "EXISTS (SELECT 1 FROM lake.tidemill.files f WHERE f.source = {} AND f.file IN ({}) AND (f.replaced OR f.sha256 IN ({})) "
      "AND _seq >= f.first_seq AND _seq < f.first_seq + f.records)",
      name_, paths, contents);
  const std::string columns = column_list_.substr(0, column_list_.size() - 2);
  TIDEMILL_RETURN_IF_ERROR(writer.Execute(fmt::format(
      R"sql(
CREATE OR REPLACE TEMP TABLE "ingest kept" AS SELECT o._seq AS old_seq, n._file AS file, n._record AS record FROM
  (SELECT *, row_number() OVER (PARTITION BY {0} ORDER BY _seq) AS _copy FROM {1} WHERE {2}) o JOIN
  (SELECT *, row_number() OVER (PARTITION BY {0} ORDER BY _file, _record) AS _copy FROM {3} WHERE _file IN ({4})) n
  ON o._copy = n._copy{5};
DELETE FROM {1} WHERE {2} AND _seq NOT IN (SELECT old_seq FROM {6});
UPDATE lake.tidemill.files SET replaced = true WHERE source = {7} AND file IN ({8}) AND sha256 IN ({9});
DELETE FROM lake.tidemill.quarantine WHERE source = {7} AND file IN ({8}))sql",
      columns, table_, held_before, staging_.rows_table(), changed, same, kKept, name_, paths, contents)));
  TIDEMILL_ASSIGN_OR_RETURN(const auto kept, writer.Query(fmt::format("SELECT count(*) FROM {}", kKept)));
  return kept.columns.at(0).ints.at(0);
}

std::string StagedRows::InsertRows(const std::vector<StagedFile>& files, bool some_kept) const {
  std::string first_seqs;
  for (const StagedFile& file : files) AddToList(std::to_string(file.first_seq), &first_seqs);
  const std::string known_at =
      source_.known_at.empty() ? now_ : fmt::format("coalesce({}::TIMESTAMP, {})", QuoteIdentifier(source_.known_at), now_);
  const std::string only_new = some_kept
                                   ? fmt::format(
                                         " WHERE NOT EXISTS (SELECT 1 FROM {} k WHERE k.file = _file AND k.record = _record) "
                                         "ORDER BY _file, _record",
                                         kKept)
                                   : "";
  return fmt::format("INSERT INTO {} SELECT {}([{}]::BIGINT[])[_file + 1] + _record - 1, {} FROM {}{}", table_, column_list_,
                     first_seqs, known_at, staging_.rows_table(), only_new);
}

std::string StagedRows::InsertFiles(const std::vector<StagedFile>& files) const {
  std::string values;
  for (const StagedFile& file : files) {
    AddToList(
        fmt::format("({}, {}, {}, {}, {}, {}, {}, {}, false)", name_, QuoteText(file.file.path), QuoteText(file.file.sha256),
                    file.first_seq, file.records, now_, run_id_, QuoteText(inspection_.definition)),
        &values);
  }
  return "INSERT INTO lake.tidemill.files VALUES " + values;
}

std::string StagedRows::InsertQuarantine(const std::vector<StagedFile>& files) const {
  std::string paths;
  for (const StagedFile& file : files) AddToList(QuoteText(file.file.path), &paths);
  return fmt::format(
      "INSERT INTO lake.tidemill.quarantine SELECT {}, ([{}])[file + 1], record, line, reason, raw, {}, {} FROM {} "
      "ORDER BY file, record",
      name_, paths, run_id_, now_, staging_.refused_table());
}

}  // namespace tidemill
