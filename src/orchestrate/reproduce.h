#pragma once

#include "orchestrate/workspace.h"

namespace tidemill {

struct Difference {
  std::string what;    ///< "data file", "source", "table", "training set", "model package"
  std::string where;   ///< file, table and column, row and column
  std::string detail;  ///< expected, found
};

struct ReproduceReport {
  std::string model;
  int64_t version = 0;
  bool equal = false;
  std::string package_sha256_recorded, package_sha256_rebuilt;
  std::string training_set_sha256_recorded, training_set_sha256_rebuilt;
  int64_t training_rows = 0;
  std::vector<Difference> differences;
  double seconds = 0;
  Json ToJson() const;
};

/// Rebuilds the training set and the model of a version in an empty place from the archived definitions and the recorded snapshot
/// of the sources, never from caches or the stored package, and compares byte for byte. `catalog` and `lake` may be copies
/// elsewhere; the project's files are not read. Differences say where.
Result<ReproduceReport> ReproduceModel(const std::filesystem::path& state_folder, const std::string& model, int64_t version,
                                       const Clock& clock, const Progress& progress);

}  // namespace tidemill
