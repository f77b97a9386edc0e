#include "feature/batch/spine_block.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <thread>

namespace tidemill {
namespace {

constexpr size_t kSpineRowsAtOnce = 64 * 1024;
/// Longer runs are cut, so that an entity with very many rows keeps all threads busy.
constexpr uint32_t kRunSlotsMax = 256 * 1024;

/// Positions of the rows with an entity, by entity; counting where there are more rows than entities.
std::vector<uint32_t> RowsByEntity(const std::vector<uint32_t>& entity_of_row, size_t entities) {
  if (entities <= entity_of_row.size() * 4 + 1024) return GroupByEntity(entity_of_row, entities).rows;
  std::vector<uint32_t> rows;
  for (uint32_t row = 0; row < entity_of_row.size(); ++row) {
    if (entity_of_row[row] != kNoEntity) rows.push_back(row);
  }
  std::stable_sort(rows.begin(), rows.end(), [&](uint32_t a, uint32_t b) { return entity_of_row[a] < entity_of_row[b]; });
  return rows;
}

void SortByTime(BlockOrder& order, const BlockOrder::Run& run, const Column& times) {
  bool in_order = true;
  for (uint32_t slot = run.begin; slot < run.end; ++slot) {
    order.times[slot] = times.ints[order.rows[slot]];
    in_order = in_order && (slot == run.begin || order.times[slot - 1] <= order.times[slot]);
  }
  if (!in_order) {
    std::vector<std::pair<int64_t, uint32_t>> sorted(run.end - run.begin);
    for (uint32_t slot = run.begin; slot < run.end; ++slot) sorted[slot - run.begin] = {order.times[slot], order.rows[slot]};
    std::sort(sorted.begin(), sorted.end());
    for (uint32_t slot = run.begin; slot < run.end; ++slot) {
      order.times[slot] = sorted[slot - run.begin].first;
      order.rows[slot] = sorted[slot - run.begin].second;
    }
  }
  for (uint32_t slot = run.begin; slot < run.end; ++slot) order.slot_of_row[order.rows[slot]] = slot;
}

std::vector<BlockOrder::Run> CutLongRuns(const std::vector<BlockOrder::Run>& runs) {
  std::vector<BlockOrder::Run> cut;
  cut.reserve(runs.size());
  for (const BlockOrder::Run& run : runs) {
    for (uint32_t begin = run.begin; begin < run.end;) {
      const uint32_t end = run.end - begin > kRunSlotsMax ? begin + kRunSlotsMax : run.end;
      cut.push_back({run.entity, begin, end});
      begin = end;
    }
  }
  return cut;
}

}  // namespace

void AppendRows(const Column& from, size_t begin, size_t end, Column& to) {
  const auto range = [&](const auto& source, auto& target) {
    target.insert(target.end(), source.begin() + static_cast<ptrdiff_t>(begin), source.begin() + static_cast<ptrdiff_t>(end));
  };
  range(from.valid, to.valid);
  if (HoldsBytes(from.type)) {
    const uint64_t shift = to.chars.size() - from.offsets[begin];
    to.chars.append(from.chars, from.offsets[begin], from.offsets[end] - from.offsets[begin]);
    for (size_t row = begin; row < end; ++row) to.offsets.push_back(from.offsets[row + 1] + shift);
  } else if (from.type == Type::kDouble) {
    range(from.doubles, to.doubles);
  } else {
    range(from.ints, to.ints);
  }
}

void ShareOut(size_t count, size_t at_once, int threads, const std::function<void(size_t, size_t, size_t)>& work) {
  std::atomic<size_t> next{0};
  const auto run = [&](size_t worker) {
    for (size_t begin = next.fetch_add(at_once); begin < count; begin = next.fetch_add(at_once)) {
      work(worker, begin, std::min(begin + at_once, count));
    }
  };
  std::vector<std::jthread> helpers;
  const size_t useful = std::min<size_t>(static_cast<size_t>(std::max(threads, 1)), (count + at_once - 1) / at_once);
  for (size_t worker = 1; worker < useful; ++worker) helpers.emplace_back([&run, worker] { run(worker); });
  run(0);
}

BlockOrder OrderBlock(const EntityIndex& index, const std::vector<const Column*>& keys, const Column& times, int threads) {
  std::vector<uint32_t> entity_of_row(times.size(), kNoEntity);
  ShareOut(times.size(), kSpineRowsAtOnce, threads, [&](size_t, size_t begin, size_t end) {
    index.Find(keys, begin, end, entity_of_row.data() + begin);
    for (size_t row = begin; row < end; ++row) {
      if (times.IsNull(row)) entity_of_row[row] = kNoEntity;
    }
  });
  BlockOrder order;
  order.rows = RowsByEntity(entity_of_row, index.size());
  order.times.resize(order.rows.size());
  order.slot_of_row.assign(times.size(), BlockOrder::kNoSlot);
  for (uint32_t slot = 0; slot < order.rows.size(); ++slot) {
    const uint32_t entity = entity_of_row[order.rows[slot]];
    if (order.runs.empty() || order.runs.back().entity != entity) order.runs.push_back({entity, slot, slot});
    order.runs.back().end = slot + 1;
  }
  ShareOut(order.runs.size(), 64, threads, [&](size_t, size_t begin, size_t end) {
    for (size_t run = begin; run < end; ++run) SortByTime(order, order.runs[run], times);
  });
  order.runs = CutLongRuns(order.runs);
  return order;
}

}  // namespace tidemill
