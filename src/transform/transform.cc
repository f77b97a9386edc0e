#include "transform/transform.h"

#include <fmt/format.h>

#include <algorithm>

#include "transform/python_rows.h"
#include "transform/table_query.h"

namespace tidemill {
namespace {

/// A value of the first row; monostate for null.
Result<Value> OneValue(Session& session, const std::string& sql, size_t column = 0) {
  TIDEMILL_ASSIGN_OR_RETURN(const Columns result, session.Query(sql));
  return result.columns.at(column).At(0);
}

Result<int64_t> OneNumber(Session& session, const std::string& sql) {
  TIDEMILL_ASSIGN_OR_RETURN(const Value value, OneValue(session, sql));
  return std::holds_alternative<int64_t>(value) ? std::get<int64_t>(value) : 0;
}

/// One update: everything that happens inside the commit, which may be run again.
class TableUpdateRun {
 public:
  /// `python` of a Python table; must outlive this.
  TableUpdateRun(const Project& project, const TableAsset& table, Timestamp now, std::optional<AppendPosition> from,
                 const PythonRows* python)
      : project_(project),
        table_(table),
        now_(now),
        from_(from),
        python_(python),
        name_("lake.main." + QuoteIdentifier(table.name)) {}

  Status Run(Session& session) {
    report_ = {};
    TIDEMILL_ASSIGN_OR_RETURN(const TableSelect select, MakeSelect(session));
    int64_t rows_before = 0;
    if (from_) {
      TIDEMILL_ASSIGN_OR_RETURN(rows_before, OneNumber(session, "SELECT count(*) FROM " + name_));
    }
    TIDEMILL_RETURN_IF_ERROR(session.Execute(WriteStatement(select)));
    TIDEMILL_ASSIGN_OR_RETURN(report_.rows, OneNumber(session, "SELECT count(*) FROM " + name_));
    report_.rows_added = report_.rows - rows_before;
    TIDEMILL_RETURN_IF_ERROR(LookAtInputs(session));
    return LookAtUnknownRows(session, select);
  }

  const TransformReport& report() const { return report_; }
  AppendPosition reached() const { return {now_, seq_until_}; }

 private:
  Result<TableSelect> MakeSelect(Session& session) const {
    if (python_ != nullptr) return python_->Select();
    return MakeTableSelect(project_, table_, session, now_);
  }

  std::string WriteStatement(const TableSelect& select) const {
    std::string condition = fmt::format("{} <= {}", select.known_at, SqlLiteral(now_));
    if (!from_) return fmt::format("CREATE OR REPLACE TABLE {} AS {} ORDER BY {}", name_, select.Where(condition), select.order);
    condition += fmt::format(" AND ({} > {} OR _seq > {})", select.known_at, SqlLiteral(from_->known_until), from_->seq_until);
    return fmt::format("INSERT INTO {} BY NAME {} ORDER BY {}", name_, select.Where(condition), select.order);
  }

  void MayBecomeKnown(const Value& time) {
    if (!std::holds_alternative<Timestamp>(time)) return;
    const Timestamp at = std::get<Timestamp>(time);
    report_.next_known_at = std::min(report_.next_known_at.value_or(at), at);
  }

  /// How far the inputs go, and what waits in them.
  Status LookAtInputs(Session& session) {
    seq_until_ = 0;
    for (const std::string& input : table_.inputs) {
      TIDEMILL_ASSIGN_OR_RETURN(
          const Columns seen,
          session.Query(fmt::format("SELECT max(_seq), min(_known_at) FILTER (WHERE _known_at > {}) FROM lake.main.{}",
                                    SqlLiteral(now_), QuoteIdentifier(input))));
      if (!seen.columns[0].IsNull(0)) seq_until_ = std::max(seq_until_, seen.columns[0].ints[0]);
      if (!IsHistory(project_, input)) MayBecomeKnown(seen.columns[1].At(0));
    }
    return Ok();
  }

