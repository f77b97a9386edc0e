#include "feature/batch/checked_join.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "feature/view_rows.h"

namespace tidemill {
namespace {

constexpr std::string_view kWitnessName = "{} could not be computed";

Output WitnessOf(const Output& output) {
  Expression failed;
  failed.kind = Expression::Kind::kCall;
  failed.function = "failed";
  failed.type = Type::kBool;
  failed.arguments = {output.expression};
  return {fmt::format(fmt::runtime(kWitnessName), output.name), std::move(failed), {}};
}

bool IsWanted(const ViewJoin& view, const std::string& output) {
  return view.outputs.empty() || std::find(view.outputs.begin(), view.outputs.end(), output) != view.outputs.end();
}

}  // namespace

Result<std::unique_ptr<CheckedJoin>> CheckedJoin::Start(Session& session, const FeatureJoinRequest& request) {
  auto checked = std::make_unique<CheckedJoin>();
  checked->time_column_ = request.time_column;
  std::vector<Program> programs(request.views.size());
  std::map<std::string, Witness> witnesses;  // by the name of their column
  FeatureJoinRequest extended = request;
  for (size_t i = 0; i < request.views.size(); ++i) {
    const ViewJoin& view = request.views[i];
    TIDEMILL_ASSIGN_OR_RETURN(ValueFailures failures, FailuresInRows(session, *view.program, view.table_sql, view.event_time,
                                                                     TimeCondition("_known_at", "<=", request.now.micros)));
    if (failures.any() && view.program->fails_on_error) return FailedValues(failures);
    checked->views_.push_back({std::move(failures), view.program->fails_on_error});
    programs[i] = *view.program;
    ViewJoin& joined = extended.views[i];
    joined.program = &programs[i];
    for (const Output& output : view.program->outputs) {
      if (!IsWanted(view, output.name) || !CanFail(output.expression)) continue;
      Output witness = WitnessOf(output);
      witnesses[view.prefix + "__" + witness.name] = {i, output.name};
      if (!joined.outputs.empty()) joined.outputs.push_back(witness.name);
      programs[i].outputs.push_back(std::move(witness));
    }
  }
  TIDEMILL_ASSIGN_OR_RETURN(checked->join_, FeatureJoin::Start(session, extended));
  for (size_t i = 0; i < checked->join_->fields().size(); ++i) {
    const Field& field = checked->join_->fields()[i];
    if (const auto witness = witnesses.find(field.name); witness != witnesses.end()) {
      checked->witnesses_.push_back(witness->second);
      checked->witness_columns_.push_back(i);
    } else {
      checked->kept_.push_back(i);
      checked->fields_.push_back(field);
    }
  }
  return checked;
}

Result<std::optional<Columns>> CheckedJoin::Next() {
  TIDEMILL_ASSIGN_OR_RETURN(std::optional<Columns> rows, join_->Next());
  if (!rows || witnesses_.empty()) return rows;
  TIDEMILL_RETURN_IF_ERROR(Count(*rows));
  Columns asked_for;
  for (const size_t column : kept_) asked_for.columns.push_back(std::move(rows->columns[column]));
  return std::optional<Columns>(std::move(asked_for));
}

Status CheckedJoin::Count(const Columns& rows) {
  for (size_t i = 0; i < witnesses_.size(); ++i) {
    const Column& failed = rows.columns[witness_columns_[i]];
    View& view = views_[witnesses_[i].view];
    for (size_t row = 0; row < failed.size(); ++row) {
      if (failed.IsNull(row) || failed.ints[row] == 0) continue;
      if (view.failures.values++ > 0) continue;
      view.failures.feature = witnesses_[i].feature;
      const Column* time = rows.Find(time_column_);
      view.failures.where = fmt::format("the spine's row {}{}", rows_before_ + static_cast<int64_t>(row) + 1,
                                        time == nullptr ? "" : fmt::format(" ({})", FormatValue(time->At(row))));
    }
    if (view.fails_on_error && view.failures.any()) return FailedValues(view.failures);
  }
  rows_before_ += static_cast<int64_t>(rows.rows());
  return Ok();
}

std::vector<ValueFailures> CheckedJoin::failures() const {
  std::vector<ValueFailures> failures;
  for (const View& view : views_) {
    if (view.failures.any()) failures.push_back(view.failures);
  }
  return failures;
}

}  // namespace tidemill
