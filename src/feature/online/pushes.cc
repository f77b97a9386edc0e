#include "feature/online/pushes.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "base/sha256.h"
#include "feature/entity_key.h"
#include "feature/online/push_record.h"
#include "feature/online/view_position.h"
#include "feature/program/compiled_program.h"
#include "feature/program/varint.h"

namespace tidemill {
namespace {

constexpr std::string_view kLog = "push-log";  ///< space of pushes, by number
constexpr std::string_view kIds = "push-ids";  ///< space of receipts, by source and id
constexpr int64_t kNothingArrives = std::numeric_limits<int64_t>::max();
constexpr size_t kUncomputedShown = 10;
constexpr int kRoundsBetweenCare = 15;         ///< rounds of the thread after which states are written back
constexpr int kRoundsBetweenForgetting = 900;  ///< and ids forgotten

std::string NumberKey(uint64_t number) {
  std::string key;
  for (int shift = 56; shift >= 0; shift -= 8) key += static_cast<char>(number >> shift);
  return key;
}

uint64_t NumberOf(std::string_view key) {
  uint64_t number = 0;
  for (const char c : key) number = number << 8 | static_cast<uint8_t>(c);
  return number;
}

std::string IdKey(const PushedBatch& batch) { return EncodeKey({batch.source, batch.id}); }

Json ReceiptJson(const PushReceipt& receipt, const std::string& digest) {
  return {{"rows", receipt.rows},
          {"refused", receipt.refused},
          {"first_seq", receipt.first_seq},
          {"arrived_at", receipt.arrived_at.micros},
          {"digest", digest}};
}

PushReceipt ReceiptOf(const PushedBatch& batch) {
  return {static_cast<int64_t>(batch.known_at.size()),
          static_cast<int64_t>(batch.refused.size()),
          batch.first_seq,
          batch.arrived_at,
          false,
          {}};
}

/// What the rows of a push are for one view: columns of the push in the order of the program.
struct ColumnsOfView {
  const RowsOfTable* table = nullptr;
  const Column* event_time = nullptr;
  std::vector<const Column*> keys;
  std::vector<const Column*> columns;

  int64_t EventTime(size_t row) const { return event_time->ints[row] * (event_time->type == Type::kDate ? kMicrosPerDay : 1); }
  Datum Value(size_t i, size_t row, Type type) const {
    const Datum datum = ColumnDatum(*columns[i], row);
    const bool widens = columns[i]->type == Type::kInt64 && type == Type::kDouble && !datum.null;
    return widens ? Datum::Number(static_cast<double>(datum.integer)) : datum;
  }
};

/// Once for each row and table, whichever views read it.
void AddUncomputed(const PushedBatch& batch, const RowsOfTable& table, PushReceipt& receipt) {
  for (const UncomputedRow& one : table.uncomputed) {
    const UncomputedPushRow row{batch.record_of_row[one.row], one.table, one.column};
    const bool known = std::find(receipt.uncomputed.begin(), receipt.uncomputed.end(), row) != receipt.uncomputed.end();
    if (!known && receipt.uncomputed.size() < kUncomputedShown) receipt.uncomputed.push_back(row);
  }
}

struct RowOfEntity {
  uint64_t place = 0;
  std::string key;
  size_t row = 0;
};

/// Rows that belong to an entity, those of one together.
std::vector<RowOfEntity> RowsByEntity(const StateSpace& space, const ColumnsOfView& columns, size_t count) {
  std::vector<RowOfEntity> rows;
  rows.reserve(count);
  for (size_t row = 0; row < count; ++row) {
    bool complete = columns.table->Has(row) && !columns.event_time->IsNull(row);
    for (const Column* column : columns.keys) complete = complete && !column->IsNull(row);
    if (!complete) continue;
    RowOfEntity& one = rows.emplace_back();
    for (size_t i = 0; i < columns.keys.size(); ++i) AppendKeyPart(ColumnDatum(*columns.keys[i], row), space.program.keys[i].type, one.key);
    one.place = EntityStates::Place(space, one.key);
    one.row = row;
  }
  std::sort(rows.begin(), rows.end(), [](const RowOfEntity& a, const RowOfEntity& b) {
    return std::tie(a.place, a.key, a.row) < std::tie(b.place, b.key, b.row);
  });
  return rows;
}

}  // namespace

namespace {

/// What decides which rows of the table a push makes.
std::string DigestOf(const PushedView& view) { return Sha256(view.source + "\n" + RowsInLake(view)); }

}  // namespace

std::string RowsInLake(const PushedView& view) { return RowsOfTables(view.tables); }

struct OnlinePushes::Follower {
  std::string name;  ///< of the view; never changes, so it needs no lock
  PushedView view;
  std::string fingerprint;
  std::shared_ptr<const CompiledProgram> compiled;
  RowWiseTables tables;
  /// The states were made by other SQL of the table: nothing is added until a run has made them anew. Under the lock of pushes; others may look.
  std::shared_ptr<std::atomic<bool>> outdated = std::make_shared<std::atomic<bool>>(false);

