#include <algorithm>
#include <limits>

#include "feature/program/state_reader.h"
#include "feature/program/varint.h"

/// Rows that no query can tell apart any more are folded: their partial results stay, they go (docs/adr/0010-folded-rows.md).
namespace tidemill {

// ---- the tree's part of it

Status StateTree::VisitFront(int64_t horizon, const std::function<Status(StateChild& child, int level)>& visit) {
  return VisitFrontOf(*root_, horizon, true, visit);
}

Status StateTree::VisitFrontOf(StateNode& node, int64_t horizon, bool newest,
                               const std::function<Status(StateChild&, int)>& visit) {
  for (StateChild& child : node.children) {
    const bool last = newest && &child == &node.children.back();
    if (child.summary.last_event <= horizon && !last) {
      TIDEMILL_RETURN_IF_ERROR(visit(child, node.level));
      continue;
    }
    if (node.level == 1 || child.summary.first_event > horizon) return Ok();
    TIDEMILL_ASSIGN_OR_RETURN(StateNode* const below, NodeOf(child, node.level - 1));
    return VisitFrontOf(*below, horizon, last, visit);
  }
  return Ok();
}

Status StateTree::ReplaceFront(int64_t horizon, std::vector<FoldedRows> folded) {
  std::vector<uint64_t> ids;  // first all that may fail
  TIDEMILL_RETURN_IF_ERROR(VisitFront(horizon, [&](StateChild& child, int level) { return ListRecords(child, level, ids); }));
  RemoveFront(*root_, horizon, true);
  removed_.insert(removed_.end(), ids.begin(), ids.end());
  SetFolded(std::move(folded));
  return LowerRoot();
}

/// What VisitFront visits; the nodes on its way are in memory. Whether there was any.
bool StateTree::RemoveFront(StateNode& node, int64_t horizon, bool newest) {
  size_t gone = 0;
  while (gone < node.children.size() && node.children[gone].summary.last_event <= horizon &&
         !(newest && gone + 1 == node.children.size())) {
    const StateChild& child = node.children[gone++];
    memory_ -= child.heap_bytes() + (child.node ? NodeBytes(*child.node) : 0);
  }
  node.children.erase(node.children.begin(), node.children.begin() + static_cast<ptrdiff_t>(gone));
  bool any = gone > 0;
  StateChild* const front = node.children.empty() ? nullptr : &node.children.front();
  if (front != nullptr && node.level > 1 && front->summary.first_event <= horizon &&
      RemoveFront(*front->node, horizon, newest && node.children.size() == 1)) {
    front->summary = front->node->Summarize();
    DropPartials(*front);
    any = true;
  }
  node.dirty = node.dirty || any;
  return any;
}

/// The records of a part and of all below it.
Status StateTree::ListRecords(StateChild& child, int level, std::vector<uint64_t>& ids) {
  if (level == 1) return Ok();
  ids.push_back(child.id);
  if (level == 2) return Ok();
  TIDEMILL_ASSIGN_OR_RETURN(StateNode* const below, NodeOf(child, level - 1));
  for (StateChild& part : below->children) TIDEMILL_RETURN_IF_ERROR(ListRecords(part, level - 1, ids));
  return Ok();
}

void StateTree::SetFolded(std::vector<FoldedRows> folded) {
  const auto bytes = [](const std::vector<FoldedRows>& all) {
    size_t sum = all.capacity() * sizeof(FoldedRows);
    for (const FoldedRows& one : all) sum += one.partials.capacity() < sizeof(std::string) ? 0 : one.partials.capacity() + 1;
    return sum;
  };
  memory_ -= bytes(folded_);
  folded_ = std::move(folded);
  memory_ += bytes(folded_);
  root_->dirty = true;
}

// ---- folding

/// Puts runs of rows together, one after the other, as long as they belong to one fold.
class StateReader::Folds {
 public:
  Folds(StateReader& reader, int64_t time)
      : reader_(reader), program_(reader.program_), sums_(reader.scratch_.sums_), time_(time) {}

  Status Append(const StateSummary& summary, std::string_view partials) {
    Begin(summary);
    return AppendSaved(partials, reader_.scratch_.all_, sums_);
  }
  Status Append(const FoldedRows& folded) {
    TIDEMILL_RETURN_IF_ERROR(Append(folded.summary, folded.partials));
    if (parts_ == 1) only_ = &folded;
    return Ok();
  }
  /// Rows [begin, end), of one fold.
  void Append(const RowStore& rows, size_t begin, size_t end) {
    Begin(StateSummary::Of(rows, begin, end));
    for (auto& sum : sums_) sum->Add(rows, begin, end, std::numeric_limits<int64_t>::max());
  }
  std::vector<FoldedRows> Take() {
    Finish();
    return std::move(folded_);
  }

