#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "feature/program/compiled_program.h"
#include "feature/program/row_store.h"
#include "feature/program/varint.h"

namespace tidemill {

/// What is known of a run of rows without looking at them.
struct StateSummary {
  uint64_t rows = 0;
  int64_t first_event = 0;
  int64_t first_sequence = 0;
  int64_t last_event = 0;
  int64_t last_sequence = 0;
  int64_t least_known = 0;
  int64_t most_known = 0;
  uint64_t longest_gap = 0;  ///< between event times that follow each other

  void Append(const StateSummary& later);
  static StateSummary Of(const RowStore& rows) { return Of(rows, 0, rows.size()); }
  static StateSummary Of(const RowStore& rows, size_t begin, size_t end);
  bool operator==(const StateSummary&) const = default;
};

struct StateNode;

/// A part of a node: a tile of rows below a node of level 1, another node above that.
struct StateChild {
  StateSummary summary;
  std::string partials;       ///< saved partial results, one after the other, with their lengths
  bool has_partials = false;  ///< otherwise they are made when they are first asked for
  std::string tile;           ///< encoded rows; stale while `rows` are there
  std::unique_ptr<RowStore> rows;
  uint64_t id = 0;  ///< of the record that holds `node`
  std::unique_ptr<StateNode> node;

  size_t heap_bytes() const;
};

struct StateNode {
  int level = 1;
  bool dirty = true;  ///< its record is not what it should be; then so are those above it
  std::vector<StateChild> children;

  StateSummary Summarize() const;
};

/// Rows of which only the partial results are left: all windows that are still asked for have all of them or none.
struct FoldedRows {
  StateSummary summary;
  std::string partials;  ///< as those of a part
  uint64_t record = 0;   ///< that holds it, as it is; 0: none but the head's
};

/// Reads the record of a node that was saved apart.
using FetchRecord = std::function<Result<std::string>(uint64_t id)>;

Error BadState(std::string_view why);

/// The rows of one entity, sorted, in tiles of up to kTileRows under a tree of nodes with up to kFanOut children each. Only the
/// newest tile is kept decoded. A change touches one tile and the nodes above it. Rows that agree in event time and sequence
/// number are never parted. Not thread-safe.
class StateTree {
 public:
  static constexpr size_t kTileRows = 64;
  static constexpr size_t kFanOut = 16;
  /// Folded rows of more bytes lie in records of their own, each of about so many, unless one fold has more.
  static constexpr size_t kFoldBytes = 8192;

  explicit StateTree(std::shared_ptr<const CompiledProgram> program);

  const CompiledProgram& program() const { return *program_; }
  StateNode& root() { return *root_; }
  /// Of the rows and of those that were folded.
  StateSummary Summarize() const;
  size_t memory_bytes() const { return sizeof(*this) + memory_; }

  /// False when an equal row is there already, or rows of its time have been folded.
  Result<bool> Insert(const RowStore& from, size_t row);
  /// Drops rows with event times up to `horizon`.
  Status DropUntil(int64_t horizon);
  /// What was folded, in order: it comes before all rows of the tree.
  const std::vector<FoldedRows>& folded() const { return folded_; }
  /// Rows that Insert left out because rows of their time have been folded.
  size_t rows_behind() const { return rows_behind_; }
  /// The parts at the beginning that end at `horizon` or before, without the newest tile.
  Status VisitFront(int64_t horizon, const std::function<Status(StateChild& child, int level)>& visit);
  /// Takes these parts away: `folded`, which is not empty, has them now, and what was folded before.
  Status ReplaceFront(int64_t horizon, std::vector<FoldedRows> folded);
  /// All rows of tiles, in order.
  Status ForEachTile(const std::function<Status(const RowStore& rows)>& visit);

  /// The node of a child above level 1, read from its record where it is not in memory.
  Result<StateNode*> NodeOf(StateChild& child, int level);
  /// Decodes a tile. Code "bad_state".
  Status Decode(const StateChild& child, RowStore& rows) const;
  void SetPartials(StateChild& child, std::string_view partials);

