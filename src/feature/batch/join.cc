#include "feature/batch/join.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <thread>

#include "base/text_distance.h"
#include "feature/entity_groups.h"
#include "feature/entity_key.h"
#include "feature/program/entity_kernel.h"
#include "feature/view_rows.h"

namespace tidemill {
namespace {

/// The spine by entity and, within an entity, by time.
struct SpineIndex {
  EntityIds ids;
  EntityGroups grouping;
  std::vector<uint32_t> without_entity;  ///< rows with a null in their key or time: nothing matches them
};

Result<const Column*> FindColumn(const Columns& spine, const std::string& name) {
  if (const Column* column = spine.Find(name)) return column;
  std::vector<std::string> names;
  for (const Column& column : spine.columns) names.push_back(column.name);
  return UserError("unknown_column", fmt::format("the spine has no column '{}'", name), SuggestionHint(name, names));
}

Result<std::vector<const Column*>> KeyColumns(const Columns& spine, const ViewJoin& view) {
  const std::vector<Field>& keys = view.program->keys;
  if (view.spine_keys.size() != keys.size()) {
    return UserError("join_keys", fmt::format("view '{}' has {} keys, but {} were given", view.program->view, keys.size(),
                                              view.spine_keys.size()));
  }
  std::vector<const Column*> columns;
  for (size_t i = 0; i < keys.size(); ++i) {
    TIDEMILL_ASSIGN_OR_RETURN(const Column* column, FindColumn(spine, view.spine_keys[i]));
    if (column->type != keys[i].type) {
      return UserError("key_type",
                       fmt::format("spine column '{}' is {}, but key '{}' of view '{}' is {}", column->name,
                                   TypeName(column->type), keys[i].name, view.program->view, TypeName(keys[i].type)),
                       "cast one of them in its table");
    }
    columns.push_back(column);
  }
  return columns;
}

SpineIndex IndexSpine(const std::vector<const Column*>& keys, const Column& times) {
  SpineIndex index;
  std::vector<uint32_t> entity_of_row(times.size(), kNoEntity);
  std::string key;
  for (size_t row = 0; row < times.size(); ++row) {
    const bool complete =
        !times.IsNull(row) && std::none_of(keys.begin(), keys.end(), [&](const Column* k) { return k->IsNull(row); });
    if (!complete) {
      index.without_entity.push_back(static_cast<uint32_t>(row));
      continue;
    }
    key.clear();
    for (const Column* column : keys) AppendKeyPart(ColumnDatum(*column, row), column->type, key);
    entity_of_row[row] = EntityId(key, index.ids);
  }
  index.grouping = GroupByEntity(entity_of_row, index.ids.size());
  for (size_t entity = 0; entity < index.ids.size(); ++entity) {
    const auto begin = index.grouping.rows.begin() + static_cast<ptrdiff_t>(index.grouping.begin[entity]);
    const auto end = index.grouping.rows.begin() + static_cast<ptrdiff_t>(index.grouping.begin[entity + 1]);
    const auto earlier = [&](uint32_t a, uint32_t b) { return times.ints[a] < times.ints[b]; };
    if (!std::is_sorted(begin, end, earlier)) std::sort(begin, end, earlier);
  }
  return index;
}

/// The view's rows that can matter to the spine, with the entity of each.
struct ViewRows {
  RowStore rows;
  std::vector<uint32_t> entity_of_row;
};
constexpr size_t kRowsMax = UINT32_MAX - 1;  ///< of a view or a spine: positions have 32 bits

std::string RowsCondition(const ViewJoin& view, const Column& times, Timestamp now) {
  int64_t first = INT64_MAX;
  int64_t last = INT64_MIN;
  for (size_t row = 0; row < times.size(); ++row) {
    if (times.IsNull(row)) continue;
    first = std::min(first, times.ints[row]);
    last = std::max(last, times.ints[row]);
  }
  const std::string event = QuoteIdentifier(view.event_time);
  std::string condition =
      TimeCondition("_known_at", "<=", std::min(now.micros, last)) + " AND " + TimeCondition(event, "<=", last);
  if (const auto reach = view.program->Reach(); reach && first != INT64_MAX)
    condition += " AND " + TimeCondition(event, ">=", first - reach->micros);
  return condition;
}

Result<ViewRows> ReadRows(Session& session, const ViewJoin& view, const CompiledProgram& program, const EntityIds& ids,
                          const Column& times, Timestamp now) {
  ViewRows result{RowStore(program.slot_types()), {}};
  if (ids.empty()) return result;
  std::vector<Datum> slots(program.slot_types().size());
  TextPool texts;
  std::string key;
  TIDEMILL_RETURN_IF_ERROR(StreamViewRows(
      session, *view.program, view.table_sql, view.event_time, RowsCondition(view, times, now),
      [&](const ViewRow& row) -> Status {
        key.clear();
        for (size_t i = 0; i < row.keys.size(); ++i) AppendKeyPart(row.keys[i], view.program->keys[i].type, key);
        const auto entity = ids.find(std::string_view(key));
        if (entity == ids.end()) return Ok();
        if (result.rows.size() >= kRowsMax)
          return UserError("table_too_large", "more than 4294967294 rows of a view matter to this spine", "join it in parts");
        texts.Reset();
        program.FillSlots(row.columns, texts, slots);
        result.rows.Append(row.event, row.known, row.sequence, slots);
        result.entity_of_row.push_back(entity->second);
        return Ok();
      }));
  return result;
}

/// A column that is filled by row from several threads.
struct OutputColumn {
  Type type = Type::kDouble;
  std::vector<uint8_t> valid;
  std::vector<int64_t> ints;
  std::vector<double> doubles;
  std::vector<std::string> texts;

