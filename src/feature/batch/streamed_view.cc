#include "feature/batch/streamed_view.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "feature/batch/entity_rows.h"
#include "feature/batch/slot_columns.h"
#include "feature/batch/view_outputs.h"
#include "feature/view_rows.h"

namespace tidemill {
namespace {

constexpr size_t kEntitiesAtOnce = 256;
constexpr size_t kRowsPerPass = 128;
constexpr size_t kRowsAhead = 16;  // whose memory is fetched
constexpr size_t kRecordsAtOnce = 16 * 1024;
constexpr size_t kRowsMax = UINT32_MAX - 1;  // positions have 32 bits

/// How many rows are kept for so many slots: room for those that have been beaten, so that they seldom have to be dropped.
size_t RowsKept(size_t slots) { return 3 * slots + kRecordsAtOnce; }

/// The latest of the rows that a slot is the first to see.
struct Latest {
  static constexpr uint32_t kNone = UINT32_MAX;

  int64_t event = INT64_MIN;
  int64_t sequence = INT64_MIN;
  uint32_t row = kNone;     ///< of the rows kept
  uint32_t duplicates = 0;  ///< rows that can't be told from it
};

/// The rows of a table that are, or have been, the latest ones of their slots.
class LatestRows {
 public:
  LatestRows(const StreamedViewRequest& request, const BlockOrder& order)
      : compiled_(*request.compiled),
        index_(*request.index),
        times_(order.times),
        delay_(compiled_.windows()[0].delay),
        entities_(index_.size()),
        in_columns_(SlotColumns::Serve(compiled_)),
        latest_(order.times.size()),
        rows_(compiled_.slot_types()),
        slot_columns_(compiled_) {
    // Long runs are cut: those of one entity follow each other.
    for (const BlockOrder::Run& run : order.runs) {
      Slots& slots = entities_[run.entity];
      if (slots.begin == slots.end) slots.begin = run.begin;
      slots.end = run.end;
    }
  }

  struct Slots {
    uint32_t begin = 0;
    uint32_t end = 0;
  };
  /// What a thread that offers rows works with.
  struct Scratch {
    std::vector<uint32_t> slot_of_row;  ///< of a batch; first the entity
    std::vector<Slots> slots_of_row;    ///< those of its entity
  };

  /// Thread-safe.
  Status Offer(const ViewColumns& batch, Scratch& scratch) {
    FindSlots(batch, scratch);
    const std::lock_guard lock(mutex_);
    if (rows_.size() + batch.rows() >= kRowsMax) return InternalError("more than 4294967294 rows of a view at once");
    Choose(batch, scratch.slot_of_row);
    Keep(batch);
    for (const auto& [row, slot] : tied_) Settle(batch, row, slot);
    if (rows_.size() > RowsKept(latest_.size())) DropBeaten();
    return Ok();
  }

  /// What each slot sees is the latest row of its own and of all slots of its entity before it. Returns how many rows are there
  /// twice among those.
  size_t Spread(int64_t reach, int threads) {
    std::atomic<size_t> duplicates{0};
    ShareOut(entities_.size(), kEntitiesAtOnce, threads, [&](size_t, size_t begin, size_t end) {
      for (size_t entity = begin; entity < end; ++entity) duplicates += SpreadOver(entities_[entity], reach);
    });
    return duplicates;
  }

  /// After Spread(): by slot, Latest::kNone for slots that see none.
  uint32_t row(size_t slot) const { return latest_[slot].row; }
  const RowStore& rows() const { return rows_; }

 private:
  /// Which rows of a batch are later than those so far; of a table in the order of time, the last rows come first.
  void Choose(const ViewColumns& batch, const std::vector<uint32_t>& slot_of_row) {
    chosen_.clear();
    tied_.clear();
    for (size_t at = batch.rows(); at-- > 0;) {
      const uint32_t slot = slot_of_row[at];
      if (slot == BlockOrder::kNoSlot) continue;
      const uint32_t ahead = at >= kRowsAhead ? slot_of_row[at - kRowsAhead] : BlockOrder::kNoSlot;
      if (ahead != BlockOrder::kNoSlot) __builtin_prefetch(&latest_[ahead], 1);
      Latest& latest = latest_[slot];
      const int64_t event = batch.event->ints[at];
      const int64_t sequence = batch.sequence->ints[at];
      const bool later = event != latest.event ? event > latest.event : sequence > latest.sequence;
      if (later || latest.row == Latest::kNone) {
        latest = {event, sequence, static_cast<uint32_t>(rows_.size() + chosen_.size())};
        chosen_.push_back(static_cast<uint32_t>(at));
      } else if (event == latest.event && sequence == latest.sequence) {
        tied_.emplace_back(static_cast<uint32_t>(at), slot);
      }
    }
  }

