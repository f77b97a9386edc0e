#include "ingest/ingest.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/text_distance.h"
#include "base/utf8.h"
#include "ingest/column_match.h"
#include "ingest/csv_reader.h"
#include "ingest/infer.h"
#include "ingest/row_checker.h"
#include "ingest/source_files.h"
#include "ingest/staging.h"

namespace tidemill {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kInferRecordsMax = 100'000;
constexpr int64_t kProgressRows = 50'000;
constexpr size_t kWarningsMax = 5;
constexpr size_t kExcerptBytesMax = 200;

bool IsParquet(const std::string& path) { return fs::path(path).extension() == ".parquet"; }

Result<char> DelimiterOf(const SourceAsset& source) {
  if (source.delimiter.size() == 1 && source.delimiter != "\"" && source.delimiter != "\n") return source.delimiter[0];
  return UserErrorAt("bad_delimiter",
                     fmt::format("the delimiter of source '{}' is '{}', expected one character", source.name, source.delimiter),
                     source.place, "write it in quotes: delimiter: \";\" or \"\\t\"");
}

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

std::string ParquetSql(const fs::path& path) { return fmt::format("SELECT * FROM read_parquet({})", QuoteText(path.string())); }

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

std::string Excerpt(std::string_view raw) {
  const std::string_view line = raw.substr(0, std::min(raw.find('\n'), kExcerptBytesMax));
  return EscapeInvalidUtf8(line);
}

/// Reads files into a staging area under a contract.
class FileReader {
 public:
  FileReader(const Project& project, const SourceAsset& source, const Contract& contract, Lake& lake, const RowChecker& checker,
             Staging& staging, const RowProgress& progress)
      : project_(project),
        source_(source),
        contract_(contract),
        lake_(lake),
        checker_(checker),
        staging_(staging),
        progress_(progress) {}

  /// Returns the number of records.
  Result<int64_t> Read(const SourceFile& file, int64_t number) {
    TIDEMILL_RETURN_IF_ERROR(staging_.BeginFile(number));
    path_ = file.path;
    auto records = IsParquet(path_) ? ReadParquet() : ReadCsv();
    TIDEMILL_RETURN_IF_ERROR(staging_.Flush());
    return records;
  }

  /// What was wrong, most frequent first.
  std::vector<std::string> Warnings() const;

 private:
  Result<int64_t> ReadCsv();
  Result<int64_t> ReadParquet();
  Status TakeRecord(const CsvRecord& record, const std::vector<size_t>& positions);
  Status TakeParquetRow(const Columns& batch, size_t row, const std::vector<size_t>& positions, int64_t record);
  Status Finish(int64_t record, int64_t line, std::string_view raw, const std::vector<std::string_view>* cells);
  void Count(const std::string& kind, const std::string& reason, int64_t line, int64_t record);
  Error ContractError(const std::string& reason, int64_t line, std::string_view raw, std::string_view cell) const;
  void Tell(int64_t records) const {
    if (progress_ && records % kProgressRows == 0) progress_(staging_.rows());
  }