  OutputColumn(Type output_type, size_t rows) : type(output_type), valid(rows, 0) {
    if (type == Type::kDouble) {
      doubles.resize(rows);
    } else if (HoldsBytes(type)) {
      texts.resize(rows);
    } else {
      ints.resize(rows);
    }
  }
  void Set(size_t row, const Datum& value) {
    if (value.null) return;
    valid[row] = 1;
    if (type == Type::kDouble) {
      doubles[row] = value.number;
    } else if (HoldsBytes(type)) {
      texts[row] = value.text;
    } else {
      ints[row] = value.integer;
    }
  }
  Column Finish(std::string name) {
    Column column(std::move(name), type);
    if (HoldsBytes(type)) {
      for (size_t row = 0; row < valid.size(); ++row) valid[row] != 0 ? column.AppendText(texts[row]) : column.AppendNull();
      return column;
    }
    column.valid = std::move(valid);
    column.ints = std::move(ints);
    column.doubles = std::move(doubles);
    return column;
  }
};

/// Joins one view: entities are shared out among threads, a kernel each.
class ViewJoiner {
 public:
  ViewJoiner(std::shared_ptr<const CompiledProgram> program, std::vector<size_t> outputs, const SpineIndex& spine,
             const Column& times, const ViewRows& rows)
      : program_(std::move(program)),
        outputs_(std::move(outputs)),
        spine_(spine),
        times_(times),
        rows_(rows),
        rows_by_entity_(GroupByEntity(rows.entity_of_row, spine.ids.size())) {
    for (const size_t output : outputs_) columns_.emplace_back(program_->output_type(output), times.size());
  }

  /// Returns how many rows of the table were there twice.
  size_t Run(int threads) {
    std::vector<std::jthread> workers;
    for (int i = 1; i < threads; ++i) workers.emplace_back([this] { Work(); });
    Work();
    workers.clear();
    FillWithoutEntity();
    return duplicates_;
  }

  Column Finish(size_t output, std::string name) { return columns_[output].Finish(std::move(name)); }

 private:
  void Work() {
    constexpr size_t kEntitiesAtOnce = 16;
    EntityKernel kernel(program_);
    std::vector<Datum> values(program_->outputs());
    for (size_t first = next_.fetch_add(kEntitiesAtOnce); first < spine_.ids.size(); first = next_.fetch_add(kEntitiesAtOnce)) {
      const size_t end = std::min(first + kEntitiesAtOnce, spine_.ids.size());
      for (size_t entity = first; entity < end; ++entity) JoinEntity(entity, kernel, values);
    }
  }

  void JoinEntity(size_t entity, EntityKernel& kernel, std::vector<Datum>& values) {
    kernel.Clear();
    for (size_t at = rows_by_entity_.begin[entity]; at < rows_by_entity_.begin[entity + 1]; ++at)
      kernel.AddFrom(rows_.rows, rows_by_entity_.rows[at]);
    for (size_t at = spine_.grouping.begin[entity]; at < spine_.grouping.begin[entity + 1]; ++at) {
      const uint32_t row = spine_.grouping.rows[at];
      kernel.Query(times_.ints[row], values);
      Write(row, values);
    }
    duplicates_ += kernel.duplicates();
  }

