#include <fmt/format.h>

#include <algorithm>

#include "feature/entity_groups.h"
#include "feature/online/entity_states.h"
#include "feature/online/pushes.h"
#include "feature/online/store.h"
#include "feature/online/view_position.h"
#include "feature/program/compiled_program.h"
#include "feature/program/entity_state.h"
#include "feature/view_rows.h"

namespace tidemill {
namespace {

/// Rows held at once while states are brought up to date.
constexpr size_t kRowsBroughtAtOnce = 500'000;

std::string ReadCondition(int64_t known_until, int64_t sequence_until) {
  return fmt::format("{} AND _seq <= {}", TimeCondition("_known_at", "<=", known_until), sequence_until);
}

class Materializer {
 public:
  Materializer(OnlineStore& store, OnlinePushes* pushes, const Program& program, std::shared_ptr<const CompiledProgram> compiled,
               std::string table_sql, std::string event_time, Session& session, Timestamp now)
      : store_(store),
        pushes_(pushes),
        program_(program),
        compiled_(std::move(compiled)),
        table_sql_(std::move(table_sql)),
        event_time_(std::move(event_time)),
        session_(session),
        now_(now),
        fingerprint_(ProgramFingerprint(program)) {}

  Result<MaterializeReport> Run() {
    const EntityStates::Bringing bringing(store_.states());
    TIDEMILL_ASSIGN_OR_RETURN(const ViewPosition position, ReadViewPosition(store_, program_.view));
    TIDEMILL_ASSIGN_OR_RETURN(const bool continues, Continues(position));
    TIDEMILL_ASSIGN_OR_RETURN(ViewPosition next, NextPosition());
    if (!continues) return Rebuild(position.generation, std::move(next));
    next.generation = position.generation;
    space_ = store_.states().Space(next.generation, program_, fingerprint_, compiled_);
    space_->SetNow(now_);
    const std::string unread = fmt::format("NOT ({})", ReadCondition(position.known_until, position.sequence_until));
    // A row that is pushed for a later time is in the states at once, so one that comes from the lake is too.
    const std::string condition = Follows() ? unread : ReadCondition(next.known_until, next.sequence_until) + " AND " + unread;
    TIDEMILL_RETURN_IF_ERROR(Check(condition));
    TIDEMILL_RETURN_IF_ERROR(Bring(condition));
    if (behind_ > 0 && !Follows()) {
      // Rows came late that by their own account were known long ago, and others of their time have been folded.
      report_ = {};
      return Rebuild(position.generation, next);
    }
    TIDEMILL_RETURN_IF_ERROR(Finish(next));
    TIDEMILL_RETURN_IF_ERROR(Settle());
    return report_;
  }

 private:
  /// From here on all rows that are known by now are in the states: those that go are forgotten, and rows are folded.
  Status Settle() {
    const auto settle = [this] {
      space_->SetSettled(now_);
      return Ok();
    };
    TIDEMILL_RETURN_IF_ERROR(Follows() ? pushes_->Pause(settle) : settle());  // no push is under way
    return store_.states().Sweep(space_);
  }

  Result<std::string> PushedRows() const {
    return Follows() ? pushes_->PushedRowsDigest(program_.view) : Result<std::string>("");
  }
  bool Follows() const { return pushes_ != nullptr && pushes_->Follows(program_.view); }

  /// Whether the states hold exactly what the table still says about the rows read before.
  Result<bool> Continues(const ViewPosition& position) {
    if (!position.complete || position.program != fingerprint_ || position.known_until > now_.micros) return false;
    // The states hold rows pushed since, as they were made then.
    TIDEMILL_ASSIGN_OR_RETURN(const std::string pushed_rows, PushedRows());
    if (position.pushed_rows != pushed_rows) return false;
    TIDEMILL_ASSIGN_OR_RETURN(const std::string digest, Digest(ReadCondition(position.known_until, position.sequence_until)));
    return digest == position.digest;
  }

  Result<ViewPosition> NextPosition() {
    TIDEMILL_ASSIGN_OR_RETURN(const Columns last,
                              session_.Query(fmt::format("SELECT coalesce(max(_seq), 0) FROM {} WHERE {}", table_sql_,
                                                         TimeCondition("_known_at", "<=", now_.micros))));
    ViewPosition next{true, "", fingerprint_, now_.micros, last.columns[0].ints[0], "", ""};
    TIDEMILL_ASSIGN_OR_RETURN(next.pushed_rows, PushedRows());
    TIDEMILL_ASSIGN_OR_RETURN(next.digest, Digest(ReadCondition(next.known_until, next.sequence_until)));
    return next;
  }

  /// Independent of the order of rows, so that compaction changes nothing.
  Result<std::string> Digest(const std::string& condition) {
    std::string columns = "_seq, _known_at, " + QuoteIdentifier(event_time_);
    for (const auto* fields : {&program_.keys, &program_.columns}) {
      for (const Field& field : *fields) columns += ", " + QuoteIdentifier(field.name);
    }
    TIDEMILL_ASSIGN_OR_RETURN(const Columns digest,
                              session_.Query(fmt::format("SELECT concat(count(*), ':', sum(hash({}))) FROM {} WHERE {}", columns,
                                                         table_sql_, condition)));
    return FormatValue(digest.columns[0].At(0));
  }