  const Project& project_;
  const SourceAsset& source_;
  const Contract& contract_;
  Lake& lake_;
  const RowChecker& checker_;
  Staging& staging_;
  const RowProgress& progress_;
  std::string path_;
  std::vector<Violation> violations_;    // of the row at hand
  std::vector<std::string_view> cells_;  // of the row at hand, in the order of the contract
  std::map<std::string, ViolationCount> counts_;
};

void FileReader::Count(const std::string& kind, const std::string& reason, int64_t line, int64_t record) {
  ViolationCount& count = counts_[kind];
  if (count.count++ > 0) return;
  count.first_reason = reason;
  count.first_place = line > 0 ? fmt::format("{}:{}", path_, line) : fmt::format("{}, record {}", path_, record);
}

Error FileReader::ContractError(const std::string& reason, int64_t line, std::string_view raw, std::string_view cell) const {
  Place place{.file = path_, .line = static_cast<int>(line), .excerpt = Excerpt(raw)};
  const bool inside = !cell.empty() && cell.data() >= raw.data() && cell.data() + cell.size() <= raw.data() + raw.size();
  if (inside && static_cast<size_t>(cell.data() - raw.data()) < place.excerpt.size()) {
    place.column = static_cast<int>(cell.data() - raw.data()) + 1;
    place.length = static_cast<int>(cell.size());
  }
  return UserErrorAt(
      "contract_violation", reason, place,
      fmt::format("mend the row, change the contract in {}, or set 'on_violation: quarantine' there", source_.place.file));
}

/// Decides about the row that was just appended to the batch, with its violations_.
Status FileReader::Finish(int64_t record, int64_t line, std::string_view raw, const std::vector<std::string_view>* cells) {
  if (violations_.empty()) return staging_.KeepRow(record);
  const Violation& first = violations_.front();
  if (contract_.on_violation == OnViolation::kFail) {
    return ContractError(first.reason, line, raw, cells == nullptr ? std::string_view() : (*cells)[first.column]);
  }
  for (const Violation& violation : violations_) Count(violation.kind, violation.reason, line, record);
  if (contract_.on_violation == OnViolation::kWarn) return staging_.KeepRow(record);
  Truncate(staging_.batch().rows() - 1, &staging_.batch());
  std::string reasons;
  for (const Violation& violation : violations_) reasons += (reasons.empty() ? "" : "; ") + violation.reason;
  return staging_.Refuse({record, line, std::move(reasons), EscapeInvalidUtf8(raw)});
}

Status FileReader::TakeRecord(const CsvRecord& record, const std::vector<size_t>& positions) {
  if (!record.problem.empty()) {
    // No row can be made of it, so even 'warn' has to set it aside.
    if (contract_.on_violation == OnViolation::kFail) return ContractError(record.problem, record.line, record.raw, {});
    Count("not a record", record.problem, record.line, record.number);
    return staging_.Refuse({record.number, record.line, record.problem, EscapeInvalidUtf8(record.raw)});
  }
  violations_.clear();
  cells_.clear();
  for (const size_t position : positions) cells_.push_back(record.cells[position]);
  checker_.Append(cells_, &staging_.batch(), &violations_);
  return Finish(record.number, record.line, record.raw, &cells_);
}

Result<int64_t> FileReader::ReadCsv() {
  TIDEMILL_ASSIGN_OR_RETURN(const char delimiter, DelimiterOf(source_));
  TIDEMILL_ASSIGN_OR_RETURN(auto stream, OpenByteStream(project_.root / path_, path_));
  CsvReader reader(std::move(stream), path_, delimiter);
  TIDEMILL_ASSIGN_OR_RETURN(const auto names, reader.ReadHeader());
  const Place place{.file = path_, .line = 1, .excerpt = Excerpt(reader.header_line())};
  TIDEMILL_ASSIGN_OR_RETURN(const auto positions, MatchColumns(names, contract_, place, source_.place.file));
  CsvRecord record;
  while (true) {
    TIDEMILL_ASSIGN_OR_RETURN(const bool found, reader.Next(&record));
    if (!found) return record.number;
    TIDEMILL_RETURN_IF_ERROR(TakeRecord(record, positions));
    Tell(record.number);
  }
}

Status FileReader::TakeParquetRow(const Columns& batch, size_t row, const std::vector<size_t>& positions, int64_t record) {
  violations_.clear();
  std::vector<Value> values;
  for (const size_t position : positions) values.push_back(batch.columns[position].At(row));
  checker_.AppendValues(values, &staging_.batch(), &violations_);
  if (violations_.empty()) return staging_.KeepRow(record);
  std::string raw;
  for (const Column& column : batch.columns) raw += (&column == batch.columns.data() ? "" : ",") + FormatValue(column.At(row));
  return Finish(record, 0, raw, nullptr);
}

Result<int64_t> FileReader::ReadParquet() {
  TIDEMILL_ASSIGN_OR_RETURN(const auto session, lake_.Connect());
  const std::string sql = ParquetSql(project_.root / path_);
  const auto in_this_file = [this](Error error) {
    error.place = Place{.file = path_, .excerpt = ""};
    return error;
  };
  const auto fields = session->Describe(sql);
  if (!fields.ok()) return in_this_file(fields.error());
  std::vector<std::string> names;
  for (const Field& field : fields.value()) names.push_back(field.name);
  TIDEMILL_ASSIGN_OR_RETURN(const auto positions,
                            MatchColumns(names, contract_, Place{.file = path_, .excerpt = ""}, source_.place.file));
  int64_t record = 0;
  const Status read = session->Stream(sql, [&](const Columns& batch) -> Status {
    for (size_t row = 0; row < batch.rows(); ++row) {
      TIDEMILL_RETURN_IF_ERROR(TakeParquetRow(batch, row, positions, ++record));
      Tell(record);
    }
    return Ok();
  });
  if (!read.ok()) return read.error().place ? read.error() : in_this_file(read.error());
  return record;
}

std::vector<std::string> FileReader::Warnings() const {
  std::vector<std::pair<std::string, ViolationCount>> sorted(counts_.begin(), counts_.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second.count > b.second.count; });
  std::vector<std::string> warnings;
  for (const auto& [kind, count] : sorted) {
    if (warnings.size() == kWarningsMax) {
      warnings.push_back(fmt::format("{} more kinds of violations", sorted.size() - kWarningsMax));
      break;
    }
    warnings.push_back(fmt::format("{} ({} {}, first at {})", count.first_reason, count.count, count.count == 1 ? "row" : "rows",
                                   count.first_place));
  }
  return warnings;
}

