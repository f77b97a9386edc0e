#pragma once

#include <memory>
#include <string>
#include <vector>

#include "feature/batch/feature_join.h"
#include "feature/program/compiled_program.h"

namespace tidemill {

/// A checked join: which columns of the spine are keys and time, and what each view gives.
struct JoinPlan {
  struct View {
    Program program;  ///< a copy
    std::shared_ptr<const CompiledProgram> compiled;
    std::string table_sql;
    std::string event_time;
    std::vector<size_t> outputs;  ///< those wanted
    size_t keys = 0;              ///< position in JoinPlan::keys
  };
  std::vector<Field> spine;
  size_t time_column = 0;
  std::vector<std::vector<size_t>> keys;  ///< spine columns that are the keys of some views, each combination once
  std::vector<View> views;
  std::vector<Field> features;  ///< of all views, in order
};

Result<JoinPlan> PlanJoin(const FeatureJoinRequest& request, const std::vector<Field>& spine);

}  // namespace tidemill