  /// Builds a generation beside the old one. Rows pushed meanwhile, and those that the position leaves out, come in at the end, while
  /// pushes wait: first from the log, then from the lake, so that none is missed on its way from one to the other.
  Result<MaterializeReport> Rebuild(const std::string& old_generation, ViewPosition next) {
    next.generation = old_generation == "a" ? "b" : "a";
    space_ = store_.states().Space(next.generation, program_, fingerprint_, compiled_);
    space_->SetNow(now_);
    TIDEMILL_RETURN_IF_ERROR(ClearGeneration(store_, program_.view, next.generation));
    const std::string read = ReadCondition(next.known_until, next.sequence_until);
    TIDEMILL_RETURN_IF_ERROR(Check(read));
    TIDEMILL_RETURN_IF_ERROR(Bring(read));
    const auto take_over = [&]() -> Status {
      if (Follows()) {
        TIDEMILL_RETURN_IF_ERROR(pushes_->ApplyLog(space_));
        TIDEMILL_RETURN_IF_ERROR(Bring(fmt::format("NOT ({})", read)));
        TIDEMILL_RETURN_IF_ERROR(pushes_->Use(program_));
      }
      return Finish(next);
    };
    TIDEMILL_RETURN_IF_ERROR(Follows() ? pushes_->Pause(take_over) : take_over());
    if (!old_generation.empty()) TIDEMILL_RETURN_IF_ERROR(ClearGeneration(store_, program_.view, old_generation));
    report_.rebuilt = true;
    if (compiled_->FoldHorizon(now_.micros)) TIDEMILL_RETURN_IF_ERROR(Settle());
    return report_;
  }

  /// The position is written last, so when this is cut off the next call does it again: adding a row twice changes nothing.
  Status Finish(const ViewPosition& next) {
    TIDEMILL_RETURN_IF_ERROR(store_.states().WriteBack());
    TIDEMILL_RETURN_IF_ERROR(WriteViewPosition(store_, program_.view, next));
    store_.states().Moved(program_.view);
    report_.entities = static_cast<int64_t>(touched_.size());
    return Ok();
  }

  /// Counts the values of rows that can't be computed.
  Status Check(const std::string& condition) {
    TIDEMILL_ASSIGN_OR_RETURN(report_.failures, FailuresInRows(session_, program_, table_sql_, event_time_, condition));
    return program_.fails_on_error && report_.failures.any() ? Status(FailedValues(report_.failures)) : Ok();
  }

  /// Adds rows of the table to the states.
  Status Bring(std::string condition) {
    const std::optional<Duration> reach = program_.Reach();
    if (reach) condition += " AND " + TimeCondition(QuoteIdentifier(event_time_), ">=", Oldest().micros - reach->micros);
    std::string key;
    TIDEMILL_RETURN_IF_ERROR(
        StreamViewRows(session_, program_, table_sql_, event_time_, condition, [&](const ViewRow& row) -> Status {
          key.clear();
          for (size_t i = 0; i < row.keys.size(); ++i) AppendKeyPart(row.keys[i], program_.keys[i].type, key);
          entity_of_row_.push_back(EntityId(key, ids_));
          FeatureEvent& event = events_.emplace_back(FeatureEvent{{row.event}, {row.known}, row.sequence, {}});
          for (size_t i = 0; i < row.columns.size(); ++i) event.values.push_back(ToValue(row.columns[i], program_.columns[i].type));
          return events_.size() < kRowsBroughtAtOnce ? Ok() : AddRows();
        }));
    return AddRows();
  }

  /// Entity by entity, so that each state is opened once.
  Status AddRows() {
    const EntityGroups groups = GroupByEntity(entity_of_row_, ids_.size());
    for (const auto& [key, entity] : ids_) {
      TIDEMILL_ASSIGN_OR_RETURN(EntityStates::LockedState locked, store_.states().Open(space_, key));
      const size_t behind = locked.state().rows_behind();
      for (size_t at = groups.begin[entity]; at < groups.begin[entity + 1]; ++at) {
        locked.Change();
        TIDEMILL_RETURN_IF_ERROR(locked.state().Update(events_[groups.rows[at]]));
      }
      behind_ += locked.state().rows_behind() - behind;
      touched_.insert(key);
    }
    report_.rows += static_cast<int64_t>(events_.size());
    ids_.clear();
    events_.clear();
    entity_of_row_.clear();
    return Ok();
  }

  /// The earliest time that may be asked.
  Timestamp Oldest() const { return now_ - program_.lookback; }

  OnlineStore& store_;
  OnlinePushes* pushes_;
  const Program& program_;
  std::shared_ptr<const CompiledProgram> compiled_;
  const std::string table_sql_;
  const std::string event_time_;
  Session& session_;
  const Timestamp now_;
  const std::string fingerprint_;
  std::shared_ptr<const StateSpace> space_;
  MaterializeReport report_;
  EntityIds ids_;
  std::vector<uint32_t> entity_of_row_;
  std::vector<FeatureEvent> events_;
  std::unordered_set<std::string> touched_;
  size_t behind_ = 0;  ///< rows that states left out: EntityState::rows_behind
};

}  // namespace

Result<MaterializeReport> MaterializeView(OnlineStore& store, const Program& program, const std::string& table_sql,
                                          const std::string& event_time, Session& session, Timestamp now, OnlinePushes* pushes) {
  TIDEMILL_ASSIGN_OR_RETURN(auto compiled, CompiledProgram::Make(program));
  return Materializer(store, pushes, program, std::move(compiled), table_sql, event_time, session, now).Run();
}

}  // namespace tidemill
