#include "model/training_set.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "feature/batch/checked_join.h"
#include "feature/batch/spine_block.h"
#include "model/input_columns.h"
#include "model/row_selection.h"

namespace tidemill {
namespace {

void AddName(std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

/// The spine's columns that a training set shows: its key and the prediction time.
std::vector<std::string> ShownColumns(const FeaturePlan& plan) {
  std::vector<std::string> names;
  for (const std::string& key : plan.spine_key) AddName(names, key);
  AddName(names, plan.timestamp);
  return names;
}

std::string SpineQuery(const FeaturePlan& plan, const std::string& table_sql, const RowsWanted& wanted, Timestamp now) {
  std::vector<std::string> names = ShownColumns(plan);
  AddName(names, plan.label_known_at);
  for (const Field& field : plan.request_fields) AddName(names, field.name);
  for (const Field& field : plan.label.columns) AddName(names, field.name);
  std::string sql = "SELECT _seq";
  for (const std::string& name : names) sql += fmt::format(", {}", QuoteIdentifier(name));
  const std::string time = QuoteIdentifier(plan.timestamp);
  sql += fmt::format(" FROM {} WHERE _known_at <= {} AND _known_at <= {} AND {} <= {}", table_sql, time, SqlLiteral(now), time,
                     SqlLiteral(wanted.until));
  if (wanted.from) sql += fmt::format(" AND {} > {}", time, SqlLiteral(*wanted.from));
  if (wanted.labelled_only) sql += fmt::format(" AND {} <= {}", QuoteIdentifier(plan.label_known_at), SqlLiteral(now));
  return sql + fmt::format(" ORDER BY {}, _seq", time);
}

Result<Column> TakeOnly(Result<Columns> columns, std::string_view name) {
  if (!columns.ok()) return std::move(columns).error();
  if (columns->columns.size() != 1) return InternalError("an expression gave more than one column");
  Column column = std::move(columns->columns.front());
  column.name = name;
  return column;
}

/// The label, null where it is not known by `now`; and when it became known, null in the same rows.
struct Labels {
  Column label;
  Column known_at;
};
Result<Labels> KnownLabels(const FeaturePlan& plan, const Columns& spine, Timestamp now) {
  TIDEMILL_ASSIGN_OR_RETURN(const Column label, TakeOnly(plan.label.Evaluate(spine), "label"));
  const Column& known_at = *spine.Find(plan.label_known_at);
  Labels labels{Column("label", label.type), Column("label_known_at", Type::kTimestamp)};
  labels.label.Reserve(label.size());
  labels.known_at.Reserve(label.size());
  for (size_t row = 0; row < label.size(); ++row) {
    if (known_at.IsNull(row) || known_at.ints[row] > now.micros) {
      labels.label.AppendNull();
      labels.known_at.AppendNull();
      continue;
    }
    TIDEMILL_RETURN_IF_ERROR(labels.label.Append(label.At(row)));
    labels.known_at.AppendInt(known_at.ints[row]);
  }
  return labels;
}

void KeepLabelled(Columns& spine, Labels& labels) {
  std::vector<size_t> labelled;
  for (size_t row = 0; row < labels.label.size(); ++row) {
    if (!labels.label.IsNull(row)) labelled.push_back(row);
  }
  if (labelled.size() == labels.label.size()) return;
  for (Column& column : spine.columns) column = SelectRows(column, labelled);
  labels.label = SelectRows(labels.label, labelled);
  labels.known_at = SelectRows(labels.known_at, labelled);
}

std::vector<ViewJoin> JoinsOf(const FeaturePlan& plan, const TableSql& table_sql) {
  std::vector<ViewJoin> joins;
  for (const FeaturePlan::View& view : plan.views) {
    joins.push_back({&view.program, table_sql(view.table), view.event_time, view.spine_keys, view.prefix, view.outputs});
  }
  return joins;
}

/// Makes rows of what the join gives, batch by batch.
class JoinedFeatureRows : public FeatureRows {
 public:
  JoinedFeatureRows(const FeaturePlan& plan, std::unique_ptr<CheckedJoin> join, bool labelled_only, Timestamp now)
      : plan_(plan), join_(std::move(join)), labelled_only_(labelled_only), now_(now) {}

  Status Begin() {
    Columns none;
    for (const Field& field : join_->fields()) none.columns.emplace_back(field.name, field.type);
    TIDEMILL_ASSIGN_OR_RETURN(const Columns rows, Make(std::move(none)));
    for (const Column& column : rows.columns) fields_.push_back({column.name, column.type});
    return Ok();
  }
  const std::vector<Field>& fields() const override { return fields_; }
  int64_t spine_rows() const override { return join_->spine_rows(); }
  std::vector<ValueFailures> failures() const override {
    std::vector<ValueFailures> failures = join_->failures();
    failures.insert(failures.end(), count_.failures.begin(), count_.failures.end());
    return failures;
  }

  Result<std::optional<Columns>> Next() override {
    while (true) {
      TIDEMILL_ASSIGN_OR_RETURN(std::optional<Columns> joined, join_->Next());
      if (!joined) return std::optional<Columns>();
      TIDEMILL_ASSIGN_OR_RETURN(Columns rows, Make(std::move(*joined)));
      if (rows.rows() > 0) return std::optional<Columns>(std::move(rows));
    }
  }

 private:
  Result<Columns> Make(Columns joined) {
    const auto joined_rows = static_cast<int64_t>(joined.rows());
    TIDEMILL_ASSIGN_OR_RETURN(Labels labels, KnownLabels(plan_, joined, now_));
    if (labelled_only_) KeepLabelled(joined, labels);
    uint64_t failed = 0;
    TIDEMILL_ASSIGN_OR_RETURN(Columns computed, plan_.expressions.Evaluate(joined, &failed));
    TIDEMILL_RETURN_IF_ERROR(
        AddFailures(plan_.expressions, joined, failed, count_.rows_before, "model", plan_.model, count_.failures));
    Columns rows;
    rows.columns.push_back(*joined.Find("_seq"));
    for (const std::string& name : ShownColumns(plan_)) rows.columns.push_back(*joined.Find(name));
    rows.columns.push_back(std::move(labels.label));
    rows.columns.push_back(std::move(labels.known_at));
    TIDEMILL_RETURN_IF_ERROR(AppendDerived(plan_, joined, &count_));
    count_.rows_before += joined_rows;
    TIDEMILL_RETURN_IF_ERROR(TakeInputs(plan_, joined, computed, rows));
    return rows;
  }

  const FeaturePlan& plan_;
  std::unique_ptr<CheckedJoin> join_;
  const bool labelled_only_;
  const Timestamp now_;
  std::vector<Field> fields_;
  FailureCount count_;
};

}  // namespace

Result<std::unique_ptr<FeatureRows>> FeatureRows::Start(const FeaturePlan& plan, Session& session, const TableSql& table_sql,
                                                        const RowsWanted& wanted, Timestamp now, const JoinResources& resources) {
  FeatureJoinRequest request;
  request.spine_sql = SpineQuery(plan, table_sql(plan.spine), wanted, now);
  request.time_column = plan.timestamp;
  request.views = JoinsOf(plan, table_sql);
  request.now = now;
  request.resources = resources;
  TIDEMILL_ASSIGN_OR_RETURN(auto join, CheckedJoin::Start(session, request));
  auto rows = std::make_unique<JoinedFeatureRows>(plan, std::move(join), wanted.labelled_only, now);
  TIDEMILL_RETURN_IF_ERROR(rows->Begin());
  return std::unique_ptr<FeatureRows>(std::move(rows));
}

Result<Columns> BuildRows(const FeaturePlan& plan, Session& session, const TableSql& table_sql, const RowsWanted& wanted,
                          Timestamp now, int threads, std::vector<ValueFailures>* failures) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto rows, FeatureRows::Start(plan, session, table_sql, wanted, now, {.threads = threads}));
  Columns all;
  for (const Field& field : rows->fields()) all.columns.emplace_back(field.name, field.type);
  while (true) {
    TIDEMILL_ASSIGN_OR_RETURN(const std::optional<Columns> batch, rows->Next());
    if (!batch) {
      if (failures != nullptr) *failures = rows->failures();
      return all;
    }
    for (size_t i = 0; i < all.columns.size(); ++i) AppendRows(batch->columns[i], 0, batch->rows(), all.columns[i]);
  }
}

}  // namespace tidemill
