#include "feature/batch/entity_rows.h"

#include <fmt/format.h>

#include <algorithm>

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

}  // namespace

Result<EntityRows> ReadEntityRows(Session& session, const Program& program, const CompiledProgram& compiled,
                                  const std::string& table_sql, const std::string& event_time, const std::string& condition,
                                  EntityIndex& index) {
  RowStore read(compiled.slot_types());
  std::vector<uint32_t> entity_of_row;
  std::vector<Datum> slots(compiled.slot_types().size());
  TextPool texts;
  TIDEMILL_RETURN_IF_ERROR(StreamViewRows(session, program, table_sql, event_time, condition, [&](const ViewRow& row) -> Status {
    if (read.size() >= kRowsMax) return InternalError("more than 4294967294 rows of a view at once");
    texts.Reset();
    compiled.FillSlots(row.columns, texts, slots);
    read.Append(row.event, row.known, row.sequence, slots);
    entity_of_row.push_back(index.Add(row.keys));
    return Ok();
  }));
  EntityRows result{RowStore(compiled.slot_types())};
  EntityGroups groups = GroupByEntity(entity_of_row, index.size());
  entity_of_row = {};
  EntityAppender appender(read, result, compiled.slot_types());
  for (size_t entity = 0; entity < index.size(); ++entity) {
    appender.Append(std::span(groups.rows).subspan(groups.begin[entity], groups.begin[entity + 1] - groups.begin[entity]));
    result.begin.push_back(result.rows.size());
  }
  return result;
}

Status CheckNoDuplicates(const EntityRows& rows, const std::string& view) {
  if (rows.duplicates == 0) return Ok();
  return UserError(
      "duplicate_rows",
      fmt::format("{} rows of the table of view '{}' can't be told apart: same row of the first table, same times, same values",
                  rows.duplicates, view),
      "a join in its SQL multiplies rows: join on a full key, or aggregate first");
}

}  // namespace tidemill
