#include "feature/batch/view_joiner.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "feature/program/entity_kernel.h"

namespace tidemill {
namespace {

constexpr size_t kRunsAtOnce = 16;
constexpr uint32_t kTimesAtOnce = 4096;

std::vector<Type> OutputTypes(const CompiledProgram& program, const std::vector<size_t>& outputs) {
  std::vector<Type> types;
  for (const size_t output : outputs) types.push_back(program.output_type(output));
  return types;
}

/// The features of a program that are wanted, one row of them at a time.
class FeatureRow {
 public:
  FeatureRow(const CompiledProgram& program, const std::vector<size_t>& outputs)
      : outputs_(outputs), all_(program.outputs()), wanted_(outputs.size()) {}
  std::span<Datum> all() { return all_; }
  std::span<const Datum> wanted() {
    for (size_t i = 0; i < outputs_.size(); ++i) wanted_[i] = all_[outputs_[i]];
    return wanted_;
  }

 private:
  const std::vector<size_t>& outputs_;
  std::vector<Datum> all_;
  std::vector<Datum> wanted_;
};

/// What a program gives where nothing matches.
class Defaults {
 public:
  Defaults(const std::shared_ptr<const CompiledProgram>& program, const std::vector<size_t>& outputs)
      : records_(OutputTypes(*program, outputs)) {
    EntityKernel kernel(program);
    FeatureRow row(*program, outputs);
    kernel.Query(kNoTime, row.all());
    records_.Resize(1);
    records_.Set(0, row.wanted(), texts_);
  }
  const FeatureRecords* records() const { return &records_; }

 private:
  FeatureRecords records_;
  TextArena texts_;
};

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
    const auto& events = rows_.rows.events();
    const auto begin = events.begin() + static_cast<ptrdiff_t>(rows_.begin[entity]);
    const auto end = events.begin() + static_cast<ptrdiff_t>(rows_.begin[entity + 1]);
    const auto from = std::upper_bound(begin, end, program_->Horizon(first));
    const auto until = std::upper_bound(from, end, last);
    kernel.AddFrom(rows_.rows, static_cast<size_t>(from - events.begin()), static_cast<size_t>(until - events.begin()));
  }

  std::shared_ptr<const CompiledProgram> program_;
  std::vector<size_t> outputs_;
  EntityRows rows_;
  Defaults defaults_;
};

/// Programs whose aggregates are all `last` over one window: the answer at a time is a function of one row, so a spine row only
/// finds its row. The features of each row are computed once; when few rows ask, of those alone that answer.
class LatestJoiner : public ViewJoiner {
 public:
  static bool Answers(const CompiledProgram& program) {
    const auto& aggregates = program.aggregates();
    if (program.windows().size() != 1 || program.limits_lateness() || program.uses_time()) return false;
    const WindowPlan& window = program.windows()[0];
    const bool plain = window.hop == 0 && window.session == 0 && window.limit == WindowPlan::kForever;
    return plain && std::all_of(aggregates.begin(), aggregates.end(), [](const AggregatePlan& plan) {
             return plan.function == "last" && plan.filter_slot < 0 && !plan.skips_nulls;
           });
  }

  LatestJoiner(std::shared_ptr<const CompiledProgram> program, std::vector<size_t> outputs, EntityRows rows)
      : LatestJoiner(std::move(program), std::move(outputs), std::move(rows.begin), std::move(rows.rows)) {
    FillEntries([this](size_t place) {
      return RowTimes{rows_.event(place), 0, rows_.known(place), static_cast<uint32_t>(place)};
    });
    std::vector<uint32_t> all(rows_.size());
    std::iota(all.begin(), all.end(), 0U);
    records_.Resize(all.size());
    FillRecords(all, 0, all.size(), records_, texts_);
    events_ = rows_.events();
    rows_ = RowStore({});
  }

  /// For few rows that ask: `rows` stay where they are.
  LatestJoiner(std::shared_ptr<const CompiledProgram> program, std::vector<size_t> outputs, RowStore rows, OrderedRows order)
      : LatestJoiner(std::move(program), std::move(outputs), std::move(order.begin), std::move(rows)) {
    FillEntries([&order](size_t place) { return order.rows[place]; });
  }

  Status Join(const SpineBlock& block, const BlockOrder& order, int threads, BlockFeatures& features) override {
    features.own_positions.assign(block.rows(), BlockFeatures::kDefault);
    ShareOut(order.runs.size(), kRunsAtOnce, threads, [&](size_t, size_t begin, size_t end) {
      for (size_t run = begin; run < end; ++run) JoinRun(order, order.runs[run], features.own_positions);
    });
    features.records = &records_;
    if (rows_.size() > 0) AnswerFrom(threads, features);
    features.record_of_row = features.own_positions.data();
    features.defaults = defaults_.records();
    return Ok();
  }

  const FeatureRecords* defaults() const override { return defaults_.records(); }

 private:
  LatestJoiner(std::shared_ptr<const CompiledProgram> program, std::vector<size_t> outputs, std::vector<size_t> begin,
               RowStore rows)
      : program_(std::move(program)),
        outputs_(std::move(outputs)),
        begin_(std::move(begin)),
        delay_(program_->windows()[0].delay),
        reach_(program_->windows()[0].reach),
        rows_(std::move(rows)),
        records_(OutputTypes(*program_, outputs_)),
        defaults_(program_, outputs_) {}

