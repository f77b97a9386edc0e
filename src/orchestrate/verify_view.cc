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
#include "feature/online/pushed_views.h"
#include "feature/program/entity_state.h"
#include "feature/view_rows.h"
#include "ingest/ingest.h"
#include "orchestrate/asset_names.h"

namespace tidemill {
namespace {

constexpr size_t kAnswerDifferencesMax = 100;
constexpr size_t kRowsShownMax = 10;
constexpr int64_t kDaysBack = 7;
constexpr int64_t kAnswersMax = 100'000;

/// What the online store held: the rows known by `first` with numbers up to `second`.
using Held = std::pair<int64_t, int64_t>;
constexpr Held kEverything{std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::max()};

class ViewVerifier {
 public:
  ViewVerifier(Workspace& workspace, const Program& program, Session& session, Timestamp now)
      : workspace_(workspace), program_(program), session_(session), now_(now) {
    const std::string& table = workspace.project.views.at(program.view).from;
    table_sql_ = MainTable(table);
    event_time_ = workspace.project.tables.at(table).timestamp;
    // The rows in the lake of a view that follows pushes are those of the source, also between two runs.
    for (const PushedView& view : FindPushedViews(workspace.project, workspace.programs)) {
      if (view.program.view == program.view) table_sql_ = RowsInLake(view);
    }
  }

  Result<ViewVerification> Run(int64_t sample) {
    report_.view = program_.view;
    TIDEMILL_ASSIGN_OR_RETURN(const bool logged, workspace_.lake->HasTable("tidemill.answers"));
    if (!logged) return report_;
    TIDEMILL_ASSIGN_OR_RETURN(const Columns answers, ReadAnswers(sample));
    std::map<Held, std::vector<size_t>> groups;
    for (size_t row = 0; row < answers.rows(); ++row) {
      const bool follows = answers.columns[5].ints[row] != 0;
      groups[follows ? kEverything : Held{answers.columns[2].ints[row], answers.columns[3].ints[row]}].push_back(row);
    }
    for (const auto& [held, rows] : groups) TIDEMILL_RETURN_IF_ERROR(Compare(answers, held, rows));
    return report_;
  }

 private:
  Result<Columns> ReadAnswers(int64_t sample) {
    TIDEMILL_ASSIGN_OR_RETURN(const int64_t rebuilt_until, RebuiltUntil());
    return session_.Query(fmt::format(
        "SELECT entity, asked_at, known_until, seq_until, features, follows FROM lake.tidemill.answers WHERE view_name = {} AND program = {} "
        "AND {} AND {} AND known_until >= {} ORDER BY hash(entity, asked_at, features), entity, asked_at, features LIMIT {}",
        QuoteText(program_.view), QuoteText(ProgramFingerprint(program_)), TimeCondition("asked_at", "<=", now_.micros),
        TimeCondition("asked_at", ">", now_.micros - kDaysBack * kMicrosPerDay), rebuilt_until, sample > 0 ? sample : kAnswersMax));
  }

  /// Rows that answers before it were made from may have been corrected since.
  Result<int64_t> RebuiltUntil() {
    TIDEMILL_ASSIGN_OR_RETURN(const auto state, workspace_.catalog->State(program_.view));
    return state ? state->detail.value("rebuilt_until", std::numeric_limits<int64_t>::min()) : std::numeric_limits<int64_t>::min();
  }

  /// The entities and times of answers, as a spine.
  Result<Columns> Spine(const Columns& answers, const std::vector<size_t>& rows) const {
    Columns spine;
    for (size_t i = 0; i < program_.keys.size(); ++i) spine.columns.emplace_back(fmt::format("key {}", i), program_.keys[i].type);
    spine.columns.emplace_back("at", Type::kTimestamp);
    for (const size_t row : rows) {
      TIDEMILL_ASSIGN_OR_RETURN(const Json key, ParseJson(answers.columns[0].Text(row)));
      if (key.size() != program_.keys.size()) return InternalError("a logged answer has another key");
      for (size_t i = 0; i < program_.keys.size(); ++i) {
        TIDEMILL_ASSIGN_OR_RETURN(const Value value, ValueFromJson(key[i], program_.keys[i].type));
        TIDEMILL_RETURN_IF_ERROR(spine.columns[i].Append(value));
      }
      spine.columns.back().AppendInt(answers.columns[1].ints[row]);
    }
    return spine;
  }

