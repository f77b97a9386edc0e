#include "feature/program/state_reader.h"

#include <algorithm>
#include <limits>

#include "feature/program/varint.h"

namespace tidemill {
namespace {

constexpr int64_t kAlways = std::numeric_limits<int64_t>::max();

size_t FirstRowAfter(const RowStore& rows, int64_t time) {
  return static_cast<size_t>(std::upper_bound(rows.events().begin(), rows.events().end(), time) - rows.events().begin());
}

/// The saved form of one of the partials of a part.
std::string_view PartialAt(const StateChild& child, size_t partial) {
  VarintReader reader(child.partials);
  for (size_t i = 0; i < partial; ++i) reader.Bytes(reader.Unsigned());
  return reader.Bytes(reader.Unsigned());
}

}  // namespace

StateScratch::StateScratch(std::shared_ptr<const CompiledProgram> program)
    : program_(std::move(program)), results_(program_->aggregates().size()) {
  for (Partials* partials : {&sums_, &parts_, &building_}) {
    for (const AggregatePlan& plan : program_->partials()) partials->push_back(MakePartialAggregate(plan));
  }
}

StateReader::StateReader(StateTree& tree, StateScratch& scratch) : tree_(tree), scratch_(scratch), program_(tree.program()) {}

Status StateReader::Query(int64_t time, std::span<Datum> outputs) {
  scratch_.texts_.Reset();
  scratch_.tiles_used_ = 0;
  std::vector<int64_t> delays;
  for (const WindowPlan& window : program_.windows()) {
    if (std::find(delays.begin(), delays.end(), window.delay) != delays.end()) continue;
    delays.push_back(window.delay);
    TIDEMILL_RETURN_IF_ERROR(QueryWindows(time, window.delay));
  }
  program_.FillOutputs(scratch_.results_, time, scratch_.texts_, outputs);
  return Ok();
}

/// The windows that end at time - delay, the shortest first.
Status StateReader::QueryWindows(int64_t time, int64_t delay) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<Span> spans, Spans(time, delay));
  int64_t end = AddTimes(time, -delay);
  for (size_t i = 0; i < spans.size(); ++i) {
    TIDEMILL_RETURN_IF_ERROR(AddSegment(std::span(spans).subspan(i), spans[i].start, end, time, i == 0));
    end = std::min(end, spans[i].start);
    TakeResults(*spans[i].window);
  }
  return Ok();
}

Result<std::vector<StateReader::Span>> StateReader::Spans(int64_t time, int64_t delay) {
  std::vector<Span> spans;
  for (const WindowPlan& window : program_.windows()) {
    if (window.delay != delay) continue;
    Span span{window.Start(time), &window};
    if (window.session > 0) {
      int64_t first = window.End(time);
      bool any = false;
      TIDEMILL_RETURN_IF_ERROR(WalkBack(tree_.root(), window, span.start, first, time, first, any));
      span.start = !any ? window.End(time) : first == std::numeric_limits<int64_t>::min() ? first : first - 1;
    }
    spans.push_back(span);
  }
  std::stable_sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) { return a.start > b.start; });
  return spans;
}

/// Puts the rows in (start, end] before those that are summed up already, for the partials of this and longer windows.
Status StateReader::AddSegment(std::span<const Span> longer, int64_t start, int64_t end, int64_t time, bool first) {
  std::vector<Piece> pieces;
  if (start < end) TIDEMILL_RETURN_IF_ERROR(Cover(tree_.root(), start, end, time, true, pieces));
  if (pieces.empty() && !first) return Ok();
  std::vector<uint8_t> wanted(program_.partials().size(), 0);
  for (const Span& span : longer) {
    for (const size_t aggregate : span.window->aggregates) wanted[program_.partial_of(aggregate)] = 1;
  }
  for (size_t partial = 0; partial < wanted.size(); ++partial) {
    if (wanted[partial] == 0) continue;
    PartialAggregate& part = *scratch_.parts_[partial];
    part.Clear();
    TIDEMILL_RETURN_IF_ERROR(Fold(partial, pieces, time, part));
    if (!first) part.Append(*scratch_.sums_[partial]);
    std::swap(scratch_.parts_[partial], scratch_.sums_[partial]);
  }
  return Ok();
}

void StateReader::TakeResults(const WindowPlan& window) {
  for (const size_t aggregate : window.aggregates) {
    Datum result = scratch_.sums_[program_.partial_of(aggregate)]->Result();
    if (!result.null && !result.text.empty()) {
      std::string& text = scratch_.texts_.Add();
      text = result.text;  // the partial goes on to the next window
      result.text = text;
    }
    scratch_.results_[aggregate] = result;
  }
}

