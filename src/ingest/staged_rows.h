#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "ingest/row_checker.h"
#include "ingest/source_files.h"
#include "ingest/staging.h"
#include "project/project.h"

namespace tidemill {

/// A file about to be stored.
struct StagedFile {
  SourceFile file;
  int64_t records = 0;
  int64_t first_seq = 0;
};

/// Writes staged rows of a source, with the books about its files and its quarantine, into the lake: the change of one commit.
class StagedRows {
 public:
  StagedRows(const SourceAsset& source, const RowChecker& checker, const Staging& staging, const SourceInspection& inspection,
           Timestamp now, int64_t run_id);

  /// Returns the number of rows that are new. Repeatable.
  Result<int64_t> Write(Session& writer, const std::vector<StagedFile>& files) const;

 private:
  std::string MakeTables() const;
  std::string ForgetAll() const;
  Result<int64_t> KeepUnchangedRows(Session& writer, const std::vector<StagedFile>& files) const;
  std::string InsertRows(const std::vector<StagedFile>& files, bool some_kept) const;
  std::string InsertFiles(const std::vector<StagedFile>& files) const;
  std::string InsertQuarantine(const std::vector<StagedFile>& files) const;

  const SourceAsset& source_;
  const Staging& staging_;
  const SourceInspection& inspection_;
  std::vector<ContractColumn> columns_;
  std::string now_;
  int64_t run_id_;
  std::string name_;  ///< of the source, as SQL text
  std::string table_;
  std::string column_list_;  ///< "a, b, "
};

}  // namespace tidemill