 private:
  void Begin(const StateSummary& summary) {
    if (summary_.rows > 0 && !program_.SameFold(summary_.last_event, summary.first_event, time_)) Finish();
    if (summary_.rows == 0) {
      for (auto& sum : sums_) sum->Clear();
    }
    summary_.Append(summary);
    ++parts_;
    only_ = nullptr;
  }
  void Finish() {
    if (summary_.rows == 0) return;
    FoldedRows& one = folded_.emplace_back();
    one.summary = summary_;
    for (size_t partial = 0; partial < sums_.size(); ++partial) {
      // What no window sees any more need not be kept.
      if (!program_.PartialReaches(partial, summary_.last_event, time_)) sums_[partial]->Clear();
      std::string& saved = reader_.scratch_.saved_;
      saved.clear();
      sums_[partial]->Save(saved);
      AppendVarint(saved.size(), one.partials);
      one.partials += saved;
    }
    // What stays as it was stays where it lies.
    if (only_ != nullptr && only_->partials == one.partials) one.record = only_->record;
    summary_ = {};
    parts_ = 0;
    only_ = nullptr;
  }

  StateReader& reader_;
  const CompiledProgram& program_;
  StateScratch::Partials& sums_;
  const int64_t time_;
  StateSummary summary_;
  size_t parts_ = 0;                  ///< that were put together since the last fold
  const FoldedRows* only_ = nullptr;  ///< the one of them, where it was a fold already
  std::vector<FoldedRows> folded_;
};

Status StateReader::FoldRows(int64_t time) {
  const std::optional<int64_t> horizon = program_.FoldHorizon(time);
  if (!horizon) return Ok();
  StateSummary front;
  TIDEMILL_RETURN_IF_ERROR(tree_.VisitFront(*horizon, [&](const StateChild& child, int) {
    front.Append(child.summary);
    return Ok();
  }));
  // A fold takes about as much as a tile: few rows are not worth it.
  if (front.rows < StateTree::kTileRows) return Ok();
  if (front.rows / StateTree::kTileRows < program_.FoldsBetween(front.first_event, front.last_event, time)) return Ok();
  Folds folds(*this, time);
  for (const FoldedRows& folded : tree_.folded()) TIDEMILL_RETURN_IF_ERROR(folds.Append(folded));
  TIDEMILL_RETURN_IF_ERROR(
      tree_.VisitFront(*horizon, [&](StateChild& child, int level) { return FoldPart(child, level, time, folds); }));
  return tree_.ReplaceFront(*horizon, folds.Take());
}

Status StateReader::FoldPart(StateChild& child, int level, int64_t time, Folds& folds) {
  const StateSummary& summary = child.summary;
  if (program_.SameFold(summary.first_event, summary.last_event, time)) {
    if (!child.has_partials) TIDEMILL_RETURN_IF_ERROR(BuildPartials(child, level));
    return folds.Append(summary, child.partials);
  }
  if (level > 1) {
    TIDEMILL_ASSIGN_OR_RETURN(StateNode* const below, tree_.NodeOf(child, level - 1));
    for (StateChild& part : below->children) TIDEMILL_RETURN_IF_ERROR(FoldPart(part, level - 1, time, folds));
    return Ok();
  }
  TIDEMILL_ASSIGN_OR_RETURN(const RowStore* const rows, RowsOf(child, false));
  for (size_t begin = 0; begin < rows->size();) {
    size_t end = begin + 1;
    while (end < rows->size() && program_.SameFold(rows->event(begin), rows->event(end), time)) ++end;
    folds.Append(*rows, begin, end);
    begin = end;
  }
  return Ok();
}

Status StateReader::CoverFolded(int64_t start, int64_t end, int64_t time) {
  for (const FoldedRows& folded : tree_.folded()) {
    const StateSummary& summary = folded.summary;
    if (summary.last_event <= start || summary.least_known > time) continue;
    if (summary.first_event > end) break;
    if (summary.first_event <= start || summary.last_event > end || summary.most_known > time) {
      return UserError("too_long_ago", "online answers do not reach back that far",
                       "ask for a later time, or raise the view's 'lookback'; 'tidemill features join' answers for any time");
    }
    scratch_.pieces_.push_back({nullptr, &folded.partials, 0, true});
  }
  return Ok();
}

}  // namespace tidemill
