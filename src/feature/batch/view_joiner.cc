#include "feature/batch/view_joiner.h"

#include <algorithm>

#include "feature/batch/view_outputs.h"
#include "feature/program/entity_kernel.h"

namespace tidemill {
namespace {

constexpr size_t kRunsAtOnce = 16;
constexpr uint32_t kTimesAtOnce = 4096;

/// Any program: an entity's rows go through the kernel, its spine rows ask.
class KernelJoiner : public ViewJoiner {
 public:
  KernelJoiner(std::shared_ptr<const CompiledProgram> program, std::vector<size_t> outputs, EntityRows rows)
      : program_(std::move(program)), outputs_(std::move(outputs)), rows_(std::move(rows)), defaults_(program_, outputs_) {}

  Status Join(const SpineBlock& block, const BlockOrder& order, int threads, BlockFeatures& features) override {
    features.own_records = FeatureRecords(OutputTypes(*program_, outputs_));
    features.own_records.Resize(order.rows.size());
    features.texts.resize(static_cast<size_t>(std::max(threads, 1)));
    std::vector<std::unique_ptr<Worker>> workers(features.texts.size());
    ShareOut(order.runs.size(), kRunsAtOnce, threads, [&](size_t at, size_t begin, size_t end) {
      if (workers[at] == nullptr) workers[at] = std::make_unique<Worker>(program_, outputs_);
      for (size_t run = begin; run < end; ++run) {
        JoinRun(order, order.runs[run], *workers[at], features.own_records, features.texts[at]);
      }
    });
    features.records = &features.own_records;
    features.record_of_row = order.slot_of_row.data();
    features.defaults = defaults_.records();
    if (program_->uses_time()) AnswerRowsWithoutEntity(block, order, features);
    return Ok();
  }

  const FeatureRecords* defaults() const override { return defaults_.records(); }

 private:
  static_assert(BlockOrder::kNoSlot == BlockFeatures::kDefault);

  struct Worker {
    Worker(const std::shared_ptr<const CompiledProgram>& program, const std::vector<size_t>& outputs)
        : kernel(program), row(*program, outputs), many(program->output_types()) {}
    EntityKernel kernel;
    FeatureRow row;
    ResultBuffer many;
  };

  void JoinRun(const BlockOrder& order, const BlockOrder::Run& run, Worker& worker, FeatureRecords& records,
               TextArena& texts) const {
    worker.kernel.Clear();
    if (run.entity < rows_.entities()) AddRows(run.entity, order.times[run.begin], order.times[run.end - 1], worker.kernel);
    for (uint32_t begin = run.begin; begin < run.end;) {
      const uint32_t count = std::min(run.end - begin, kTimesAtOnce);
      worker.many.Resize(count);
      worker.kernel.QueryMany(std::span(order.times).subspan(begin, count), worker.many.columns());
      records.ClearNulls(begin, begin + count);
      for (size_t i = 0; i < outputs_.size(); ++i) records.SetMany(begin, count, i, worker.many.columns()[outputs_[i]], texts);
      begin += count;
    }
  }

  /// A program that looks at the time asked has no one answer for all rows that see nothing.
  void AnswerRowsWithoutEntity(const SpineBlock& block, const BlockOrder& order, BlockFeatures& features) const {
    features.own_positions = order.slot_of_row;
    Worker worker(program_, outputs_);
    size_t next = features.own_records.size();
    features.own_records.Resize(next + block.rows() - order.rows.size());
    for (size_t row = 0; row < block.rows(); ++row) {
      if (features.own_positions[row] != BlockFeatures::kDefault || block.times().IsNull(row)) continue;
      worker.kernel.Query(block.times().ints[row], worker.row.all());
      features.own_records.Set(next, worker.row.wanted(), features.texts[0]);
      features.own_positions[row] = static_cast<uint32_t>(next++);
    }
    features.record_of_row = features.own_positions.data();
  }

  /// Only those rows that a question between two times may see.
  void AddRows(uint32_t entity, int64_t first, int64_t last, EntityKernel& kernel) const {
    const auto events = rows_.rows.events();
    const auto begin = events.begin() + static_cast<ptrdiff_t>(rows_.begin[entity]);
    const auto end = events.begin() + static_cast<ptrdiff_t>(rows_.begin[entity + 1]);
    const auto from = std::upper_bound(begin, end, program_->Horizon(first));
    const auto until = std::upper_bound(from, end, last);
    kernel.AddFrom(rows_.rows, static_cast<size_t>(from - events.begin()), static_cast<size_t>(until - events.begin()));
  }

