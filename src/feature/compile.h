#pragma once

#include "base/result.h"
#include "feature/program/program.h"
#include "project/project.h"
#include "sql/database.h"

namespace tidemill {

/// Compiles a feature view to the kernel's program. `table_fields` are the columns of its table. What the kernel lacks is
/// refused here, with file, line, column and what there is instead; never computed differently in one of the places.
Result<Program> CompileView(const FeatureViewAsset& view, const TableAsset& table, const std::vector<Field>& table_fields,
                            Session& session);

/// An expression of a model ("hour(scheduled_at)", "carrier", "arr_delay >= 30") over the spine's columns.
struct NamedExpression {
  std::string name;
  std::string expression;
  Place place;
};
Result<RowProgram> CompileExpressions(const std::vector<NamedExpression>& expressions, const std::vector<Field>& fields,
                                      Session& session);

/// A function that aggregates rows, one that the kernel has or another of DuckDB's.
bool IsAggregateName(const std::string& function);

/// Gives an output the default of its feature. Code "default_type".
Status SetDefault(const FeatureDefinition& feature, Output& output);

}  // namespace tidemill