  Status Prepare() {
    fingerprint = ProgramFingerprint(view.program);
    TIDEMILL_ASSIGN_OR_RETURN(tables, RowWiseTables::Make(view.tables));
    TIDEMILL_ASSIGN_OR_RETURN(compiled, CompiledProgram::Make(view.program));
    return Ok();
  }

  Result<const Column*> Find(const RowsOfTable& rows, const std::string& column) const {
    const auto found = rows.columns.find(column);
    if (found != rows.columns.end()) return found->second;
    return UserError("unknown_column", fmt::format("a push to '{}' has no column for '{}' of the view '{}'", view.source, column,
                                                   view.program.view));
  }

  Result<ColumnsOfView> ColumnsIn(const RowsOfTable& rows) const {
    ColumnsOfView result;
    result.table = &rows;
    TIDEMILL_ASSIGN_OR_RETURN(result.event_time, Find(rows, view.event_time));
    for (const auto& [fields, columns] : {std::pair(&view.program.keys, &result.keys), std::pair(&view.program.columns, &result.columns)}) {
      for (const Field& field : *fields) {
        TIDEMILL_ASSIGN_OR_RETURN(const Column* column, Find(rows, field.name));
        columns->push_back(column);
      }
    }
    return result;
  }
};

OnlinePushes::OnlinePushes(Parts parts, const PushOptions& options)
    : parts_(std::move(parts)), options_(options), arriving_(kNothingArrives) {}

OnlinePushes::~OnlinePushes() { (void)Stop(); }

Result<std::unique_ptr<OnlinePushes>> OnlinePushes::Open(Parts parts, const std::vector<PushedView>& views,
                                                         const PushOptions& options) {
  std::unique_ptr<OnlinePushes> pushes(new OnlinePushes(std::move(parts), options));
  TIDEMILL_RETURN_IF_ERROR(pushes->Recover(views));
  return pushes;
}

Result<bool> OnlinePushes::LeftBehind(OnlineStore& store) {
  bool any = false;
  TIDEMILL_RETURN_IF_ERROR(store.Scan(kLog, "", [&](std::string_view, std::string_view) -> Result<bool> {
    any = true;
    return false;
  }));
  return any;
}

Status OnlinePushes::Recover(const std::vector<PushedView>& views) {
  for (const PushedView& view : views) TIDEMILL_RETURN_IF_ERROR(Follow(view));
  uint64_t first = 0;
  TIDEMILL_RETURN_IF_ERROR(ScanLog(0, [&](uint64_t number, const PushedBatch& batch) -> Result<bool> {
    if (first == 0) first = number;
    next_ = number + 1;
    waiting_rows_ += static_cast<int64_t>(batch.known_at.size());
    TIDEMILL_RETURN_IF_ERROR(Apply(batch));
    return true;
  }));
  if (first == 0) first = next_;
  in_lake_ = in_states_ = trimmed_ = first;
  return Ok();
}

/// A view that was never materialized begins with no rows: what the lake holds comes with the next run.
Status OnlinePushes::Follow(const PushedView& view) {
  auto follower = std::make_unique<Follower>();
  follower->name = view.program.view;
  follower->view = view;
  TIDEMILL_RETURN_IF_ERROR(follower->Prepare());
  TIDEMILL_ASSIGN_OR_RETURN(const ViewPosition position, ReadViewPosition(*parts_.store, view.program.view));
  if (!position.complete) {
    const ViewPosition nothing{true, "a", follower->fingerprint, std::numeric_limits<int64_t>::min(), -1, "0:", DigestOf(view)};
    TIDEMILL_RETURN_IF_ERROR(ClearGeneration(*parts_.store, view.program.view, "a"));
    TIDEMILL_RETURN_IF_ERROR(WriteViewPosition(*parts_.store, view.program.view, nothing));
    parts_.store->states().Moved(view.program.view);
  } else {
    *follower->outdated = position.pushed_rows != DigestOf(view);
  }
  followers_.push_back(std::move(follower));
  return Ok();
}

bool OnlinePushes::Follows(const std::string& view) const {
  return std::any_of(followers_.begin(), followers_.end(), [&](const auto& follower) { return follower->name == view; });
}

bool OnlinePushes::IsOutdated(const std::string& view) const {
  return std::any_of(followers_.begin(), followers_.end(),
                     [&](const auto& follower) { return follower->name == view && *follower->outdated; });
}

Result<std::string> OnlinePushes::RowsInLake(const std::string& view, const std::string& table,
                                             const std::optional<std::string>& expected) const {
  for (const auto& follower : followers_) {
    if (follower->name != view) continue;
    const std::string rows = tidemill::RowsInLake(follower->view);
    constexpr const char* kHint = "start the server anew: it follows the definitions that it began with";
    if (follower->view.table != table)
      return Unavailable("view_moved", fmt::format("the view '{}' reads the table '{}' now", view, table), kHint);
    if (expected && rows != *expected)
      return Unavailable("view_moved", fmt::format("the table '{}' of the view '{}' has other SQL now", table, view), kHint);
    return rows;
  }
  return InternalError(fmt::format("'{}' follows no pushes", view));
}

Result<std::string> OnlinePushes::PushedRowsDigest(const std::string& view) const {
  for (const auto& follower : followers_) {
    if (follower->name == view) return DigestOf(follower->view);
  }
  return InternalError(fmt::format("'{}' follows no pushes", view));
}

Status OnlinePushes::Use(const Program& program) {
  for (const auto& follower : followers_) {
    if (follower->view.program.view != program.view) continue;
    follower->view.program = program;
    TIDEMILL_RETURN_IF_ERROR(follower->Prepare());
    *follower->outdated = false;
    return Ok();
  }
  return Ok();
}

Timestamp OnlinePushes::SettledUntil(Timestamp now) const {
  const int64_t arriving = arriving_;
  return arriving > now.micros ? now : Timestamp{arriving - 1};
}

Result<int64_t> OnlinePushes::NextSequence(int64_t count) {
  if (sequences_left_ < count) {
    const int64_t block = std::max(count, options_.sequence_block);
    TIDEMILL_ASSIGN_OR_RETURN(next_sequence_, parts_.reserve_sequence(block));
    sequences_left_ = block;
  }
  const int64_t first = next_sequence_;
  next_sequence_ += count;
  sequences_left_ -= count;
  return first;
}

Result<std::optional<PushReceipt>> OnlinePushes::Repeated(const PushedBatch& batch, const std::string& digest) {
  if (batch.id.empty()) return std::optional<PushReceipt>();
  TIDEMILL_ASSIGN_OR_RETURN(const auto known, parts_.store->Get(kIds, IdKey(batch)));
  if (!known) return std::optional<PushReceipt>();
  const Json json = Json::parse(*known, nullptr, false);
  if (!json.is_object() || json.value("digest", "") != digest) {
    return UserError("push_id_used", fmt::format("the push '{}' to '{}' was stored before, with other rows", batch.id, batch.source),
                     "give every push an id of its own, and repeat it only with the same rows");
  }
  ++repeated_;
  return std::optional<PushReceipt>({json.value("rows", int64_t{0}),
                                     json.value("refused", int64_t{0}),
                                     json.value("first_seq", int64_t{0}),
                                     Timestamp{json.value("arrived_at", int64_t{0})},
                                     true,
                                     {}});
}

Result<PushReceipt> OnlinePushes::Push(PushedBatch batch, const std::function<Timestamp()>& clock) {
  const std::string digest = batch.id.empty() ? "" : PushDigest(batch);
  const auto rows = static_cast<int64_t>(batch.known_at.size());
  const std::lock_guard<std::mutex> lock(mutex_);
  TIDEMILL_ASSIGN_OR_RETURN(const auto repeated, Repeated(batch, digest));
  if (repeated) return *repeated;
  if (waiting_rows_ + rows > options_.waiting_rows_max) {
    return Unavailable("push_backlog", fmt::format("{} pushed rows wait for the lake, which takes none", waiting_rows_.load()),
                       "free disk space, or look at the server's messages, and try again");
  }
  TIDEMILL_ASSIGN_OR_RETURN(batch.first_seq, NextSequence(batch.records));
  // Who looks up now sees this time before the arrival, or asked for a time that is not after it.
  arriving_ = clock().micros;
  const auto arrived = [](std::atomic<int64_t>* arriving) { *arriving = kNothingArrives; };
  const std::unique_ptr<std::atomic<int64_t>, decltype(arrived)> until_applied(&arriving_, arrived);
  batch.arrived_at = clock();
  for (int64_t& known : batch.known_at) known = std::max(known, batch.arrived_at.micros);

  PushReceipt receipt = ReceiptOf(batch);
  std::vector<OnlineStore::Write> writes = {{std::string(kLog), NumberKey(next_), EncodePush(batch)}};
  if (!batch.id.empty()) writes.push_back({std::string(kIds), IdKey(batch), ReceiptJson(receipt, digest).dump()});
  TIDEMILL_RETURN_IF_ERROR(parts_.store->Put(writes));
  ++next_;
  waiting_rows_ += rows;
  rows_since_write_back_ += rows;
  last_arrival_ = batch.arrived_at.micros;
  Status applied = Apply(batch, &receipt);
  apply_failed_ = apply_failed_ || !applied.ok();
  TIDEMILL_RETURN_IF_ERROR(std::move(applied));
  ++pushes_;
  rows_ += rows;
  refused_ += receipt.refused;
  return receipt;
}

Status OnlinePushes::Apply(const PushedBatch& batch, PushReceipt* receipt) {
  for (const auto& follower : followers_) {
    if (follower->view.source != batch.source || *follower->outdated) continue;
    const auto space = parts_.store->states().Live(follower->view.program, follower->fingerprint, follower->compiled);
    // A view that was defined anew is made from the lake by the next run, this push included.
    if (!space.ok() && space.error().code == "view_stale") continue;
    if (!space.ok()) return space.error();
    if (*space == nullptr) continue;
    TIDEMILL_ASSIGN_OR_RETURN(const RowsOfTable table, follower->tables.Apply(batch.rows));
    if (receipt != nullptr) AddUncomputed(batch, table, *receipt);
    TIDEMILL_RETURN_IF_ERROR(ApplyTo(*follower, *space, batch, table));
  }
  return Ok();
}

/// Entity by entity, in an order that is kind to the cache: which order changes no state.
Status OnlinePushes::ApplyTo(const Follower& follower, const std::shared_ptr<const StateSpace>& space, const PushedBatch& batch,
                             const RowsOfTable& table) {
  TIDEMILL_ASSIGN_OR_RETURN(const ColumnsOfView columns, follower.ColumnsIn(table));
  space->SetNow(batch.arrived_at);
  const std::vector<RowOfEntity> rows = RowsByEntity(*space, columns, batch.known_at.size());
  std::vector<Datum> values(columns.columns.size());
  for (size_t at = 0; at < rows.size();) {
    const std::string& key = rows[at].key;
    TIDEMILL_ASSIGN_OR_RETURN(EntityStates::LockedState locked, parts_.store->states().Open(space, key));
    locked.Change();
    for (; at < rows.size() && rows[at].key == key; ++at) {
      const size_t row = rows[at].row;
      for (size_t i = 0; i < columns.columns.size(); ++i) values[i] = columns.Value(i, row, space->program.columns[i].type);
      TIDEMILL_RETURN_IF_ERROR(
          locked.state().Update({columns.EventTime(row)}, {batch.known_at[row]}, batch.Sequence(row), values));
    }
  }
  return Ok();
}

Status OnlinePushes::ScanLog(uint64_t begin, const std::function<Result<bool>(uint64_t number, PushedBatch batch)>& take) {
  return parts_.store->Scan(kLog, NumberKey(begin), [&](std::string_view key, std::string_view bytes) -> Result<bool> {
    TIDEMILL_ASSIGN_OR_RETURN(PushedBatch batch, DecodePush(bytes));
    return take(NumberOf(key), std::move(batch));
  });
}

Status OnlinePushes::Pause(const std::function<Status()>& work) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return work();
}

