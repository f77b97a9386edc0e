#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "feature/program/datum.h"
#include "feature/program/program.h"
#include "sql/database.h"

namespace tidemill {

/// A row of a view's table. Everything refers to the batch that it came in.
struct ViewRow {
  int64_t event = 0;  ///< microseconds
  int64_t known = 0;
  int64_t sequence = 0;
  std::span<const Datum> keys;     ///< follow Program::keys; none is null
  std::span<const Datum> columns;  ///< follow Program::columns
};

/// A batch of rows of a view's table. Everything refers to the batch.
struct ViewColumns {
  const Column* event = nullptr;  ///< timestamps, as `known`; without nulls, as `sequence` and `keys`
  const Column* known = nullptr;
  const Column* sequence = nullptr;
  std::vector<const Column*> keys;     ///< follow Program::keys
  std::vector<const Column*> columns;  ///< follow Program::columns, with their types

  size_t rows() const { return event->size(); }
};

/// Reads rows of a view's table, batch by batch, in no particular order. `condition` is SQL over the table's columns.
/// Rows without event time or known time, or with a null in their key, belong to no entity and are left out. Batches are taken by
/// several threads, for each of which `make` gives a taker of its own (see Session::StreamUnordered).
/// Codes: "column_type" when the table has changed since the program was compiled, and those of the session.
using ViewTaker = std::function<Status(const ViewColumns& batch)>;
Status StreamViewColumns(Session& session, const Program& program, const std::string& table_sql, const std::string& event_time,
                         const std::string& condition, const std::function<ViewTaker()>& make);

/// The same row by row, in one thread.
Status StreamViewRows(Session& session, const Program& program, const std::string& table_sql, const std::string& event_time,
                      const std::string& condition, const std::function<Status(const ViewRow& row)>& take);

/// "_known_at <= TIMESTAMP '...'" and the like, right for any time.
std::string TimeCondition(const std::string& column, const std::string& comparison, int64_t micros);

}  // namespace tidemill
