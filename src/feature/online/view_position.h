#pragma once

#include <string>
#include <vector>

#include "feature/online/store.h"

namespace tidemill {

/// Which rows of a view's table are in its states: those known by `known_until` with sequence numbers up to `sequence_until`.
/// Rows pushed since are in them too.
struct ViewPosition {
  bool complete = false;   ///< there are states
  std::string generation;  ///< where they are; "" : nowhere
  std::string program;     ///< ProgramFingerprint
  int64_t known_until = 0;
  int64_t sequence_until = 0;
  std::string digest;      ///< of those rows
  std::string pushed_rows{};  ///< how pushes became rows of the table: a digest of it; "" where the view follows none
};

Result<ViewPosition> ReadViewPosition(OnlineStore& store, const std::string& view);
Status WriteViewPosition(OnlineStore& store, const std::string& view, const ViewPosition& position);
/// The store's spaces that hold the heads and the other records of the states of a generation.
std::string StatesSpaceName(const std::string& view, const std::string& generation);
std::string PiecesSpaceName(const std::string& view, const std::string& generation);
/// Takes the states of a generation away.
Status ClearGeneration(OnlineStore& store, const std::string& view, const std::string& generation);

}  // namespace tidemill
