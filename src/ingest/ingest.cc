#include "ingest/ingest.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/text_distance.h"
#include "ingest/file_reader.h"
#include "ingest/infer.h"
#include "ingest/row_checker.h"
#include "ingest/staged_rows.h"
#include "ingest/source_files.h"
#include "ingest/staging.h"
#include "lake/pushed_rows.h"

namespace tidemill {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kInferRecordsMax = 100'000;

Contract ContractOf(const std::vector<Field>& fields) {
  Contract contract;
  for (const Field& field : fields) {
    if (field.name == "_seq" || field.name == "_known_at") continue;
    ContractColumn column;
    column.name = field.name;
    column.type = field.type;
    contract.columns.push_back(std::move(column));
  }
  return contract;
}

/// Names and types that a file suggests, nothing else.
Result<Contract> InferFromFile(const Project& project, const SourceAsset& source, const std::string& path, Lake* lake) {
  if (IsParquet(path)) {
    std::unique_ptr<Database> database;
    std::unique_ptr<Session> session;
    if (lake == nullptr) {
      TIDEMILL_ASSIGN_OR_RETURN(database, Database::Open({}));
      TIDEMILL_ASSIGN_OR_RETURN(session, database->Connect());
    } else {
      TIDEMILL_ASSIGN_OR_RETURN(session, lake->Connect());
    }
    TIDEMILL_ASSIGN_OR_RETURN(const auto fields, session->Describe(ParquetSql(project.root / path)));
    return ContractOf(fields);
  }
  TIDEMILL_ASSIGN_OR_RETURN(const char delimiter, DelimiterOf(source));
  std::vector<std::string> null_texts = source.null_texts;
  TIDEMILL_ASSIGN_OR_RETURN(const auto inferred,
                            InferCsvContract(project.root / path, path, delimiter, &null_texts, false, kInferRecordsMax));
  std::vector<Field> fields;
  for (const ContractColumn& column : inferred.columns) fields.push_back({column.name, column.type});
  return ContractOf(fields);
}

/// The declared contract; without one the columns that the lake has, or else those that the first file
/// suggests.
Result<Contract> ResolveContract(const Project& project, const SourceAsset& source, Lake* lake) {
  Contract contract = source.contract;
  if (!contract.columns.empty()) return contract;
  bool stored = false;
  if (lake != nullptr) {
    TIDEMILL_ASSIGN_OR_RETURN(stored, lake->HasTable(source.name));
  }
  if (stored) {
    TIDEMILL_ASSIGN_OR_RETURN(const auto fields, lake->Schema(source.name));
    contract.columns = ContractOf(fields).columns;
    return contract;
  }
  TIDEMILL_ASSIGN_OR_RETURN(const auto paths, FindSourceFiles(project, source));
  TIDEMILL_ASSIGN_OR_RETURN(auto inferred, InferFromFile(project, source, paths.front(), lake));
  contract.columns = std::move(inferred.columns);
  return contract;
}

/// What numbers are reserved for: so many records of a content.
std::string NumbersPurpose(const SourceAsset& source, std::string_view sha256, int64_t records) {
  return fmt::format("ingest {} {} {}", source.name, sha256, records);
}

/// A content that comes again under another definition keeps its numbers; new ones are reserved for the others. One whose
/// ingestion was killed before its commit gets those that were reserved then.
Status GiveNumbers(const SourceAsset& source, const SourceInspection& inspection, Lake& lake, std::vector<StagedFile>* files) {
  std::vector<std::string> committed;
  for (const StoredFile& file : inspection.stored) committed.push_back(NumbersPurpose(source, file.sha256, file.records));
  TIDEMILL_RETURN_IF_ERROR(lake.SettleSequences(committed));
  for (StagedFile& file : *files) {
    const auto known = std::find_if(inspection.stored.begin(), inspection.stored.end(), [&](const StoredFile& stored) {
      return stored.sha256 == file.file.sha256 && stored.records == file.records;
    });
    if (known != inspection.stored.end()) {
      file.first_seq = known->first_seq;
      continue;
    }
    TIDEMILL_ASSIGN_OR_RETURN(file.first_seq, lake.ReserveSequence(file.records, NumbersPurpose(source, file.file.sha256, file.records)));
  }
  return Ok();
}

/// Rows read under another definition can only be read again when their files are still there.
Status CheckAllPresent(const SourceAsset& source, const SourceInspection& inspection) {
  std::set<std::string> present;
  for (const SourceFile& file : inspection.status.files) present.insert(file.sha256);
  for (const StoredFile& file : inspection.replaced) present.insert(file.sha256);
  for (const StoredFile& file : inspection.stored) {
    if (present.contains(file.sha256)) continue;
    return UserErrorAt(
        "source_redefined",
        fmt::format("source '{}' was defined anew, but '{}' is no longer there to be read again", source.name, file.path),
        source.place, "put the file back, or give the source a new name");
  }
  return Ok();
}

Status CheckKnownAt(const SourceAsset& source, const Contract& contract) {
  if (source.known_at.empty()) return Ok();
  std::vector<std::string> names;
  for (const ContractColumn& column : contract.columns) {
    names.push_back(column.name);
    if (column.name != source.known_at) continue;
    if (column.type == Type::kTimestamp || column.type == Type::kDate) return Ok();
    return UserErrorAt(
        "bad_known_at",
        fmt::format("known_at: '{}' is of type {}, expected timestamp or date", column.name, TypeName(column.type)), source.place,
        "declare the column's type in the contract");
  }
  return UserErrorAt("unknown_column", fmt::format("known_at: source '{}' has no column '{}'", source.name, source.known_at),
                     source.place, SuggestionHint(source.known_at, names));
}

/// How many of the new rows share their key with another one.
Result<int64_t> CountDuplicates(const SourceAsset& source, Staging& staging) {
  std::string key;
  for (const std::string& column : source.key) key += (key.empty() ? "" : ", ") + QuoteIdentifier(column);
  TIDEMILL_ASSIGN_OR_RETURN(
      const auto result,
      staging.session().Query(fmt::format("SELECT coalesce(sum(n), 0)::BIGINT FROM (SELECT count(*) AS n FROM {} GROUP BY {} "
                                          "HAVING n > 1)",
                                          staging.rows_table(), key)));
  return result.columns.at(0).ints.at(0);
}

/// Pushed rows are in the lake already; the first time there may be no table yet.
Result<IngestReport> IngestPushed(const SourceAsset& source, Lake& lake) {
  std::vector<Field> fields;
  for (const ContractColumn& column : source.contract.columns) fields.push_back({column.name, column.type});
  TIDEMILL_RETURN_IF_ERROR(MakePushedTable(lake, source.name, fields));
  TIDEMILL_ASSIGN_OR_RETURN(const auto session, lake.Connect());
  TIDEMILL_ASSIGN_OR_RETURN(const auto counts,
                            session->Query(fmt::format("SELECT (SELECT count(*) FROM lake.main.{}), (SELECT count(*) FROM "
                                                       "lake.tidemill.files WHERE source = {}), (SELECT count(*) FROM "
                                                       "lake.tidemill.quarantine WHERE source = {})",
                                                       QuoteIdentifier(source.name), QuoteText(source.name), QuoteText(source.name))));
  IngestReport report;
  report.rows = counts.columns[0].ints[0];
  report.files = counts.columns[1].ints[0];
  report.quarantined = counts.columns[2].ints[0];
  TIDEMILL_ASSIGN_OR_RETURN(report.snapshot, lake.CurrentSnapshot());
  return report;
}

}  // namespace

