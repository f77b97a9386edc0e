#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "feature/entity_groups.h"
#include "feature/online/store.h"
#include "feature/program/compiled_program.h"
#include "feature/program/entity_state.h"
#include "feature/view_rows.h"

namespace tidemill {
namespace {

constexpr std::string_view kPositions = "positions";      ///< space of what has been read, by view
constexpr std::string_view kGenerations = "generations";  ///< space of where a view's states are, by view
constexpr size_t kWritesAtOnce = 1000;

std::string StatesSpace(const std::string& view, const std::string& generation) { return "states/" + view + "/" + generation; }

/// Which rows are in the states: known by `known_until` with sequence numbers up to `sequence_until`.
struct Position {
  std::string program;  ///< fingerprint
  int64_t known_until = 0;
  int64_t sequence_until = 0;
  std::string digest;  ///< of those rows

  Json ToJson() const {
    return {{"program", program}, {"known_until", known_until}, {"sequence_until", sequence_until}, {"digest", digest}};
  }
  static std::optional<Position> FromText(const std::string& text) {
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object() || !json.contains("digest")) return std::nullopt;
    return Position{json.value("program", ""), json.value("known_until", int64_t{0}), json.value("sequence_until", int64_t{0}),
                    json.value("digest", "")};
  }
};

std::string ReadCondition(int64_t known_until, int64_t sequence_until) {
  return fmt::format("{} AND _seq <= {}", TimeCondition("_known_at", "<=", known_until), sequence_until);
}

class Materializer {
 public:
  Materializer(OnlineStore& store, const Program& program, std::shared_ptr<const CompiledProgram> compiled, std::string table_sql,
               std::string event_time, Session& session, Timestamp now)
      : store_(store),
        program_(program),
        compiled_(std::move(compiled)),
        table_sql_(std::move(table_sql)),
        event_time_(std::move(event_time)),
        session_(session),
        now_(now),
        fingerprint_(Sha256(std::string(KernelVersion()) + program.ToJson().dump())) {}

  Result<MaterializeReport> Run() {
    TIDEMILL_ASSIGN_OR_RETURN(const std::optional<std::string> stored, store_.Get(kPositions, program_.view));
    TIDEMILL_ASSIGN_OR_RETURN(const std::optional<std::string> generation, store_.Get(kGenerations, program_.view));
    const std::optional<Position> position = stored && generation ? Position::FromText(*stored) : std::nullopt;
    TIDEMILL_ASSIGN_OR_RETURN(const bool continues, Continues(position));
    TIDEMILL_ASSIGN_OR_RETURN(const Position next, NextPosition());
    if (continues) {
      const std::string unread =
          fmt::format("({} OR _seq > {})", TimeCondition("_known_at", ">", position->known_until), position->sequence_until);
      return Bring(*generation, next, unread);
    }
    return Rebuild(generation.value_or(""), next);
  }

 private:
  /// Whether the states hold exactly what the table still says about the rows read before.
  Result<bool> Continues(const std::optional<Position>& position) {
    if (!position || position->program != fingerprint_ || position->known_until > now_.micros) return false;
    TIDEMILL_ASSIGN_OR_RETURN(const std::string digest, Digest(ReadCondition(position->known_until, position->sequence_until)));
    return digest == position->digest;
  }

