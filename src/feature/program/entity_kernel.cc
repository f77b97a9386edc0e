#include "feature/program/entity_kernel.h"

#include <algorithm>
#include <numeric>

namespace tidemill {
namespace {

/// The first position whose event time is after `time`.
size_t FirstAfter(const RowStore& rows, int64_t time) {
  const auto events = rows.events();
  return static_cast<size_t>(std::upper_bound(events.begin(), events.end(), time) - events.begin());
}

}  // namespace

EntityKernel::EntityKernel(std::shared_ptr<const CompiledProgram> program)
    : program_(std::move(program)),
      rows_(program_->slot_types()),
      results_(program_->aggregates().size()),
      many_results_(program_->result_types()) {
  for (const AggregatePlan& plan : program_->aggregates()) aggregators_.push_back(MakeAggregator(plan, rows_));
  for (const WindowPlan& plan : program_->windows()) {
    const auto same =
        std::find_if(entry_orders_.begin(), entry_orders_.end(), [&](const EntryOrder& o) { return o.delay == plan.delay; });
    Window& window = windows_.emplace_back();
    window.plan = &plan;
    window.order = static_cast<size_t>(same - entry_orders_.begin());
    if (same == entry_orders_.end()) entry_orders_.emplace_back().delay = plan.delay;
  }
  constexpr size_t kNone = std::numeric_limits<size_t>::max();
  std::vector<AggregatePlan> plans;
  for (const AggregatePlan& plan : program_->aggregates()) {
    const auto same =
        std::find_if(plans.begin(), plans.end(), [&](const AggregatePlan& p) { return SlidingSums::Shared(p, plan); });
    sums_of_.push_back(SlidingSums::Serves(plan) ? static_cast<size_t>(same - plans.begin()) : kNone);
    if (!SlidingSums::Serves(plan) || same != plans.end()) continue;
    plans.push_back(plan);
    sums_.push_back({SlidingSums(plan)});
  }
}

void EntityKernel::Clear() {
  rows_.Clear();
  indexed_ = running_ = false;
  duplicates_ = late_rows_ = 0;
}

void EntityKernel::Add(int64_t event, int64_t known, int64_t sequence, std::span<const Datum> slots) {
  if (program_->TooLate(event, known)) {
    ++late_rows_;
    return;
  }
  rows_.Append(event, known, sequence, slots);
  indexed_ = running_ = false;
}

void EntityKernel::AddFrom(const RowStore& rows, size_t row) {
  if (program_->TooLate(rows.event(row), rows.known(row))) {
    ++late_rows_;
    return;
  }
  rows_.AppendFrom(rows, row);
  indexed_ = running_ = false;
}

void EntityKernel::AddFrom(const RowStore& rows, size_t begin, size_t end) {
  if (program_->limits_lateness()) {
    for (size_t row = begin; row < end; ++row) AddFrom(rows, row);
    return;
  }
  rows_.AppendFrom(rows, begin, end);
  indexed_ = running_ = false;
}

void EntityKernel::AddRun(std::span<const int64_t> events, const int64_t* known, const int64_t* sequences, int64_t sequence,
                          std::span<const RowStore::SlotValues> slots) {
  if (!program_->limits_lateness() || known == nullptr) {
    rows_.AppendRun(events, known, sequences, sequence, slots);
  } else {
    std::vector<RowStore::SlotValues> one(slots.size());
    for (size_t i = 0; i < events.size(); ++i) {
      if (program_->TooLate(events[i], known[i])) {
        ++late_rows_;
        continue;
      }
      for (size_t slot = 0; slot < slots.size(); ++slot)
        one[slot] = {slots[slot].bits + i, slots[slot].valid == nullptr ? nullptr : slots[slot].valid + i};
      rows_.AppendRun(events.subspan(i, 1), known + i, sequences == nullptr ? nullptr : sequences + i,
                      sequence + static_cast<int64_t>(i), one);
    }
  }
  indexed_ = running_ = false;
}

void EntityKernel::Settle() {
  if (rows_.sorted()) return;
  duplicates_ += rows_.SortUnique();
  indexed_ = running_ = false;
}

void EntityKernel::Index() {
  Settle();
  if (indexed_) return;
  for (SharedSums& shared : sums_) shared.state = SharedSums::kUnknown;
  for (EntryOrder& order : entry_orders_) IndexEntries(order);
  for (Window& window : windows_) {
    if (window.plan->session > 0) IndexRuns(window);
  }
  indexed_ = true;
}

void EntityKernel::IndexEntries(EntryOrder& order) const {
  order.rows.clear();
  order.times.resize(rows_.size());
  bool in_order = true;
  for (size_t row = 0; row < rows_.size(); ++row) {
    order.times[row] = std::max(rows_.known(row), AddTimes(rows_.event(row), order.delay));
    in_order = in_order && (row == 0 || order.times[row - 1] <= order.times[row]);
  }
  if (in_order) return;
  order.rows.resize(rows_.size());
  std::iota(order.rows.begin(), order.rows.end(), 0U);
  std::stable_sort(order.rows.begin(), order.rows.end(), [&](uint32_t a, uint32_t b) { return order.times[a] < order.times[b]; });
}

/// While every row is known when the window reaches it, no row ever joins two runs afterwards, so the runs are fixed.
void EntityKernel::IndexRuns(Window& window) const {
  window.runs.clear();
  for (size_t row = 0; row < rows_.size(); ++row) {
    if (rows_.known(row) > AddTimes(rows_.event(row), window.plan->delay)) return window.runs.clear();
    const bool joined = row > 0 && AddTimes(rows_.event(row - 1), window.plan->session) >= rows_.event(row);
    window.runs.push_back(joined ? window.runs.back() : static_cast<uint32_t>(row));
  }
}

void EntityKernel::Put(const WindowPlan& plan, uint32_t row) {
  for (const size_t at : plan.aggregates) {
    if (program_->aggregates()[at].Takes(rows_, row)) aggregators_[at]->Add(row);
  }
}

void EntityKernel::Take(const WindowPlan& plan, uint32_t row) {
  for (const size_t at : plan.aggregates) {
    if (program_->aggregates()[at].Takes(rows_, row)) aggregators_[at]->Remove(row);
  }
}

/// Where the session that ends at `time` begins, among the rows in [begin, end).
size_t EntityKernel::SessionBegin(const WindowPlan& plan, size_t begin, size_t end, int64_t time) const {
  int64_t later = plan.End(time);
  size_t first = end;
  for (size_t row = end; row-- > begin;) {
    if (rows_.known(row) > time) continue;
    if (AddTimes(rows_.event(row), plan.session) < later) break;
    later = rows_.event(row);
    first = row;
  }
  return first;
}

/// How many rows have entered by `time`, in the order of entry.
size_t EntityKernel::EnteredBy(const EntryOrder& order, int64_t time) const {
  size_t low = 0;
  size_t high = rows_.size();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (order.times[order.RowAt(middle)] <= time) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

void EntityKernel::Rebuild(Window& window, int64_t time) {
  const WindowPlan& plan = *window.plan;
  for (const size_t at : plan.aggregates) aggregators_[at]->Clear();
  window.left = FirstAfter(rows_, plan.Start(time));
  const size_t end = std::max(window.left, FirstAfter(rows_, plan.End(time)));
  if (plan.session > 0) window.left = SessionBegin(plan, window.left, end, time);
  for (size_t row = window.left; row < end; ++row) {
    if (rows_.known(row) <= time) Put(plan, static_cast<uint32_t>(row));
  }
  window.entered = EnteredBy(OrderOf(window), time);
}

void EntityKernel::Advance(Window& window, int64_t time) {
  const WindowPlan& plan = *window.plan;
  if (plan.session > 0 && window.runs.size() != rows_.size()) return Rebuild(window, time);
  const EntryOrder& order = OrderOf(window);
  size_t session_begin = 0;
  if (plan.session > 0) {
    size_t end = window.entered;
    while (end < rows_.size() && rows_.event(end) <= plan.End(time)) ++end;
    if (end > 0) session_begin = AddTimes(rows_.event(end - 1), plan.session) < plan.End(time) ? end : window.runs[end - 1];
  }
  const int64_t start = plan.Start(time);
  for (; window.left < rows_.size() && (window.left < session_begin || rows_.event(window.left) <= start); ++window.left) {
    if (order.times[window.left] <= time_) Take(plan, static_cast<uint32_t>(window.left));
  }
  for (; window.entered < rows_.size(); ++window.entered) {
    const uint32_t row = order.RowAt(window.entered);
    if (order.times[row] > time) break;
    if (row >= window.left) Put(plan, row);
  }
}

void EntityKernel::Query(int64_t time, std::span<Datum> outputs) {
  Index();
  for (Window& window : windows_) {
    if (running_ && time >= time_) {
      Advance(window, time);
    } else {
      Rebuild(window, time);
    }
  }
  running_ = true;
  time_ = time;
  for (size_t i = 0; i < results_.size(); ++i) results_[i] = aggregators_[i]->Result();
  texts_.Reset();
  program_->FillOutputs(results_, time, texts_, outputs);
}

// ---- many times at once

void EntityKernel::QueryMany(std::span<const int64_t> times, std::span<const ResultColumn> outputs) {
  Index();
  texts_.Reset();
  many_results_.Resize(times.size());
  for (EntryOrder& order : entry_orders_) FindRunEnds(order, times);
  for (Window& window : windows_) {
    if (!HoldsRuns(window)) {
      SlideOverTimes(window, times);
      continue;
    }
    FindRunBegins(window, times);
    const std::vector<uint32_t>& run_ends = OrderOf(window).run_ends;
    for (const size_t at : window.plan->aggregates) {
      const ResultColumn& results = many_results_.columns()[at];
      if (const SlidingSums* sums = SumsOf(at)) {
        sums->Results(program_->aggregates()[at], run_begins_, run_ends, results);
      } else {
        SlideOverRuns(at, run_ends, results);
      }
    }
  }
  running_ = false;
  program_->FillManyOutputs(times, many_results_.columns(), texts_, outputs);
}

bool EntityKernel::HoldsRuns(const Window& window) const {
  return OrderOf(window).rows.empty() && (window.plan->session == 0 || window.runs.size() == rows_.size());
}

/// Moves on while `times[at]` <= `time`. Mostly one row goes by or none: two steps without a branch that would be guessed wrong.
void EntityKernel::PassBy(std::span<const int64_t> times, int64_t time, size_t& at) {
  for (int step = 0; step < 2; ++step) {
    const size_t there = std::min(at, times.size() - 1);
    at += static_cast<size_t>(at < times.size()) & static_cast<size_t>(times[there] <= time);
  }
  while (at < times.size() && times[at] <= time) ++at;
}

/// Where windows of one delay end at each time; nothing where rows enter in another order than their own.
void EntityKernel::FindRunEnds(EntryOrder& order, std::span<const int64_t> times) const {
  order.run_ends.clear();
  if (!order.rows.empty() || times.empty()) return;
  order.run_ends.resize(times.size());
  size_t end = EnteredBy(order, times[0]);
  for (size_t i = 0; i < times.size(); ++i) {
    if (!order.times.empty()) PassBy(order.times, times[i], end);
    order.run_ends[i] = static_cast<uint32_t>(end);
  }
}

/// Where the window begins at each time.
void EntityKernel::FindRunBegins(const Window& window, std::span<const int64_t> times) {
  const WindowPlan& plan = *window.plan;
  const std::vector<uint32_t>& ends = OrderOf(window).run_ends;
  run_begins_.assign(times.size(), 0);
  if (times.empty() || rows_.size() == 0) return;
  size_t begin = FirstAfter(rows_, plan.Start(times[0]));
  for (size_t i = 0; i < times.size(); ++i) {
    PassBy(rows_.events(), plan.Start(times[i]), begin);
    if (plan.session > 0 && ends[i] > 0) {
      const uint32_t end = ends[i];
      const bool over = AddTimes(rows_.event(end - 1), plan.session) < plan.End(times[i]);
      begin = std::max<size_t>(begin, over ? end : window.runs[end - 1]);
    }
    run_begins_[i] = static_cast<uint32_t>(begin);
  }
}

/// nullptr when the aggregate has none, or the rows do not allow it.
const SlidingSums* EntityKernel::SumsOf(size_t aggregate) {
  if (sums_of_[aggregate] >= sums_.size()) return nullptr;
  SharedSums& shared = sums_[sums_of_[aggregate]];
  if (shared.state == SharedSums::kUnknown)
    shared.state = shared.sums.Build(rows_) ? SharedSums::kBuilt : SharedSums::kImpossible;
  return shared.state == SharedSums::kBuilt ? &shared.sums : nullptr;
}

void EntityKernel::SlideOverRuns(size_t aggregate, const std::vector<uint32_t>& run_ends, ResultColumn results) {
  const AggregatePlan& plan = program_->aggregates()[aggregate];
  Aggregator& aggregator = *aggregators_[aggregate];
  aggregator.Clear();
  uint32_t begin = 0;
  uint32_t end = 0;
  for (size_t i = 0; i < run_ends.size(); ++i) {
    for (; begin < std::min(run_begins_[i], end); ++begin) {
      if (plan.Takes(rows_, begin)) aggregator.Remove(begin);
    }
    begin = run_begins_[i];
    for (end = std::max(begin, end); end < run_ends[i]; ++end) {
      if (plan.Takes(rows_, end)) aggregator.Add(end);
    }
    results.Set(i, Kept(aggregator.Result()), plan.result);
  }
}

/// For rows that come late: in their order of entry.
void EntityKernel::SlideOverTimes(Window& window, std::span<const int64_t> times) {
  for (size_t i = 0; i < times.size(); ++i) {
    if (i == 0) {
      Rebuild(window, times[i]);
    } else {
      Advance(window, times[i]);
    }
    time_ = times[i];
    for (const size_t at : window.plan->aggregates) {
      ResultColumn results = many_results_.columns()[at];
      results.Set(i, Kept(aggregators_[at]->Result()), program_->aggregates()[at].result);
    }
  }
}

/// An aggregator may use the memory of a text again for its next result.
Datum EntityKernel::Kept(Datum result) {
  if (result.null || result.text.empty()) return result;
  std::string& text = texts_.Add();
  text = result.text;
  result.text = text;
  return result;
}

}  // namespace tidemill
