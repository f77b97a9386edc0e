#include "feature/batch/feature_join.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "feature/batch/join_plan.h"
#include "feature/batch/spilled_view.h"
#include "feature/batch/streamed_view.h"
#include "feature/batch/view_joiner.h"
#include "feature/batch/view_outputs.h"
#include "feature/view_rows.h"

namespace tidemill {
namespace {

constexpr size_t kVectorRows = 2048;  // row groups of Parquet hold whole ones, as the database writes them
constexpr size_t kBatchRowsMin = 10 * kVectorRows;
constexpr size_t kBatchRowsMax = 60 * kVectorRows;
constexpr size_t kBatchesLeast = 4;
constexpr size_t kBlockRowsMin = kVectorRows;
constexpr size_t kBlockRowsBest = 2'000'000;
constexpr int64_t kSpineRowsToLookUp = 20'000;
constexpr std::string_view kSpineTable = "temp.main.tidemill_spine";

/// A block of the spine with all its features.
struct JoinedBlock {
  SpineBlock block;
  std::vector<BlockOrder> orders;       ///< by JoinPlan::keys
  std::vector<BlockFeatures> features;  ///< by view
};

/// Blocks on their way from the thread that joins to the one that takes. The joiner may be one block ahead.
class BlockQueue {
 public:
  void Begin() { finished_ = false; }
  /// Waits until the block before has been taken; false when nobody wants more.
  bool WaitForRoom() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stopped_ || waiting_ == nullptr; });
    return !stopped_;
  }
  void Put(std::unique_ptr<JoinedBlock> block) {
    const std::lock_guard lock(mutex_);
    waiting_ = std::move(block);
    changed_.notify_all();
  }
  void Finish(Status status) {
    const std::lock_guard lock(mutex_);
    status_ = std::move(status);
    finished_ = true;
    changed_.notify_all();
  }
  /// Returns whether something still runs.
  bool Stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
    return !finished_;
  }
  bool stopped() {
    const std::lock_guard lock(mutex_);
    return stopped_;
  }
  /// Until the first block is there, or there is none.
  void WaitForFirst() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ != nullptr || finished_; });
  }
  /// nullptr after the last.
  Result<std::unique_ptr<JoinedBlock>> Take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ != nullptr || finished_; });
    if (waiting_ == nullptr) TIDEMILL_RETURN_IF_ERROR(status_);
    auto block = std::move(waiting_);
    changed_.notify_all();
    return block;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<JoinedBlock> waiting_;
  Status status_ = Ok();
  bool finished_ = true;  ///< until Begin()
  bool stopped_ = false;
};

/// Hands out a block in pieces, in the spine's order.
class BlockReader {
 public:
  explicit BlockReader(const JoinPlan& plan) : plan_(plan) {}

  bool done() const { return block_ == nullptr || at_ >= block_->block.rows(); }
  void Read(std::unique_ptr<JoinedBlock> block) {
    block_ = std::move(block);
    at_ = 0;
  }
  void Release() { block_.reset(); }

  Columns Next(size_t rows_at_once) {
    const size_t end = std::min(at_ + rows_at_once, block_->block.rows());
    Columns rows;
    for (const Column& from : block_->block.columns.columns) {
      Column& to = rows.columns.emplace_back(from.name, from.type);
      to.Reserve(end - at_);
      AppendRows(from, at_, end, to);
    }
    const size_t first_feature = rows.columns.size();
    for (const Field& field : plan_.features) rows.columns.emplace_back(field.name, field.type).Reserve(end - at_);
    size_t feature = first_feature;
    for (const BlockFeatures& features : block_->features) {
      AppendFeatures(features, end, std::span(rows.columns).subspan(feature, features.records->types().size()));
      feature += features.records->types().size();
    }
    at_ = end;
    return rows;
  }

 private:
  /// Few rows at a time, so that a record read for one column is in the cache for the others.
  void AppendFeatures(const BlockFeatures& features, size_t end, std::span<Column> columns) {
    constexpr size_t kRows = 1024;
    std::array<const uint64_t*, kRows> records{};
    for (size_t begin = at_; begin < end; begin += kRows) {
      const size_t count = std::min(kRows, end - begin);
      for (size_t i = 0; i < count; ++i) {
        const uint32_t record = features.record_of_row[begin + i];
        records[i] = record == BlockFeatures::kDefault ? features.defaults->Row(0) : features.records->Row(record);
        __builtin_prefetch(records[i]);
      }
      for (size_t i = 0; i < columns.size(); ++i) features.records->AppendTo(columns[i], std::span(records).first(count), i);
    }
  }

