#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "feature/online/pushed_views.h"
#include "lake/lake.h"

namespace tidemill {

/// Where a project's online store is, and what follows pushes in it.
struct OnlineSite {
  std::filesystem::path store_folder;
  std::filesystem::path endpoint_file;  ///< of a server that may own the store
  bool takes_pushes = false;            ///< the project has pushed sources
  PushedViews pushed_views;
  size_t cache_bytes = size_t{256} << 20;  ///< of decoded states
};

/// An online store of which this process is the owner, and the pushes that it takes.
struct OwnedStore {
  std::unique_ptr<OnlineStore> store;
  std::unique_ptr<OnlinePushes> pushes;  ///< nullptr: the project has no pushed sources
};

/// Opens the store and brings the states up to what was pushed. Code "store_owned" when another process has it. `lake` must outlive
/// it and be open for writing where the site takes pushes.
Result<OwnedStore> OpenOwnedStore(const OnlineSite& site, Lake& lake, std::function<void(const std::string&)> tell = {});

/// Brings pushed rows into the lake, wherever the store is owned. Nothing to do when the site takes no pushes.
Status FlushPushes(const OnlineSite& site, Lake& lake);

}  // namespace tidemill
