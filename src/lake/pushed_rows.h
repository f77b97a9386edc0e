#pragma once

#include <string>
#include <vector>

#include "base/columns.h"
#include "lake/lake.h"

namespace tidemill {

/// A row of a push that broke its contract.
struct RefusedPushRow {
  int64_t record = 0;
  std::string reason;
  std::string raw;
};

/// Rows that came by one push, as they were acknowledged.
struct PushedBatch {
  std::string source;
  std::string id;         ///< given by the client; "" : none
  int64_t records = 0;    ///< those that came: record k, from 1 on, has `_seq` = first_seq + k - 1
  int64_t first_seq = 0;
  Timestamp arrived_at;   ///< project clock
  Columns rows;           ///< those accepted, with the columns of the source's contract
  std::vector<int64_t> record_of_row;
  std::vector<int64_t> known_at;  ///< of each row, in microseconds
  std::vector<RefusedPushRow> refused;

  int64_t Sequence(size_t row) const { return first_seq + record_of_row[row] - 1; }
  int64_t last_seq() const { return first_seq + records - 1; }
};

/// SQL that makes `tidemill.files` and `tidemill.quarantine`, the books about sources, where they are missing.
std::string_view SourceBooksSql();

/// The name that stands for a push where others have a file: "push ID", or "push #FIRST_SEQ".
std::string PushName(const PushedBatch& batch);

/// Makes the table of a pushed source, empty, when it is missing. Code "source_redefined" when it has other columns.
Status MakePushedTable(Lake& lake, const std::string& source, const std::vector<Field>& columns);

/// Appends pushes to the tables of their sources (`_seq` and `_known_at` last), refused rows to `tidemill.quarantine`, and a line for each push
/// to `tidemill.files`, all in one commit. Pushes that are there already, by their sequence numbers, are left out, so
/// repeating it stores nothing twice. `batches` are in the order of their numbers.
Status StorePushedRows(Lake& lake, const std::vector<PushedBatch>& batches);

}  // namespace tidemill