  // ---- saving and loading (state_format.cc)
  struct Record {
    uint64_t id = 0;
    std::string bytes;
  };
  /// Everything in one piece.
  Result<std::string> Save();
  /// The head, then the records of the nodes that changed since the last call. `removed`: ids of records that are not needed any
  /// more.
  std::vector<Record> TakeRecords(std::vector<uint64_t>& removed);
  bool changed() const { return root_->dirty || !removed_.empty(); }
  /// Replaces everything. `fetch` is for states saved by TakeRecords; it is called when a node is needed.
  Status Load(std::string_view head, FetchRecord fetch);
  /// Forgets nodes that can be read again from their records.
  void Release();

 private:
  struct Key {
    int64_t event;
    int64_t sequence;
    auto operator<=>(const Key&) const = default;
  };

  static Key FirstKey(const StateChild& child) { return {child.summary.first_event, child.summary.first_sequence}; }
  static Key LastKey(const StateChild& child) { return {child.summary.last_event, child.summary.last_sequence}; }

  Result<bool> InsertInto(StateNode& node, const RowStore& from, size_t row, bool newest);
  Result<bool> InsertIntoTiles(StateNode& node, size_t at, const RowStore& from, size_t row, bool newest);
  Status AppendToTile(StateNode& node, const RowStore& from, size_t row);
  void SplitTile(StateNode& node, size_t at, const RowStore& rows);
  void SplitNode(StateNode& parent, size_t at, bool newest);
  void GrowRoot(bool newest);
  void DropPartials(StateChild& child);
  void Seal(StateChild& child);
  void SetTile(StateChild& child, const RowStore& rows, size_t begin, size_t end);
  Status DropFrom(StateNode& node, int64_t horizon);
  Status LowerRoot();
  Status VisitFrontOf(StateNode& node, int64_t horizon, bool newest, const std::function<Status(StateChild&, int)>& visit);
  bool RemoveFront(StateNode& node, int64_t horizon, bool newest);
  Status ListRecords(StateChild& child, int level, std::vector<uint64_t>& ids);
  void SetFolded(std::vector<FoldedRows> folded);
  static void SaveFolded(std::span<const FoldedRows> folded, std::string& bytes);
  static Status ReadFolded(VarintReader& reader, std::vector<FoldedRows>& folded);
  Status ReadFoldedRecords(VarintReader& reader, const FetchRecord& fetch, std::vector<FoldedRows>& folded,
                           std::map<uint64_t, size_t>& records) const;
  void AssignRecords(std::vector<Record>& records);
  void ForgetBrokenRecords();
  void RecordFolds(size_t begin, size_t end, std::vector<Record>& records);
  Status Discard(StateChild& child, int level);
  Status VisitTiles(StateNode& node, const std::function<Status(const RowStore& rows)>& visit);

  std::string SaveHead(bool inline_nodes) const;
  void SaveNode(const StateNode& node, bool inline_nodes, std::string& bytes) const;
  static void SaveSummary(const StateSummary& summary, int64_t previous_event, std::string& bytes);
  void SaveTile(const StateChild& child, std::string& bytes) const;
  Status LoadAll(StateNode& node);
  bool NumberNodes(StateNode& node);
  void TakeDirty(StateNode& node, std::vector<Record>& records);
  Result<std::unique_ptr<StateNode>> ReadRecord(std::string_view bytes, int level) const;
  Result<std::unique_ptr<StateNode>> ReadNode(VarintReader& reader, int level, bool keep_partials) const;
  static StateSummary ReadSummary(VarintReader& reader, int64_t previous_event);
  Result<StateChild> ReadChild(VarintReader& reader, int level, int64_t previous_event, bool keep_partials) const;
  size_t NodeBytes(const StateNode& node) const;
  void ReleaseBelow(StateNode& node);

  std::shared_ptr<const CompiledProgram> program_;
  std::unique_ptr<StateNode> root_;
  FetchRecord fetch_;
  uint64_t next_id_ = 1;
  std::vector<uint64_t> removed_;
  std::vector<FoldedRows> folded_;
  std::map<uint64_t, size_t> folded_records_;  ///< how many of them each record holds; empty: the head has all
  size_t rows_behind_ = 0;
  bool saved_partials_hold_ = true;  ///< those in records that were not read yet
  RowStore decoded_;                 ///< for changes in the middle
  size_t memory_ = 0;
};

}  // namespace tidemill