  const JoinPlan& plan_;
  std::unique_ptr<JoinedBlock> block_;
  size_t at_ = 0;
};

struct SpineSummary {
  int64_t rows = 0;
  int64_t first = INT64_MAX;  ///< time
  int64_t last = INT64_MIN;
};

class StreamedJoin : public FeatureJoin {
 public:
  StreamedJoin(Session& session, const FeatureJoinRequest& request, JoinPlan plan)
      : session_(session),
        now_(request.now),
        threads_(std::max(request.resources.threads, 1)),
        memory_bytes_(request.resources.memory_mb * 1024 * 1024),
        folder_(request.resources.temporary_folder.empty() ? std::filesystem::temp_directory_path()
                                                           : request.resources.temporary_folder),
        plan_(std::move(plan)),
        reader_(plan_) {
    fields_ = plan_.spine;
    fields_.insert(fields_.end(), plan_.features.begin(), plan_.features.end());
  }

  ~StreamedJoin() override {
    if (queue_.Stop()) session_.Interrupt();
    if (thread_.joinable()) thread_.join();
    [[maybe_unused]] const Status dropped = session_.Execute(fmt::format("DROP TABLE IF EXISTS {}", kSpineTable));
  }

  Status Begin() {
    TIDEMILL_ASSIGN_OR_RETURN(spine_, Summarize());
    for (const auto& keys : plan_.keys) {
      std::vector<Type> types;
      for (const size_t column : keys) types.push_back(plan_.spine[column].type);
      indices_.emplace_back(std::move(types));
    }
    TIDEMILL_RETURN_IF_ERROR(PrepareViews());
    queue_.Begin();
    thread_ = std::thread([this] { queue_.Finish(JoinAll()); });
    // A statement that reads this before there are rows would keep the database's threads waiting, which make the rows.
    queue_.WaitForFirst();
    return Ok();
  }

  const std::vector<Field>& fields() const override { return fields_; }
  int64_t spine_rows() const override { return spine_.rows; }
  size_t batch_rows() const override {
    // The same for any number of threads, so that files are the same.
    const size_t share = static_cast<size_t>(spine_.rows) / kBatchesLeast / kVectorRows * kVectorRows + kVectorRows;
    return std::clamp(share, kBatchRowsMin, kBatchRowsMax);
  }

  Result<std::optional<Columns>> Next() override {
    while (reader_.done()) {
      reader_.Release();
      TIDEMILL_ASSIGN_OR_RETURN(auto block, queue_.Take());
      if (block == nullptr) return std::optional<Columns>();
      reader_.Read(std::move(block));
    }
    return std::optional<Columns>(reader_.Next(batch_rows()));
  }

 private:
  Result<SpineSummary> Summarize() {
    const std::string time = QuoteIdentifier(plan_.spine[plan_.time_column].name);
    TIDEMILL_ASSIGN_OR_RETURN(const Columns row,
                              session_.Query(fmt::format("SELECT count(*), min({0}), max({0}) FROM {1}", time, kSpineTable)));
    SpineSummary summary;
    summary.rows = row.columns[0].ints[0];
    if (!row.columns[1].IsNull(0)) summary.first = row.columns[1].ints[0];
    if (!row.columns[2].IsNull(0)) summary.last = row.columns[2].ints[0];
    return summary;
  }

  /// The rows that can matter: known, and not too old for the first row of the spine.
  std::string RowsCondition(const JoinPlan::View& view) const {
    if (spine_.first == INT64_MAX) return "false";
    const std::string event = QuoteIdentifier(view.event_time);
    std::string condition =
        TimeCondition("_known_at", "<=", std::min(now_.micros, spine_.last)) + " AND " + TimeCondition(event, "<=", spine_.last);
    if (const auto reach = view.program.Reach()) condition += " AND " + TimeCondition(event, ">=", spine_.first - reach->micros);
    return condition;
  }

