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

}  // namespace

StateScratch::StateScratch(std::shared_ptr<const CompiledProgram> program)
    : program_(std::move(program)),
      wanted_(program_->partials().size()),
      all_(program_->partials().size(), 1),
      results_(program_->aggregates().size()),
      cut_{DecodedTile(program_->slot_types()), DecodedTile(program_->slot_types())},
      passing_(program_->slot_types()) {
  for (const WindowPlan& window : program_->windows()) {
    if (std::find(delays_.begin(), delays_.end(), window.delay) == delays_.end()) delays_.push_back(window.delay);
  }
  for (Partials* partials : {&sums_, &parts_, &building_}) {
    for (const AggregatePlan& plan : program_->partials()) partials->push_back(MakePartialAggregate(plan));
  }
}

StateReader::StateReader(StateTree& tree, StateScratch& scratch) : tree_(tree), scratch_(scratch), program_(tree.program()) {
  for (auto* decoded : {&scratch_.cut_[0], &scratch_.cut_[1], &scratch_.passing_})
    decoded->tile = nullptr;  // they may be another tree's
}

Status StateReader::Query(int64_t time, std::span<Datum> outputs) {
  scratch_.texts_.Reset();
  for (const int64_t delay : scratch_.delays_) TIDEMILL_RETURN_IF_ERROR(QueryWindows(time, delay));
  program_.FillOutputs(scratch_.results_, time, scratch_.texts_, outputs);
  return Ok();
}

/// The windows that end at time - delay, the shortest first.
Status StateReader::QueryWindows(int64_t time, int64_t delay) {
  TIDEMILL_RETURN_IF_ERROR(FindSpans(time, delay));
  const std::span<const Span> spans(scratch_.spans_);
  int64_t end = WindowPlan::EndOf(time, delay);
  for (size_t i = 0; i < spans.size(); ++i) {
    TIDEMILL_RETURN_IF_ERROR(AddSegment(spans.subspan(i), spans[i].start, end, time, i == 0));
    end = std::min(end, spans[i].start);
    TakeResults(*spans[i].window);
  }
  return Ok();
}

Status StateReader::FindSpans(int64_t time, int64_t delay) {
  std::vector<Span>& spans = scratch_.spans_;
  spans.clear();
  for (const WindowPlan& window : program_.windows()) {
    if (window.delay != delay) continue;
    Span span{window.Start(time), &window};
    if (window.session > 0) {
      int64_t first = window.End(time);
      bool any = false;
      TIDEMILL_RETURN_IF_ERROR(WalkBack(tree_.root(), window, span.start, first, time, first, any));
      span.start = !any ? window.End(time) : first == std::numeric_limits<int64_t>::min() ? first : first - 1;
    }
    // Among equal ones in the order of the program.
    const auto at = std::find_if(spans.begin(), spans.end(), [&](const Span& other) { return other.start < span.start; });
    spans.insert(at, span);
  }
  return Ok();
}

/// Puts the rows in (start, end] before those that are summed up already, for the partials of this and longer windows.
Status StateReader::AddSegment(std::span<const Span> longer, int64_t start, int64_t end, int64_t time, bool first) {
  scratch_.pieces_.clear();
  if (start < end) {
    TIDEMILL_RETURN_IF_ERROR(CoverFolded(start, end, time));
    TIDEMILL_RETURN_IF_ERROR(Cover(tree_.root(), start, end, time, true));
  }
  if (scratch_.pieces_.empty() && !first) return Ok();
  scratch_.start_cut_ ^= 1U;
  std::vector<uint8_t>& wanted = scratch_.wanted_;
  std::fill(wanted.begin(), wanted.end(), 0);
  for (const Span& span : longer) {
    for (const size_t aggregate : span.window->aggregates) wanted[program_.partial_of(aggregate)] = 1;
  }
  auto& into = first ? scratch_.sums_ : scratch_.parts_;
  for (size_t partial = 0; partial < wanted.size(); ++partial) {
    if (wanted[partial] != 0) into[partial]->Clear();
  }
  TIDEMILL_RETURN_IF_ERROR(Fold(into, start, end, time));
  for (size_t partial = 0; !first && partial < wanted.size(); ++partial) {
    if (wanted[partial] == 0) continue;
    scratch_.parts_[partial]->Append(*scratch_.sums_[partial]);
    std::swap(scratch_.parts_[partial], scratch_.sums_[partial]);
  }
  return Ok();
}

