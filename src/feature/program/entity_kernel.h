#pragma once

#include <memory>
#include <span>
#include <vector>

#include "feature/program/compiled_program.h"
#include "feature/program/row_store.h"
#include "feature/program/sliding_sums.h"

namespace tidemill {

/// The rows of one entity and the running aggregates over them: what batch joins are made of.
///
/// A row is in a window from max(known, event + delay) until the window's start has passed it. When the time asked does not
/// decrease and no rows came in between, each row is added and removed once (two cursors a window); otherwise the window is
/// rebuilt from the rows in its range. Both ways give the same bits, because every aggregate depends only on the set of rows.
/// Not thread-safe; neither copied nor moved (aggregators refer to the rows).
class EntityKernel {
 public:
  explicit EntityKernel(std::shared_ptr<const CompiledProgram> program);
  EntityKernel(const EntityKernel&) = delete;
  EntityKernel& operator=(const EntityKernel&) = delete;

  const CompiledProgram& program() const { return *program_; }
  const RowStore& rows() const { return rows_; }

  void Clear();
  /// Adds a row by its slots (CompiledProgram::FillSlots). A row equal to one that is there in everything counts once; one that
  /// came later than the program's lateness allows is left out.
  void Add(int64_t event, int64_t known, int64_t sequence, std::span<const Datum> slots);
  void AddFrom(const RowStore& rows, size_t row);
  /// The same for rows [begin, end).
  void AddFrom(const RowStore& rows, size_t begin, size_t end);
  /// See RowStore::AppendRun.
  void AddRun(std::span<const int64_t> events, const int64_t* known, const int64_t* sequences, int64_t sequence,
              std::span<const RowStore::SlotValues> slots);
  /// Rows that were there already, since Clear().
  size_t duplicates() const { return duplicates_; }
  /// Rows left out for their lateness, since Clear().
  size_t late_rows() const { return late_rows_; }

  /// The features at `time`; texts stay valid until the next call.
  void Query(int64_t time, std::span<Datum> outputs);
  /// The features at each of `times`, which do not decrease, a column for each output. Much quicker than so many calls of Query,
  /// above all for counts, sums and means. Texts stay valid until the next call. At most 2^32 - 2 rows.
  void QueryMany(std::span<const int64_t> times, std::span<const ResultColumn> outputs);
  /// Puts rows in order and drops duplicates; other calls do so by themselves.
  void Settle();

 private:
  /// When rows enter windows of one delay.
  struct EntryOrder {
    int64_t delay = 0;
    std::vector<int64_t> times;      ///< by row
    std::vector<uint32_t> rows;      ///< by time of entry; empty when that is the order of the rows
    std::vector<uint32_t> run_ends;  ///< of QueryMany: how many rows have entered by each time asked

    uint32_t RowAt(size_t place) const { return rows.empty() ? static_cast<uint32_t>(place) : rows[place]; }
  };

  struct Window {
    const WindowPlan* plan = nullptr;
    size_t order = 0;            ///< of entry_orders_
    size_t entered = 0;          ///< how many rows have been looked at, in the order of entry
    size_t left = 0;             ///< rows before this position have left
    std::vector<uint32_t> runs;  ///< sessions: where the run of rows begins that a row belongs to; empty when rows come late
  };

  struct SharedSums {
    SlidingSums sums;
    enum { kUnknown, kBuilt, kImpossible } state = kUnknown;  ///< for the rows there are
  };

  void Index();
  void IndexEntries(EntryOrder& order) const;
  void IndexRuns(Window& window) const;
  const EntryOrder& OrderOf(const Window& window) const { return entry_orders_[window.order]; }
  /// Whether what is in the window at any time is a run of the rows.
  bool HoldsRuns(const Window& window) const;
  static void PassBy(std::span<const int64_t> times, int64_t time, size_t& at);
  void FindRunEnds(EntryOrder& order, std::span<const int64_t> times) const;
  void FindRunBegins(const Window& window, std::span<const int64_t> times);
  void SlideOverRuns(size_t aggregate, const std::vector<uint32_t>& run_ends, ResultColumn results);
  void SlideOverTimes(Window& window, std::span<const int64_t> times);
  Datum Kept(Datum result);
  const SlidingSums* SumsOf(size_t aggregate);
  size_t SessionBegin(const WindowPlan& plan, size_t begin, size_t end, int64_t time) const;
  size_t EnteredBy(const EntryOrder& order, int64_t time) const;
  void Rebuild(Window& window, int64_t time);
  void Advance(Window& window, int64_t time);
  void Put(const WindowPlan& plan, uint32_t row);
  void Take(const WindowPlan& plan, uint32_t row);

  std::shared_ptr<const CompiledProgram> program_;
  RowStore rows_;
  std::vector<std::unique_ptr<Aggregator>> aggregators_;
  std::vector<EntryOrder> entry_orders_;
  std::vector<Window> windows_;
  std::vector<Datum> results_;        ///< by aggregate
  ResultBuffer many_results_;         ///< of QueryMany, by aggregate
  std::vector<uint32_t> run_begins_;  ///< of the window at hand, by time
  std::vector<SharedSums> sums_;
  std::vector<size_t> sums_of_;  ///< which of them an aggregate has; sums_.size(): none
  TextPool texts_;
  bool indexed_ = false;  ///< entry_orders_ and runs are right for the rows there are
  bool running_ = false;  ///< the windows hold what is visible at time_
  int64_t time_ = 0;
  size_t duplicates_ = 0;
  size_t late_rows_ = 0;
};

}  // namespace tidemill