  Result<Position> NextPosition() {
    TIDEMILL_ASSIGN_OR_RETURN(const Columns last,
                              session_.Query(fmt::format("SELECT coalesce(max(_seq), 0) FROM {} WHERE {}", table_sql_,
                                                         TimeCondition("_known_at", "<=", now_.micros))));
    Position next{fingerprint_, now_.micros, last.columns[0].ints[0], ""};
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

  Result<MaterializeReport> Rebuild(const std::string& old_generation, const Position& next) {
    const std::string generation = old_generation == "a" ? "b" : "a";
    TIDEMILL_RETURN_IF_ERROR(store_.Clear(StatesSpace(program_.view, generation)));
    TIDEMILL_ASSIGN_OR_RETURN(MaterializeReport report, Bring(generation, next, ""));
    report.rebuilt = true;
    if (!old_generation.empty()) TIDEMILL_RETURN_IF_ERROR(store_.Clear(StatesSpace(program_.view, old_generation)));
    return report;
  }

  /// Adds rows to the states of a generation. Adding a row twice changes nothing, so when this is cut off the next call does it
  /// again; the position and the generation are written last, together.
  Result<MaterializeReport> Bring(const std::string& generation, const Position& next, const std::string& unread) {
    std::string condition = ReadCondition(next.known_until, next.sequence_until);
    if (!unread.empty()) condition += " AND " + unread;
    const std::optional<Duration> reach = program_.Reach();
    if (reach) condition += " AND " + TimeCondition(QuoteIdentifier(event_time_), ">=", Oldest().micros - reach->micros);
    TIDEMILL_RETURN_IF_ERROR(ReadRows(condition));
    const std::string space = StatesSpace(program_.view, generation);
    std::vector<OnlineStore::Write> writes;
    const EntityGroups groups = GroupByEntity(entity_of_row_, ids_.size());
    for (const auto& [key, entity] : ids_) {
      TIDEMILL_ASSIGN_OR_RETURN(std::string bytes, NewState(space, key, groups, entity));
      writes.push_back({space, key, std::move(bytes)});
      if (writes.size() < kWritesAtOnce) continue;
      TIDEMILL_RETURN_IF_ERROR(store_.Put(writes));
      writes.clear();
    }
    writes.push_back({std::string(kPositions), program_.view, next.ToJson().dump()});
    writes.push_back({std::string(kGenerations), program_.view, generation});
    TIDEMILL_RETURN_IF_ERROR(store_.Put(writes));
    return MaterializeReport{static_cast<int64_t>(events_.size()), static_cast<int64_t>(ids_.size()), false};
  }

  Status ReadRows(const std::string& condition) {
    std::string key;
    return StreamViewRows(session_, program_, table_sql_, event_time_, condition, [&](const ViewRow& row) -> Status {
      key.clear();
      for (size_t i = 0; i < row.keys.size(); ++i) AppendKeyPart(row.keys[i], program_.keys[i].type, key);
      entity_of_row_.push_back(EntityId(key, ids_));
      FeatureEvent& event = events_.emplace_back(FeatureEvent{{row.event}, {row.known}, row.sequence, {}});
      for (size_t i = 0; i < row.columns.size(); ++i) event.values.push_back(ToValue(row.columns[i], program_.columns[i].type));
      return Ok();
    });
  }

  Result<std::string> NewState(const std::string& space, const std::string& key, const EntityGroups& groups, uint32_t entity) {
    const auto state = EntityState::Make(program_, compiled_);
    TIDEMILL_ASSIGN_OR_RETURN(const std::optional<std::string> bytes, store_.Get(space, key));
    if (bytes) TIDEMILL_RETURN_IF_ERROR(state->Load(*bytes));
    for (size_t at = groups.begin[entity]; at < groups.begin[entity + 1]; ++at)
      TIDEMILL_RETURN_IF_ERROR(state->Update(events_[groups.rows[at]]));
    state->Expire(Oldest());
    return state->Save();
  }

  /// The earliest time that may be asked.
  Timestamp Oldest() const { return now_ - program_.lookback; }

  OnlineStore& store_;
  const Program& program_;
  std::shared_ptr<const CompiledProgram> compiled_;
  const std::string table_sql_;
  const std::string event_time_;
  Session& session_;
  const Timestamp now_;
  const std::string fingerprint_;
  EntityIds ids_;
  std::vector<uint32_t> entity_of_row_;
  std::vector<FeatureEvent> events_;
};

}  // namespace

Result<MaterializeReport> MaterializeView(OnlineStore& store, const Program& program, const std::string& table_sql,
                                          const std::string& event_time, Session& session, Timestamp now) {
  TIDEMILL_ASSIGN_OR_RETURN(auto compiled, CompiledProgram::Make(program));
  return Materializer(store, program, std::move(compiled), table_sql, event_time, session, now).Run();
}

Result<OnlineView> OnlineView::Make(const Program& program) {
  OnlineView view;
  view.program_ = program;
  TIDEMILL_ASSIGN_OR_RETURN(view.compiled_, CompiledProgram::Make(program));
  return view;
}

Result<OnlineFeatures> OnlineView::LookUp(OnlineStore& store, const std::vector<Value>& key, Timestamp time) const {
  if (key.size() != program_.keys.size()) {
    return UserError("key_type",
                     fmt::format("view '{}' has {} keys, but {} were given", program_.view, program_.keys.size(), key.size()));
  }
  std::string encoded;
  bool complete = true;
  for (size_t i = 0; i < key.size(); ++i) {
    const Datum part = ToDatum(key[i], program_.keys[i].type);
    if (part.null && !IsNull(key[i])) {
      return UserError("key_type", fmt::format("key '{}' of view '{}' has to be {}", program_.keys[i].name, program_.view,
                                               TypeName(program_.keys[i].type)));
    }
    complete = complete && !part.null;
    AppendKeyPart(part, program_.keys[i].type, encoded);
  }
  OnlineFeatures features;
  const auto state = EntityState::Make(program_, compiled_);
  TIDEMILL_ASSIGN_OR_RETURN(std::optional<std::string> generation, store.Get(kGenerations, program_.view));
  while (generation && complete && !features.found) {
    TIDEMILL_ASSIGN_OR_RETURN(const std::optional<std::string> bytes,
                              store.Get(StatesSpace(program_.view, *generation), encoded));
    if (bytes) TIDEMILL_RETURN_IF_ERROR(state->Load(*bytes));
    features.found = bytes.has_value();
    // A rebuild may have put another generation in place and cleared this one between the two reads.
    TIDEMILL_ASSIGN_OR_RETURN(const std::optional<std::string> current, store.Get(kGenerations, program_.view));
    if (current == generation) break;
    generation = current;
  }
  features.values = state->Query(time);
  return features;
}

Result<OnlineFeatures> LookUp(OnlineStore& store, const Program& program, const std::vector<Value>& key, Timestamp time) {
  TIDEMILL_ASSIGN_OR_RETURN(const OnlineView view, OnlineView::Make(program));
  return view.LookUp(store, key, time);
}

}  // namespace tidemill
