#pragma once

#include <memory>

#include "feature/batch/feature_join.h"
#include "orchestrate/workspace.h"

namespace tidemill {

/// What a join may use in a project: half of its memory. The database keeps to the other half until this goes away, if it can:
/// what it holds already stays.
class JoinMemory {
 public:
  static Result<JoinMemory> Share(Workspace& workspace);
  JoinMemory(JoinMemory&& other) noexcept;
  JoinMemory& operator=(JoinMemory&&) = delete;
  ~JoinMemory();
  const JoinResources& resources() const { return resources_; }

 private:
  JoinMemory() = default;
  std::unique_ptr<Session> session_;
  int64_t database_mb_ = 0;
  JoinResources resources_;
};

}  // namespace tidemill
