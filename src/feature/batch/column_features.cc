#include "feature/batch/column_features.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <numeric>
#include <optional>
#include <span>

#include "feature/batch/slot_columns.h"
#include "feature/batch/spine_block.h"
#include "feature/entity_groups.h"
#include "feature/entity_key.h"
#include "feature/program/entity_kernel.h"

namespace tidemill {
namespace {

constexpr uint32_t kNoPlace = kNoEntity;  // of EntityPlaces

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

/// The entity of each row; kNoEntity where the key or one of the times is null.
template <typename Numbering>
std::vector<uint32_t> NumberEntities(const std::vector<const Column*>& keys, const std::vector<const Column*>& times,
                                     Numbering& numbering) {
  const size_t rows = times.front()->size();
  std::vector<uint8_t> complete(rows, 1);
  for (const std::vector<const Column*>* columns : {&keys, &times}) {
    for (const Column* column : *columns) {
      for (size_t row = 0; row < rows; ++row) complete[row] &= column->valid[row];
    }
  }
  std::vector<uint32_t> entities(rows);
  for (size_t row = 0; row < rows; ++row) entities[row] = complete[row] != 0 ? numbering(keys, row) : kNoEntity;
  return entities;
}

/// Both sides; `queries` is empty when they are the rows themselves.
struct PlacedColumns {
  EntityPlaces rows;
  std::optional<EntityPlaces> queries;

  const EntityPlaces& asked() const { return queries ? *queries : rows; }
  size_t entities() const { return rows.begin.size() - 1; }
};

/// `always_apart`: queries with a time but without an entity are asked as well, of an entity that has no rows.
template <typename Numbering>
PlacedColumns PlaceColumns(const ColumnRows& rows, const ColumnQueries& queries, bool always_apart, Numbering numbering) {
  std::vector<const Column*> times = {rows.event};
  if (rows.known != nullptr) times.push_back(rows.known);
  std::vector<uint32_t> row_entities = NumberEntities(rows.keys, times, numbering);
  PlacedColumns placed;
  if (rows.keys == queries.keys && rows.event == queries.time && rows.known == nullptr && !always_apart) {
    placed.rows = PlaceByEntity(std::move(row_entities), numbering.entities());
    return placed;
  }
  std::vector<uint32_t> query_entities = NumberEntities(queries.keys, {queries.time}, numbering);
  const size_t nobody = numbering.entities();
  for (size_t row = 0; row < query_entities.size(); ++row) {
    if (query_entities[row] == kNoEntity && !queries.time->IsNull(row)) query_entities[row] = static_cast<uint32_t>(nobody);
  }
  placed.rows = PlaceByEntity(std::move(row_entities), nobody + 1);
  placed.queries = PlaceByEntity(std::move(query_entities), nobody + 1);
  return placed;
}

PlacedColumns PlaceColumns(const ColumnRows& rows, const ColumnQueries& queries, bool always_apart) {
  if (rows.keys.size() == 1 && DenseNumbering::Fits(*rows.keys.front(), *queries.keys.front()))
    return PlaceColumns(rows, queries, always_apart, DenseNumbering(*rows.keys.front(), *queries.keys.front()));
  return PlaceColumns(rows, queries, always_apart, EncodedNumbering());
}

/// Values that lie in the order of places; their memory is not touched before they are written.
template <typename T>
class Placed {
 public:
  Placed() = default;
  explicit Placed(size_t size) : values_(new T[size]) {}
  T* data() const { return values_.get(); }
  bool empty() const { return values_ == nullptr; }
  /// Brings values of rows [begin, end) to their places.
  void Fill(const std::vector<uint32_t>& place, const T* values, size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) {
      if (place[row] != kNoPlace) values_[place[row]] = values[row];
    }
  }

