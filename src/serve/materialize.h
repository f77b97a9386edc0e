#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "feature/online/store.h"
#include "lake/lake.h"
#include "model/training_set.h"
#include "serve/owned_store.h"

namespace tidemill {

/// What is to be brought up to date in the online store: views, and the spines' rows that requests are
/// completed from. Derived views keep nothing there; a running server takes over their new plans.
struct OnlineWork {
  struct View {
    Program program;
    std::string table;  ///< of lake.main
    std::string event_time;
    /// RowsInLake of a view that follows pushes by the asker's definitions, "" of another; nullopt: by those of who does the
    /// work.
    std::optional<std::string> pushed_rows{};
  };
  Timestamp until;
  std::vector<View> views;
  std::vector<FeaturePlan> spines;
  std::map<std::string, FeaturePlan> derived_views;

  Json ToJson() const;
  static Result<OnlineWork> FromJson(const Json& json);
};

/// Rows that came into each view, by its name.
struct OnlineSummary {
  std::map<std::string, MaterializeReport> views;
  bool by_server = false;  ///< a running server did it

  Json ToJson() const;
  static Result<OnlineSummary> FromJson(const Json& json);
};

/// Does the work in a store that this process owns. `pushes` may be nullptr.
Result<OnlineSummary> MaterializeOnline(OnlineStore& store, OnlinePushes* pushes, Lake& lake, const OnlineWork& work);

/// Does the work wherever the store is owned: opens the store, or, when a server has it, asks that server. Code "store_owned" when
/// another process owns the store and no server answers.
Result<OnlineSummary> MaterializeWhereOwned(const OnlineSite& site, Lake& lake, const OnlineWork& work);

}  // namespace tidemill
