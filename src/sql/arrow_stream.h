#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/columns.h"
#include "base/result.h"

struct _duckdb_arrow_stream;

namespace tidemill {

/// Rows that somebody makes batch by batch: nullopt ends them. Columns have the fields' types. `next` is called by one thread at
/// a time, but not always by the same one.
struct RowStream {
  std::vector<Field> fields;
  std::function<Result<std::optional<Columns>>()> next;
};

/// A stream of rows in Arrow's C stream interface, for DuckDB to read. Numbers and texts are handed over without a copy.
class ArrowStream {
 public:
  explicit ArrowStream(RowStream rows);
  ArrowStream(const ArrowStream&) = delete;
  ArrowStream& operator=(const ArrowStream&) = delete;
  ~ArrowStream();

  /// Valid as long as this.
  _duckdb_arrow_stream* handle();
  /// The error that `next` gave, which DuckDB knows as text only; Ok when there was none.
  const Status& status() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tidemill
