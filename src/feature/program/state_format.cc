#include "base/hash.h"
#include "feature/program/state_tree.h"

/// The bytes of a state: docs/features.md, "State". Every piece ends with a checksum of its own.
namespace tidemill {
namespace {

constexpr std::string_view kMagic = "TMS2";
constexpr std::string_view kMagicFolded = "TMS3";  ///< the same with rows that were folded
constexpr std::string_view kMagicParted = "TMS4";  ///< the same, these in records of their own
constexpr size_t kSummaryBytes = 24;               ///< about
constexpr size_t kChecksumBytes = 4;
constexpr int kLevelsMax = 14;  ///< more than 2^60 rows
constexpr size_t kChildrenMax = 1024;

void AppendFixed(uint64_t value, size_t bytes, std::string& to) {
  for (size_t i = 0; i < bytes; ++i) to += static_cast<char>(value >> (8 * i));
}

uint64_t ReadFixed(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

void AppendChecksum(std::string& bytes) { AppendFixed(Hash64(bytes), kChecksumBytes, bytes); }

Result<std::string_view> CheckedBody(std::string_view bytes) {
  if (bytes.size() < kChecksumBytes) return BadState("it is cut short");
  const std::string_view body = bytes.substr(0, bytes.size() - kChecksumBytes);
  if (ReadFixed(bytes.substr(body.size())) != static_cast<uint32_t>(Hash64(body))) return BadState("it is damaged");
  return body;
}

}  // namespace

// ---- saving

Result<std::string> StateTree::Save() {
  TIDEMILL_RETURN_IF_ERROR(LoadAll(*root_));
  return SaveHead(true);
}

Status StateTree::LoadAll(StateNode& node) {
  if (node.level == 1) return Ok();
  for (StateChild& child : node.children) {
    TIDEMILL_ASSIGN_OR_RETURN(StateNode* const below, NodeOf(child, node.level - 1));
    TIDEMILL_RETURN_IF_ERROR(LoadAll(*below));
  }
  return Ok();
}

std::vector<StateTree::Record> StateTree::TakeRecords(std::vector<uint64_t>& removed) {
  std::vector<Record> records;
  if (root_->dirty) AssignRecords(records);
  removed = std::move(removed_);
  removed_.clear();
  if (root_->dirty || !removed.empty()) {
    records.insert(records.begin(), {0, SaveHead(false)});
    TakeDirty(*root_, records);
  }
  return records;
}

void StateTree::TakeDirty(StateNode& node, std::vector<Record>& records) {
  node.dirty = false;
  if (node.level == 1) return;
  for (StateChild& child : node.children) {
    if (!child.node || !child.node->dirty) continue;
    std::string bytes;
    SaveNode(*child.node, false, bytes);
    AppendChecksum(bytes);
    records.push_back({child.id, std::move(bytes)});
    TakeDirty(*child.node, records);
  }
}

std::string StateTree::SaveHead(bool inline_nodes) const {
  const bool parted = !inline_nodes && !folded_records_.empty();
  std::string bytes(folded_.empty() ? kMagic : parted ? kMagicParted : kMagicFolded);
  AppendVarint(program_->slot_types().size(), bytes);
  for (const Type type : program_->slot_types()) bytes += static_cast<char>(type);
  AppendFixed(program_->partials_fingerprint(), 8, bytes);
  AppendVarint(next_id_, bytes);
  if (parted) {
    AppendVarint(folded_records_.size(), bytes);
    for (size_t at = 0; at < folded_.size(); at += folded_records_.at(folded_[at].record)) AppendVarint(folded_[at].record, bytes);
  } else if (!folded_.empty()) {
    SaveFolded(folded_, bytes);
  }
  AppendVarint(static_cast<uint64_t>(root_->level), bytes);
  SaveNode(*root_, inline_nodes, bytes);
  AppendChecksum(bytes);
  return bytes;
}

/// How many children; of each its summary, its partials, and its tile, its record's id, or (after a zero) the node itself.
void StateTree::SaveNode(const StateNode& node, bool inline_nodes, std::string& bytes) const {
  AppendVarint(node.children.size(), bytes);
  int64_t previous_event = 0;
  for (const StateChild& child : node.children) {
    SaveSummary(child.summary, previous_event, bytes);
    previous_event = child.summary.last_event;
    const bool keep_partials = child.has_partials && saved_partials_hold_;
    AppendVarint(keep_partials ? child.partials.size() + 1 : 0, bytes);
    if (keep_partials) bytes += child.partials;
    if (node.level == 1) {
      SaveTile(child, bytes);
    } else if (inline_nodes) {
      AppendVarint(0, bytes);
      SaveNode(*child.node, true, bytes);
    } else {
      AppendVarint(child.id, bytes);
    }
  }
}

void StateTree::SaveTile(const StateChild& child, std::string& bytes) const {
  std::string encoded;
  if (child.rows) child.rows->Encode(0, child.rows->size(), encoded);
  const std::string& tile = child.rows ? encoded : child.tile;
  AppendVarint(tile.size(), bytes);
  bytes += tile;
}

void StateTree::SaveSummary(const StateSummary& summary, int64_t previous_event, std::string& bytes) {
  AppendVarint(summary.rows, bytes);
  AppendSigned(DistanceOf(previous_event, summary.first_event), bytes);
  AppendVarint(static_cast<uint64_t>(DistanceOf(summary.first_event, summary.last_event)), bytes);
  AppendSigned(summary.first_sequence, bytes);
  AppendSigned(DistanceOf(summary.first_sequence, summary.last_sequence), bytes);
  AppendSigned(DistanceOf(summary.first_event, summary.least_known), bytes);
  AppendSigned(DistanceOf(summary.last_event, summary.most_known), bytes);
  AppendVarint(summary.longest_gap, bytes);
}

// ---- loading

Status StateTree::Load(std::string_view head, FetchRecord fetch) {
  const bool parted = head.starts_with(kMagicParted);
  const bool has_folded = parted || head.starts_with(kMagicFolded);
  if (!has_folded && !head.starts_with(kMagic)) return BadState("it begins with something else");
  TIDEMILL_ASSIGN_OR_RETURN(const std::string_view body, CheckedBody(head));
  VarintReader reader(body.substr(kMagic.size()));
  const std::vector<Type>& types = program_->slot_types();
  if (reader.Unsigned() != types.size()) return BadState("it belongs to another program");
  for (const Type type : types) {
    const std::string_view saved = reader.Bytes(1);
    if (!reader.ok() || saved[0] != static_cast<char>(type)) return BadState("it belongs to another program");
  }
  const uint64_t fingerprint = ReadFixed(reader.Bytes(8));
  const uint64_t next_id = reader.Unsigned();
  const bool hold = fingerprint == program_->partials_fingerprint();
  std::vector<FoldedRows> folded;
  std::map<uint64_t, size_t> folded_records;
  if (has_folded && !hold) return BadState("it holds folded rows of another program or version");
  if (parted) {
    TIDEMILL_RETURN_IF_ERROR(ReadFoldedRecords(reader, fetch, folded, folded_records));
  } else if (has_folded) {
    TIDEMILL_RETURN_IF_ERROR(ReadFolded(reader, folded));
  }
  const uint64_t level = reader.Unsigned();
  if (!reader.ok() || level == 0 || level > kLevelsMax) return BadState("it is damaged");
  TIDEMILL_ASSIGN_OR_RETURN(auto root, ReadNode(reader, static_cast<int>(level), hold));
  if (!reader.AtEnd()) return BadState("it is longer than it should be");
  if (root->level > 1 && root->children.empty()) return BadState("it has levels of nothing");
  const bool in_order =
      folded.empty() || root->children.empty() || root->children.front().summary.first_event >= folded.back().summary.last_event;
  if (!in_order) return BadState("its parts are out of order");
  root_ = std::move(root);
  fetch_ = std::move(fetch);
  next_id_ = std::max<uint64_t>(next_id, 1);
  removed_.clear();
  saved_partials_hold_ = hold;
  root_->dirty = NumberNodes(*root_) || !fetch_;
  memory_ = NodeBytes(*root_);
  folded_.clear();
  const bool dirty = root_->dirty;
  SetFolded(std::move(folded));
  folded_records_ = std::move(folded_records);
  root_->dirty = dirty;
  return Ok();
}

void StateTree::SaveFolded(std::span<const FoldedRows> folded, std::string& bytes) {
  AppendVarint(folded.size(), bytes);
  int64_t previous_event = 0;
  for (const FoldedRows& one : folded) {
    SaveSummary(one.summary, previous_event, bytes);
    previous_event = one.summary.last_event;
    AppendVarint(one.partials.size(), bytes);
    bytes += one.partials;
  }
}

/// After those that are there already.
Status StateTree::ReadFolded(VarintReader& reader, std::vector<FoldedRows>& folded) {
  const uint64_t count = reader.Unsigned();
  int64_t previous_event = 0;
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    const bool first = folded.empty();
    const int64_t last_event = first ? 0 : folded.back().summary.last_event;
    FoldedRows& one = folded.emplace_back();
    one.summary = ReadSummary(reader, previous_event);
    one.partials = reader.Bytes(reader.Unsigned());
    previous_event = one.summary.last_event;
    const bool in_order = first || one.summary.first_event > last_event;
    if (one.summary.rows == 0 || previous_event < one.summary.first_event || !in_order) return BadState("it is damaged");
  }
  if (!reader.ok() || count == 0) return BadState("it is damaged");
  return Ok();
}

Status StateTree::ReadFoldedRecords(VarintReader& reader, const FetchRecord& fetch, std::vector<FoldedRows>& folded,
                                    std::map<uint64_t, size_t>& records) const {
  const uint64_t count = reader.Unsigned();
  if (!fetch || count == 0) return BadState("its parts are missing");
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t id = reader.Unsigned();
    if (!reader.ok() || id == 0 || records.contains(id)) return BadState("it is damaged");
    TIDEMILL_ASSIGN_OR_RETURN(const std::string bytes, fetch(id));
    TIDEMILL_ASSIGN_OR_RETURN(const std::string_view body, CheckedBody(bytes));
    VarintReader part(body);
    const size_t before = folded.size();
    TIDEMILL_RETURN_IF_ERROR(ReadFolded(part, folded));
    if (!part.AtEnd()) return BadState("it is longer than it should be");
    for (size_t at = before; at < folded.size(); ++at) folded[at].record = id;
    records[id] = folded.size() - before;
  }
  return Ok();
}

