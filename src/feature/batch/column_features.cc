#include "feature/batch/column_features.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "feature/entity_groups.h"
#include "feature/entity_key.h"
#include "feature/program/entity_kernel.h"

namespace tidemill {
namespace {

/// The entities of both sides, numbered alike, and what lies where.
struct EntityColumns {
  size_t entities = 0;
  EntityGroups rows;
  EntityGroups queries;
};

bool Complete(const std::vector<const Column*>& keys, const Column& time, size_t row) {
  return !time.IsNull(row) && std::none_of(keys.begin(), keys.end(), [&](const Column* key) { return key->IsNull(row); });
}

/// Numbers entities by one key of whole numbers that lie close together: without hashing anything.
class DenseNumbering {
 public:
  /// Whether the values of both columns span at most a few times as many numbers as there are rows.
  static bool Fits(const Column& rows, const Column& queries) {
    if (rows.type == Type::kText || rows.type == Type::kDouble) return false;
    const auto [low, high] = Span(rows, queries);
    uint64_t width = 0;
    if (low > high) return true;
    width = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
    return width < 4 * (rows.size() + queries.size()) + 1024 && width < kNoEntity;
  }
  DenseNumbering(const Column& rows, const Column& queries) {
    const auto [low, high] = Span(rows, queries);
    low_ = low;
    if (low <= high) entities_ = static_cast<size_t>(high - low) + 1;
  }
  uint32_t operator()(const std::vector<const Column*>& keys, size_t row) const {
    return static_cast<uint32_t>(keys.front()->ints[row] - low_);
  }
  size_t entities() const { return entities_; }

 private:
  static std::pair<int64_t, int64_t> Span(const Column& rows, const Column& queries) {
    std::pair<int64_t, int64_t> span{INT64_MAX, INT64_MIN};
    for (const Column* column : {&rows, &queries}) {
      for (size_t row = 0; row < column->size(); ++row) {
        if (column->IsNull(row)) continue;
        span.first = std::min(span.first, column->ints[row]);
        span.second = std::max(span.second, column->ints[row]);
      }
    }
    return span;
  }

  int64_t low_ = 0;
  size_t entities_ = 0;
};

/// Numbers entities by any key.
class EncodedNumbering {
 public:
  uint32_t operator()(const std::vector<const Column*>& keys, size_t row) {
    key_.clear();
    for (const Column* column : keys) AppendKeyPart(ColumnDatum(*column, row), column->type, key_);
    return EntityId(key_, ids_);
  }
  size_t entities() const { return ids_.size(); }

 private:
  EntityIds ids_;
  std::string key_;
};

template <typename Numbering>
std::vector<uint32_t> NumberEntities(const std::vector<const Column*>& keys, const Column& time, Numbering& numbering) {
  std::vector<uint32_t> entity_of_row(time.size(), kNoEntity);
  for (size_t row = 0; row < time.size(); ++row) {
    if (Complete(keys, time, row)) entity_of_row[row] = numbering(keys, row);
  }
  return entity_of_row;
}

template <typename Numbering>
EntityColumns GroupColumns(const ColumnRows& rows, const ColumnQueries& queries, Numbering numbering) {
  EntityColumns grouped;
  const std::vector<uint32_t> row_entities = NumberEntities(rows.keys, *rows.event, numbering);
  if (rows.keys == queries.keys && rows.event == queries.time) {
    grouped.entities = numbering.entities();
    grouped.rows = GroupByEntity(row_entities, grouped.entities);
    grouped.queries = grouped.rows;
    return grouped;
  }
  const std::vector<uint32_t> query_entities = NumberEntities(queries.keys, *queries.time, numbering);
  grouped.entities = numbering.entities();
  grouped.rows = GroupByEntity(row_entities, grouped.entities);
  grouped.queries = GroupByEntity(query_entities, grouped.entities);
  return grouped;
}

EntityColumns GroupColumns(const ColumnRows& rows, const ColumnQueries& queries) {
  if (rows.keys.size() == 1 && DenseNumbering::Fits(*rows.keys.front(), *queries.keys.front()))
    return GroupColumns(rows, queries, DenseNumbering(*rows.keys.front(), *queries.keys.front()));
  return GroupColumns(rows, queries, EncodedNumbering());
}

/// A column of results that several threads fill, each at rows of its own.
class ResultColumn {
 public:
  ResultColumn(const std::string& name, Type type, size_t rows) : column_(name, type) {
    column_.valid.assign(rows, 0);
    if (type == Type::kText) {
      texts_.resize(rows);
    } else if (type == Type::kDouble) {
      column_.doubles.resize(rows);
    } else {
      column_.ints.resize(rows);
    }
  }

  void Set(size_t row, const Datum& value) {
    if (value.null) return;
    column_.valid[row] = 1;
    if (column_.type == Type::kText) {
      texts_[row] = value.text;
    } else if (column_.type == Type::kDouble) {
      column_.doubles[row] = value.number;
    } else {
      column_.ints[row] = value.integer;
    }
  }

  Column Take() {
    for (const std::string& text : texts_) {
      column_.chars += text;
      column_.offsets.push_back(column_.chars.size());
    }
    return std::move(column_);
  }