 private:
  std::unique_ptr<T[]> values_;
};

/// What the kernels read, by place: times and slots. Columns are brought into that order and back in whole: as many places are
/// written at once as there are entities, each a little further than before, and those lines stay in the processor's cache.
/// A program whose slots hold texts has its slots read row by row instead.
class PlacedRows {
 public:
  PlacedRows(const CompiledProgram& program, const ColumnRows& rows, const EntityPlaces& places, int threads)
      : program_(program), rows_(rows), places_(places) {
    by_row_ = !SlotColumns::Serve(program);
    if (by_row_) row_at_ = Placed<uint32_t>(places.placed());
    if (!by_row_) Allocate();
    const size_t rows_at_once = (rows.event->size() + static_cast<size_t>(threads)) / static_cast<size_t>(threads);
    ShareOut(rows.event->size(), std::max<size_t>(rows_at_once, 1), threads, [&](size_t, size_t begin, size_t end) {
      if (by_row_) {
        for (size_t row = begin; row < end; ++row) {
          if (places.place[row] != kNoPlace) row_at_.data()[places.place[row]] = static_cast<uint32_t>(row);
        }
      } else {
        Fill(begin, end);
      }
    });
  }

  /// What a thread needs to add rows.
  struct Scratch {
    explicit Scratch(const CompiledProgram& program) : slots(program.slot_types().size()), columns(program) {}
    std::vector<RowStore::SlotValues> slots;
    SlotColumns columns;
  };

  void AddTo(EntityKernel& kernel, size_t begin, size_t end, Scratch& scratch) const {
    if (by_row_) return AddByRow(kernel, begin, end, scratch);
    for (size_t i = 0; i < slots_.size(); ++i) scratch.slots[i] = {slots_[i].bits.data() + begin, slots_[i].valid.data() + begin};
    kernel.AddRun({event_.data() + begin, end - begin}, known_.empty() ? nullptr : known_.data() + begin,
                  sequence_.empty() ? nullptr : sequence_.data() + begin, static_cast<int64_t>(begin), scratch.slots);
  }
  /// Event times by place; nullptr when rows are read one by one.
  const int64_t* events() const { return event_.data(); }

 private:
  struct Slot {
    Placed<int64_t> bits;
    Placed<uint8_t> valid;
  };

  void Allocate() {
    const size_t count = places_.placed();
    event_ = Placed<int64_t>(count);
    if (rows_.known != nullptr) known_ = Placed<int64_t>(count);
    if (rows_.sequence != nullptr || SamplesRows()) sequence_ = Placed<int64_t>(count);
    for (size_t i = 0; i < program_.slot_types().size(); ++i) slots_.push_back({Placed<int64_t>(count), Placed<uint8_t>(count)});
  }

  /// Whether more than the order of sequence numbers matters: rows are sampled by a hash of them.
  bool SamplesRows() const {
    return std::any_of(program_.aggregates().begin(), program_.aggregates().end(),
                       [](const AggregatePlan& plan) { return HasSketch(plan.function); });
  }

  /// Few rows at a time, so that what is computed of them stays in the processor's cache.
  void Fill(size_t begin, size_t end) {
    constexpr size_t kRows = 8192;
    event_.Fill(places_.place, rows_.event->ints.data(), begin, end);
    if (!known_.empty()) known_.Fill(places_.place, rows_.known->ints.data(), begin, end);
    if (rows_.sequence != nullptr) {
      sequence_.Fill(places_.place, rows_.sequence->ints.data(), begin, end);
    } else if (!sequence_.empty()) {
      for (size_t row = begin; row < end; ++row) {
        if (places_.place[row] != kNoPlace) sequence_.data()[places_.place[row]] = static_cast<int64_t>(row);
      }
    }
    SlotColumns columns(program_);
    for (size_t from = begin; from < end; from += kRows) {
      const size_t until = std::min(from + kRows, end);
      const auto values = columns.Read(rows_.columns, from, until);
      for (size_t i = 0; i < slots_.size(); ++i) {
        for (size_t row = from; row < until; ++row) {
          const uint32_t place = places_.place[row];
          if (place == kNoPlace) continue;
          slots_[i].bits.data()[place] = values[i].bits[row - from];
          slots_[i].valid.data()[place] = values[i].valid == nullptr ? 1 : values[i].valid[row - from];
        }
      }
    }
  }