Result<IngestReport> IngestSource(const Project& project, const SourceAsset& source, Lake& lake, Timestamp now, int64_t run_id,
                                  const RowProgress& progress) {
  if (source.pushed) return IngestPushed(source, lake);
  IngestReport report;
  TIDEMILL_ASSIGN_OR_RETURN(const auto inspection, InspectInFull(project, source, lake));
  report.content_version = inspection.status.content_version;
  if (inspection.status.fresh.empty()) {
    TIDEMILL_ASSIGN_OR_RETURN(report.snapshot, lake.CurrentSnapshot());
    return report;
  }
  if (inspection.redefined) TIDEMILL_RETURN_IF_ERROR(CheckAllPresent(source, inspection));
  TIDEMILL_ASSIGN_OR_RETURN(const auto contract, ResolveContract(project, source, &lake));
  TIDEMILL_RETURN_IF_ERROR(CheckKnownAt(source, contract));
  TIDEMILL_ASSIGN_OR_RETURN(const auto checker, RowChecker::Make(contract.columns, source.null_texts));
  TIDEMILL_ASSIGN_OR_RETURN(auto session, lake.Connect());
  TIDEMILL_ASSIGN_OR_RETURN(auto staging, Staging::Make(std::move(session), source.name, checker));

  FileReader reader(project, source, contract, lake, checker, staging, progress);
  std::vector<StagedFile> files;
  Json positions = Json::array();
  for (const SourceFile& file : inspection.status.fresh) {
    TIDEMILL_ASSIGN_OR_RETURN(const int64_t records, reader.Read(file, static_cast<int64_t>(files.size())));
    files.push_back({file, records, 0});
    positions.push_back({{"path", file.path}, {"sha256", file.sha256}});
  }
  report.warnings = reader.Warnings();
  if (!source.key.empty()) {
    TIDEMILL_ASSIGN_OR_RETURN(const int64_t duplicates, CountDuplicates(source, staging));
    if (duplicates > 0) report.warnings.push_back(fmt::format("{} rows share their key with another row", duplicates));
  }
  TIDEMILL_RETURN_IF_ERROR(GiveNumbers(source, inspection, lake, &files));

  const StagedRows store(source, checker, staging, inspection, now, run_id);
  const std::string message =
      fmt::format("ingest {}: {} rows of {} {}", source.name, staging.rows(), files.size(), files.size() == 1 ? "file" : "files");
  const Json extra = {{"run", run_id}, {"source", source.name}, {"files", positions}};
  TIDEMILL_ASSIGN_OR_RETURN(report.snapshot, lake.Commit(message, extra, [&](Session& writer) -> Status {
    TIDEMILL_ASSIGN_OR_RETURN(report.rows, store.Write(writer, files));
    return Ok();
  }));
  report.files = static_cast<int64_t>(files.size());
  report.quarantined = staging.refused();
  if (progress) progress(report.rows);
  return report;
}

Result<std::vector<Field>> SourceFields(const Project& project, const SourceAsset& source, Lake* lake) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto contract, ResolveContract(project, source, lake));
  std::vector<Field> fields;
  for (const ContractColumn& column : contract.columns) fields.push_back({column.name, column.type});
  return fields;
}

Result<Contract> InferContract(const fs::path& file, std::vector<std::string>* null_texts) {
  null_texts->assign({""});
  return InferCsvContract(file, file.string(), ',', null_texts, true, kInferRecordsMax * 10);
}

Result<RowOrigin> FindOrigin(Session& session, int64_t seq) {
  TIDEMILL_ASSIGN_OR_RETURN(
      const auto rows, session.Query(fmt::format("SELECT source, file, {0} - first_seq + 1 FROM lake.tidemill.files "
                                                 "WHERE first_seq <= {0} AND {0} < first_seq + records ORDER BY replaced LIMIT 1",
                                                 seq)));
  if (rows.rows() == 0) return UserError("unknown_row", fmt::format("no file gave a row with the sequence number {}", seq));
  return RowOrigin{std::string(rows.columns[0].Text(0)), std::string(rows.columns[1].Text(0)), rows.columns[2].ints[0]};
}

}  // namespace tidemill