 private:
  Column column_;
  std::vector<std::string> texts_;
};

/// Shares out the entities among threads, a kernel each.
class ColumnJoiner {
 public:
  ColumnJoiner(const Program& program, std::shared_ptr<const CompiledProgram> compiled, const ColumnRows& rows,
               const ColumnQueries& queries)
      : compiled_(std::move(compiled)), rows_(rows), queries_(queries), grouped_(GroupColumns(rows, queries)) {
    for (size_t i = 0; i < program.outputs.size(); ++i)
      results_.emplace_back(program.outputs[i].name, compiled_->output_type(i), queries.time->size());
  }

  /// Returns how many rows were there twice.
  size_t Run(int threads) {
    AnswerWithoutEntity();
    std::vector<std::jthread> workers;
    for (int i = 1; i < threads; ++i) workers.emplace_back([this] { Work(); });
    Work();
    workers.clear();
    return duplicates_;
  }

  Columns Take() {
    Columns columns;
    for (ResultColumn& result : results_) columns.columns.push_back(result.Take());
    return columns;
  }

 private:
  void Work() {
    constexpr size_t kEntitiesAtOnce = 16;
    EntityKernel kernel(compiled_);
    std::vector<Datum> values(results_.size());
    for (size_t first = next_.fetch_add(kEntitiesAtOnce); first < grouped_.entities; first = next_.fetch_add(kEntitiesAtOnce)) {
      const size_t end = std::min(first + kEntitiesAtOnce, grouped_.entities);
      for (size_t entity = first; entity < end; ++entity) Join(entity, kernel, values);
    }
  }

  void Join(size_t entity, EntityKernel& kernel, std::vector<Datum>& values) {
    std::vector<uint32_t> asked(grouped_.queries.rows.begin() + static_cast<ptrdiff_t>(grouped_.queries.begin[entity]),
                                grouped_.queries.rows.begin() + static_cast<ptrdiff_t>(grouped_.queries.begin[entity + 1]));
    if (asked.empty()) return;
    const auto earlier = [&](uint32_t a, uint32_t b) { return queries_.time->ints[a] < queries_.time->ints[b]; };
    if (!std::is_sorted(asked.begin(), asked.end(), earlier)) std::sort(asked.begin(), asked.end(), earlier);
    kernel.Clear();
    AddRows(entity, kernel);
    for (const uint32_t query : asked) {
      kernel.Query(queries_.time->ints[query], values);
      for (size_t i = 0; i < values.size(); ++i) results_[i].Set(query, values[i]);
    }
    duplicates_ += kernel.duplicates();
  }

  void AddRows(size_t entity, EntityKernel& kernel) const {
    std::vector<Datum> columns(rows_.columns.size());
    std::vector<Datum> slots(compiled_->slot_types().size());
    TextPool texts;
    for (size_t at = grouped_.rows.begin[entity]; at < grouped_.rows.begin[entity + 1]; ++at) {
      const uint32_t row = grouped_.rows.rows[at];
      const Column& known = rows_.known == nullptr ? *rows_.event : *rows_.known;
      if (known.IsNull(row)) continue;
      for (size_t i = 0; i < columns.size(); ++i) columns[i] = ColumnDatum(*rows_.columns[i], row);
      texts.Reset();
      compiled_->FillSlots(columns, texts, slots);
      const int64_t sequence = rows_.sequence == nullptr ? int64_t{row} : rows_.sequence->ints[row];
      kernel.Add(rows_.event->ints[row], known.ints[row], sequence, slots);
    }
  }

  void AnswerWithoutEntity() {
    EntityKernel kernel(compiled_);
    std::vector<Datum> values(results_.size());
    kernel.Query(0, values);
    for (size_t query = 0; query < queries_.time->size(); ++query) {
      if (Complete(queries_.keys, *queries_.time, query)) continue;
      for (size_t i = 0; i < values.size(); ++i) results_[i].Set(query, values[i]);
    }
  }

  std::shared_ptr<const CompiledProgram> compiled_;
  const ColumnRows& rows_;
  const ColumnQueries& queries_;
  EntityColumns grouped_;
  std::vector<ResultColumn> results_;
  std::atomic<size_t> next_{0};
  std::atomic<size_t> duplicates_{0};
};

}  // namespace

Result<Columns> ComputeFeatures(const Program& program, const ColumnRows& rows, const ColumnQueries& queries, int threads) {
  if (rows.event->size() >= kNoEntity || queries.time->size() >= kNoEntity)
    return UserError("table_too_large", "at most 4294967294 rows fit into memory's columns", "join them in parts");
  TIDEMILL_ASSIGN_OR_RETURN(auto compiled, CompiledProgram::Make(program));
  ColumnJoiner joiner(program, std::move(compiled), rows, queries);
  if (const size_t duplicates = joiner.Run(std::max(threads, 1)); duplicates > 0) {
    return UserError("duplicate_rows",
                     fmt::format("{} rows can't be told apart: same times, sequence number and values", duplicates),
                     "give each row a sequence number of its own");
  }
  return joiner.Take();
}

}  // namespace tidemill