  void AddByRow(EntityKernel& kernel, size_t begin, size_t end, Scratch& scratch) const {
    const Column& known = rows_.known == nullptr ? *rows_.event : *rows_.known;
    for (size_t place = begin; place < end; ++place) {
      const uint32_t row = row_at_.data()[place];
      const int64_t sequence = rows_.sequence == nullptr ? int64_t{row} : rows_.sequence->ints[row];
      kernel.Add(rows_.event->ints[row], known.ints[row], sequence, scratch.columns.ReadRow(rows_.columns, row));
    }
  }

  const CompiledProgram& program_;
  const ColumnRows& rows_;
  const EntityPlaces& places_;
  Placed<int64_t> event_;
  Placed<int64_t> known_;
  Placed<int64_t> sequence_;
  std::vector<Slot> slots_;
  bool by_row_ = false;
  Placed<uint32_t> row_at_;  ///< by place
};

/// Results by place, and one more for rows without a place.
class PlacedResults {
 public:
  PlacedResults(std::vector<Type> types, size_t placed) : types_(std::move(types)), placed_(placed) {
    for (const Type type : types_) {
      Memory& memory = memory_.emplace_back();
      memory.valid = Placed<uint8_t>(placed + 1);
      if (HoldsBytes(type)) {
        memory.texts.resize(placed + 1);
      } else {
        memory.bits = Placed<int64_t>(placed + 1);
      }
    }
  }
  const std::vector<Type>& types() const { return types_; }
  size_t nowhere() const { return placed_; }
  bool holds_texts() const { return std::any_of(types_.begin(), types_.end(), HoldsBytes); }

  /// Where results from a place on go; texts go to `texts` and have to be Set afterwards.
  void Point(size_t place, const ResultBuffer& texts, std::vector<ResultColumn>& columns) const {
    columns.clear();
    for (size_t i = 0; i < types_.size(); ++i) {
      columns.push_back(HoldsBytes(types_[i])
                            ? texts.columns()[i]
                            : ResultColumn{memory_[i].bits.data() + place, memory_[i].valid.data() + place, nullptr});
    }
  }
  void Set(size_t output, size_t place, const ResultColumn& from, size_t at) {
    Memory& memory = memory_[output];
    memory.valid.data()[place] = from.valid[at];
    if (from.texts == nullptr) {
      memory.bits.data()[place] = from.bits[at];
    } else {
      memory.texts[place] = from.texts[at];
    }
  }

  /// Frees what it gives away.
  Column Take(size_t output, const std::string& name, const std::vector<uint32_t>& place) {
    Memory& memory = memory_[output];
    Column column(name, types_[output]);
    const size_t rows = place.size();
    column.valid.resize(rows);
    const auto at = [&](size_t row) { return place[row] == kNoPlace ? placed_ : place[row]; };
    for (size_t row = 0; row < rows; ++row) column.valid[row] = memory.valid.data()[at(row)];
    if (column.type == Type::kDouble) {
      column.doubles.resize(rows);
      for (size_t row = 0; row < rows; ++row) column.doubles[row] = std::bit_cast<double>(memory.bits.data()[at(row)]);
    } else if (!HoldsBytes(column.type)) {
      column.ints.resize(rows);
      for (size_t row = 0; row < rows; ++row) column.ints[row] = memory.bits.data()[at(row)];
    } else {
      for (size_t row = 0; row < rows; ++row) {
        column.chars += memory.texts[at(row)];
        column.offsets.push_back(column.chars.size());
      }
    }
    memory = {};
    return column;
  }

