#include "feature/program/entity_kernel.h"

#include <algorithm>
#include <numeric>

namespace tidemill {
namespace {

int64_t AddSaturating(int64_t a, int64_t b) {
  int64_t result = 0;
  if (!__builtin_add_overflow(a, b, &result)) return result;
  return b > 0 ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int64_t>::min();
}

/// The first position whose event time is after `time`.
size_t FirstAfter(const RowStore& rows, int64_t time) {
  const auto& events = rows.events();
  return static_cast<size_t>(std::upper_bound(events.begin(), events.end(), time) - events.begin());
}

}  // namespace

EntityKernel::EntityKernel(std::shared_ptr<const CompiledProgram> program)
    : program_(std::move(program)), rows_(program_->slot_types()), results_(program_->aggregates().size()) {
  for (const AggregatePlan& plan : program_->aggregates()) aggregators_.push_back(MakeAggregator(plan, rows_));
  for (const WindowPlan& plan : program_->windows()) windows_.emplace_back().plan = &plan;
}

void EntityKernel::Clear() {
  rows_.Clear();
  indexed_ = running_ = false;
  duplicates_ = 0;
}

void EntityKernel::Add(int64_t event, int64_t known, int64_t sequence, std::span<const Datum> slots) {
  rows_.Append(event, known, sequence, slots);
  NoteAdded();
}

void EntityKernel::AddFrom(const RowStore& rows, size_t row) {
  rows_.AppendFrom(rows, row);
  NoteAdded();
}

/// A row that comes after all others, and becomes visible after the time last asked, leaves the windows as they are.
void EntityKernel::NoteAdded() {
  if (!running_) {
    indexed_ = false;
    return;
  }
  const size_t row = rows_.size() - 1;
  running_ = rows_.sorted() && std::max(rows_.known(row), rows_.event(row)) > time_;
  for (Window& window : windows_) {
    const bool in_order = row == 0 || EntryTime(*window.plan, RowByEntry(window, row - 1)) <= EntryTime(*window.plan, row);
    running_ = running_ && in_order;
    if (!window.by_entry.empty()) window.by_entry.push_back(static_cast<uint32_t>(row));
  }
  indexed_ = running_;
}

int64_t EntityKernel::EntryTime(const WindowPlan& plan, size_t row) const {
  return std::max(rows_.known(row), AddSaturating(rows_.event(row), plan.delay));
}

int64_t EntityKernel::ExitTime(const WindowPlan& plan, size_t row) const { return AddSaturating(rows_.event(row), plan.reach); }

void EntityKernel::Settle() {
  if (rows_.sorted()) return;
  duplicates_ += rows_.SortUnique();
  indexed_ = running_ = false;
}

void EntityKernel::Index() {
  Settle();
  if (indexed_) return;
  for (Window& window : windows_) {
    window.by_entry.clear();
    bool in_order = true;
    for (size_t row = 1; row < rows_.size() && in_order; ++row) {
      in_order = EntryTime(*window.plan, row - 1) <= EntryTime(*window.plan, row);
    }
    if (in_order) continue;
    window.by_entry.resize(rows_.size());
    std::iota(window.by_entry.begin(), window.by_entry.end(), 0U);
    std::stable_sort(window.by_entry.begin(), window.by_entry.end(),
                     [&](uint32_t a, uint32_t b) { return EntryTime(*window.plan, a) < EntryTime(*window.plan, b); });
  }
  indexed_ = true;
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

void EntityKernel::Rebuild(Window& window, int64_t time) {
  const WindowPlan& plan = *window.plan;
  for (const size_t at : plan.aggregates) aggregators_[at]->Clear();
  window.left = plan.reach == WindowPlan::kForever ? 0 : FirstAfter(rows_, AddSaturating(time, -plan.reach));
  const size_t end = FirstAfter(rows_, AddSaturating(time, -plan.delay));
  for (size_t row = window.left; row < end; ++row) {
    if (rows_.known(row) <= time) Put(plan, static_cast<uint32_t>(row));
  }
  if (window.by_entry.empty()) {
    // Entry times rise with position here, so the rows that entered are the first ones.
    size_t low = 0;
    size_t high = rows_.size();
    while (low < high) {
      const size_t middle = (low + high) / 2;
      (EntryTime(plan, middle) <= time ? low : high) = EntryTime(plan, middle) <= time ? middle + 1 : middle;
    }
    window.entered = low;
  } else {
    const auto after = std::upper_bound(window.by_entry.begin(), window.by_entry.end(), time,
                                        [&](int64_t t, uint32_t row) { return t < EntryTime(plan, row); });
    window.entered = static_cast<size_t>(after - window.by_entry.begin());
  }
}

void EntityKernel::Advance(Window& window, int64_t time) {
  const WindowPlan& plan = *window.plan;
  for (; window.left < rows_.size() && ExitTime(plan, window.left) <= time && plan.reach != WindowPlan::kForever; ++window.left) {
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
  program_->FillOutputs(results_, texts_, outputs);
}

std::vector<size_t> EntityKernel::VisibleRows(int64_t time) {
  Settle();
  std::vector<uint8_t> used(rows_.size(), 0);
  for (const WindowPlan& plan : program_->windows()) {
    const size_t begin = plan.reach == WindowPlan::kForever ? 0 : FirstAfter(rows_, AddSaturating(time, -plan.reach));
    const size_t end = FirstAfter(rows_, AddSaturating(time, -plan.delay));
    for (const size_t at : plan.aggregates) {
      const AggregatePlan& aggregate = program_->aggregates()[at];
      for (size_t row = end; row-- > begin;) {
        if (rows_.known(row) > time || !aggregate.Takes(rows_, row)) continue;
        used[row] = 1;
        if (aggregate.function == "last") break;
      }
    }
  }
  std::vector<size_t> positions;
  for (size_t row = 0; row < used.size(); ++row) {
    if (used[row] != 0) positions.push_back(row);
  }
  return positions;
}

void EntityKernel::Expire(int64_t time) {
  const int64_t reach = program_->Reach();
  if (reach == WindowPlan::kForever) return;
  Settle();
  const size_t gone = FirstAfter(rows_, AddSaturating(time, -reach));
  if (gone == 0) return;
  rows_.DropFirst(gone);
  indexed_ = running_ = false;
}

}  // namespace tidemill