  void FillWithoutEntity() {
    if (spine_.without_entity.empty()) return;
    EntityKernel kernel(program_);
    std::vector<Datum> values(program_->outputs());
    kernel.Query(0, values);
    for (const uint32_t row : spine_.without_entity) Write(row, values);
  }

  void Write(uint32_t row, const std::vector<Datum>& values) {
    for (size_t i = 0; i < outputs_.size(); ++i) columns_[i].Set(row, values[outputs_[i]]);
  }

  std::shared_ptr<const CompiledProgram> program_;
  std::vector<size_t> outputs_;
  const SpineIndex& spine_;
  const Column& times_;
  const ViewRows& rows_;
  EntityGroups rows_by_entity_;
  std::vector<OutputColumn> columns_;
  std::atomic<size_t> next_{0};
  std::atomic<size_t> duplicates_{0};
};

/// Which outputs of the program are asked for.
Result<std::vector<size_t>> WantedOutputs(const ViewJoin& view) {
  const std::vector<Output>& all = view.program->outputs;
  std::vector<size_t> wanted;
  for (const std::string& name : view.outputs) {
    const auto at = std::find_if(all.begin(), all.end(), [&](const Output& output) { return output.name == name; });
    if (at == all.end()) {
      std::vector<std::string> names;
      for (const Output& output : all) names.push_back(output.name);
      return UserError("unknown_feature", fmt::format("view '{}' has no feature '{}'", view.program->view, name),
                       SuggestionHint(name, names));
    }
    wanted.push_back(static_cast<size_t>(at - all.begin()));
  }
  if (view.outputs.empty()) {
    wanted.resize(all.size());
    std::iota(wanted.begin(), wanted.end(), size_t{0});
  }
  return wanted;
}

Status JoinView(Session& session, const ViewJoin& view, const SpineIndex& index, const Column& times, Timestamp now, int threads,
                std::vector<Column>& features) {
  TIDEMILL_ASSIGN_OR_RETURN(auto program, CompiledProgram::Make(*view.program));
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<size_t> wanted, WantedOutputs(view));
  TIDEMILL_ASSIGN_OR_RETURN(const ViewRows rows, ReadRows(session, view, *program, index.ids, times, now));
  ViewJoiner joiner(std::move(program), wanted, index, times, rows);
  if (const size_t duplicates = joiner.Run(threads); duplicates > 0) {
    return UserError(
        "duplicate_rows",
        fmt::format("{} rows of the table of view '{}' can't be told apart: same row of the first table, same times, same values",
                    duplicates, view.program->view),
        "a join in its SQL multiplies rows: join on a full key, or aggregate first");
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    features.push_back(joiner.Finish(i, view.prefix + "__" + view.program->outputs[wanted[i]].name));
  }
  return Ok();
}

}  // namespace

Result<Columns> JoinFeatures(Session& session, Columns spine, const std::string& time_column, const std::vector<ViewJoin>& views,
                             Timestamp now, int threads) {
  TIDEMILL_ASSIGN_OR_RETURN(const Column* times, FindColumn(spine, time_column));
  if (times->type != Type::kTimestamp) {
    return UserError("time_type", fmt::format("spine column '{}' is {}, not a timestamp", time_column, TypeName(times->type)));
  }
  if (spine.rows() > kRowsMax) return UserError("spine_too_large", "a spine has at most 4294967294 rows", "join it in parts");
  std::vector<Column> features;
  // Views with the same keys share one index of the spine.
  std::vector<std::pair<std::vector<std::string>, SpineIndex>> indices;
  for (const ViewJoin& view : views) {
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<const Column*> keys, KeyColumns(spine, view));
    auto index = std::find_if(indices.begin(), indices.end(), [&](const auto& entry) { return entry.first == view.spine_keys; });
    if (index == indices.end()) index = indices.insert(indices.end(), {view.spine_keys, IndexSpine(keys, *times)});
    TIDEMILL_RETURN_IF_ERROR(JoinView(session, view, index->second, *times, now, std::max(threads, 1), features));
  }
  for (Column& feature : features) {
    if (spine.Find(feature.name) != nullptr) {
      return UserError("duplicate_column", fmt::format("there are two columns named '{}'", feature.name),
                       "give one of the views another name with 'as'");
    }
    spine.columns.push_back(std::move(feature));
  }
  return spine;
}

}  // namespace tidemill
