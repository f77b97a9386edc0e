#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ingest/csv_reader.h"
#include "ingest/ingest.h"
#include "ingest/row_checker.h"
#include "ingest/staging.h"
#include "project/project.h"

namespace tidemill {

bool IsParquet(const std::string& path);
/// A SELECT of all rows of a Parquet file.
std::string ParquetSql(const std::filesystem::path& path);
/// Code "bad_delimiter" when it is not one byte.
Result<char> DelimiterOf(const SourceAsset& source);

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
  void Tell(int64_t records) const;

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

}  // namespace tidemill
