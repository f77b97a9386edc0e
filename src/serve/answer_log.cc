#include "serve/answer_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/value_json.h"
#include "feature/view_rows.h"

namespace tidemill {
namespace {

constexpr std::string_view kMakeAnswers =
    "CREATE SCHEMA IF NOT EXISTS lake.tidemill;"
    "CREATE TABLE IF NOT EXISTS lake.tidemill.answers (view_name VARCHAR, program VARCHAR, entity VARCHAR, asked_at TIMESTAMP, "
    "known_until BIGINT, seq_until BIGINT, follows BOOLEAN, features VARCHAR, held VARCHAR)";

std::string ListText(const std::vector<Value>& values) {
  Json json = Json::array();
  for (const Value& value : values) json.push_back(ValueToJson(value));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string HeldText(const std::map<std::string, HeldRows>& held) {
  Json json = Json::object();
  for (const auto& [view, rows] : held) json[view] = {rows.known_until, rows.seq_until, rows.follows};
  return json.dump();
}

/// The least of what was held, of one view or of several.
HeldRows LeastOf(const std::map<std::string, HeldRows>& held) {
  HeldRows least{std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::max(), true};
  for (const auto& [view, rows] : held) {
    least.known_until = std::min(least.known_until, rows.known_until);
    least.seq_until = std::min(least.seq_until, rows.seq_until);
    least.follows = least.follows && rows.follows;
  }
  return least;
}

/// A lake that was written before derived views were logged lacks the column.
Status MakeTable(Session& session) {
  TIDEMILL_RETURN_IF_ERROR(session.Execute(kMakeAnswers));
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<Field> fields, session.Describe("SELECT * FROM lake.tidemill.answers"));
  const bool has_held = std::any_of(fields.begin(), fields.end(), [](const Field& field) { return field.name == "held"; });
  return has_held ? Ok() : session.Execute("ALTER TABLE lake.tidemill.answers ADD COLUMN held VARCHAR");
}

Columns AnswerRows(const std::vector<SampledAnswer>& answers) {
  Columns rows;
  rows.columns = {Column("view_name", Type::kText),     Column("program", Type::kText),      Column("entity", Type::kText),
                  Column("asked_at", Type::kTimestamp), Column("known_until", Type::kInt64), Column("seq_until", Type::kInt64),
                  Column("follows", Type::kBool),       Column("features", Type::kText),     Column("held", Type::kText)};
  for (const SampledAnswer& answer : answers) {
    rows.columns[0].AppendText(answer.view);
    rows.columns[1].AppendText(answer.program);
    rows.columns[2].AppendText(ListText(answer.key));
    rows.columns[3].AppendInt(answer.at.micros);
    const HeldRows least = LeastOf(answer.held);
    rows.columns[4].AppendInt(least.known_until);
    rows.columns[5].AppendInt(least.seq_until);
    rows.columns[6].AppendInt(least.follows ? 1 : 0);
    rows.columns[7].AppendText(ListText(answer.values));
    rows.columns[8].AppendText(HeldText(answer.held));
  }
  return rows;
}

/// Condition of the answers that go. Rows are numbered in the order in which they were logged.
Result<std::string> ConditionToGo(Session& session, const std::string& view, const AnswersKept& kept) {
  const std::string mine = "view_name = " + QuoteText(view);
  TIDEMILL_ASSIGN_OR_RETURN(const Columns last,
                            session.Query(fmt::format("SELECT rowid FROM lake.tidemill.answers WHERE {} ORDER BY rowid DESC "
                                                      "LIMIT 1 OFFSET {}",
                                                      mine, kept.rows)));
  const std::string old = TimeCondition("asked_at", "<", kept.since.micros);
  return last.rows() == 0 ? old : fmt::format("{} OR ({} AND rowid <= {})", old, mine, last.columns[0].ints[0]);
}

}  // namespace

Result<int64_t> TrimAnswers(Lake& lake, const std::string& view, const AnswersKept& kept) {
  TIDEMILL_ASSIGN_OR_RETURN(const bool logged, lake.HasTable("tidemill.answers"));
  if (!logged) return 0;
  TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<Session> session, lake.Connect());
  TIDEMILL_ASSIGN_OR_RETURN(const std::string condition, ConditionToGo(*session, view, kept));
  TIDEMILL_ASSIGN_OR_RETURN(const Columns gone,
                            session->Query(fmt::format("SELECT count(*) FROM lake.tidemill.answers WHERE {}", condition)));
  const int64_t rows = gone.columns[0].ints[0];
  if (rows == 0) return 0;
  const std::string message = fmt::format("forget {} logged answer{}", rows, rows == 1 ? "" : "s");
  TIDEMILL_ASSIGN_OR_RETURN([[maybe_unused]] const int64_t snapshot, lake.Commit(message, Json::object(), [&](Session& writer) {
    return writer.Execute(fmt::format("DELETE FROM lake.tidemill.answers WHERE {}", condition));
  }));
  return rows;
}

Status StoreAnswers(Lake& lake, const std::vector<SampledAnswer>& answers) {
  if (answers.empty()) return Ok();
  const Columns rows = AnswerRows(answers);
  const std::string message = fmt::format("log {} online answer{}", answers.size(), answers.size() == 1 ? "" : "s");
  const auto committed = lake.Commit(message, Json::object(), [&](Session& session) -> Status {
    TIDEMILL_RETURN_IF_ERROR(MakeTable(session));
    TIDEMILL_RETURN_IF_ERROR(session.LoadTemporary("sampled_answers", rows));
    TIDEMILL_RETURN_IF_ERROR(session.Execute("INSERT INTO lake.tidemill.answers BY NAME SELECT * FROM sampled_answers"));
    return session.Execute("DROP TABLE sampled_answers");
  });
  return committed.ok() ? Ok() : Status(committed.error());
}

}  // namespace tidemill