/// Records stay as long as all of their folds do, so that a change rewrites those near it.
void StateTree::AssignRecords(std::vector<Record>& records) {
  size_t bytes = 0;
  for (const FoldedRows& one : folded_) bytes += one.partials.size() + kSummaryBytes;
  if (bytes <= kFoldBytes) {
    for (FoldedRows& one : folded_) one.record = 0;
    for (const auto& [id, count] : folded_records_) removed_.push_back(id);
    folded_records_.clear();
    return;
  }
  ForgetBrokenRecords();
  for (size_t at = 0; at < folded_.size();) {
    if (folded_[at].record != 0) {
      at += folded_records_.at(folded_[at].record);
      continue;
    }
    size_t end = at;
    for (size_t taken = 0; end < folded_.size() && folded_[end].record == 0 && (end == at || taken < kFoldBytes); ++end)
      taken += folded_[end].partials.size() + kSummaryBytes;
    RecordFolds(at, end, records);
    at = end;
  }
}

/// Folds whose record does not hold what it should, or is small and followed by such ones, are to be recorded anew.
void StateTree::ForgetBrokenRecords() {
  std::map<uint64_t, size_t> counts;
  std::map<uint64_t, size_t> bytes;
  for (const FoldedRows& one : folded_) {
    ++counts[one.record];
    bytes[one.record] += one.partials.size() + kSummaryBytes;
  }
  const auto forget = [&](uint64_t id) {
    for (FoldedRows& one : folded_) one.record = one.record == id ? 0 : one.record;
    folded_records_.erase(id);
    removed_.push_back(id);
  };
  const std::map<uint64_t, size_t> before = folded_records_;
  for (const auto& [id, count] : before) {
    if (counts[id] != count) forget(id);
  }
  for (size_t at = 1; at < folded_.size(); ++at) {
    const uint64_t id = folded_[at - 1].record;
    if (id != 0 && folded_[at].record == 0 && bytes[id] < kFoldBytes / 2) forget(id);
  }
}