Status OnlinePushes::ApplyLog(const std::shared_ptr<const StateSpace>& space) {
  for (const auto& follower : followers_) {
    if (follower->view.program.view != space->program.view) continue;
    Follower other = *follower;
    other.view.program = space->program;
    TIDEMILL_RETURN_IF_ERROR(ScanLog(0, [&](uint64_t, const PushedBatch& batch) -> Result<bool> {
      if (batch.source != other.view.source) return true;
      TIDEMILL_ASSIGN_OR_RETURN(const RowsOfTable table, other.tables.Apply(batch.rows));
      TIDEMILL_RETURN_IF_ERROR(ApplyTo(other, space, batch, table));
      return true;
    }));
  }
  return Ok();
}

Status OnlinePushes::FlushSome(bool* more) {
  std::vector<PushedBatch> batches;
  int64_t rows = 0;
  uint64_t end = in_lake_;
  *more = false;
  TIDEMILL_RETURN_IF_ERROR(ScanLog(in_lake_, [&](uint64_t number, PushedBatch batch) -> Result<bool> {
    if (rows >= options_.batch_rows) {
      *more = true;
      return false;
    }
    rows += static_cast<int64_t>(batch.known_at.size());
    end = number + 1;
    batches.push_back(std::move(batch));
    return true;
  }));
  if (batches.empty()) return Ok();
  TIDEMILL_RETURN_IF_ERROR(parts_.store_in_lake(batches));
  in_lake_ = end;
  waiting_rows_ -= rows;
  return Ok();
}

