#pragma once

#include <memory>
#include <string>
#include <vector>

#include "feature/batch/entity_rows.h"
#include "feature/batch/feature_records.h"
#include "feature/batch/spine_block.h"

namespace tidemill {

/// The features of one view for the rows of a block.
struct BlockFeatures {
  static constexpr uint32_t kDefault = UINT32_MAX;  ///< nothing matched

  const FeatureRecords* records = nullptr;
  const uint32_t* record_of_row = nullptr;
  const FeatureRecords* defaults = nullptr;  ///< one record

  FeatureRecords own_records{{}};
  std::vector<uint32_t> own_positions;
  std::vector<TextArena> texts;
};

/// Answers blocks from rows of a view. Join() is for one thread at a time; what it fills refers to this and to the order.
class ViewJoiner {
 public:
  virtual ~ViewJoiner() = default;
  /// Whether Read() does something.
  virtual bool reads() const { return false; }
  /// Comes before Join() for each block, from the thread that may use the session: for what is read anew for it.
  virtual Status Read(const BlockOrder& /*order*/) { return Ok(); }
  virtual Status Join(const SpineBlock& block, const BlockOrder& order, int threads, BlockFeatures& features) = 0;
  /// One record: what rows get that nothing matches.
  virtual const FeatureRecords* defaults() const = 0;
};

/// `outputs` are the positions of those wanted. A view of latest values alone is answered without the kernel, to the same bits.
std::unique_ptr<ViewJoiner> MakeViewJoiner(std::shared_ptr<const CompiledProgram> program, std::vector<size_t> outputs,
                                           EntityRows rows);
/// The same from rows in their table's order. Code "duplicate_rows".
Result<std::unique_ptr<ViewJoiner>> MakeViewJoiner(std::shared_ptr<const CompiledProgram> program, std::vector<size_t> outputs,
                                                   TableRows rows, const std::string& view, int threads);

}  // namespace tidemill