  /// The first slot that sees each row of a batch.
  void FindSlots(const ViewColumns& batch, Scratch& scratch) const {
    const size_t rows = batch.rows();
    scratch.slot_of_row.resize(rows);
    scratch.slots_of_row.resize(rows);
    index_.Find(batch.keys, 0, rows, scratch.slot_of_row.data());
    for (size_t begin = 0; begin < rows; begin += kRowsPerPass)
      FindSlots(batch, begin, std::min(begin + kRowsPerPass, rows), scratch);
  }

  /// In passes, each of which fetches what the next looks at: most of the time would go into waiting for memory.
  void FindSlots(const ViewColumns& batch, size_t begin, size_t end, Scratch& scratch) const {
    auto& [slot_of_row, slots_of_row] = scratch;
    for (size_t at = begin; at < end; ++at) {
      if (slot_of_row[at] != kNoEntity) __builtin_prefetch(&entities_[slot_of_row[at]]);
    }
    for (size_t at = begin; at < end; ++at) {
      const Slots& slots = slots_of_row[at] = slot_of_row[at] == kNoEntity ? Slots{} : entities_[slot_of_row[at]];
      __builtin_prefetch(times_.data() + slots.begin + (slots.end - slots.begin) / 2);
    }
    for (size_t at = begin; at < end; ++at) {
      const int64_t entry = std::max(batch.known->ints[at], AddTimes(batch.event->ints[at], delay_));
      slot_of_row[at] = FirstFrom(slots_of_row[at], entry);
    }
  }

  /// The first slot whose time is not before one; a search without branches.
  uint32_t FirstFrom(const Slots& slots, int64_t time) const {
    if (slots.begin == slots.end) return BlockOrder::kNoSlot;
    const int64_t* first = times_.data() + slots.begin;
    for (uint32_t count = slots.end - slots.begin; count > 1;) {
      const uint32_t half = count / 2;
      first += half & (0 - static_cast<uint32_t>(first[half - 1] < time));  // a jump would be foretold wrong half of the time
      count -= half;
    }
    const auto slot = static_cast<uint32_t>(first - times_.data()) + (*first < time ? 1 : 0);
    return slot == slots.end ? BlockOrder::kNoSlot : slot;
  }

  void Keep(const ViewColumns& batch) {
    if (in_columns_) {
      rows_.AppendPicked(batch.event->ints, batch.known->ints, batch.sequence->ints,
                         slot_columns_.Read(batch.columns, 0, batch.rows()), chosen_);
      return;
    }
    for (const uint32_t at : chosen_) KeepOne(batch, at);
  }

  void KeepOne(const ViewColumns& batch, uint32_t at) {
    rows_.Append(batch.event->ints[at], batch.known->ints[at], batch.sequence->ints[at], slot_columns_.ReadRow(batch.columns, at));
  }

  /// A row with the times and the number of a slot's latest: then the order looks at everything else.
  void Settle(const ViewColumns& batch, uint32_t at, uint32_t slot) {
    Latest& latest = latest_[slot];
    if (latest.event != batch.event->ints[at] || latest.sequence != batch.sequence->ints[at]) return;
    KeepOne(batch, at);
    const auto row = static_cast<uint32_t>(rows_.size() - 1);
    const std::weak_ordering order = rows_.Compare(row, rows_, latest.row);
    if (order == 0) {
      ++latest.duplicates;
    } else if (order > 0) {
      latest.row = row;
      latest.duplicates = 0;
    }
  }

  void DropBeaten() {
    std::vector<size_t> kept;
    for (Latest& latest : latest_) {
      if (latest.row == Latest::kNone) continue;
      kept.push_back(latest.row);
      latest.row = static_cast<uint32_t>(kept.size() - 1);
    }
    rows_ = rows_.Gather(kept);
  }