// ---- which parts of the tree a window consists of

/// `newest`: the node is on the path to the newest tile, whose parts change with each row: their partials are not kept.
Status StateReader::Cover(StateNode& node, int64_t start, int64_t end, int64_t time, bool newest, std::vector<Piece>& pieces) {
  for (size_t i = 0; i < node.children.size(); ++i) {
    StateChild& child = node.children[i];
    const StateSummary& summary = child.summary;
    if (summary.last_event <= start || summary.least_known > time) continue;
    if (summary.first_event > end) break;
    const bool changes = newest && i + 1 == node.children.size();
    const bool whole = summary.first_event > start && summary.last_event <= end && summary.most_known <= time;
    if (whole && !changes) {
      pieces.push_back({&child, node.level, nullptr, 0, 0});
    } else if (node.level > 1) {
      TIDEMILL_ASSIGN_OR_RETURN(StateNode* const below, tree_.NodeOf(child, node.level - 1));
      TIDEMILL_RETURN_IF_ERROR(Cover(*below, start, end, time, changes, pieces));
    } else {
      TIDEMILL_ASSIGN_OR_RETURN(const RowStore* const rows, RowsOf(child));
      pieces.push_back({nullptr, 0, rows, FirstRowAfter(*rows, start), FirstRowAfter(*rows, end)});
    }
  }
  return Ok();
}

Result<const RowStore*> StateReader::RowsOf(StateChild& child) {
  if (child.rows) return static_cast<const RowStore*>(child.rows.get());
  auto& tiles = scratch_.tiles_;
  for (size_t i = 0; i < scratch_.tiles_used_; ++i) {
    if (tiles[i].tile == &child) return static_cast<const RowStore*>(tiles[i].rows.get());
  }
  if (scratch_.tiles_used_ == tiles.size()) tiles.push_back({nullptr, std::make_unique<RowStore>(program_.slot_types())});
  StateScratch::DecodedTile& tile = tiles[scratch_.tiles_used_];
  TIDEMILL_RETURN_IF_ERROR(tree_.Decode(child, *tile.rows));
  tile.tile = &child;
  ++scratch_.tiles_used_;
  return static_cast<const RowStore*>(tile.rows.get());
}

// ---- putting partial results together

Status StateReader::Fold(size_t partial, const std::vector<Piece>& pieces, int64_t time, PartialAggregate& into) {
  for (const Piece& piece : pieces) {
    if (piece.rows != nullptr) {
      into.Add(*piece.rows, piece.begin, piece.end, time);
    } else if (!into.Saves()) {
      TIDEMILL_RETURN_IF_ERROR(FoldRows(piece, time, into));
    } else {
      if (!piece.part->has_partials) TIDEMILL_RETURN_IF_ERROR(BuildPartials(*piece.part, piece.part_level));
      if (!into.AppendSaved(PartialAt(*piece.part, partial))) return BadState("a partial result is damaged");
    }
  }
  return Ok();
}

/// For aggregates without saved partials: all rows of a part.
Status StateReader::FoldRows(const Piece& piece, int64_t time, PartialAggregate& into) {
  if (piece.part_level == 1) {
    const size_t used = scratch_.tiles_used_;
    TIDEMILL_ASSIGN_OR_RETURN(const RowStore* const rows, RowsOf(*piece.part));
    into.Add(*rows, 0, rows->size(), time);
    scratch_.tiles_used_ = used;  // so that not all tiles are held at once
    return Ok();
  }
  TIDEMILL_ASSIGN_OR_RETURN(StateNode* const below, tree_.NodeOf(*piece.part, piece.part_level - 1));
  for (StateChild& child : below->children) TIDEMILL_RETURN_IF_ERROR(FoldRows({&child, below->level, nullptr, 0, 0}, time, into));
  return Ok();
}

