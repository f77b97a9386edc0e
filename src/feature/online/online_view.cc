#include <fmt/format.h>

#include <mutex>

#include "feature/online/entity_states.h"
#include "feature/online/store.h"
#include "feature/program/compiled_program.h"
#include "feature/program/entity_state.h"
#include "feature/program/state_reader.h"

namespace tidemill {

/// What look-ups need beside states. It is used again and again, so that it stays in the processor's cache.
class OnlineView::Desks {
 public:
  struct Desk {
    Desk(const Program& program, const std::shared_ptr<const CompiledProgram>& compiled)
        : scratch(compiled), outputs(compiled->outputs()), empty(EntityState::Make(program, compiled)) {}
    StateScratch scratch;
    std::vector<Datum> outputs;
    std::string key;
    std::unique_ptr<EntityState> empty;  ///< of an entity without rows
  };

  Desks(const Program& program, std::shared_ptr<const CompiledProgram> compiled)
      : program_(program), compiled_(std::move(compiled)) {}

  /// A desk for one look-up, whose thread has it alone.
  class Taken {
   public:
    explicit Taken(Desks& desks) : desks_(desks), desk_(desks.Take()) {}
    ~Taken() { desks_.PutBack(std::move(desk_)); }
    Taken(const Taken&) = delete;
    Taken& operator=(const Taken&) = delete;
    Desk* operator->() const { return desk_.get(); }

   private:
    Desks& desks_;
    std::unique_ptr<Desk> desk_;
  };

 private:
  static constexpr size_t kKept = 16;

  std::unique_ptr<Desk> Take() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!free_.empty()) {
        auto desk = std::move(free_.back());
        free_.pop_back();
        return desk;
      }
    }
    return std::make_unique<Desk>(program_, compiled_);
  }
  void PutBack(std::unique_ptr<Desk> desk) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (free_.size() < kKept) free_.push_back(std::move(desk));
  }

  const Program program_;
  const std::shared_ptr<const CompiledProgram> compiled_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Desk>> free_;
};

Result<OnlineView> OnlineView::Make(const Program& program) {
  OnlineView view;
  view.program_ = program;
  view.fingerprint_ = ProgramFingerprint(program);
  TIDEMILL_ASSIGN_OR_RETURN(view.compiled_, CompiledProgram::Make(program));
  view.desks_ = std::make_shared<Desks>(program, view.compiled_);
  return view;
}

/// The entity's key in bytes; false when a part of it is null, which belongs to no entity.
Result<bool> OnlineView::EncodeKey(const std::vector<Value>& key, std::string& encoded) const {
  if (key.size() != program_.keys.size()) {
    return UserError("key_type",
                     fmt::format("view '{}' has {} keys, but {} were given", program_.view, program_.keys.size(), key.size()));
  }
  encoded.clear();
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
  return complete;
}

Result<OnlineFeatures> OnlineView::LookUp(OnlineStore& store, const std::vector<Value>& key, Timestamp time) const {
  const Desks::Taken desk(*desks_);
  TIDEMILL_ASSIGN_OR_RETURN(const bool complete, EncodeKey(key, desk->key));
  TIDEMILL_ASSIGN_OR_RETURN(const auto space, store.states().Live(program_, fingerprint_, compiled_));
  OnlineFeatures features;
  const auto sampling = space != nullptr && complete ? store.states().BeginSampling({&program_.view, 1}, time) : std::nullopt;
  const auto read = [&](EntityState& state) -> Status {
    TIDEMILL_RETURN_IF_ERROR(state.Read(time, desk->scratch, desk->outputs));
    features.values.reserve(desk->outputs.size());
    for (size_t i = 0; i < desk->outputs.size(); ++i)
      features.values.push_back(ToValue(desk->outputs[i], compiled_->output_type(i)));
    return Ok();
  };
  if (space != nullptr && complete) {
    TIDEMILL_ASSIGN_OR_RETURN(const EntityStates::LockedState locked, store.states().Open(space, desk->key));
    features.found = locked.found();
    if (features.found) TIDEMILL_RETURN_IF_ERROR(read(locked.state()));
  }
  if (!features.found) TIDEMILL_RETURN_IF_ERROR(read(*desk->empty));
  if (sampling) store.states().Keep(*sampling, {program_.view, fingerprint_, key, time, {}, features.values});
  return features;
}

struct KeptOnlineView::Kept {
  std::mutex mutex;
  std::shared_ptr<const OnlineView> view;
};

KeptOnlineView::KeptOnlineView() : kept_(std::make_shared<Kept>()) {}

Result<std::shared_ptr<const OnlineView>> KeptOnlineView::For(const Program& program) const {
  const std::lock_guard<std::mutex> lock(kept_->mutex);
  if (!kept_->view) {
    TIDEMILL_ASSIGN_OR_RETURN(OnlineView view, OnlineView::Make(program));
    kept_->view = std::make_shared<const OnlineView>(std::move(view));
  }
  return kept_->view;
}

Result<OnlineFeatures> LookUp(OnlineStore& store, const Program& program, const std::vector<Value>& key, Timestamp time) {
  TIDEMILL_ASSIGN_OR_RETURN(const OnlineView view, OnlineView::Make(program));
  return view.LookUp(store, key, time);
}

}  // namespace tidemill
