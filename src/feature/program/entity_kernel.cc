#include "feature/program/entity_kernel.h"

#include <algorithm>
#include <numeric>

namespace tidemill {
namespace {

/// The first position whose event time is after `time`.
size_t FirstAfter(const RowStore& rows, int64_t time) {
  const auto& events = rows.events();
  return static_cast<size_t>(std::upper_bound(events.begin(), events.end(), time) - events.begin());
}

std::vector<Type> ResultTypes(const std::vector<AggregatePlan>& plans) {
  std::vector<Type> types;
  for (const AggregatePlan& plan : plans) types.push_back(plan.result);
  return types;
}

}  // namespace

EntityKernel::EntityKernel(std::shared_ptr<const CompiledProgram> program)
    : program_(std::move(program)),
      rows_(program_->slot_types()),
      results_(program_->aggregates().size()),
      many_results_(ResultTypes(program_->aggregates())) {
  for (const AggregatePlan& plan : program_->aggregates()) aggregators_.push_back(MakeAggregator(plan, rows_));
  for (const WindowPlan& plan : program_->windows()) windows_.emplace_back().plan = &plan;
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

int64_t EntityKernel::EntryTime(const WindowPlan& plan, size_t row) const {
  return std::max(rows_.known(row), AddTimes(rows_.event(row), plan.delay));
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
  for (Window& window : windows_) {
    IndexEntries(window);
    if (window.plan->session > 0) IndexRuns(window);
  }
  indexed_ = true;
}

void EntityKernel::IndexEntries(Window& window) const {
  window.by_entry.clear();
  bool in_order = true;
  for (size_t row = 1; row < rows_.size() && in_order; ++row) {
    in_order = EntryTime(*window.plan, row - 1) <= EntryTime(*window.plan, row);
  }
  if (in_order) return;
  window.by_entry.resize(rows_.size());
  std::iota(window.by_entry.begin(), window.by_entry.end(), 0U);
  std::stable_sort(window.by_entry.begin(), window.by_entry.end(),
                   [&](uint32_t a, uint32_t b) { return EntryTime(*window.plan, a) < EntryTime(*window.plan, b); });
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
size_t EntityKernel::EnteredBy(const Window& window, int64_t time) const {
  size_t low = 0;
  size_t high = rows_.size();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (EntryTime(*window.plan, RowByEntry(window, middle)) <= time) {
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
  window.entered = EnteredBy(window, time);
}

void EntityKernel::Advance(Window& window, int64_t time) {
  const WindowPlan& plan = *window.plan;
  if (plan.session > 0 && window.runs.size() != rows_.size()) return Rebuild(window, time);
  size_t session_begin = 0;
  if (plan.session > 0) {
    size_t end = window.entered;
    while (end < rows_.size() && rows_.event(end) <= plan.End(time)) ++end;
    if (end > 0) session_begin = AddTimes(rows_.event(end - 1), plan.session) < plan.End(time) ? end : window.runs[end - 1];
  }
  const int64_t start = plan.Start(time);
  for (; window.left < rows_.size() && (window.left < session_begin || rows_.event(window.left) <= start); ++window.left) {
    if (EntryTime(plan, window.left) <= time_) Take(plan, static_cast<uint32_t>(window.left));
  }
  for (; window.entered < rows_.size(); ++window.entered) {
    const uint32_t row = RowByEntry(window, window.entered);
    if (EntryTime(plan, row) > time) break;
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
  for (Window& window : windows_) {
    if (!HoldsRuns(window)) {
      SlideOverTimes(window, times);
      continue;
    }
    FindRuns(window, times);
    for (const size_t at : window.plan->aggregates) {
      const ResultColumn& results = many_results_.columns()[at];
      if (const SlidingSums* sums = SumsOf(at)) {
        sums->Results(program_->aggregates()[at], run_begin_, run_end_, results);
      } else {
        SlideOverRuns(at, results);
      }
    }
  }
  running_ = false;
  program_->FillManyOutputs(times, many_results_.columns(), texts_, outputs);
}

bool EntityKernel::HoldsRuns(const Window& window) const {
  return window.by_entry.empty() && (window.plan->session == 0 || window.runs.size() == rows_.size());
}

/// Where the window begins and ends at each time.
void EntityKernel::FindRuns(const Window& window, std::span<const int64_t> times) {
  const WindowPlan& plan = *window.plan;
  run_begin_.resize(times.size());
  run_end_.resize(times.size());
  if (times.empty()) return;
  size_t begin = FirstAfter(rows_, plan.Start(times[0]));
  size_t end = EnteredBy(window, times[0]);
  for (size_t i = 0; i < times.size(); ++i) {
    const int64_t start = plan.Start(times[i]);
    while (begin < rows_.size() && rows_.event(begin) <= start) ++begin;
    while (end < rows_.size() && EntryTime(plan, end) <= times[i]) ++end;
    if (plan.session > 0 && end > 0) {
      const bool over = AddTimes(rows_.event(end - 1), plan.session) < plan.End(times[i]);
      begin = std::max<size_t>(begin, over ? end : window.runs[end - 1]);
    }
    run_begin_[i] = static_cast<uint32_t>(begin);
    run_end_[i] = static_cast<uint32_t>(end);
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

void EntityKernel::SlideOverRuns(size_t aggregate, ResultColumn results) {
  const AggregatePlan& plan = program_->aggregates()[aggregate];
  Aggregator& aggregator = *aggregators_[aggregate];
  aggregator.Clear();
  uint32_t begin = 0;
  uint32_t end = 0;
  for (size_t i = 0; i < run_begin_.size(); ++i) {
    for (; begin < std::min(run_begin_[i], end); ++begin) {
      if (plan.Takes(rows_, begin)) aggregator.Remove(begin);
    }
    begin = run_begin_[i];
    for (end = std::max(begin, end); end < run_end_[i]; ++end) {
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
