#pragma once

#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tidemill {

/// Bytes stored once under the name of their SHA-256. Thread-safe.
class ArtifactStore {
 public:
  explicit ArtifactStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  Result<std::string> Put(std::string_view bytes);
  /// Codes "artifact_missing", "artifact_changed".
  Result<std::string> Get(std::string_view sha256) const;

 private:
  std::filesystem::path PathOf(std::string_view sha256) const;

  std::filesystem::path folder_;
  std::mutex writing_;
};

}  // namespace tidemill
