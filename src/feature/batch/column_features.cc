#include "feature/batch/column_features.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <span>
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

/// Results that several threads fill, each at rows of its own. A row's results lie together, so that one that is written out of
/// order costs one line of the processor's cache and not one for each column.
class ResultRows {
 public:
  ResultRows(std::vector<Type> types, size_t rows) : types_(std::move(types)), rows_(rows) {
    stride_ = types_.size() + (types_.size() + kMaskBits - 1) / kMaskBits;
    words_.resize(rows * stride_);
    texts_.resize(types_.size());
    for (size_t i = 0; i < types_.size(); ++i) {
      if (HoldsBytes(types_[i])) texts_[i].resize(rows);
    }
  }

  /// The results of `rows`: output o of the i-th is values[o * rows.size() + i].
  void Set(std::span<const uint32_t> rows, std::span<const Datum> values) {
    constexpr size_t kAhead = 8;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (i + kAhead < rows.size()) __builtin_prefetch(&words_[rows[i + kAhead] * stride_], 1);
      int64_t* const words = &words_[rows[i] * stride_];
      for (size_t o = 0; o < types_.size(); ++o) {
        const Datum& value = values[o * rows.size() + i];
        if (value.null) continue;
        words[types_.size() + o / kMaskBits] |= int64_t{1} << (o % kMaskBits);
        if (HoldsBytes(types_[o])) {
          texts_[o][rows[i]] = value.text;
        } else {
          words[o] = types_[o] == Type::kDouble ? std::bit_cast<int64_t>(value.number) : value.integer;
        }
      }
    }
  }

  Columns Take(const std::vector<Output>& outputs) {
    Columns columns;
    for (size_t o = 0; o < types_.size(); ++o) {
      Column& column = columns.columns.emplace_back(outputs[o].name, types_[o]);
      column.valid.resize(rows_);
      if (types_[o] == Type::kDouble) {
        column.doubles.resize(rows_);
      } else if (!HoldsBytes(types_[o])) {
        column.ints.resize(rows_);
      }
    }
    constexpr size_t kRowsAtOnce = 512;  // these rows are read once from memory for all columns
    for (size_t begin = 0; begin < rows_; begin += kRowsAtOnce) {
      for (size_t o = 0; o < types_.size(); ++o) TakeRows(o, begin, std::min(begin + kRowsAtOnce, rows_), columns.columns[o]);
    }
    return columns;
  }

 private:
  static constexpr size_t kMaskBits = 63;

  void TakeRows(size_t output, size_t begin, size_t end, Column& column) const {
    for (size_t row = begin; row < end; ++row) {
      const int64_t* const words = &words_[row * stride_];
      column.valid[row] = static_cast<uint8_t>(words[types_.size() + output / kMaskBits] >> (output % kMaskBits) & 1);
      if (column.type == Type::kDouble) {
        column.doubles[row] = std::bit_cast<double>(words[output]);
      } else if (!HoldsBytes(column.type)) {
        column.ints[row] = words[output];
      } else {
        column.chars += texts_[output][row];
        column.offsets.push_back(column.chars.size());
      }
    }
  }

  std::vector<Type> types_;
  size_t rows_ = 0;
  size_t stride_ = 0;  ///< words of a row: its results, then a bit for each that is there
  std::vector<int64_t> words_;
  std::vector<std::vector<std::string>> texts_;
};

/// Shares out the entities among threads, a kernel each.
class ColumnJoiner {
 public:
  ColumnJoiner(const Program& program, std::shared_ptr<const CompiledProgram> compiled, const ColumnRows& rows,
               const ColumnQueries& queries)
      : outputs_(program.outputs),
        compiled_(std::move(compiled)),
        rows_(rows),
        queries_(queries),
        grouped_(GroupColumns(rows, queries)),
        results_(OutputTypes(), queries.time->size()) {}

  /// Returns how many rows were there twice.
  size_t Run(int threads) {
    AnswerWithoutEntity();
    std::vector<std::jthread> workers;
    for (int i = 1; i < threads; ++i) workers.emplace_back([this] { Work(); });
    Work();
    workers.clear();
    return duplicates_;
  }

  Columns Take() { return results_.Take(outputs_); }

 private:
  static constexpr size_t kTimesAtOnce = 4096;  ///< so that results stay in the processor's cache