  /// The view's table; of a small spine's entities only.
  std::string Relation(const JoinPlan::View& view) const {
    if (spine_.rows > kSpineRowsToLookUp) return view.table_sql;
    std::string equal;
    for (size_t i = 0; i < view.program.keys.size(); ++i) {
      equal += fmt::format("{}v.{} = s.{}", i > 0 ? " AND " : "", QuoteIdentifier(view.program.keys[i].name),
                           QuoteIdentifier(plan_.spine[plan_.keys[view.keys][i]].name));
    }
    return fmt::format("(SELECT v.* FROM (SELECT * FROM {}) v SEMI JOIN {} s ON {})", view.table_sql, kSpineTable, equal);
  }

  /// Rows that can matter, and about how many bytes each takes while it is read and when it is held.
  struct ViewSize {
    size_t rows = 0;
    size_t bytes_read = 0;
    size_t bytes_held = 0;
    size_t bytes_answered = 0;  ///< its features
  };

  Result<ViewSize> SizeOf(const JoinPlan::View& view) {
    std::string texts;
    for (const auto* fields : {&view.program.keys, &view.program.columns}) {
      for (const Field& field : *fields) {
        if (HoldsBytes(field.type))
          texts += fmt::format(" + coalesce(strlen(CAST({} AS VARCHAR)), 0)", QuoteIdentifier(field.name));
      }
    }
    if (texts.empty() && spine_.rows > kSpineRowsToLookUp) {
      // How many rows a table has is known without reading it: when all of them fit, no more has to be known.
      TIDEMILL_ASSIGN_OR_RETURN(const size_t all, RowsOf(view.table_sql));
      const ViewSize most = SizeOfRows(view, all, 0);
      if (most.rows * most.bytes_read <= static_cast<size_t>(memory_bytes_) / 2 / plan_.views.size()) return most;
    }
    TIDEMILL_ASSIGN_OR_RETURN(const Columns counts, session_.Query(fmt::format(
                                                        "SELECT count(*), CAST(coalesce(sum(0{}), 0) AS BIGINT) FROM {} WHERE {}",
                                                        texts, Relation(view), RowsCondition(view))));
    return SizeOfRows(view, static_cast<size_t>(counts.columns[0].ints[0]), static_cast<size_t>(counts.columns[1].ints[0]));
  }

  Result<size_t> RowsOf(const std::string& table_sql) {
    if (const auto counted = rows_of_table_.find(table_sql); counted != rows_of_table_.end()) return counted->second;
    TIDEMILL_ASSIGN_OR_RETURN(const Columns all, session_.Query(fmt::format("SELECT count(*) FROM {}", table_sql)));
    return rows_of_table_[table_sql] = static_cast<size_t>(all.columns[0].ints[0]);
  }

  static ViewSize SizeOfRows(const JoinPlan::View& view, size_t rows, size_t text_bytes) {
    constexpr size_t kBytesPerRow = 24;    // three times
    constexpr size_t kBytesPerSlot = 9;    // see RowStore
    constexpr size_t kBytesPerPlace = 16;  // the entity and the place in its order
    constexpr double kRoomToGrow = 1.4;    // of vectors
    ViewSize size;
    size.rows = rows;
    const size_t text_bytes_per_row = rows == 0 ? 0 : text_bytes / rows;
    const auto stored = static_cast<size_t>(
        static_cast<double>(kBytesPerRow + kBytesPerSlot * view.compiled->slot_types().size() + text_bytes_per_row) *
        kRoomToGrow);
    size.bytes_read = 2 * stored + kBytesPerPlace;
    size.bytes_answered = FeatureRecords::BytesPerRow(view.outputs.size()) + text_bytes_per_row;
    size.bytes_held = std::max(stored, kBytesPerRow + size.bytes_answered);
    return size;
  }

  /// Views that few spine rows ask for their latest rows are read when all of the spine is there. Of the others those that fit are
  /// held side by side, smallest first; the rest is answered ahead. Half of the memory is for blocks, and for reading while there
  /// are no blocks yet.
  Status PrepareViews() {
    joiners_.resize(plan_.views.size());
    std::vector<ViewSize> sizes;
    for (const JoinPlan::View& view : plan_.views) {
      TIDEMILL_ASSIGN_OR_RETURN(const ViewSize size, SizeOf(view));
      sizes.push_back(size);
    }
    PrepareStreams(sizes);
    std::vector<std::pair<size_t, size_t>> by_bytes;
    for (size_t i = 0; i < plan_.views.size(); ++i) {
      if (joiners_[i] == nullptr) by_bytes.emplace_back(sizes[i].rows * sizes[i].bytes_held, i);
    }
    std::sort(by_bytes.begin(), by_bytes.end());
    const auto memory = static_cast<size_t>(memory_bytes_);
    size_t held = 0;
    std::vector<size_t> to_hold;
    for (const auto& [bytes, i] : by_bytes) {
      if (held + bytes <= memory / 2 && held + sizes[i].rows * sizes[i].bytes_read <= memory) {
        held += bytes;
        to_hold.push_back(i);
      } else {
        TIDEMILL_ASSIGN_OR_RETURN(joiners_[i], Spill(plan_.views[i], sizes[i]));
      }
    }
    return HoldAll(to_hold, sizes);
  }