 private:
  struct Memory {
    Placed<int64_t> bits;
    Placed<uint8_t> valid;
    std::vector<std::string> texts;
  };
  std::vector<Type> types_;
  size_t placed_ = 0;
  std::vector<Memory> memory_;
};

/// Shares out the entities among threads, a kernel each.
class ColumnJoiner {
 public:
  ColumnJoiner(const Program& program, std::shared_ptr<const CompiledProgram> compiled, const ColumnRows& rows,
               const ColumnQueries& queries, int threads)
      : outputs_(program.outputs),
        compiled_(std::move(compiled)),
        queries_(queries),
        threads_(threads),
        placed_(PlaceColumns(rows, queries, compiled_->uses_time())),
        rows_(*compiled_, rows, placed_.rows, threads),
        results_(compiled_->output_types(), placed_.asked().placed()) {}

  /// Returns how many rows were there twice.
  size_t Run() {
    PlaceTimes();
    AnswerNowhere();
    std::vector<std::unique_ptr<Worker>> workers(static_cast<size_t>(threads_));
    ShareOut(placed_.entities(), kEntitiesAtOnce, threads_, [&](size_t at, size_t begin, size_t end) {
      if (workers[at] == nullptr) workers[at] = std::make_unique<Worker>(compiled_);
      for (size_t entity = begin; entity < end; ++entity) Join(entity, *workers[at]);
    });
    return duplicates_;
  }

  Columns Take() {
    Columns columns;
    columns.columns.resize(outputs_.size());
    ShareOut(outputs_.size(), 1, threads_, [&](size_t, size_t output, size_t) {
      columns.columns[output] = results_.Take(output, outputs_[output].name, placed_.asked().place);
    });
    return columns;
  }

 private:
  static constexpr size_t kEntitiesAtOnce = 16;
  static constexpr size_t kTimesAtOnce = 4096;  ///< so that results stay in the processor's cache

  /// What a thread uses again from entity to entity.
  struct Worker {
    explicit Worker(const std::shared_ptr<const CompiledProgram>& program)
        : kernel(program), rows(*program), buffer(program->output_types()) {}
    EntityKernel kernel;
    PlacedRows::Scratch rows;
    std::vector<uint32_t> asked;
    std::vector<int64_t> times;
    ResultBuffer buffer;
    std::vector<ResultColumn> targets;
  };

  /// The times asked, by place; those of the rows when they are the same.
  void PlaceTimes() {
    if (!placed_.queries && rows_.events() != nullptr) {
      times_ = rows_.events();
      return;
    }
    own_times_ = Placed<int64_t>(placed_.asked().placed());
    own_times_.Fill(placed_.asked().place, queries_.time->ints.data(), 0, queries_.time->size());
    times_ = own_times_.data();
  }

  void Join(size_t entity, Worker& worker) {
    const size_t begin = placed_.asked().begin[entity];
    const size_t end = placed_.asked().begin[entity + 1];
    if (begin == end) return;
    worker.kernel.Clear();
    rows_.AddTo(worker.kernel, placed_.rows.begin[entity], placed_.rows.begin[entity + 1], worker.rows);
    const bool in_order = std::is_sorted(times_ + begin, times_ + end);
    if (!in_order) OrderTimes(begin, end, worker);
    for (size_t at = begin; at < end; at += kTimesAtOnce) {
      const size_t count = std::min(kTimesAtOnce, end - at);
      in_order ? Ask(at, count, worker) : AskOrdered(at - begin, count, worker);
    }
    duplicates_ += worker.kernel.duplicates();
  }

  void OrderTimes(size_t begin, size_t end, Worker& worker) const {
    worker.asked.resize(end - begin);
    std::iota(worker.asked.begin(), worker.asked.end(), static_cast<uint32_t>(begin));
    std::sort(worker.asked.begin(), worker.asked.end(), [&](uint32_t a, uint32_t b) { return times_[a] < times_[b]; });
    worker.times.clear();
    for (const uint32_t place : worker.asked) worker.times.push_back(times_[place]);
  }