void StateReader::TakeResults(const WindowPlan& window) {
  for (const size_t aggregate : window.aggregates) {
    Datum result = scratch_.sums_[program_.partial_of(aggregate)]->ResultFor(program_.aggregates()[aggregate]);
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
Status StateReader::Cover(StateNode& node, int64_t start, int64_t end, int64_t time, bool newest) {
  const auto first = std::partition_point(node.children.begin(), node.children.end(),
                                          [&](const StateChild& child) { return child.summary.last_event <= start; });
  for (auto at = first; at != node.children.end() && at->summary.first_event <= end; ++at) {
    StateChild& child = *at;
    const StateSummary& summary = child.summary;
    if (summary.least_known > time) continue;
    const bool changes = newest && &child == &node.children.back();
    const bool whole = summary.first_event > start && summary.last_event <= end && summary.most_known <= time && !changes;
    if (whole || node.level == 1) {
      // What a piece consists of is looked at when all are found: by then it is in the processor's cache.
      __builtin_prefetch(whole ? child.partials.data() : child.tile.data());
      scratch_.pieces_.push_back({&child, nullptr, node.level, whole});
    } else {
      TIDEMILL_ASSIGN_OR_RETURN(StateNode* const below, tree_.NodeOf(child, node.level - 1));
      TIDEMILL_RETURN_IF_ERROR(Cover(*below, start, end, time, changes));
    }
  }
  return Ok();
}

Result<const RowStore*> StateReader::RowsOf(const StateChild& child, bool cut) {
  if (child.rows) return static_cast<const RowStore*>(child.rows.get());
  for (const auto* decoded : {&scratch_.cut_[0], &scratch_.cut_[1], &scratch_.passing_}) {
    if (decoded->tile == &child) return &decoded->rows;
  }
  StateScratch::DecodedTile& decoded = cut ? scratch_.cut_[scratch_.start_cut_] : scratch_.passing_;
  decoded.tile = nullptr;
  TIDEMILL_RETURN_IF_ERROR(tree_.Decode(child, decoded.rows));
  decoded.tile = &child;
  return static_cast<const RowStore*>(&decoded.rows);
}

// ---- putting partial results together

/// All pieces one after the other into the partials that are wanted.
Status StateReader::Fold(StateScratch::Partials& into, int64_t start, int64_t end, int64_t time) {
  const std::vector<uint8_t>& wanted = scratch_.wanted_;
  for (const Piece& piece : scratch_.pieces_) {
    if (piece.folded != nullptr) {
      TIDEMILL_RETURN_IF_ERROR(AppendSaved(*piece.folded, wanted, into));
      continue;
    }
    if (piece.whole) {
      if (!piece.part->has_partials) TIDEMILL_RETURN_IF_ERROR(BuildPartials(*piece.part, piece.level));
      TIDEMILL_RETURN_IF_ERROR(AppendSaved(piece.part->partials, wanted, into));
      continue;
    }
    const StateSummary& summary = piece.part->summary;
    TIDEMILL_ASSIGN_OR_RETURN(const RowStore* const rows, RowsOf(*piece.part, summary.first_event <= start));
    const size_t first = summary.first_event > start ? 0 : FirstRowAfter(*rows, start);
    const size_t last = summary.last_event <= end ? rows->size() : FirstRowAfter(*rows, end);
    for (size_t partial = 0; partial < wanted.size(); ++partial) {
      if (wanted[partial] != 0) into[partial]->Add(*rows, first, last, time);
    }
  }
  return Ok();
}

Status StateReader::AppendSaved(std::string_view partials, const std::vector<uint8_t>& wanted, StateScratch::Partials& into) {
  VarintReader reader(partials);
  for (size_t partial = 0; partial < into.size(); ++partial) {
    const std::string_view saved = reader.Bytes(reader.Unsigned());
    if (wanted[partial] == 0) continue;
    if (!reader.ok() || !into[partial]->AppendSaved(saved)) return BadState("a partial result is damaged");
  }
  return Ok();
}

Status StateReader::BuildPartials(StateChild& child, int level) {
  StateNode* below = nullptr;
  if (level > 1) {
    TIDEMILL_ASSIGN_OR_RETURN(below, tree_.NodeOf(child, level - 1));
    for (StateChild& part : below->children) {
      if (!part.has_partials) TIDEMILL_RETURN_IF_ERROR(BuildPartials(part, level - 1));
    }
  }
  for (auto& partial : scratch_.building_) partial->Clear();
  if (below == nullptr) {
    TIDEMILL_ASSIGN_OR_RETURN(const RowStore* const rows, RowsOf(child, false));
    for (auto& partial : scratch_.building_) partial->Add(*rows, 0, rows->size(), kAlways);
  } else {
    for (const StateChild& part : below->children)
      TIDEMILL_RETURN_IF_ERROR(AppendSaved(part.partials, scratch_.all_, scratch_.building_));
  }
  scratch_.all_saved_.clear();
  for (const auto& partial : scratch_.building_) {
    scratch_.saved_.clear();
    partial->Save(scratch_.saved_);
    AppendVarint(scratch_.saved_.size(), scratch_.all_saved_);
    scratch_.all_saved_ += scratch_.saved_;
  }
  tree_.SetPartials(child, scratch_.all_saved_);
  return Ok();
}

Status StateReader::Prepare() { return PrepareBelow(tree_.root()); }

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
      TIDEMILL_ASSIGN_OR_RETURN(const RowStore* const rows, RowsOf(child, false));
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
  std::vector<Span> spans;
  for (const int64_t delay : scratch_.delays_) {
    TIDEMILL_RETURN_IF_ERROR(FindSpans(time, delay));
    spans.insert(spans.end(), scratch_.spans_.begin(), scratch_.spans_.end());
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