void StateTree::RecordFolds(size_t begin, size_t end, std::vector<Record>& records) {
  const uint64_t id = next_id_++;
  for (size_t at = begin; at < end; ++at) folded_[at].record = id;
  folded_records_[id] = end - begin;
  std::string bytes;
  SaveFolded(std::span(folded_).subspan(begin, end - begin), bytes);
  AppendChecksum(bytes);
  records.push_back({id, std::move(bytes)});
}

/// What came in one piece has no records yet. Returns whether there is any such node.
bool StateTree::NumberNodes(StateNode& node) {
  bool any = false;
  for (StateChild& child : node.children) {
    if (!child.node) continue;
    any = true;
    child.id = next_id_++;
    NumberNodes(*child.node);
  }
  return any;
}

Result<std::unique_ptr<StateNode>> StateTree::ReadRecord(std::string_view bytes, int level) const {
  TIDEMILL_ASSIGN_OR_RETURN(const std::string_view body, CheckedBody(bytes));
  VarintReader reader(body);
  TIDEMILL_ASSIGN_OR_RETURN(auto node, ReadNode(reader, level, saved_partials_hold_));
  if (!reader.AtEnd()) return BadState("it is longer than it should be");
  return node;
}

Result<std::unique_ptr<StateNode>> StateTree::ReadNode(VarintReader& reader, int level, bool keep_partials) const {
  auto node = std::make_unique<StateNode>();
  node->level = level;
  const uint64_t count = reader.Unsigned();
  if (!reader.ok() || count > kChildrenMax) return BadState("it is damaged");
  for (uint64_t i = 0; i < count; ++i) {
    const int64_t previous_event = i == 0 ? 0 : node->children.back().summary.last_event;
    TIDEMILL_ASSIGN_OR_RETURN(StateChild child, ReadChild(reader, level, previous_event, keep_partials));
    if (i > 0 && child.summary.first_event < previous_event) return BadState("its parts are out of order");
    node->children.push_back(std::move(child));
  }
  return node;
}