Status OnlinePushes::Flush() {
  const std::lock_guard<std::mutex> lock(flush_mutex_);
  bool more = true;
  while (more) TIDEMILL_RETURN_IF_ERROR(FlushSome(&more));
  bool due = false;
  {
    const std::lock_guard<std::mutex> push_lock(mutex_);
    due = rows_since_write_back_ >= options_.write_back_rows;
  }
  return due ? WriteBack() : Trim();
}

Status OnlinePushes::WriteBack() {
  uint64_t applied = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    applied = apply_failed_ ? in_states_.load() : next_;
    rows_since_write_back_ = 0;
  }
  TIDEMILL_RETURN_IF_ERROR(parts_.store->states().WriteBack());
  in_states_ = applied;
  return Trim();
}

Status OnlinePushes::Trim() {
  const uint64_t below = std::min(in_lake_.load(), in_states_.load());
  if (below <= trimmed_) return Ok();
  // An acknowledged write, so the states written before it are on disk with it.
  TIDEMILL_RETURN_IF_ERROR(parts_.store->ClearBelow(kLog, NumberKey(below)));
  trimmed_ = below;
  return Ok();
}

Status OnlinePushes::ForgetIds() {
  const int64_t oldest = last_arrival_ - options_.id_memory.micros;
  std::vector<OnlineStore::Write> gone;
  TIDEMILL_RETURN_IF_ERROR(parts_.store->Scan(kIds, "", [&](std::string_view key, std::string_view bytes) -> Result<bool> {
    const Json json = Json::parse(bytes, nullptr, false);
    if (!json.is_object() || json.value("arrived_at", int64_t{0}) < oldest) gone.push_back({std::string(kIds), std::string(key), {}});
    return true;
  }));
  return gone.empty() ? Ok() : parts_.store->Put(gone, OnlineStore::Durability::kLater);
}