  /// Numbers go to their places at once.
  void Ask(size_t begin, size_t count, Worker& worker) {
    if (results_.holds_texts()) worker.buffer.Resize(count);
    results_.Point(begin, worker.buffer, worker.targets);
    worker.kernel.QueryMany({times_ + begin, count}, worker.targets);
    if (!results_.holds_texts()) return;
    for (size_t output = 0; output < worker.targets.size(); ++output) {
      if (!HoldsBytes(results_.types()[output])) continue;
      for (size_t i = 0; i < count; ++i) results_.Set(output, begin + i, worker.targets[output], i);
    }
  }

  void AskOrdered(size_t begin, size_t count, Worker& worker) {
    worker.buffer.Resize(count);
    worker.kernel.QueryMany(std::span(worker.times).subspan(begin, count), worker.buffer.columns());
    for (size_t output = 0; output < worker.buffer.columns().size(); ++output) {
      for (size_t i = 0; i < count; ++i) results_.Set(output, worker.asked[begin + i], worker.buffer.columns()[output], i);
    }
  }

  /// What rows get that belong to no entity.
  void AnswerNowhere() {
    EntityKernel kernel(compiled_);
    ResultBuffer answer(compiled_->output_types());
    answer.Resize(1);
    const int64_t time = kNoTime;
    kernel.QueryMany({&time, 1}, answer.columns());
    for (size_t output = 0; output < answer.columns().size(); ++output)
      results_.Set(output, results_.nowhere(), answer.columns()[output], 0);
  }

  const std::vector<Output>& outputs_;
  std::shared_ptr<const CompiledProgram> compiled_;
  const ColumnQueries& queries_;
  int threads_;
  PlacedColumns placed_;
  PlacedRows rows_;
  PlacedResults results_;
  const int64_t* times_ = nullptr;
  Placed<int64_t> own_times_;
  std::atomic<size_t> duplicates_{0};
};

}  // namespace

Result<Columns> ComputeFeatures(const Program& program, const ColumnRows& rows, const ColumnQueries& queries, int threads) {
  if (rows.event->size() >= kNoPlace || queries.time->size() >= kNoPlace)
    return UserError("table_too_large", "at most 4294967294 rows fit into memory's columns", "join them in parts");
  TIDEMILL_ASSIGN_OR_RETURN(auto compiled, CompiledProgram::Make(program));
  ColumnJoiner joiner(program, std::move(compiled), rows, queries, std::max(threads, 1));
  if (const size_t duplicates = joiner.Run(); duplicates > 0) {
    return UserError("duplicate_rows",
                     fmt::format("{} rows can't be told apart: same times, sequence number and values", duplicates),
                     "give each row a sequence number of its own");
  }
  return joiner.Take();
}

Result<Columns> EvaluateRows(const RowProgram& program, const Columns& rows, int threads) {
  constexpr size_t kRowsAtOnce = 64 * 1024;
  std::vector<Result<Columns>> parts((rows.rows() + kRowsAtOnce - 1) / kRowsAtOnce, Columns());
  if (parts.size() < 2) return program.Evaluate(rows);
  ShareOut(parts.size(), 1, threads, [&](size_t, size_t part, size_t) {
    parts[part] = program.Evaluate(rows, part * kRowsAtOnce, std::min((part + 1) * kRowsAtOnce, rows.rows()));
  });
  Columns result;
  for (const Result<Columns>& part : parts) {
    if (!part.ok()) return part.error();
  }
  for (const Column& column : parts.front()->columns) result.columns.emplace_back(column.name, column.type).Reserve(rows.rows());
  ShareOut(result.columns.size(), 1, threads, [&](size_t, size_t column, size_t) {
    for (const Result<Columns>& part : parts) AppendRows(part->columns[column], 0, part->rows(), result.columns[column]);
  });
  return result;
}

}  // namespace tidemill