/// A file about to be stored.
struct StagedFile {
  SourceFile file;
  int64_t records = 0;
  int64_t first_seq = 0;
};

/// A content that comes again under another definition keeps its numbers; new ones are reserved for the
/// others.
Status GiveNumbers(const SourceInspection& inspection, Lake& lake, std::vector<StagedFile>* files) {
  for (StagedFile& file : *files) {
    const auto known = std::find_if(inspection.stored.begin(), inspection.stored.end(), [&](const StoredFile& stored) {
      return stored.sha256 == file.file.sha256 && stored.records == file.records;
    });
    if (known != inspection.stored.end()) {
      file.first_seq = known->first_seq;
      continue;
    }
    TIDEMILL_ASSIGN_OR_RETURN(file.first_seq, lake.ReserveSequence(file.records));
  }
  return Ok();
}

/// The statements of the one commit that stores staged rows.
class CommitSql {
 public:
  CommitSql(const SourceAsset& source, const RowChecker& checker, const Staging& staging, Timestamp now, int64_t run_id)
      : source_(source),
        checker_(checker),
        staging_(staging),
        now_("TIMESTAMP '" + FormatSqlTimestamp(now) + "'"),
        run_id_(run_id),
        table_("lake.main." + QuoteIdentifier(source.name)) {}

  std::string Bookkeeping() const {
    return "CREATE TABLE IF NOT EXISTS lake.tidemill.files(source VARCHAR, file VARCHAR, sha256 VARCHAR, "
           "first_seq BIGINT, "
           "records BIGINT, "
           "ingested_at TIMESTAMP, run_id BIGINT, definition VARCHAR, replaced BOOLEAN);"
           "CREATE TABLE IF NOT EXISTS lake.tidemill.quarantine(source VARCHAR, file VARCHAR, record BIGINT, "
           "line BIGINT, reason "
           "VARCHAR, "
           "raw VARCHAR, run_id BIGINT, \"at\" TIMESTAMP);";
  }

  std::string MakeTable(bool anew) const {
    std::string list;
    for (const ContractColumn& column : checker_.columns())
      list += fmt::format("{} {}, ", QuoteIdentifier(column.name), SqlTypeName(column.type));
    return fmt::format("CREATE {} {} ({}_seq BIGINT, _known_at TIMESTAMP);", anew ? "OR REPLACE TABLE" : "TABLE IF NOT EXISTS",
                       table_, list);
  }

  std::string ForgetAll() const {
    return fmt::format(
        "DELETE FROM lake.tidemill.files WHERE source = {0}; DELETE FROM lake.tidemill.quarantine WHERE "
        "source = {0};",
        QuoteText(source_.name));
  }