  size_t SpreadOver(const Slots& slots, int64_t reach) {
    size_t duplicates = 0;
    Latest latest;
    for (uint32_t slot = slots.begin; slot < slots.end; ++slot) {
      Latest& here = latest_[slot];
      if (IsLater(here, latest)) {
        latest = here;
        duplicates += here.duplicates;
      }
      // The row with the largest event time: when it has left the window, so have all others.
      const bool left = reach != WindowPlan::kForever && AddTimes(latest.event, reach) <= times_[slot];
      here.row = left ? Latest::kNone : latest.row;
    }
    return duplicates;
  }

  bool IsLater(const Latest& a, const Latest& b) const {
    if (a.row == Latest::kNone || b.row == Latest::kNone) return a.row != Latest::kNone;
    if (a.event != b.event) return a.event > b.event;
    return a.sequence != b.sequence ? a.sequence > b.sequence : rows_.Compare(a.row, rows_, b.row) > 0;
  }

  const CompiledProgram& compiled_;
  const EntityIndex& index_;
  const std::vector<int64_t>& times_;
  const int64_t delay_;
  std::vector<Slots> entities_;
  const bool in_columns_;
  std::mutex mutex_;            ///< for all that follows, while rows are offered
  std::vector<Latest> latest_;  ///< by slot
  RowStore rows_;
  SlotColumns slot_columns_;
  std::vector<uint32_t> chosen_;                     ///< rows of a batch
  std::vector<std::pair<uint32_t, uint32_t>> tied_;  ///< rows of it, and their slots
};

class StreamedJoiner : public ViewJoiner {
 public:
  StreamedJoiner(Session& session, StreamedViewRequest request)
      : session_(session), request_(std::move(request)), defaults_(request_.compiled, request_.outputs) {}

  bool reads() const override { return true; }

  Status Read(const BlockOrder& order) override {
    read_ = std::make_unique<LatestRows>(request_, order);
    return StreamViewColumns(session_, *request_.program, request_.relation, request_.event_time, request_.condition,
                             [&]() -> ViewTaker {
                               return [&, scratch = LatestRows::Scratch()](const ViewColumns& batch) mutable {
                                 return read_->Offer(batch, scratch);
                               };
                             });
  }

  Status Join(const SpineBlock& block, const BlockOrder& order, int threads, BlockFeatures& features) override {
    const CompiledProgram& compiled = *request_.compiled;
    const size_t duplicates = read_->Spread(compiled.windows()[0].reach, threads);
    TIDEMILL_RETURN_IF_ERROR(CheckNoDuplicates(duplicates, request_.program->view));
    const RowStore& rows = read_->rows();
    features.own_records = FeatureRecords(OutputTypes(compiled, request_.outputs));
    features.own_records.Resize(rows.size());
    features.texts.resize(static_cast<size_t>(std::max(threads, 1)));
    ShareOut(rows.size(), kRecordsAtOnce, threads, [&](size_t at, size_t begin, size_t end) {
      FillLatestRecords(compiled, request_.outputs, rows, begin, end, features.own_records, features.texts[at]);
    });
    features.own_positions.resize(block.rows());
    for (size_t row = 0; row < block.rows(); ++row) {
      const uint32_t slot = order.slot_of_row[row];
      features.own_positions[row] = slot == BlockOrder::kNoSlot ? BlockFeatures::kDefault : read_->row(slot);
    }
    features.records = &features.own_records;
    features.record_of_row = features.own_positions.data();
    features.defaults = defaults_.records();
    read_.reset();
    return Ok();
  }

  const FeatureRecords* defaults() const override { return defaults_.records(); }

 private:
  static_assert(Latest::kNone == BlockFeatures::kDefault);

  Session& session_;
  const StreamedViewRequest request_;
  DefaultOutputs defaults_;
  std::unique_ptr<LatestRows> read_;
};

}  // namespace

size_t StreamedViewBytes(size_t asked, size_t rows, size_t row_bytes) {
  constexpr size_t kBytesPerPosition = 4;
  return asked * (sizeof(Latest) + kBytesPerPosition) + std::min(rows, RowsKept(asked)) * row_bytes;
}

std::unique_ptr<ViewJoiner> MakeStreamedJoiner(Session& session, StreamedViewRequest request) {
  return std::make_unique<StreamedJoiner>(session, std::move(request));
}

}  // namespace tidemill
