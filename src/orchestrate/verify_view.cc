#include "orchestrate/verify_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>

#include "base/text_distance.h"
#include "base/value_json.h"
#include "feature/batch/join.h"
#include "feature/online/entity_states.h"
#include "feature/program/entity_state.h"
#include "feature/view_rows.h"
#include "ingest/ingest.h"
#include "model/input_columns.h"
#include "orchestrate/asset_names.h"

namespace tidemill {
namespace {

constexpr size_t kAnswerDifferencesMax = 100;
constexpr size_t kRowsShownMax = 10;
constexpr int64_t kDaysBack = 7;
constexpr int64_t kAnswersMax = 100'000;

/// What the online store held, by view.
using Held = std::map<std::string, std::pair<int64_t, int64_t>>;  ///< the rows known by `first` with numbers up to `second`
constexpr std::pair<int64_t, int64_t> kEverything{std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::max()};

/// How answers of a view come about: by a look-up, or, of a derived one, by several and what is made of them.
struct AnsweredView {
  std::string name;
  std::string fingerprint;
  std::vector<Field> fields;          ///< that the question brings
  std::vector<std::string> features;  ///< as they are called
  std::vector<std::string> columns;   ///< where they are among the joined rows
  std::vector<ViewJoin> joins;        ///< table_sql has all rows of the lake
  const FeaturePlan* plan = nullptr;  ///< of a derived view
};

AnsweredView LookedUp(const Workspace& workspace, const Program& program) {
  AnsweredView view{program.view, ProgramFingerprint(program), {}, {}, {}, {}, nullptr};
  const std::string& table = workspace.project.views.at(program.view).from;
  ViewJoin join{&program, MainTable(table), workspace.project.tables.at(table).timestamp, {}, "v", {}};
  for (const Field& key : program.keys) {
    view.fields.push_back({"key " + key.name, key.type});
    join.spine_keys.push_back(view.fields.back().name);
  }
  for (const Output& output : program.outputs) {
    view.features.push_back(output.name);
    view.columns.push_back("v__" + output.name);
  }
  view.joins = {join};
  return view;
}

AnsweredView Derived(const std::string& name, const FeaturePlan& plan) {
  AnsweredView view{name, plan.Fingerprint(), plan.request_fields, {}, {}, {}, &plan};
  for (const Field& input : plan.inputs) {
    view.features.push_back(input.name.substr(name.size() + 2));
    view.columns.push_back(input.name);
  }
  for (const FeaturePlan::View& one : plan.views) {
    view.joins.push_back({&one.program, MainTable(one.table), one.event_time, one.spine_keys, one.prefix, one.outputs});
  }
  return view;
}

class ViewVerifier {
 public:
  ViewVerifier(Workspace& workspace, AnsweredView view, Session& session, Timestamp now)
      : workspace_(workspace), view_(std::move(view)), session_(session), now_(now) {
    // The rows in the lake of a view that follows pushes are those of the source, also between two runs.
    for (const PushedView& pushed : workspace.pushed_views.at_once) {
      for (ViewJoin& join : view_.joins) {
        if (pushed.program.view == join.program->view) join.table_sql = RowsInLake(pushed);
      }
    }
    while (std::any_of(view_.fields.begin(), view_.fields.end(), [&](const Field& field) { return field.name == time_; }))
      time_ += "_";
  }

  Result<ViewVerification> Run(int64_t sample) {
    report_.view = view_.name;
    TIDEMILL_ASSIGN_OR_RETURN(const bool logged, workspace_.lake->HasTable("tidemill.answers"));
    if (!logged) return report_;
    TIDEMILL_ASSIGN_OR_RETURN(const auto answers, ReadAnswers(sample));
    if (!answers) return report_;
    std::map<Held, std::vector<size_t>> groups;
    for (size_t row = 0; row < answers->rows(); ++row) {
      TIDEMILL_ASSIGN_OR_RETURN(Held held, HeldAt(*answers, row));
      groups[std::move(held)].push_back(row);
    }
    for (const auto& [held, rows] : groups) TIDEMILL_RETURN_IF_ERROR(Compare(*answers, held, rows));
    return report_;
  }

 private:
  /// nullopt: the log is older than derived views are logged.
  Result<std::optional<Columns>> ReadAnswers(int64_t sample) {
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<Field> fields, session_.Describe("SELECT * FROM lake.tidemill.answers"));
    const bool has_held = std::any_of(fields.begin(), fields.end(), [](const Field& field) { return field.name == "held"; });
    if (!has_held && view_.plan != nullptr) return std::optional<Columns>();
    std::string conditions;
    for (const ViewJoin& join : view_.joins) {
      TIDEMILL_ASSIGN_OR_RETURN(const int64_t rebuilt_until, RebuiltUntil(join.program->view));
      const std::string known =
          view_.plan == nullptr ? "known_until" : fmt::format("(held->'$.\"{}\"[0]')::BIGINT", join.program->view);
      conditions += fmt::format(" AND {} >= {}", known, rebuilt_until);
    }
    TIDEMILL_ASSIGN_OR_RETURN(
        Columns answers,
        session_.Query(fmt::format(
            "SELECT entity, asked_at, known_until, seq_until, features, follows, {} FROM lake.tidemill.answers WHERE view_name = {} AND program = {} "
            "AND {} AND {}{} ORDER BY hash(entity, asked_at, features), entity, asked_at, features LIMIT {}",
            has_held ? "held" : "NULL::VARCHAR AS held", QuoteText(view_.name), QuoteText(view_.fingerprint),
            TimeCondition("asked_at", "<=", now_.micros), TimeCondition("asked_at", ">", now_.micros - kDaysBack * kMicrosPerDay),
            conditions, sample > 0 ? sample : kAnswersMax)));
    return std::optional<Columns>(std::move(answers));
  }