  /// The rows of a content whose file holds something else now.
  std::string Replace(const StoredFile& file) const {
    return fmt::format(
        "DELETE FROM {0} WHERE _seq >= {1} AND _seq < {2};"
        "UPDATE lake.tidemill.files SET replaced = true WHERE source = {3} AND sha256 = {4};"
        "DELETE FROM lake.tidemill.quarantine WHERE source = {3} AND file = {5};",
        table_, file.first_seq, file.first_seq + file.records, QuoteText(source_.name), QuoteText(file.sha256),
        QuoteText(file.path));
  }

  std::string InsertRows(const std::vector<StagedFile>& files) const {
    std::string columns, first_seqs;
    for (const ContractColumn& column : checker_.columns()) columns += QuoteIdentifier(column.name) + ", ";
    for (const StagedFile& file : files) first_seqs += (first_seqs.empty() ? "" : ", ") + std::to_string(file.first_seq);
    const std::string known_at =
        source_.known_at.empty() ? now_ : fmt::format("coalesce({}::TIMESTAMP, {})", QuoteIdentifier(source_.known_at), now_);
    return fmt::format("INSERT INTO {} SELECT {}([{}]::BIGINT[])[_file + 1] + _record - 1, {} FROM {};", table_, columns,
                       first_seqs, known_at, staging_.rows_table());
  }

  std::string InsertFiles(const std::vector<StagedFile>& files, const std::string& definition) const {
    std::string values;
    for (const StagedFile& file : files) {
      values += fmt::format("{}({}, {}, {}, {}, {}, {}, {}, {}, false)", values.empty() ? "" : ", ", QuoteText(source_.name),
                            QuoteText(file.file.path), QuoteText(file.file.sha256), file.first_seq, file.records, now_, run_id_,
                            QuoteText(definition));
    }
    return fmt::format("INSERT INTO lake.tidemill.files VALUES {};", values);
  }

  std::string InsertQuarantine(const std::vector<StagedFile>& files) const {
    if (staging_.refused() == 0) return "";
    std::string paths;
    for (const StagedFile& file : files) paths += (paths.empty() ? "" : ", ") + QuoteText(file.file.path);
    return fmt::format(
        "INSERT INTO lake.tidemill.quarantine SELECT {}, ([{}])[file + 1], record, line, reason, raw, {}, {} "
        "FROM {};",
        QuoteText(source_.name), paths, run_id_, now_, staging_.refused_table());
  }

 private:
  const SourceAsset& source_;
  const RowChecker& checker_;
  const Staging& staging_;
  std::string now_;
  int64_t run_id_;
  std::string table_;
};

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

}  // namespace

Result<IngestReport> IngestSource(const Project& project, const SourceAsset& source, Lake& lake, Timestamp now, int64_t run_id,
                                  const RowProgress& progress) {
  IngestReport report;
  TIDEMILL_ASSIGN_OR_RETURN(const auto inspection, InspectInFull(project, source, lake));
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
  TIDEMILL_RETURN_IF_ERROR(GiveNumbers(inspection, lake, &files));

  const CommitSql sql(source, checker, staging, now, run_id);
  std::string statements = sql.Bookkeeping() + sql.MakeTable(inspection.redefined);
  if (inspection.redefined) statements += sql.ForgetAll();
  for (const StoredFile& file : inspection.replaced) {
    if (!inspection.redefined) statements += sql.Replace(file);
  }
  statements += sql.InsertRows(files) + sql.InsertFiles(files, inspection.definition) + sql.InsertQuarantine(files);
  const std::string message =
      fmt::format("ingest {}: {} rows of {} {}", source.name, staging.rows(), files.size(), files.size() == 1 ? "file" : "files");
  TIDEMILL_ASSIGN_OR_RETURN(report.snapshot,
                            lake.Commit(message, {{"run", run_id}, {"source", source.name}, {"files", positions}},
                                        [&](Session& writer) { return writer.Execute(statements); }));
  report.files = static_cast<int64_t>(files.size());
  report.rows = staging.rows();
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