  /// Without a declared known_at a row is known as soon as its inputs, which were looked at.
  Status LookAtUnknownRows(Session& session, const TableSelect& select) {
    const bool reads_history = std::any_of(table_.inputs.begin(), table_.inputs.end(),
                                           [this](const std::string& input) { return IsHistory(project_, input); });
    if (table_.known_at.empty() && !reads_history) return Ok();
    TIDEMILL_ASSIGN_OR_RETURN(
        const Columns waiting,
        session.Query(fmt::format("SELECT min({0}) FILTER (WHERE {0} > {1}), count(*) FILTER (WHERE {0} IS NULL) FROM {2}",
                                  select.known_at, SqlLiteral(now_), select.rows)));
    MayBecomeKnown(waiting.columns[0].At(0));
    report_.rows_never_known = waiting.columns[1].ints[0];
    return Ok();
  }

  const Project& project_;
  const TableAsset& table_;
  const Timestamp now_;
  const std::optional<AppendPosition> from_;  ///< nullopt: anew
  const PythonRows* const python_;
  const std::string name_;
  TransformReport report_;
  int64_t seq_until_ = 0;
};

/// The position that the newest commit of a table recorded, if it is further than `position`.
Result<AppendPosition> FurthestPosition(Lake& lake, const std::string& table, AppendPosition position) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<SnapshotInfo> snapshots, lake.Snapshots());
  const auto newest = std::find_if(snapshots.rbegin(), snapshots.rend(), [&](const SnapshotInfo& snapshot) {
    return snapshot.extra.is_object() && snapshot.extra.value("table", "") == table && snapshot.extra.contains("seq_until");
  });
  if (newest == snapshots.rend()) return position;
  TIDEMILL_ASSIGN_OR_RETURN(const Timestamp known_until, ParseTimestamp(newest->extra.value("known_until", "")));
  const AppendPosition recorded{known_until, newest->extra.value("seq_until", int64_t{0})};
  const bool further = std::pair(recorded.known_until, recorded.seq_until) > std::pair(position.known_until, position.seq_until);
  return further ? recorded : position;
}

/// Where to append from; nullopt: compute anew.
Result<std::optional<AppendPosition>> AppendFrom(Lake& lake, const TableAsset& table, Timestamp now,
                                                 const AppendPosition* position) {
  if (position == nullptr || position->seq_until < 0) return std::optional<AppendPosition>();
  TIDEMILL_ASSIGN_OR_RETURN(const bool exists, lake.HasTable(table.name));
  if (!exists) return std::optional<AppendPosition>();
  TIDEMILL_ASSIGN_OR_RETURN(const AppendPosition from, FurthestPosition(lake, table.name, *position));
  if (now < from.known_until) return std::optional<AppendPosition>();
  return std::optional(from);
}

}  // namespace

Result<TransformReport> UpdateTable(const Project& project, const TableAsset& table, Lake& lake, Timestamp now, int64_t run_id,
                                    AppendPosition* position, WorkerPool* workers) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::optional<AppendPosition> from, AppendFrom(lake, table, now, position));
  std::optional<PythonRows> python;
  if (table.python) {
    if (workers == nullptr) return InternalError(fmt::format("nothing runs the Python table '{}'", table.name));
    TIDEMILL_ASSIGN_OR_RETURN(python, PythonRows::Compute(project, table, lake, now, *workers));
  }
  TableUpdateRun run(project, table, now, from, python ? &*python : nullptr);
  Json extra = {{"run", run_id}, {"table", table.name}};
  const auto change = [&](Session& session) -> Status {
    TIDEMILL_RETURN_IF_ERROR(run.Run(session));
    extra["known_until"] = FormatTimestamp(run.reached().known_until);
    extra["seq_until"] = run.reached().seq_until;
    return Ok();
  };
  const auto snapshot = lake.Commit(fmt::format("update {}", table.name), extra, change);
  if (!snapshot.ok()) return InTableFile(snapshot.error(), table);
  TransformReport report = run.report();
  report.snapshot = *snapshot;
  if (position != nullptr) *position = run.reached();
  return report;
}

}  // namespace tidemill
