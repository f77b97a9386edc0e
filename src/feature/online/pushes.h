#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "feature/online/entity_states.h"
#include "feature/online/row_wise_table.h"
#include "lake/pushed_rows.h"

namespace tidemill {

struct PushedView;
/// What the rows of such a view are in the lake, to stand after FROM: all that was pushed, also since the last run.
std::string RowsInLake(const PushedView& view);

/// A view whose states follow the pushes to a source at once.
struct PushedView {
  Program program;
  std::string source;
  std::string table;                 ///< that the view reads
  std::string event_time;            ///< column of the table
  std::vector<RowWiseTable> tables;  ///< from the one that reads the source to `table`
};

/// A view that sees pushed rows with the next run.
struct LaterView {
  std::string view;
  std::set<std::string> sources;
  std::string reason;  ///< "the table 'x' groups rows"
};

struct PushOptions {
  int64_t waiting_rows_max = 2'000'000;  ///< pushes are refused while so many rows wait for the lake
  int64_t batch_rows = 200'000;          ///< that go into the lake in one commit, about
  int64_t write_back_rows = 1'000'000;   ///< pushed rows after which changed states are written
  int64_t sequence_block = 10'000;       ///< sequence numbers reserved at once
  int flush_interval_ms = 2'000;         ///< between two commits to the lake
  Duration id_memory{7 * kMicrosPerDay}; ///< how long the id of a push is remembered
};

struct UncomputedPushRow {
  int64_t record = 0;
  std::string table;
  std::string column;  ///< "" : the condition
  bool operator==(const UncomputedPushRow&) const = default;
};

struct PushReceipt {
  int64_t rows = 0;     ///< stored
  int64_t refused = 0;  ///< in quarantine
  int64_t first_seq = 0;
  Timestamp arrived_at;
  bool repeated = false;  ///< the same push was here before: nothing was stored now
  /// Rows that are in the source, but not in a view's table, whose SQL can't be computed for them; at most 10.
  std::vector<UncomputedPushRow> uncomputed{};
};

/// Takes rows as they happen. A push is one record of a log in the online store, on disk before it is acknowledged; at once it is applied to the
/// states of the views that follow its source; soon it is in the lake, with the same `_seq` and `_known_at`. A record leaves the log when
/// the lake has it and the states that it changed are written. After kill -9 the log is applied again: adding a row twice changes
/// nothing, in a state or in the lake.
///
/// Thread-safe. Pushes take turns; look-ups do not wait for them.
class OnlinePushes {
 public:
  struct Parts {
    OnlineStore* store = nullptr;  ///< must outlive this
    std::function<Result<int64_t>(int64_t count)> reserve_sequence;
    std::function<Status(const std::vector<PushedBatch>&)> store_in_lake;  ///< storing a push twice stores it once
    std::function<void(const std::string&)> tell;                          ///< a line for the operator; may be empty
  };
  /// Applies what the log holds to the views.
  static Result<std::unique_ptr<OnlinePushes>> Open(Parts parts, const std::vector<PushedView>& views, const PushOptions& options);
  /// Whether a store holds pushes that its states may lack, left by a process that was killed.
  static Result<bool> LeftBehind(OnlineStore& store);
  ~OnlinePushes();  ///< as Stop(), without telling errors

  /// Stores a push whose rows were checked. `batch` lacks numbers and arrival; its known_at are those declared (the least number
  /// for rows without one): a row is known from the later of it and its arrival, read from `clock`, the project clock. Codes:
  /// "push_id_used" when the id was given to other rows, "push_backlog" while too much waits for the lake, and those of the store.
  /// A push that failed may be repeated with its id.
  Result<PushReceipt> Push(PushedBatch batch, const std::function<Timestamp()>& clock);

  /// The latest time up to `now` at which answers don't change any more: before the arrival of a push under way.
  Timestamp SettledUntil(Timestamp now) const;

  /// Brings the log into the lake and what can go out of the log.
  Status Flush();
  /// Flushes by itself from now on, every flush_interval_ms.
  void Start();
  /// Flushes, writes the states back and ends the thread.
  Status Stop();

  /// Keeps pushes waiting while `work` runs with what the log still holds. Every push acknowledged before is then in the log or
  /// in the lake, when the lake is looked at after the log.
  Status Pause(const std::function<Status()>& work);
  /// Applies the log to a view under its program, in a generation that may not be live yet. Only inside of Pause().
  Status ApplyLog(const std::shared_ptr<const StateSpace>& space);
  /// Whether pushes reach a view at once.
  bool Follows(const std::string& view) const;
  /// Whether the states of such a view were made by other SQL of its table, so that pushes wait for the next run.
  bool IsOutdated(const std::string& view) const;
  /// What such a view's rows in the lake are, to stand after FROM: all that was pushed, also since the last run. `expected` is
  /// what they are by the definitions of whoever asks, where they are known. Code "view_moved" when the view reads another table
  /// now, or the table has other SQL.
  Result<std::string> RowsInLake(const std::string& view, const std::string& table,
                                 const std::optional<std::string>& expected = std::nullopt) const;
  /// Another one when the rows that a push makes for a view that is followed are others.
  Result<std::string> PushedRowsDigest(const std::string& view) const;
  /// A view that is followed has another program from now on. Only inside of Pause().
  Status Use(const Program& program);

  struct Counts {
    int64_t pushes = 0, rows = 0, refused = 0, repeated = 0;
    int64_t waiting_rows = 0;  ///< for the lake
    int64_t log_records = 0;
  };
  Counts counts() const;

 private:
  struct Follower;
  OnlinePushes(Parts parts, const PushOptions& options);

  Status Recover(const std::vector<PushedView>& views);
  Status Follow(const PushedView& view);
  Result<std::optional<PushReceipt>> Repeated(const PushedBatch& batch, const std::string& digest);
  Result<int64_t> NextSequence(int64_t count);
  Status Apply(const PushedBatch& batch, PushReceipt* receipt = nullptr);
  Status ApplyTo(const Follower& follower, const std::shared_ptr<const StateSpace>& space, const PushedBatch& batch,
                 const RowsOfTable& table);
  Status ScanLog(uint64_t begin, const std::function<Result<bool>(uint64_t number, PushedBatch batch)>& take);
  Status FlushSome(bool* more);
  Status WriteBack();
  Status Trim();
  Status ForgetIds();
  void Work();

  const Parts parts_;
  const PushOptions options_;
  mutable std::mutex mutex_;  ///< pushes take turns
  std::vector<std::unique_ptr<Follower>> followers_;
  uint64_t next_ = 1;          ///< number of the next record; under mutex_, as sequences and waiting rows
  int64_t next_sequence_ = 0;
  int64_t sequences_left_ = 0;
  int64_t rows_since_write_back_ = 0;
  std::atomic<int64_t> last_arrival_{0};
  bool apply_failed_ = false;      ///< a record isn't in the states: the log keeps all
  std::atomic<int64_t> arriving_;  ///< not after the arrival of the push under way

  std::mutex flush_mutex_;       ///< one flush at a time
  std::atomic<uint64_t> in_lake_{1};    ///< records below are in the lake
  std::atomic<uint64_t> in_states_{1};  ///< records below are in written states
  std::atomic<uint64_t> trimmed_{1};
  std::atomic<int64_t> waiting_rows_{0};
  std::atomic<int64_t> pushes_{0}, rows_{0}, refused_{0}, repeated_{0};

  std::mutex thread_mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tidemill