  /// What a thread uses again from entity to entity.
  struct Worker {
    explicit Worker(const std::shared_ptr<const CompiledProgram>& program)
        : kernel(program), columns(program->column_types().size()), slots(program->slot_types().size()) {}
    EntityKernel kernel;
    std::vector<uint32_t> asked;
    std::vector<int64_t> times;
    std::vector<Datum> values;
    std::vector<Datum> columns;
    std::vector<Datum> slots;
    TextPool texts;
  };

  void Work() {
    constexpr size_t kEntitiesAtOnce = 16;
    Worker worker(compiled_);
    for (size_t first = next_.fetch_add(kEntitiesAtOnce); first < grouped_.entities; first = next_.fetch_add(kEntitiesAtOnce)) {
      const size_t end = std::min(first + kEntitiesAtOnce, grouped_.entities);
      for (size_t entity = first; entity < end; ++entity) Join(entity, worker);
    }
  }

  void Join(size_t entity, Worker& worker) {
    const auto begin = grouped_.queries.rows.begin() + static_cast<ptrdiff_t>(grouped_.queries.begin[entity]);
    const auto end = grouped_.queries.rows.begin() + static_cast<ptrdiff_t>(grouped_.queries.begin[entity + 1]);
    if (begin == end) return;
    worker.asked.assign(begin, end);
    const auto earlier = [&](uint32_t a, uint32_t b) { return queries_.time->ints[a] < queries_.time->ints[b]; };
    if (!std::is_sorted(begin, end, earlier)) std::sort(worker.asked.begin(), worker.asked.end(), earlier);
    worker.kernel.Clear();
    AddRows(entity, worker);
    for (size_t at = 0; at < worker.asked.size(); at += kTimesAtOnce)
      Ask(std::span(worker.asked).subspan(at, std::min(kTimesAtOnce, worker.asked.size() - at)), worker);
    duplicates_ += worker.kernel.duplicates();
  }

  void Ask(std::span<const uint32_t> asked, Worker& worker) {
    worker.times.clear();
    for (const uint32_t query : asked) worker.times.push_back(queries_.time->ints[query]);
    worker.values.resize(outputs_.size() * asked.size());
    worker.kernel.QueryMany(worker.times, worker.values);
    results_.Set(asked, worker.values);
  }

  void AddRows(size_t entity, Worker& worker) const {
    const Column& known = rows_.known == nullptr ? *rows_.event : *rows_.known;
    for (size_t at = grouped_.rows.begin[entity]; at < grouped_.rows.begin[entity + 1]; ++at) {
      const uint32_t row = grouped_.rows.rows[at];
      if (at + kAhead < grouped_.rows.begin[entity + 1]) Prefetch(grouped_.rows.rows[at + kAhead]);
      if (known.IsNull(row)) continue;
      for (size_t i = 0; i < worker.columns.size(); ++i) worker.columns[i] = ColumnDatum(*rows_.columns[i], row);
      worker.texts.Reset();
      compiled_->FillSlots(worker.columns, worker.texts, worker.slots);
      const int64_t sequence = rows_.sequence == nullptr ? int64_t{row} : rows_.sequence->ints[row];
      worker.kernel.Add(rows_.event->ints[row], known.ints[row], sequence, worker.slots);
    }
  }

  static constexpr size_t kAhead = 8;

  /// An entity's rows lie far apart in memory.
  void Prefetch(uint32_t row) const {
    __builtin_prefetch(&rows_.event->ints[row]);
    for (const Column* column : rows_.columns) {
      __builtin_prefetch(&column->valid[row]);
      if (column->type == Type::kDouble) {
        __builtin_prefetch(&column->doubles[row]);
      } else if (!HoldsBytes(column->type)) {
        __builtin_prefetch(&column->ints[row]);
      }
    }
  }

  void AnswerWithoutEntity() {
    EntityKernel kernel(compiled_);
    std::vector<Datum> values(outputs_.size());
    kernel.Query(0, values);
    for (size_t query = 0; query < queries_.time->size(); ++query) {
      if (Complete(queries_.keys, *queries_.time, query)) continue;
      const auto row = static_cast<uint32_t>(query);
      results_.Set({&row, 1}, values);
    }
  }

  std::vector<Type> OutputTypes() const {
    std::vector<Type> types;
    for (size_t i = 0; i < outputs_.size(); ++i) types.push_back(compiled_->output_type(i));
    return types;
  }

  const std::vector<Output>& outputs_;
  std::shared_ptr<const CompiledProgram> compiled_;
  const ColumnRows& rows_;
  const ColumnQueries& queries_;
  EntityColumns grouped_;
  ResultRows results_;
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
