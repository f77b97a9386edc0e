#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ingest/row_checker.h"
#include "project/project.h"
#include "sql/database.h"

namespace tidemill {

/// A refused record, as it goes to quarantine.
struct RefusedRecord {
  int64_t record = 0;
  int64_t line = 0;  ///< 0: the file has no lines (Parquet)
  std::string reason;
  std::string raw;
};

/// How often something was wrong in the same way, and where first.
struct ViolationCount {
  int64_t count = 0;
  std::string first_reason;
  std::string first_place;  ///< "data/flights.csv:12"
};

/// Collects checked rows of one or several files in tables of the engine's memory (which spills), so that the
/// commit itself is short. The tables go away with this object. Not thread-safe.
class Staging {
 public:
  static Result<Staging> Make(std::unique_ptr<Session> session, std::string_view name, const RowChecker& checker);
  Staging(Staging&& other) noexcept;
  ~Staging();

  /// Rows that follow belong to the file with this number (0, 1, ...).
  Status BeginFile(int64_t file);
  /// The row appended last to batch() is record `record`. Flushes full batches.
  Status KeepRow(int64_t record);
  Status Refuse(RefusedRecord refused);
  Status Flush();

  Columns& batch() { return batch_; }
  int64_t rows() const { return rows_; }
  int64_t refused() const { return refused_rows_; }
  Session& session() { return *session_; }

  const std::string& rows_table() const { return rows_table_; }        ///< columns of the contract, _file, _record
  const std::string& refused_table() const { return refused_table_; }  ///< file, record, line, reason, raw

 private:
  Staging() = default;
  Status FlushRows();
  Status FlushRefused();

  std::unique_ptr<Session> session_;
  std::string rows_table_, refused_table_;
  Columns batch_;
  Column record_of_row_;
  Columns refused_;
  int64_t file_ = 0;
  int64_t rows_ = 0;
  int64_t refused_rows_ = 0;
};

}  // namespace tidemill