  /// All views that can be read for the whole spine at once, if that fits: into all of the memory when there are no others.
  void PrepareStreams(const std::vector<ViewSize>& sizes) {
    const auto spine_rows = static_cast<size_t>(spine_.rows);
    std::vector<size_t> to_stream;
    size_t bytes = spine_rows * SpineRowBytes();
    for (size_t i = 0; i < plan_.views.size(); ++i) {
      if (!AnsweredByLatestRow(*plan_.views[i].compiled) || spine_rows > 2 * sizes[i].rows) continue;
      to_stream.push_back(i);
      bytes += StreamedViewBytes(spine_rows, sizes[i].rows, sizes[i].bytes_held + sizes[i].bytes_answered);
    }
    const auto memory = static_cast<size_t>(memory_bytes_);
    if (bytes > (to_stream.size() == plan_.views.size() ? memory : memory / 2)) return;
    for (const size_t i : to_stream) {
      const JoinPlan::View& view = plan_.views[i];
      streams_.insert(view.keys);
      joiners_[i] = MakeStreamedJoiner(session_, {&view.program, view.compiled, view.outputs, Relation(view), view.event_time,
                                                  RowsCondition(view), &indices_[view.keys]});
    }
  }

  /// While the rows of one are read, those of the one before are put in order by another thread.
  Status HoldAll(const std::vector<size_t>& views, const std::vector<ViewSize>& sizes) {
    std::future<Status> ordering;
    for (const size_t i : views) {
      const JoinPlan::View& view = plan_.views[i];
      auto read = ReadTableRows(session_, view.program, *view.compiled, Relation(view), view.event_time, RowsCondition(view),
                                sizes[i].rows, indices_[view.keys]);
      if (ordering.valid()) TIDEMILL_RETURN_IF_ERROR(ordering.get());
      if (!read.ok()) return read.error();
      ordering = std::async(std::launch::async, [this, &view, i, read = std::move(read).value()]() mutable -> Status {
        TIDEMILL_ASSIGN_OR_RETURN(joiners_[i], MakeViewJoiner(view.compiled, view.outputs, std::move(read), view.program.view, threads_));
        return Ok();
      });
    }
    return ordering.valid() ? ordering.get() : Ok();
  }

  Result<std::unique_ptr<ViewJoiner>> Spill(const JoinPlan::View& view, const ViewSize& size) {
    SpillRequest request;
    request.plan = &plan_;
    request.view = &view;
    request.spine_table = kSpineTable;
    request.relation = Relation(view);
    request.condition = RowsCondition(view);
    request.threads = threads_;
    request.rows_at_once = std::max<size_t>(static_cast<size_t>(memory_bytes_) / 2 / size.bytes_read, 1);
    request.rows_max = request.rows_at_once * 4;
    request.spine_rows_at_once = BlockRows();
    request.folder = folder_;
    request.stopped = [this] { return queue_.stopped(); };
    return SpillView(session_, request);
  }

  /// What a row of a block takes without its features.
  size_t SpineRowBytes() const {
    constexpr size_t kBytesPerColumn = 9;
    constexpr size_t kBytesPerOrder = 24;
    return plan_.spine.size() * kBytesPerColumn + plan_.keys.size() * kBytesPerOrder;
  }

  size_t BlockRows() const {
    if (!streams_.empty()) return static_cast<size_t>(spine_.rows) + 1;
    size_t bytes = SpineRowBytes();
    for (const JoinPlan::View& view : plan_.views) bytes += FeatureRecords::BytesPerRow(view.outputs.size());
    const size_t best = std::clamp(static_cast<size_t>(spine_.rows) / 4, kBlockRowsMin * 64, kBlockRowsBest);
    return std::clamp(static_cast<size_t>(memory_bytes_) / 4 / bytes, kBlockRowsMin, best);
  }

