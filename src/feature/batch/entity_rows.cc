#include "feature/batch/entity_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>

#include "feature/batch/slot_columns.h"
#include "feature/batch/spine_block.h"
#include "feature/view_rows.h"

namespace tidemill {
namespace {

constexpr size_t kRowsMax = UINT32_MAX - 1;  // positions have 32 bits

/// Appends the rows of one entity in order, each once.
class EntityAppender {
 public:
  EntityAppender(const RowStore& from, EntityRows& to, const std::vector<Type>& slot_types)
      : from_(from), to_(to), scratch_(slot_types) {}

  void Append(std::span<uint32_t> rows) {
    const auto earlier = [&](uint32_t a, uint32_t b) { return Key(a) < Key(b); };
    if (!std::is_sorted(rows.begin(), rows.end(), earlier)) std::sort(rows.begin(), rows.end(), earlier);
    const auto ties = std::adjacent_find(rows.begin(), rows.end(), [&](uint32_t a, uint32_t b) { return Key(a) == Key(b); });
    if (ties == rows.end()) {
      for (const uint32_t row : rows) to_.rows.AppendFrom(from_, row);
      return;
    }
    // Rows with equal times and numbers: the store's own order, which looks at their values too.
    scratch_.Clear();
    for (const uint32_t row : rows) scratch_.AppendFrom(from_, row);
    to_.duplicates += scratch_.SortUnique();
    for (size_t row = 0; row < scratch_.size(); ++row) to_.rows.AppendFrom(scratch_, row);
  }

 private:
  std::pair<int64_t, int64_t> Key(uint32_t row) const { return {from_.event(row), from_.sequence(row)}; }

  const RowStore& from_;
  EntityRows& to_;
  RowStore scratch_;
};

/// The rows by entity, and there in order; nullopt when some can't be told apart by time and number.
std::optional<EntityRows> PlaceRows(const TableRows& read, int threads) {
  EntityPlaces places = PlaceByEntity(read.entity_of_row, read.entities);
  RowStore rows = read.rows.Placed(places.place, [threads](size_t count, const std::function<void(size_t)>& work) {
    ShareOut(count, 1, threads, [&](size_t, size_t begin, size_t) { work(begin); });
  });
  std::atomic<bool> apart{true};
  ShareOut(read.entities, 64, threads, [&](size_t, size_t first, size_t end) {
    for (size_t entity = first; entity < end && apart; ++entity) {
      if (!rows.SortRange(places.begin[entity], places.begin[entity + 1])) apart = false;
    }
  });
  if (!apart) return std::nullopt;
  return EntityRows{std::move(rows), std::move(places.begin)};
}

}  // namespace

Result<TableRows> ReadTableRows(Session& session, const Program& program, const CompiledProgram& compiled,
                                const std::string& table_sql, const std::string& event_time, const std::string& condition,
                                size_t expected, EntityIndex& index) {
  TableRows read{RowStore(compiled.slot_types()), {}, 0};
  read.rows.Reserve(expected);
  read.entity_of_row.reserve(expected);
  const bool in_columns = SlotColumns::Serve(compiled);
  SlotColumns slot_columns(compiled);
  std::mutex adding;
  const auto add = [&](const ViewColumns& batch) -> Status {
    const std::lock_guard lock(adding);
    if (read.rows.size() + batch.rows() >= kRowsMax) return InternalError("more than 4294967294 rows of a view at once");
    index.Add(batch.keys, read.entity_of_row);
    if (in_columns) {
      read.rows.AppendRun(batch.event->ints, batch.known->ints.data(), batch.sequence->ints.data(), 0,
                          slot_columns.Read(batch.columns, 0, batch.rows()));
      return Ok();
    }
    for (size_t row = 0; row < batch.rows(); ++row) {
      read.rows.Append(batch.event->ints[row], batch.known->ints[row], batch.sequence->ints[row],
                       slot_columns.ReadRow(batch.columns, row));
    }
    return Ok();
  };
  TIDEMILL_RETURN_IF_ERROR(
      StreamViewColumns(session, program, table_sql, event_time, condition, [&]() -> ViewTaker { return add; }));
  read.entities = index.size();
  return read;
}

EntityRows GroupRows(TableRows read, const std::vector<Type>& slot_types, int threads) {
  if (auto placed = PlaceRows(read, threads)) return std::move(*placed);
  EntityRows result{RowStore(slot_types)};
  EntityGroups groups = GroupByEntity(read.entity_of_row, read.entities);
  EntityAppender appender(read.rows, result, slot_types);
  for (size_t entity = 0; entity < read.entities; ++entity) {
    appender.Append(std::span(groups.rows).subspan(groups.begin[entity], groups.begin[entity + 1] - groups.begin[entity]));
    result.begin.push_back(result.rows.size());
  }
  return result;
}

Status CheckNoDuplicates(size_t duplicates, const std::string& view) {
  if (duplicates == 0) return Ok();
  return UserError(
      "duplicate_rows",
      fmt::format("{} rows of the table of view '{}' can't be told apart: same row of the first table, same times, same values",
                  duplicates, view),
      "a join in its SQL multiplies rows: join on a full key, or aggregate first");
}

}  // namespace tidemill