void OnlinePushes::Start() {
  const std::lock_guard<std::mutex> lock(thread_mutex_);
  if (!thread_.joinable()) thread_ = std::thread([this] { Work(); });
}

void OnlinePushes::Work() {
  std::unique_lock<std::mutex> lock(thread_mutex_);
  for (int round = 1; !changed_.wait_for(lock, std::chrono::milliseconds(options_.flush_interval_ms), [this] { return stopping_; });
       ++round) {
    lock.unlock();
    Status status = Flush();
    if (status.ok() && round % kRoundsBetweenCare == 0) status = WriteBack();
    if (status.ok() && round % kRoundsBetweenForgetting == 0) status = ForgetIds();
    if (!status.ok() && parts_.tell) parts_.tell("pushed rows wait in the log: " + status.error().message);
    lock.lock();
  }
}

Status OnlinePushes::Stop() {
  {
    const std::lock_guard<std::mutex> lock(thread_mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  TIDEMILL_RETURN_IF_ERROR(Flush());
  TIDEMILL_RETURN_IF_ERROR(WriteBack());
  return Ok();
}

OnlinePushes::Counts OnlinePushes::counts() const {
  return {pushes_, rows_, refused_, repeated_, waiting_rows_, static_cast<int64_t>(next_ - trimmed_)};
}

}  // namespace tidemill
