#include "feature/program/state_tree.h"

#include <algorithm>

namespace tidemill {

Error BadState(std::string_view why) {
  return UserError("bad_state", "this is not a saved entity state: " + std::string(why), "materialize the view again");
}

namespace {

StateSummary RowSummary(const RowStore& rows, size_t row) {
  const int64_t event = rows.event(row);
  return {1, event, rows.sequence(row), event, rows.sequence(row), rows.known(row), rows.known(row), 0};
}

}  // namespace

void StateSummary::Append(const StateSummary& later) {
  if (rows == 0) {
    *this = later;
    return;
  }
  const uint64_t gap = static_cast<uint64_t>(later.first_event) - static_cast<uint64_t>(last_event);
  rows += later.rows;
  last_event = later.last_event;
  last_sequence = later.last_sequence;
  least_known = std::min(least_known, later.least_known);
  most_known = std::max(most_known, later.most_known);
  longest_gap = std::max({longest_gap, later.longest_gap, gap});
}

StateSummary StateSummary::Of(const RowStore& rows, size_t begin, size_t end) {
  StateSummary summary;
  for (size_t row = begin; row < end; ++row) summary.Append(RowSummary(rows, row));
  return summary;
}

size_t StateChild::heap_bytes() const {
  const auto text_bytes = [](const std::string& text) { return text.capacity() < sizeof(std::string) ? 0 : text.capacity() + 1; };
  return text_bytes(partials) + text_bytes(tile) + (rows ? sizeof(RowStore) + rows->heap_bytes() : 0);
}

StateSummary StateNode::Summarize() const {
  StateSummary summary;
  for (const StateChild& child : children) summary.Append(child.summary);
  return summary;
}

StateTree::StateTree(std::shared_ptr<const CompiledProgram> program)
    : program_(std::move(program)), root_(std::make_unique<StateNode>()), decoded_(program_->slot_types()) {
  memory_ = sizeof(StateNode);
}

StateSummary StateTree::Summarize() const {
  StateSummary summary;
  for (const FoldedRows& folded : folded_) summary.Append(folded.summary);
  const StateSummary rows = root_->Summarize();
  if (rows.rows > 0) summary.Append(rows);
  return summary;
}

// ---- adding rows

Result<bool> StateTree::Insert(const RowStore& from, size_t row) {
  if (!folded_.empty() && from.event(row) <= folded_.back().summary.last_event) {
    ++rows_behind_;
    return false;
  }
  const Key key{from.event(row), from.sequence(row)};
  const bool newest = root_->children.empty() || key > LastKey(root_->children.back());
  TIDEMILL_ASSIGN_OR_RETURN(const bool inserted, InsertInto(*root_, from, row, newest));
  if (root_->children.size() > kFanOut) GrowRoot(newest);
  return inserted;
}

Result<bool> StateTree::InsertInto(StateNode& node, const RowStore& from, size_t row, bool newest) {
  const Key key{from.event(row), from.sequence(row)};
  size_t at = node.children.size();
  while (at > 1 && FirstKey(node.children[at - 1]) > key) --at;
  at -= std::min<size_t>(at, 1);
  bool inserted = false;
  if (node.level == 1) {
    TIDEMILL_ASSIGN_OR_RETURN(inserted, InsertIntoTiles(node, at, from, row, newest));
  } else {
    StateChild& child = node.children[at];
    TIDEMILL_ASSIGN_OR_RETURN(StateNode* const below, NodeOf(child, node.level - 1));
    TIDEMILL_ASSIGN_OR_RETURN(inserted, InsertInto(*below, from, row, newest));
    if (inserted) {
      if (newest) {
        child.summary.Append(RowSummary(from, row));
      } else {
        child.summary = below->Summarize();
      }
      DropPartials(child);
      if (below->children.size() > kFanOut) SplitNode(node, at, newest);
    }
  }
  node.dirty = node.dirty || inserted;
  return inserted;
}

Result<bool> StateTree::InsertIntoTiles(StateNode& node, size_t at, const RowStore& from, size_t row, bool newest) {
  if (newest) {
    TIDEMILL_RETURN_IF_ERROR(AppendToTile(node, from, row));
    return true;
  }
  StateChild& child = node.children[at];
  RowStore* rows = child.rows.get();
  if (rows == nullptr) {
    TIDEMILL_RETURN_IF_ERROR(Decode(child, decoded_));
    rows = &decoded_;
  }
  memory_ -= child.heap_bytes();
  const bool inserted = rows->InsertFrom(from, row);
  memory_ += child.heap_bytes();
  if (!inserted) return false;
  child.summary = StateSummary::Of(*rows);
  DropPartials(child);
  if (rows->size() > kTileRows) {
    if (child.rows) Seal(child), (void)decoded_.Decode(child.tile);
    SplitTile(node, at, decoded_);
  } else if (rows == &decoded_) {
    SetTile(child, decoded_, 0, decoded_.size());
  }
  return true;
}

/// The newest tile stays decoded until the next one begins.
Status StateTree::AppendToTile(StateNode& node, const RowStore& from, size_t row) {
  if (node.children.empty() || node.children.back().summary.rows >= kTileRows) {
    if (!node.children.empty()) Seal(node.children.back());
    const size_t capacity = node.children.capacity();
    StateChild& child = node.children.emplace_back();
    child.rows = std::make_unique<RowStore>(program_->slot_types());
    memory_ += (node.children.capacity() - capacity) * sizeof(StateChild) + child.heap_bytes();
  }
  StateChild& child = node.children.back();
  memory_ -= child.heap_bytes();
  if (!child.rows) {
    child.rows = std::make_unique<RowStore>(program_->slot_types());
    if (const Status decoded = Decode(child, *child.rows); !decoded.ok()) {
      child.rows.reset();
      memory_ += child.heap_bytes();
      return decoded;
    }
  }
  child.rows->AppendFrom(from, row);
  child.partials.clear();
  child.has_partials = false;
  child.summary.Append(RowSummary(from, row));
  memory_ += child.heap_bytes();
  return Ok();
}

void StateTree::Seal(StateChild& child) {
  if (!child.rows) return;
  const std::unique_ptr<RowStore> rows = std::move(child.rows);
  memory_ -= sizeof(RowStore) + rows->heap_bytes();
  SetTile(child, *rows, 0, rows->size());
}

void StateTree::SetTile(StateChild& child, const RowStore& rows, size_t begin, size_t end) {
  std::string bytes;
  rows.Encode(begin, end, bytes);
  memory_ -= child.heap_bytes();
  child.tile.assign(bytes.begin(), bytes.end());
  child.tile.shrink_to_fit();
  memory_ += child.heap_bytes();
}

void StateTree::SetPartials(StateChild& child, std::string_view partials) {
  memory_ -= child.heap_bytes();
  child.partials = std::string(partials);
  child.has_partials = true;
  memory_ += child.heap_bytes();
}

void StateTree::DropPartials(StateChild& child) {
  if (!child.has_partials) return;
  SetPartials(child, "");
  child.has_partials = false;
}

/// Cuts a tile that became too large where event time or sequence number change, as near to its middle as can be.
void StateTree::SplitTile(StateNode& node, size_t at, const RowStore& rows) {
  const auto parts = [&](size_t row) {
    return rows.event(row) != rows.event(row - 1) || rows.sequence(row) != rows.sequence(row - 1);
  };
  const size_t middle = rows.size() / 2;
  size_t cut = 0;
  for (size_t step = 0; step < middle && cut == 0; ++step) {
    if (parts(middle - step)) cut = middle - step;
    if (cut == 0 && middle + step < rows.size() && parts(middle + step)) cut = middle + step;
  }
  if (cut == 0) return SetTile(node.children[at], rows, 0, rows.size());
  const size_t capacity = node.children.capacity();
  node.children.emplace(node.children.begin() + static_cast<ptrdiff_t>(at) + 1);
  memory_ += (node.children.capacity() - capacity) * sizeof(StateChild);
  const std::pair<size_t, size_t> ranges[] = {{0, cut}, {cut, rows.size()}};
  for (size_t part = 0; part < 2; ++part) {
    StateChild& child = node.children[at + part];
    const auto [begin, end] = ranges[part];
    child.summary = StateSummary::Of(rows, begin, end);
    SetTile(child, rows, begin, end);
  }
}

/// A node that grew at its end keeps all children but the new one, so that nodes of rows that come in order are full.
void StateTree::SplitNode(StateNode& parent, size_t at, bool newest) {
  StateNode& full = *parent.children[at].node;
  const size_t keep = newest ? full.children.size() - 1 : full.children.size() / 2;
  auto rest = std::make_unique<StateNode>();
  rest->level = full.level;
  for (size_t i = keep; i < full.children.size(); ++i) rest->children.push_back(std::move(full.children[i]));
  full.children.resize(keep);
  const size_t capacity = parent.children.capacity();
  StateChild& child = *parent.children.emplace(parent.children.begin() + static_cast<ptrdiff_t>(at) + 1);
  memory_ += (parent.children.capacity() - capacity) * sizeof(StateChild) + sizeof(StateNode) +
             rest->children.capacity() * sizeof(StateChild);
  full.dirty = true;
  parent.children[at].summary = full.Summarize();
  child.summary = rest->Summarize();
  child.node = std::move(rest);
  child.id = next_id_++;
}

void StateTree::GrowRoot(bool newest) {
  auto root = std::make_unique<StateNode>();
  root->level = root_->level + 1;
  StateChild& child = root->children.emplace_back();
  child.summary = root_->Summarize();
  child.id = next_id_++;
  child.node = std::move(root_);
  child.node->dirty = true;
  root_ = std::move(root);
  memory_ += sizeof(StateNode) + sizeof(StateChild);
  SplitNode(*root_, 0, newest);
}

// ---- dropping rows

Status StateTree::DropUntil(int64_t horizon) {
  if (!folded_.empty() && folded_.front().summary.last_event <= horizon) {
    std::vector<FoldedRows> kept;
    for (FoldedRows& folded : folded_) {
      if (folded.summary.last_event > horizon) kept.push_back(std::move(folded));
    }
    SetFolded(std::move(kept));
  }
  TIDEMILL_RETURN_IF_ERROR(DropFrom(*root_, horizon));
  return LowerRoot();
}

/// A root with one part or none gives way to what is below.
Status StateTree::LowerRoot() {
  while (root_->level > 1 && root_->children.size() <= 1) {
    auto below = std::make_unique<StateNode>();
    if (!root_->children.empty()) {
      StateChild& only = root_->children.front();
      TIDEMILL_ASSIGN_OR_RETURN(StateNode* const node, NodeOf(only, root_->level - 1));
      node->dirty = true;
      removed_.push_back(only.id);
      below = std::move(only.node);
    } else {
      memory_ += sizeof(StateNode);
    }
    memory_ -= NodeBytes(*root_);
    root_ = std::move(below);
  }
  return Ok();
}

Status StateTree::DropFrom(StateNode& node, int64_t horizon) {
  size_t gone = 0;
  while (gone < node.children.size() && node.children[gone].summary.last_event <= horizon) {
    StateChild& child = node.children[gone++];
    TIDEMILL_RETURN_IF_ERROR(Discard(child, node.level));
    memory_ -= child.heap_bytes() + (child.node ? NodeBytes(*child.node) : 0);
    child = {};
  }
  node.children.erase(node.children.begin(), node.children.begin() + static_cast<ptrdiff_t>(gone));
  if (gone > 0) node.dirty = true;
  if (node.children.empty() || node.children.front().summary.first_event > horizon) return Ok();
  StateChild& child = node.children.front();
  node.dirty = true;
  if (node.level > 1) {
    TIDEMILL_ASSIGN_OR_RETURN(StateNode* const below, NodeOf(child, node.level - 1));
    TIDEMILL_RETURN_IF_ERROR(DropFrom(*below, horizon));
    child.summary = below->Summarize();
  } else {
    if (!child.rows) TIDEMILL_RETURN_IF_ERROR(Decode(child, decoded_));
    RowStore& rows = child.rows ? *child.rows : decoded_;
    memory_ -= child.heap_bytes();
    const auto first = std::upper_bound(rows.events().begin(), rows.events().end(), horizon);
    rows.DropFirst(static_cast<size_t>(first - rows.events().begin()));
    child.summary = StateSummary::Of(rows);
    memory_ += child.heap_bytes();
    if (!child.rows) SetTile(child, rows, 0, rows.size());
  }
  DropPartials(child);
  return Ok();
}

/// Notes the records of a part that is about to go.
Status StateTree::Discard(StateChild& child, int level) {
  if (level == 1) return Ok();
  removed_.push_back(child.id);
  if (level == 2) return Ok();
  TIDEMILL_ASSIGN_OR_RETURN(StateNode* const below, NodeOf(child, level - 1));
  for (StateChild& part : below->children) TIDEMILL_RETURN_IF_ERROR(Discard(part, level - 1));
  return Ok();
}

// ---- memory

size_t StateTree::NodeBytes(const StateNode& node) const {
  size_t bytes = sizeof(StateNode) + node.children.capacity() * sizeof(StateChild);
  for (const StateChild& child : node.children) bytes += child.heap_bytes() + (child.node ? NodeBytes(*child.node) : 0);
  return bytes;
}

void StateTree::Release() { ReleaseBelow(*root_); }

void StateTree::ReleaseBelow(StateNode& node) {
  for (StateChild& child : node.children) {
    if (!child.node) continue;
    if (child.node->dirty || !fetch_) {
      ReleaseBelow(*child.node);
    } else {
      memory_ -= NodeBytes(*child.node);
      child.node.reset();
    }
  }
}

// ---- reading

Result<StateNode*> StateTree::NodeOf(StateChild& child, int level) {
  if (child.node) return child.node.get();
  if (!fetch_) return BadState("a part of it is missing");
  TIDEMILL_ASSIGN_OR_RETURN(const std::string bytes, fetch_(child.id));
  TIDEMILL_ASSIGN_OR_RETURN(auto node, ReadRecord(bytes, level));
  if (node->Summarize() != child.summary) return BadState("a part of it is of another time");
  node->dirty = false;
  memory_ += NodeBytes(*node);
  child.node = std::move(node);
  return child.node.get();
}

Status StateTree::Decode(const StateChild& child, RowStore& rows) const {
  if (!rows.Decode(child.tile)) return BadState("rows are damaged");
  const StateSummary& summary = child.summary;
  const bool right = rows.size() == summary.rows && rows.size() > 0 && rows.event(0) == summary.first_event &&
                     rows.event(rows.size() - 1) == summary.last_event;
  return right ? Ok() : Status(BadState("rows are not those that were counted"));
}

Status StateTree::ForEachTile(const std::function<Status(const RowStore& rows)>& visit) { return VisitTiles(*root_, visit); }

Status StateTree::VisitTiles(StateNode& node, const std::function<Status(const RowStore& rows)>& visit) {
  RowStore rows(program_->slot_types());
  for (StateChild& child : node.children) {
    if (node.level > 1) {
      TIDEMILL_ASSIGN_OR_RETURN(StateNode* const below, NodeOf(child, node.level - 1));
      TIDEMILL_RETURN_IF_ERROR(VisitTiles(*below, visit));
    } else if (child.rows) {
      TIDEMILL_RETURN_IF_ERROR(visit(*child.rows));
    } else {
      TIDEMILL_RETURN_IF_ERROR(Decode(child, rows));
      TIDEMILL_RETURN_IF_ERROR(visit(rows));
    }
  }
  return Ok();
}

}  // namespace tidemill