  Status JoinAll() {
    const size_t block_rows = BlockRows();
    auto block = NewBlock(0, block_rows);
    TIDEMILL_RETURN_IF_ERROR(session_.Stream(fmt::format("SELECT * FROM {}", kSpineTable), [&](const Columns& batch) -> Status {
      for (size_t i = 0; i < batch.columns.size(); ++i) {
        AppendRows(batch.columns[i], 0, batch.rows(), block->block.columns.columns[i]);
      }
      if (block->block.rows() < block_rows) return Ok();
      const int64_t next = block->block.first_row + static_cast<int64_t>(block->block.rows());
      TIDEMILL_RETURN_IF_ERROR(JoinBlock(std::move(block)));
      block = NewBlock(next, block_rows);
      return Ok();
    }));
    return block->block.rows() > 0 ? JoinBlock(std::move(block)) : Ok();
  }

  std::unique_ptr<JoinedBlock> NewBlock(int64_t first_row, size_t rows) const {
    auto block = std::make_unique<JoinedBlock>();
    block->block.first_row = first_row;
    block->block.time_column = plan_.time_column;
    const size_t reserved = std::min(rows, static_cast<size_t>(std::max<int64_t>(spine_.rows - first_row, 0)));
    for (const Field& field : plan_.spine) block->block.columns.columns.emplace_back(field.name, field.type).Reserve(reserved);
    return block;
  }

  Status JoinBlock(std::unique_ptr<JoinedBlock> joined) {
    const Status stopped = Unavailable("interrupted", "the join was stopped");
    if (!queue_.WaitForRoom()) return stopped;
    for (size_t i = 0; i < plan_.keys.size(); ++i) {
      std::vector<const Column*> keys;
      for (const size_t column : plan_.keys[i]) keys.push_back(&joined->block.columns.columns[column]);
      if (streams_.contains(i)) indices_[i].AddAll(keys);
      joined->orders.push_back(OrderBlock(indices_[i], keys, joined->block.times(), threads_));
    }
    joined->features.resize(plan_.views.size());
    TIDEMILL_RETURN_IF_ERROR(JoinViews(*joined));
    queue_.Put(std::move(joined));
    return Ok();
  }

  /// While one is read, the one before is joined by other threads.
  Status JoinViews(JoinedBlock& joined) {
    std::future<Status> joining;
    const auto join = [this, &joined](size_t i) {
      return joiners_[i]->Join(joined.block, joined.orders[plan_.views[i].keys], threads_, joined.features[i]);
    };
    for (size_t i = 0; i < plan_.views.size(); ++i) {
      const Status read = joiners_[i]->Read(joined.orders[plan_.views[i].keys]);
      if (joining.valid()) TIDEMILL_RETURN_IF_ERROR(joining.get());
      TIDEMILL_RETURN_IF_ERROR(read);
      const bool next_is_read = i + 1 < plan_.views.size() && joiners_[i + 1]->reads();
      if (next_is_read) {
        joining = std::async(std::launch::async, join, i);
      } else {
        TIDEMILL_RETURN_IF_ERROR(join(i));
      }
    }
    return Ok();
  }

  Session& session_;
  const Timestamp now_;
  const int threads_;
  const int64_t memory_bytes_;
  const std::filesystem::path folder_;
  const JoinPlan plan_;
  std::vector<Field> fields_;
  SpineSummary spine_;
  std::map<std::string, size_t> rows_of_table_;
  std::vector<EntityIndex> indices_;  ///< by JoinPlan::keys
  std::set<size_t> streams_;          ///< of JoinPlan::keys, those of views that are read for the whole spine
  std::vector<std::unique_ptr<ViewJoiner>> joiners_;
  BlockQueue queue_;
  BlockReader reader_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<FeatureJoin>> FeatureJoin::Start(Session& session, const FeatureJoinRequest& request) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<Field> spine, session.Describe(request.spine_sql));
  TIDEMILL_ASSIGN_OR_RETURN(JoinPlan plan, PlanJoin(request, spine));
  TIDEMILL_RETURN_IF_ERROR(
      session.Execute(fmt::format("CREATE OR REPLACE TEMP TABLE {} AS {}", "tidemill_spine", request.spine_sql)));
  auto join = std::make_unique<StreamedJoin>(session, request, std::move(plan));
  TIDEMILL_RETURN_IF_ERROR(join->Begin());
  return std::unique_ptr<FeatureJoin>(std::move(join));
}

}  // namespace tidemill