  std::shared_ptr<const CompiledProgram> program_;
  std::vector<size_t> outputs_;
  EntityRows rows_;
  DefaultOutputs defaults_;
};

/// Programs that the latest row answers: a spine row only finds its row. The features of each row are computed once.
class LatestJoiner : public ViewJoiner {
 public:
  LatestJoiner(std::shared_ptr<const CompiledProgram> program, std::vector<size_t> outputs, EntityRows rows)
      : begin_(std::move(rows.begin)),
        delay_(program->windows()[0].delay),
        reach_(program->windows()[0].reach),
        records_(OutputTypes(*program, outputs)),
        defaults_(program, outputs) {
    FillEntries(rows.rows);
    records_.Resize(rows.rows.size());
    FillLatestRecords(*program, outputs, rows.rows, 0, rows.rows.size(), records_, texts_);
    events_.assign(rows.rows.events().begin(), rows.rows.events().end());
  }

  Status Join(const SpineBlock& block, const BlockOrder& order, int threads, BlockFeatures& features) override {
    features.own_positions.assign(block.rows(), BlockFeatures::kDefault);
    ShareOut(order.runs.size(), kRunsAtOnce, threads, [&](size_t, size_t begin, size_t end) {
      for (size_t run = begin; run < end; ++run) JoinRun(order, order.runs[run], features.own_positions);
    });
    features.records = &records_;
    features.record_of_row = features.own_positions.data();
    features.defaults = defaults_.records();
    return Ok();
  }

  const FeatureRecords* defaults() const override { return defaults_.records(); }

 private:
  /// For each entity the times at which rows enter, in order, and the latest row among those that have entered by then.
  void FillEntries(const RowStore& rows) {
    entry_times_.resize(rows.size());
    latest_.resize(rows.size());
    const auto entry_time = [&](uint32_t row) { return std::max(rows.known(row), AddTimes(rows.event(row), delay_)); };
    for (size_t entity = 0; entity + 1 < begin_.size(); ++entity) {
      const size_t begin = begin_[entity];
      const size_t end = begin_[entity + 1];
      for (size_t at = begin; at < end; ++at) {
        latest_[at] = static_cast<uint32_t>(at);
        entry_times_[at] = entry_time(latest_[at]);
      }
      const std::span<int64_t> times = std::span(entry_times_).subspan(begin, end - begin);
      if (!std::is_sorted(times.begin(), times.end())) {
        const std::span<uint32_t> rows_here = std::span(latest_).subspan(begin, end - begin);
        std::stable_sort(rows_here.begin(), rows_here.end(),
                         [&](uint32_t a, uint32_t b) { return entry_time(a) < entry_time(b); });
        for (size_t at = begin; at < end; ++at) entry_times_[at] = entry_time(latest_[at]);
      }
      uint32_t latest = static_cast<uint32_t>(begin);
      for (size_t at = begin; at < end; ++at) {
        latest = std::max(latest, latest_[at]);
        latest_[at] = latest;
      }
    }
  }

  void JoinRun(const BlockOrder& order, const BlockOrder::Run& run, std::vector<uint32_t>& positions) const {
    if (run.entity + 1 >= begin_.size()) return;
    const auto begin = entry_times_.begin() + static_cast<ptrdiff_t>(begin_[run.entity]);
    const auto end = entry_times_.begin() + static_cast<ptrdiff_t>(begin_[run.entity + 1]);
    auto entered = std::upper_bound(begin, end, order.times[run.begin]);
    for (uint32_t slot = run.begin; slot < run.end; ++slot) {
      while (entered != end && *entered <= order.times[slot]) ++entered;
      if (entered == begin) continue;
      // The row with the largest event time: when it has left the window, so have all others.
      const uint32_t row = latest_[static_cast<size_t>(entered - entry_times_.begin()) - 1];
      const bool left = reach_ != WindowPlan::kForever && AddTimes(events_[row], reach_) <= order.times[slot];
      if (!left) positions[order.rows[slot]] = row;
    }
  }

  std::vector<size_t> begin_;
  int64_t delay_ = 0;
  int64_t reach_ = 0;
  std::vector<int64_t> events_;
  std::vector<int64_t> entry_times_;
  std::vector<uint32_t> latest_;
  FeatureRecords records_;
  TextArena texts_;
  DefaultOutputs defaults_;
};

}  // namespace

std::unique_ptr<ViewJoiner> MakeViewJoiner(std::shared_ptr<const CompiledProgram> program, std::vector<size_t> outputs,
                                           EntityRows rows) {
  if (AnsweredByLatestRow(*program))
    return std::make_unique<LatestJoiner>(std::move(program), std::move(outputs), std::move(rows));
  return std::make_unique<KernelJoiner>(std::move(program), std::move(outputs), std::move(rows));
}

Result<std::unique_ptr<ViewJoiner>> MakeViewJoiner(std::shared_ptr<const CompiledProgram> program, std::vector<size_t> outputs,
                                                   TableRows rows, const std::string& view, int threads) {
  EntityRows grouped = GroupRows(std::move(rows), program->slot_types(), threads);
  TIDEMILL_RETURN_IF_ERROR(CheckNoDuplicates(grouped.duplicates, view));
  return MakeViewJoiner(std::move(program), std::move(outputs), std::move(grouped));
}

}  // namespace tidemill