  /// Rows that answers before it were made from may have been corrected since.
  Result<int64_t> RebuiltUntil(const std::string& view) {
    TIDEMILL_ASSIGN_OR_RETURN(const auto state, workspace_.catalog->State(view));
    return state ? state->detail.value("rebuilt_until", std::numeric_limits<int64_t>::min()) : std::numeric_limits<int64_t>::min();
  }

  Result<Held> HeldAt(const Columns& answers, size_t row) const {
    Held held;
    if (answers.columns[6].IsNull(row)) {
      const bool follows = answers.columns[5].ints[row] != 0;
      held[view_.name] = follows ? kEverything : std::pair(answers.columns[2].ints[row], answers.columns[3].ints[row]);
      return held;
    }
    TIDEMILL_ASSIGN_OR_RETURN(const Json views, ParseJson(answers.columns[6].Text(row)));
    for (const auto& [view, rows] : views.items()) {
      const bool valid = rows.is_array() && rows.size() == 3 && rows[0].is_number_integer() && rows[1].is_number_integer() &&
                         rows[2].is_boolean();
      if (!valid) return InternalError("a logged answer does not say what was held");
      held[view] = rows[2].get<bool>() ? kEverything : std::pair(rows[0].get<int64_t>(), rows[1].get<int64_t>());
    }
    return held;
  }

  /// What was asked, as a spine.
  Result<Columns> Spine(const Columns& answers, const std::vector<size_t>& rows) const {
    Columns spine;
    for (const Field& field : view_.fields) spine.columns.emplace_back(field.name, field.type);
    spine.columns.emplace_back(time_, Type::kTimestamp);
    for (const size_t row : rows) {
      TIDEMILL_ASSIGN_OR_RETURN(const Json values, ParseJson(answers.columns[0].Text(row)));
      if (values.size() != view_.fields.size()) return InternalError("a logged answer has another key");
      for (size_t i = 0; i < view_.fields.size(); ++i) {
        TIDEMILL_ASSIGN_OR_RETURN(const Value value, ValueFromJson(values[i], view_.fields[i].type));
        TIDEMILL_RETURN_IF_ERROR(spine.columns[i].Append(value));
      }
      spine.columns.back().AppendInt(answers.columns[1].ints[row]);
    }
    return spine;
  }

  Status Compare(const Columns& answers, const Held& held, const std::vector<size_t>& rows) {
    std::vector<ViewJoin> joins = view_.joins;
    for (ViewJoin& join : joins) {
      const auto of_view = held.find(join.program->view);
      if (of_view == held.end()) return InternalError("a logged answer does not say what was held");
      join.table_sql = fmt::format("(SELECT * FROM {} WHERE {} AND _seq <= {})", join.table_sql,
                                   TimeCondition("_known_at", "<=", of_view->second.first), of_view->second.second);
    }
    TIDEMILL_ASSIGN_OR_RETURN(Columns spine, Spine(answers, rows));
    TIDEMILL_ASSIGN_OR_RETURN(Columns batch,
                              JoinFeatures(session_, std::move(spine), time_, joins, now_, workspace_.project.threads));
    if (view_.plan != nullptr) TIDEMILL_RETURN_IF_ERROR(AppendDerived(*view_.plan, batch));
    for (size_t row = 0; row < rows.size(); ++row) {
      TIDEMILL_ASSIGN_OR_RETURN(const Json online, ParseJson(answers.columns[4].Text(rows[row])));
      TIDEMILL_RETURN_IF_ERROR(CompareRow(online, batch, row, joins));
    }
    return Ok();
  }

  Status CompareRow(const Json& online, const Columns& batch, size_t row, const std::vector<ViewJoin>& joins) {
    bool differs = false;
    std::vector<std::string> behind;
    for (size_t i = 0; i < view_.columns.size(); ++i) {
      const Column* column = batch.Find(view_.columns[i]);
      if (column == nullptr) return InternalError(fmt::format("the feature join gave no '{}'", view_.columns[i]));
      const Json logged = i < online.size() ? online[i] : Json();
      const Json computed = ValueToJson(column->At(row));
      // Both went through JSON, which keeps every bit of a number; NaN never gets here.
      if (logged.dump() == computed.dump()) continue;
      if (!differs) {
        for (const ViewJoin& join : joins) TIDEMILL_RETURN_IF_ERROR(AddRowsBehind(batch, row, join, behind));
      }
      differs = true;
      if (report_.differences.size() >= kAnswerDifferencesMax) continue;
      report_.differences.push_back(
          {EntityText(batch, row), TimeAt(batch, row), view_.features[i], logged.dump(), computed.dump(), behind});
    }
    ++report_.answers;
    report_.answers_different += differs ? 1 : 0;
    return Ok();
  }