  /// The features of the rows that answer.
  void AnswerFrom(int threads, BlockFeatures& features) const {
    std::vector<uint32_t> answering;
    for (uint32_t& position : features.own_positions) {
      if (position == BlockFeatures::kDefault) continue;
      answering.push_back(position);
      position = static_cast<uint32_t>(answering.size() - 1);
    }
    features.own_records = FeatureRecords(OutputTypes(*program_, outputs_));
    features.own_records.Resize(answering.size());
    features.texts.resize(static_cast<size_t>(std::max(threads, 1)));
    ShareOut(answering.size(), kTimesAtOnce, threads, [&](size_t at, size_t begin, size_t end) {
      FillRecords(answering, begin, end, features.own_records, features.texts[at]);
    });
    features.records = &features.own_records;
  }

  /// Record i gets the features of row positions[i], for i in [first, last).
  void FillRecords(const std::vector<uint32_t>& positions, size_t first, size_t last, FeatureRecords& records,
                   TextArena& arena) const {
    ResultBuffer latest(program_->result_types());
    ResultBuffer features(program_->output_types());
    TextPool texts;
    records.ClearNulls(first, last);
    const std::vector<int64_t> times(std::min<size_t>(last - first, kTimesAtOnce), kNoTime);
    for (size_t begin = first; begin < last; begin += kTimesAtOnce) {
      const size_t count = std::min<size_t>(last - begin, kTimesAtOnce);
      latest.Resize(count);
      features.Resize(count);
      for (size_t i = 0; i < latest.columns().size(); ++i) {
        ResultColumn column = latest.columns()[i];
        const auto slot = static_cast<size_t>(program_->aggregates()[i].slot);
        for (size_t row = 0; row < count; ++row) column.Set(row, rows_.Slot(slot, positions[begin + row]), latest.types()[i]);
      }
      texts.Reset();
      program_->FillManyOutputs(std::span(times).first(count), latest.columns(), texts, features.columns());
      for (size_t i = 0; i < outputs_.size(); ++i) records.SetMany(begin, count, i, features.columns()[outputs_[i]], arena);
    }
  }

  /// For each entity the times at which rows enter, in order, and the latest row among those that have entered by then.
  /// `row_at` gives the row at a place in the order of entities, and there of times.
  template <typename RowAt>
  void FillEntries(const RowAt& row_at) {
    entry_times_.resize(rows_.size());
    latest_.resize(rows_.size());
    const auto entry_time = [&](uint32_t place) {
      const RowTimes row = row_at(place);
      return std::max(row.known, AddTimes(row.event, delay_));
    };
    for (size_t entity = 0; entity + 1 < begin_.size(); ++entity) {
      const size_t begin = begin_[entity];
      const size_t end = begin_[entity + 1];
      for (size_t at = begin; at < end; ++at) {
        latest_[at] = static_cast<uint32_t>(at);
        entry_times_[at] = entry_time(latest_[at]);
      }
      const std::span<int64_t> times = std::span(entry_times_).subspan(begin, end - begin);
      if (!std::is_sorted(times.begin(), times.end())) {
        const std::span<uint32_t> places = std::span(latest_).subspan(begin, end - begin);
        std::stable_sort(places.begin(), places.end(), [&](uint32_t a, uint32_t b) { return entry_time(a) < entry_time(b); });
        for (size_t at = begin; at < end; ++at) entry_times_[at] = entry_time(latest_[at]);
      }
      uint32_t latest = static_cast<uint32_t>(begin);
      for (size_t at = begin; at < end; ++at) {
        latest = std::max(latest, latest_[at]);
        latest_[at] = latest;
      }
    }
    for (uint32_t& place : latest_) place = row_at(place).row;
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
      const bool left = reach_ != WindowPlan::kForever &&
                        AddTimes(rows_.size() > 0 ? rows_.event(row) : events_[row], reach_) <= order.times[slot];
      if (!left) positions[order.rows[slot]] = row;
    }
  }

  std::shared_ptr<const CompiledProgram> program_;
  std::vector<size_t> outputs_;
  std::vector<size_t> begin_;
  int64_t delay_ = 0;
  int64_t reach_ = 0;
  RowStore rows_;                ///< empty when all records have been made
  std::vector<int64_t> events_;  ///< otherwise
  std::vector<int64_t> entry_times_;
  std::vector<uint32_t> latest_;
  FeatureRecords records_;
  TextArena texts_;
  Defaults defaults_;
};

}  // namespace

std::unique_ptr<ViewJoiner> MakeViewJoiner(std::shared_ptr<const CompiledProgram> program, std::vector<size_t> outputs,
                                           EntityRows rows) {
  if (LatestJoiner::Answers(*program))
    return std::make_unique<LatestJoiner>(std::move(program), std::move(outputs), std::move(rows));
  return std::make_unique<KernelJoiner>(std::move(program), std::move(outputs), std::move(rows));
}

Result<std::unique_ptr<ViewJoiner>> MakeViewJoiner(std::shared_ptr<const CompiledProgram> program, std::vector<size_t> outputs,
                                                   TableRows rows, const std::string& view, size_t asked, int threads) {
  if (LatestJoiner::Answers(*program) && asked <= 2 * rows.rows.size()) {
    if (auto order = OrderRows(rows, threads)) {
      return std::unique_ptr<ViewJoiner>(
          std::make_unique<LatestJoiner>(std::move(program), std::move(outputs), std::move(rows.rows), std::move(*order)));
    }
  }
  EntityRows grouped = GroupRows(std::move(rows), program->slot_types(), threads);
  TIDEMILL_RETURN_IF_ERROR(CheckNoDuplicates(grouped, view));
  return MakeViewJoiner(std::move(program), std::move(outputs), std::move(grouped));
}

}  // namespace tidemill
