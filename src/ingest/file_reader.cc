#include "ingest/file_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "ingest/column_match.h"

namespace tidemill {
namespace {

constexpr int64_t kProgressRows = 50'000;
constexpr size_t kWarningsMax = 5;
constexpr size_t kExcerptBytesMax = 200;

std::string Excerpt(std::string_view raw) {
  const std::string_view line = raw.substr(0, std::min(raw.find('\n'), kExcerptBytesMax));
  return EscapeInvalidUtf8(line);
}

}  // namespace

bool IsParquet(const std::string& path) { return std::filesystem::path(path).extension() == ".parquet"; }

std::string ParquetSql(const std::filesystem::path& path) {
  return fmt::format("SELECT * FROM read_parquet({})", QuoteText(path.string()));
}

Result<char> DelimiterOf(const SourceAsset& source) {
  if (source.delimiter.size() == 1 && source.delimiter != "\"" && source.delimiter != "\n") return source.delimiter[0];
  return UserErrorAt("bad_delimiter",
                     fmt::format("the delimiter of source '{}' is '{}', expected one character", source.name, source.delimiter),
                     source.place, "write it in quotes: delimiter: \";\" or \"\\t\"");
}

void FileReader::Tell(int64_t records) const {
  if (progress_ && records % kProgressRows == 0) progress_(staging_.rows());
}

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
  // Only kept rows stay, also when the reading ends here: the batch has a record's number for each.
  if (contract_.on_violation != OnViolation::kWarn) Truncate(staging_.batch().rows() - 1, &staging_.batch());
  if (contract_.on_violation == OnViolation::kFail) {
    return ContractError(first.reason, line, raw, cells == nullptr ? std::string_view() : (*cells)[first.column]);
  }
  for (const Violation& violation : violations_) Count(violation.kind, violation.reason, line, record);
  if (contract_.on_violation == OnViolation::kWarn) return staging_.KeepRow(record);
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

}  // namespace tidemill