  Status Compare(const Columns& answers, const Held& held, const std::vector<size_t>& rows) {
    const std::string rows_sql = fmt::format("(SELECT * FROM {} WHERE {} AND _seq <= {})", table_sql_,
                                             TimeCondition("_known_at", "<=", held.first), held.second);
    TIDEMILL_ASSIGN_OR_RETURN(Columns spine, Spine(answers, rows));
    ViewJoin join{&program_, rows_sql, event_time_, {}, "v", {}};
    for (size_t i = 0; i < program_.keys.size(); ++i) join.spine_keys.push_back(fmt::format("key {}", i));
    TIDEMILL_ASSIGN_OR_RETURN(const Columns batch,
                              JoinFeatures(session_, std::move(spine), "at", {join}, now_, workspace_.project.threads));
    for (size_t row = 0; row < rows.size(); ++row) {
      TIDEMILL_ASSIGN_OR_RETURN(const Json online, ParseJson(answers.columns[4].Text(rows[row])));
      TIDEMILL_RETURN_IF_ERROR(CompareRow(online, batch, row, rows_sql));
    }
    return Ok();
  }

  Status CompareRow(const Json& online, const Columns& batch, size_t row, const std::string& rows_sql) {
    bool differs = false;
    std::vector<std::string> behind;
    for (size_t i = 0; i < program_.outputs.size(); ++i) {
      const Column& column = batch.columns[program_.keys.size() + 1 + i];
      const Json logged = i < online.size() ? online[i] : Json();
      // Both went through JSON, which keeps every bit of a number; NaN never gets here.
      if (logged.dump() == ValueToJson(column.At(row)).dump()) continue;
      if (!differs) {
        TIDEMILL_ASSIGN_OR_RETURN(behind, RowsBehind(batch, row, rows_sql));
      }
      differs = true;
      if (report_.differences.size() >= kAnswerDifferencesMax) continue;
      report_.differences.push_back({EntityText(batch, row), Timestamp{batch.columns[program_.keys.size()].ints[row]}, program_.outputs[i].name,
                                     logged.dump(), ValueToJson(column.At(row)).dump(), behind});
    }
    ++report_.answers;
    report_.answers_different += differs ? 1 : 0;
    return Ok();
  }

  std::string EntityText(const Columns& batch, size_t row) const {
    std::string text;
    for (size_t i = 0; i < program_.keys.size(); ++i) {
      text += fmt::format("{}{} = {}", i > 0 ? ", " : "", program_.keys[i].name, FormatValue(batch.columns[i].At(row)));
    }
    return text;
  }

  /// Where the rows came from that batch used for an entity, the latest first.
  Result<std::vector<std::string>> RowsBehind(const Columns& batch, size_t row, const std::string& rows_sql) {
    std::string condition = "true";
    for (size_t i = 0; i < program_.keys.size(); ++i) {
      condition += fmt::format(" AND {} = {}", QuoteIdentifier(program_.keys[i].name), SqlLiteral(batch.columns[i].At(row)));
    }
    const auto state = EntityState::Make(program_);
    if (state == nullptr) return InternalError("the view's program is not valid");
    TIDEMILL_RETURN_IF_ERROR(
        StreamViewRows(session_, program_, rows_sql, event_time_, condition, [&](const ViewRow& view_row) -> Status {
          FeatureEvent event{{view_row.event}, {view_row.known}, view_row.sequence, {}};
          for (size_t i = 0; i < view_row.columns.size(); ++i)
            event.values.push_back(ToValue(view_row.columns[i], program_.columns[i].type));
          return state->Update(event);
        }));
    std::vector<int64_t> sequences = state->VisibleRows(Timestamp{batch.columns[program_.keys.size()].ints[row]});
    std::reverse(sequences.begin(), sequences.end());
    std::vector<std::string> origins;
    for (const int64_t sequence : sequences) {
      if (origins.size() >= kRowsShownMax) break;
      const auto origin = FindOrigin(session_, sequence);
      origins.push_back(origin.ok() ? fmt::format("{}, record {}", origin->file, origin->record) : fmt::format("row {}", sequence));
    }
    return origins;
  }

  Workspace& workspace_;
  const Program& program_;
  Session& session_;
  const Timestamp now_;
  std::string table_sql_;
  std::string event_time_;
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
  if (const AssetNode* node = workspace.project.Find(view); node != nullptr && node->kind == AssetKind::kDerivedView) {
    return UserError("derived_view", fmt::format("'{}' is a derived view: it has no answers of its own that were kept", view),
                     fmt::format("verify a model that takes it, or the views that it is computed from: {}", fmt::join(node->inputs, ", ")));
  }
  const auto program = workspace.programs.find(view);
  if (program == workspace.programs.end()) {
    std::vector<std::string> names;
    for (const auto& [name, unused] : workspace.programs) names.push_back(name);
    return UserError("unknown_view", fmt::format("there is no feature view '{}'", view), SuggestionHint(view, names));
  }
  TIDEMILL_ASSIGN_OR_RETURN(const auto session, workspace.lake->Connect());
  TIDEMILL_ASSIGN_OR_RETURN(ViewVerification report, ViewVerifier(workspace, program->second, *session, now).Run(sample));
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  if (report.answers > 0) TIDEMILL_RETURN_IF_ERROR(Record(workspace, report, now));
  return report;
}

}  // namespace tidemill
