#include "feature/online/online_memory.h"

#include <algorithm>

#include "base/value_json.h"
#include "feature/online/entity_states.h"
#include "feature/online/view_position.h"
#include "feature/program/compiled_program.h"
#include "feature/program/entity_state.h"

namespace tidemill {
namespace {

constexpr size_t kPieceNumberBytes = 8;  ///< what follows the entity's key in the key of a record beside the head

Json TimeJson(const std::optional<Timestamp>& time) { return time ? Json(FormatTimestamp(*time)) : Json(); }

std::optional<Timestamp> TimeOf(const Json& json, const char* name) {
  if (!json.contains(name) || !json[name].is_string()) return std::nullopt;
  const auto time = ParseTimestamp(json[name].get<std::string>());
  return time.ok() ? std::optional(*time) : std::nullopt;
}

std::optional<Timestamp> Unless(int64_t nothing, int64_t micros) {
  return micros == nothing ? std::nullopt : std::optional(Timestamp{micros});
}

class MemoryMeasure {
 public:
  MemoryMeasure(OnlineStore& store, const StateSpace& space) : store_(store), space_(space) {}

  Result<OnlineMemory> Run() {
    TIDEMILL_RETURN_IF_ERROR(store_.Scan(space_.name, "", [&](std::string_view key, std::string_view bytes) -> Result<bool> {
      TIDEMILL_RETURN_IF_ERROR(AddHead(bytes));
      AddEntityBytes(static_cast<int64_t>(key.size() + bytes.size()));
      return true;
    }));
    TIDEMILL_RETURN_IF_ERROR(store_.Scan(space_.pieces, "", [&](std::string_view key, std::string_view bytes) -> Result<bool> {
      const std::string_view entity = key.substr(0, key.size() - std::min(key.size(), kPieceNumberBytes));
      if (entity != entity_) TIDEMILL_RETURN_IF_ERROR(FinishPieces());
      entity_ = entity;
      pieces_bytes_ += static_cast<int64_t>(key.size() + bytes.size());
      return true;
    }));
    TIDEMILL_RETURN_IF_ERROR(FinishPieces());
    return memory_;
  }

 private:
  /// The head tells of all rows of its entity.
  Status AddHead(std::string_view bytes) {
    const auto state = EntityState::Make(space_.program, space_.compiled);
    TIDEMILL_RETURN_IF_ERROR(
        state->Open(bytes, [](uint64_t) -> Result<std::string> { return InternalError("a head is enough"); }));
    ++memory_.entities;
    memory_.rows += static_cast<int64_t>(state->rows());
    memory_.folded_rows += static_cast<int64_t>(state->folded_rows());
    const auto oldest = state->oldest();
    if (oldest && (!memory_.oldest || *oldest < *memory_.oldest)) memory_.oldest = oldest;
    return Ok();
  }
  void AddEntityBytes(int64_t bytes) {
    memory_.bytes += bytes;
    memory_.bytes_largest = std::max(memory_.bytes_largest, bytes);
  }
  /// An entity with more records than its head.
  Status FinishPieces() {
    if (pieces_bytes_ == 0) return Ok();
    TIDEMILL_ASSIGN_OR_RETURN(const auto head, store_.Get(space_.name, entity_));
    memory_.bytes += pieces_bytes_;
    if (head) pieces_bytes_ += static_cast<int64_t>(entity_.size() + head->size());
    memory_.bytes_largest = std::max(memory_.bytes_largest, std::exchange(pieces_bytes_, 0));
    return Ok();
  }

  OnlineStore& store_;
  const StateSpace& space_;
  OnlineMemory memory_;
  std::string entity_;  ///< whose pieces are read
  int64_t pieces_bytes_ = 0;
};

}  // namespace

Json OnlineMemory::ToJson() const {
  return {{"entities", entities},
          {"rows", rows},
          {"folded_rows", folded_rows},
          {"bytes", bytes},
          {"bytes_largest", bytes_largest},
          {"bytes_mean", entities == 0 ? 0 : bytes / entities},
          {"oldest", TimeJson(oldest)},
          {"forgotten_until", TimeJson(forgotten_until)},
          {"folded_until", TimeJson(folded_until)},
          {"cache", {{"states", cache_states}, {"bytes", cache_bytes}, {"limit", cache_limit}}}};
}

OnlineMemory OnlineMemory::FromJson(const Json& json) {
  OnlineMemory memory;
  if (!json.is_object()) return memory;
  const auto number = [](const Json& object, const char* name) {
    return object.contains(name) && object[name].is_number_integer() ? object[name].get<int64_t>() : 0;
  };
  memory.entities = number(json, "entities");
  memory.rows = number(json, "rows");
  memory.folded_rows = number(json, "folded_rows");
  memory.bytes = number(json, "bytes");
  memory.bytes_largest = number(json, "bytes_largest");
  memory.oldest = TimeOf(json, "oldest");
  memory.forgotten_until = TimeOf(json, "forgotten_until");
  memory.folded_until = TimeOf(json, "folded_until");
  const Json cache = json.value("cache", Json::object());
  memory.cache_states = number(cache, "states");
  memory.cache_bytes = number(cache, "bytes");
  memory.cache_limit = number(cache, "limit");
  return memory;
}

Result<OnlineMemory> MeasureMemory(OnlineStore& store, const Program& program) {
  EntityStates& states = store.states();
  TIDEMILL_ASSIGN_OR_RETURN(const auto compiled, CompiledProgram::Make(program));
  TIDEMILL_ASSIGN_OR_RETURN(const auto space, states.Live(program, ProgramFingerprint(program), compiled));
  OnlineMemory memory;
  if (space != nullptr) {
    TIDEMILL_RETURN_IF_ERROR(states.WriteBack());
    TIDEMILL_ASSIGN_OR_RETURN(memory, MemoryMeasure(store, *space).Run());
    TIDEMILL_ASSIGN_OR_RETURN(const ViewPosition position, ReadViewPosition(store, program.view));
    const int64_t oldest_asked = position.known_until - program.lookback.micros;
    memory.forgotten_until = Unless(std::numeric_limits<int64_t>::min(), compiled->Horizon(oldest_asked));
    if (const auto folded = compiled->FoldHorizon(oldest_asked)) memory.folded_until = Timestamp{*folded};
  }
  const EntityStates::Counts counts = states.counts();
  memory.cache_states = counts.states;
  memory.cache_bytes = counts.bytes;
  memory.cache_limit = static_cast<int64_t>(states.cache_limit());
  return memory;
}

}  // namespace tidemill
