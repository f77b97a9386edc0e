#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/columns.h"
#include "base/result.h"

struct _duckdb_connection;

namespace tidemill {

/// Takes batches of rows, for one thread. A batch is there for the time of the call.
using RowTaker = std::function<Status(const Columns& batch)>;
/// Makes a taker for a thread that begins to deliver. Thread-safe.
using MakeRowTaker = std::function<RowTaker()>;

/// Those who take rows in the threads that DuckDB makes them in. A result that is fetched goes through one thread, which then does
/// most of the work of making it too; a function that each thread of the statement calls with what it has made does not.
/// Thread-safe.
class ParallelRows {
 public:
  /// Makes the function known to a database, which keeps `rows` as long as it lives.
  static Status Register(_duckdb_connection* connection, std::shared_ptr<ParallelRows> rows);

  /// Rows of these types go to takers that `make` gives, until End(), which tells the first error of any of them.
  int64_t Begin(std::vector<Field> fields, MakeRowTaker make);
  Status End(int64_t id);
  /// A call of the function with those of Begin()'s `id`; `columns` is a list of SQL expressions of Begin()'s types.
  static std::string Call(int64_t id, const std::string& columns);

  struct Consumer;
  /// nullptr when there is none with that number.
  std::shared_ptr<Consumer> Find(int64_t id);

 private:
  std::mutex mutex_;
  int64_t next_id_ = 0;
  std::map<int64_t, std::shared_ptr<Consumer>> consumers_;
};

}  // namespace tidemill