  Timestamp TimeAt(const Columns& batch, size_t row) const { return {batch.Find(time_)->ints[row]}; }

  std::string EntityText(const Columns& batch, size_t row) const {
    std::string text;
    for (size_t i = 0; i < view_.fields.size(); ++i) {
      const std::string& name = view_.plan != nullptr ? view_.fields[i].name : view_.joins[0].program->keys[i].name;
      text += fmt::format("{}{} = {}", i > 0 ? ", " : "", name, FormatValue(batch.columns[i].At(row)));
    }
    return text;
  }

  /// Where the rows came from that batch used of a view for an entity, the latest first. Those of a derived view begin with the
  /// used view's name.
  Status AddRowsBehind(const Columns& batch, size_t row, const ViewJoin& join, std::vector<std::string>& behind) {
    const Program& program = *join.program;
    std::string condition = "true";
    for (size_t i = 0; i < program.keys.size(); ++i) {
      const Value key = batch.Find(join.spine_keys[i])->At(row);
      if (IsNull(key)) return Ok();
      condition += fmt::format(" AND {} = {}", QuoteIdentifier(program.keys[i].name), SqlLiteral(key));
    }
    const auto state = EntityState::Make(program);
    if (state == nullptr) return InternalError("the view's program is not valid");
    TIDEMILL_RETURN_IF_ERROR(
        StreamViewRows(session_, program, join.table_sql, join.event_time, condition, [&](const ViewRow& view_row) -> Status {
          FeatureEvent event{{view_row.event}, {view_row.known}, view_row.sequence, {}};
          for (size_t i = 0; i < view_row.columns.size(); ++i)
            event.values.push_back(ToValue(view_row.columns[i], program.columns[i].type));
          return state->Update(event);
        }));
    std::vector<int64_t> sequences = state->VisibleRows(TimeAt(batch, row));
    std::reverse(sequences.begin(), sequences.end());
    if (sequences.size() > kRowsShownMax) sequences.resize(kRowsShownMax);
    const std::string view = view_.plan != nullptr ? program.view + ": " : "";
    for (const int64_t sequence : sequences) {
      const auto origin = FindOrigin(session_, sequence);
      behind.push_back(
          view + (origin.ok() ? fmt::format("{}, record {}", origin->file, origin->record) : fmt::format("row {}", sequence)));
    }
    return Ok();
  }

  Workspace& workspace_;
  AnsweredView view_;
  Session& session_;
  const Timestamp now_;
  std::string time_ = "asked at";  ///< a name that no field has
  ViewVerification report_;
};

Status Record(Workspace& workspace, const ViewVerification& report, Timestamp now) {
  Measurement measurement;
  measurement.model = report.view;
  measurement.at = now;
  measurement.name = "skew";
  measurement.value = static_cast<double>(report.answers_different);
  measurement.threshold = 0;
  measurement.alert = report.answers_different > 0;
  measurement.detail = {{"answers", report.answers}};
  return workspace.catalog->AddMeasurements({measurement});
}

}  // namespace

Json ViewVerification::ToJson() const {
  Json list = Json::array();
  for (const AnswerDifference& difference : differences) {
    list.push_back({{"entity", difference.entity},
                    {"at", FormatTimestamp(difference.at)},
                    {"feature", difference.feature},
                    {"online", difference.online},
                    {"batch", difference.batch},
                    {"rows", difference.rows}});
  }
  return {{"view", view}, {"answers", answers}, {"answers_different", answers_different}, {"seconds", seconds}, {"differences", list}};
}

Result<ViewVerification> VerifyView(Workspace& workspace, const std::string& view, int64_t sample, Timestamp now) {
  const auto started = std::chrono::steady_clock::now();
  const auto program = workspace.programs.find(view);
  const auto derived = workspace.derived_plans.find(view);
  if (program == workspace.programs.end() && derived == workspace.derived_plans.end()) {
    std::vector<std::string> names;
    for (const auto& [name, unused] : workspace.programs) names.push_back(name);
    for (const auto& [name, unused] : workspace.derived_plans) names.push_back(name);
    return UserError("unknown_view", fmt::format("there is no feature view '{}'", view), SuggestionHint(view, names));
  }
  AnsweredView answered =
      program != workspace.programs.end() ? LookedUp(workspace, program->second) : Derived(view, derived->second);
  TIDEMILL_ASSIGN_OR_RETURN(const auto session, workspace.lake->Connect());
  TIDEMILL_ASSIGN_OR_RETURN(ViewVerification report, ViewVerifier(workspace, std::move(answered), *session, now).Run(sample));
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  if (report.answers > 0) TIDEMILL_RETURN_IF_ERROR(Record(workspace, report, now));
  return report;
}

}  // namespace tidemill