Result<StateChild> StateTree::ReadChild(VarintReader& reader, int level, int64_t previous_event, bool keep_partials) const {
  StateChild child;
  child.summary = ReadSummary(reader, previous_event);
  if (const uint64_t size = reader.Unsigned(); size > 0) {
    const std::string_view partials = reader.Bytes(size - 1);
    child.has_partials = keep_partials;
    if (keep_partials) child.partials = partials;
  }
  const StateSummary& summary = child.summary;
  constexpr uint64_t kRowsMax = uint64_t{1} << 60;
  if (!reader.ok() || summary.rows == 0 || summary.rows > kRowsMax || summary.last_event < summary.first_event)
    return BadState("it is damaged");
  if (level == 1) {
    child.tile = reader.Bytes(reader.Unsigned());
  } else {
    child.id = reader.Unsigned();
    if (child.id == 0) {
      TIDEMILL_ASSIGN_OR_RETURN(child.node, ReadNode(reader, level - 1, keep_partials));
      if (child.node->Summarize() != summary) return BadState("its parts do not add up");
    }
  }
  if (!reader.ok()) return BadState("it is damaged");
  return child;
}

StateSummary StateTree::ReadSummary(VarintReader& reader, int64_t previous_event) {
  StateSummary summary;
  summary.rows = reader.Unsigned();
  summary.first_event = AtDistance(previous_event, reader.Signed());
  summary.last_event = AtDistance(summary.first_event, static_cast<int64_t>(reader.Unsigned()));
  summary.first_sequence = reader.Signed();
  summary.last_sequence = AtDistance(summary.first_sequence, reader.Signed());
  summary.least_known = AtDistance(summary.first_event, reader.Signed());
  summary.most_known = AtDistance(summary.last_event, reader.Signed());
  summary.longest_gap = reader.Unsigned();
  return summary;
}

}  // namespace tidemill