Status StateReader::BuildPartials(StateChild& child, int level) {
  StateNode* below = nullptr;
  const RowStore* rows = nullptr;
  if (level > 1) {
    TIDEMILL_ASSIGN_OR_RETURN(below, tree_.NodeOf(child, level - 1));
    for (StateChild& part : below->children) {
      if (!part.has_partials) TIDEMILL_RETURN_IF_ERROR(BuildPartials(part, level - 1));
    }
  }
  const size_t used = scratch_.tiles_used_;
  if (level == 1) {
    TIDEMILL_ASSIGN_OR_RETURN(rows, RowsOf(child));
  }
  std::string saved;
  std::string all;
  for (size_t partial = 0; partial < program_.partials().size(); ++partial) {
    PartialAggregate& building = *scratch_.building_[partial];
    saved.clear();
    if (building.Saves()) {
      building.Clear();
      if (rows != nullptr) building.Add(*rows, 0, rows->size(), kAlways);
      for (size_t i = 0; below != nullptr && i < below->children.size(); ++i) {
        if (!building.AppendSaved(PartialAt(below->children[i], partial))) return BadState("a partial result is damaged");
      }
      building.Save(saved);
    }
    AppendVarint(saved.size(), all);
    all += saved;
  }
  scratch_.tiles_used_ = used;
  tree_.SetPartials(child, std::move(all));
  return Ok();
}

Status StateReader::Prepare() {
  scratch_.tiles_used_ = 0;
  return PrepareBelow(tree_.root());
}

Status StateReader::PrepareBelow(StateNode& node) {
  for (size_t i = 0; i < node.children.size(); ++i) {
    StateChild& child = node.children[i];
    const bool changes = i + 1 == node.children.size();  // on the path to the newest tile
    if (!changes && !child.has_partials) TIDEMILL_RETURN_IF_ERROR(BuildPartials(child, node.level));
    if (changes && child.node) TIDEMILL_RETURN_IF_ERROR(PrepareBelow(*child.node));
  }
  return Ok();
}

// ---- sessions

Result<bool> StateReader::WalkBack(StateNode& node, const WindowPlan& window, int64_t start, int64_t end, int64_t time,
                                   int64_t& later, bool& any) {
  for (size_t i = node.children.size(); i-- > 0;) {
    StateChild& child = node.children[i];
    const StateSummary& summary = child.summary;
    if (summary.first_event > end || summary.least_known > time) continue;
    if (summary.last_event <= start || AddTimes(summary.last_event, window.session) < later) return true;
    const bool whole = summary.first_event > start && summary.last_event <= end && summary.most_known <= time &&
                       summary.longest_gap <= static_cast<uint64_t>(window.session);
    if (whole) {
      later = summary.first_event;
      any = true;
    } else if (node.level > 1) {
      TIDEMILL_ASSIGN_OR_RETURN(StateNode* const below, tree_.NodeOf(child, node.level - 1));
      TIDEMILL_ASSIGN_OR_RETURN(const bool found, WalkBack(*below, window, start, end, time, later, any));
      if (found) return true;
    } else {
      TIDEMILL_ASSIGN_OR_RETURN(const RowStore* const rows, RowsOf(child));
      for (size_t row = FirstRowAfter(*rows, end); row-- > 0;) {
        if (rows->event(row) <= start) return true;
        if (rows->known(row) > time) continue;
        if (AddTimes(rows->event(row), window.session) < later) return true;
        later = rows->event(row);
        any = true;
      }
    }
  }
  return false;
}

// ---- lineage

Result<std::vector<int64_t>> StateReader::VisibleRows(int64_t time) {
  scratch_.tiles_used_ = 0;
  std::vector<Span> spans;
  for (const WindowPlan& window : program_.windows()) {
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<Span> same_end, Spans(time, window.delay));
    for (const Span& span : same_end) {
      if (span.window == &window) spans.push_back(span);
    }
  }
  std::vector<int64_t> sequences;
  std::vector<uint8_t> used;
  std::vector<size_t> last(program_.aggregates().size(), 0);  ///< how many rows there were up to it
  TIDEMILL_RETURN_IF_ERROR(tree_.ForEachTile([&](const RowStore& rows) {
    for (size_t row = 0; row < rows.size(); ++row) {
      sequences.push_back(rows.sequence(row));
      used.push_back(0);
      if (rows.known(row) > time) continue;
      for (const Span& span : spans) {
        if (rows.event(row) <= span.start || rows.event(row) > span.window->End(time)) continue;
        for (const size_t at : span.window->aggregates) {
          const AggregatePlan& aggregate = program_.aggregates()[at];
          if (!aggregate.Takes(rows, row)) continue;
          if (aggregate.function == "last") {
            last[at] = used.size();
          } else {
            used.back() = 1;
          }
        }
      }
    }
    return Ok();
  }));
  for (const size_t rows : last) {
    if (rows > 0) used[rows - 1] = 1;
  }
  std::vector<int64_t> visible;
  for (size_t row = 0; row < used.size(); ++row) {
    if (used[row] != 0) visible.push_back(sequences[row]);
  }
  return visible;
}

}  // namespace tidemill
