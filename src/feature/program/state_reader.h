#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "feature/program/partial_aggregate.h"
#include "feature/program/state_tree.h"

namespace tidemill {

/// What a query needs beside the state: partial results, decoded tiles, texts. For one program, used again from query to query,
/// of any number of states; one for each thread. About 1 kB for each distinct aggregate.
class StateScratch {
 public:
  explicit StateScratch(std::shared_ptr<const CompiledProgram> program);

 private:
  friend class StateReader;
  using Partials = std::vector<std::unique_ptr<PartialAggregate>>;
  /// A whole part of the tree, or the rows of a tile in [begin, end).
  struct Piece {
    StateChild* part = nullptr;
    const std::string* folded = nullptr;  ///< the partials of rows that were folded, instead of `part`
    int level = 0;                        ///< of the node that it belongs to
    bool whole = false;
  };
  struct Span {
    int64_t start = 0;  ///< rows after it are seen
    const WindowPlan* window = nullptr;
  };
  struct DecodedTile {
    explicit DecodedTile(const std::vector<Type>& types) : rows(types) {}
    const StateChild* tile = nullptr;
    RowStore rows;
  };

  std::shared_ptr<const CompiledProgram> program_;
  std::vector<int64_t> delays_;  ///< of the windows, each once
  Partials sums_;                ///< from the end of the windows back to the start of the one at hand
  Partials parts_;               ///< what the next longer window has in addition
  Partials building_;            ///< for the tree's own partials
  std::vector<uint8_t> wanted_;
  std::vector<uint8_t> all_;  ///< as wanted_: every one
  std::vector<Span> spans_;
  std::vector<Piece> pieces_;
  std::vector<Datum> results_;
  TextPool texts_;
  std::string saved_;
  std::string all_saved_;
  std::array<DecodedTile, 2> cut_;  ///< those where a window starts and where it ends, which is where the next shorter one starts
  size_t start_cut_ = 0;            ///< which of them is for the start
  DecodedTile passing_;             ///< any other
};

/// Answers queries over a tree. Each window is a run of the sorted rows, and covers O(log n) whole parts of the tree, whose
/// partial results are put together, and rows at its two ends. Parts with rows that are not all known yet are looked into.
/// Windows with the same end are nested: what a longer one has in addition is computed once.
class StateReader {
 public:
  StateReader(StateTree& tree, StateScratch& scratch);

  /// The features at `time`. Texts stay valid until the scratch is used again. Errors: those of reading records, and "bad_state".
  Status Query(int64_t time, std::span<Datum> outputs);
  /// Makes the partial results that queries would have to make: before a state is stored, or a first query would read all of it.
  Status Prepare();
  /// Folds what can be: see EntityState::Fold.
  Status FoldRows(int64_t time);
  /// Sequence numbers of the rows that an aggregate uses at `time`, in order; not those that were folded.
  Result<std::vector<int64_t>> VisibleRows(int64_t time);

 private:
  using Piece = StateScratch::Piece;
  using Span = StateScratch::Span;

  Status QueryWindows(int64_t time, int64_t delay);
  Status FindSpans(int64_t time, int64_t delay);
  Status AddSegment(std::span<const Span> longer, int64_t start, int64_t end, int64_t time, bool first);
  void TakeResults(const WindowPlan& window);

  class Folds;
  Status FoldPart(StateChild& child, int level, int64_t time, Folds& folds);
  Status CoverFolded(int64_t start, int64_t end, int64_t time);
  Status Cover(StateNode& node, int64_t start, int64_t end, int64_t time, bool newest);
  Status Fold(StateScratch::Partials& into, int64_t start, int64_t end, int64_t time);
  /// Appends the saved partials of a part to those that are wanted.
  static Status AppendSaved(std::string_view partials, const std::vector<uint8_t>& wanted, StateScratch::Partials& into);
  Status BuildPartials(StateChild& child, int level);
  Status PrepareBelow(StateNode& node);
  /// `cut`: a window starts in it. Rows stay until another tile of that kind is asked for.
  Result<const RowStore*> RowsOf(const StateChild& child, bool cut);

  /// Looks for the beginning of the session: true when it is found; `later` is the earliest event time in it so far.
  Result<bool> WalkBack(StateNode& node, const WindowPlan& window, int64_t start, int64_t end, int64_t time, int64_t& later,
                        bool& any);

  StateTree& tree_;
  StateScratch& scratch_;
  const CompiledProgram& program_;
};

}  // namespace tidemill
