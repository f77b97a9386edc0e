#include "orchestrate/join_memory.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidemill {

Result<JoinMemory> JoinMemory::Share(Workspace& workspace) {
  JoinMemory memory;
  memory.database_mb_ = workspace.project.memory_limit_mb;
  memory.resources_.threads = workspace.project.threads;
  memory.resources_.memory_mb = std::max<int64_t>(memory.database_mb_ / 2, 1);
  memory.resources_.temporary_folder = workspace.temporary->path();
  TIDEMILL_ASSIGN_OR_RETURN(memory.session_, workspace.database->Connect());
  [[maybe_unused]] const Status lowered =
      memory.session_->Execute(fmt::format("SET memory_limit = '{}MiB'", memory.resources_.memory_mb));
  return memory;
}

JoinMemory::JoinMemory(JoinMemory&& other) noexcept
    : session_(std::move(other.session_)), database_mb_(other.database_mb_), resources_(std::move(other.resources_)) {}

JoinMemory::~JoinMemory() {
  if (session_ == nullptr) return;
  [[maybe_unused]] const Status restored = session_->Execute(fmt::format("SET memory_limit = '{}MiB'", database_mb_));
}

}  // namespace tidemill
