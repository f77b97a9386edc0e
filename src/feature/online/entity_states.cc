#include "feature/online/entity_states.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/hash.h"
#include "feature/online/view_position.h"
#include "feature/program/compiled_program.h"

namespace tidemill {
namespace {

constexpr size_t kWritesAtOnce = 256;
constexpr size_t kPushedOutAtOnce = 32;
/// An entry without its state: the table's node, the lists and the locks.
constexpr size_t kEntryBytes = 320;
/// A state without its rows.
constexpr size_t kStateBytes = 1024;

/// Space and entity in one text.
std::string_view FullKeyOf(uint32_t space, std::string_view key, std::string& buffer) {
  buffer.assign(reinterpret_cast<const char*>(&space), sizeof(space));
  buffer.append(key);
  return buffer;
}

}  // namespace

struct EntityStates::Entry {
  std::string full_key;  ///< as in the shard's table
  std::shared_ptr<const StateSpace> space;
  std::list<Entry*>::iterator recent;  ///< under the shard's lock
  std::atomic<bool> changed{false};    ///< set under `mutex`
  std::atomic<int64_t> bytes{0};
  std::atomic<bool> let_go{false};     ///< no longer in the table: its bytes don't count
  std::mutex mutex;
  bool loaded = false;                 ///< under mutex, as all below
  bool found = false;
  size_t rows = 0;                     ///< at most so many
  std::unique_ptr<EntityState> state;  ///< nullptr while the entity has none and nobody asked for one

  std::string_view key() const { return std::string_view(full_key).substr(sizeof(uint32_t)); }
};

struct EntityStates::Shard {
  struct KeyHash {
    using is_transparent = void;
    size_t operator()(std::string_view full_key) const { return Hash64(full_key); }
  };

  std::mutex mutex;
  std::unordered_map<std::string, std::shared_ptr<Entry>, KeyHash, std::equal_to<>> entries;
  std::list<Entry*> recent;  ///< the one used last first
};

/// What the store says about a view.
struct EntityStates::View {
  std::optional<std::string> generation;
  std::string fingerprint;
};

std::string ProgramFingerprint(const Program& program) { return Sha256(std::string(KernelVersion()) + program.ToJson().dump()); }

StateSpace::StateSpace(uint32_t space_id, std::string at_generation, const Program& of, std::string its_fingerprint,
                       std::shared_ptr<const CompiledProgram> its_compiled)
    : id(space_id),
      name(StatesSpaceName(of.view, at_generation)),
      generation(std::move(at_generation)),
      fingerprint(std::move(its_fingerprint)),
      program(of),
      compiled(std::move(its_compiled)) {}

void StateSpace::SetNow(Timestamp time) const {
  int64_t now = now_;
  while (time.micros > now && !now_.compare_exchange_weak(now, time.micros)) continue;
}

std::optional<Timestamp> StateSpace::Oldest() const {
  const int64_t now = now_;
  if (now == std::numeric_limits<int64_t>::min()) return std::nullopt;
  return Timestamp{now} - program.lookback;
}

EntityStates::EntityStates(OnlineStore& store) : store_(store), shards_(std::make_unique<std::array<Shard, kShards>>()) {}
EntityStates::~EntityStates() = default;

OnlineStore::OnlineStore() : states_(std::make_unique<EntityStates>(*this)) {}
OnlineStore::~OnlineStore() = default;

Result<std::shared_ptr<const EntityStates::View>> EntityStates::Read(const std::string& view) {
  {
    const std::lock_guard<std::mutex> lock(views_mutex_);
    const auto known = views_.find(view);
    if (known != views_.end()) return known->second;
  }
  TIDEMILL_ASSIGN_OR_RETURN(const ViewPosition position, ReadViewPosition(store_, view));
  auto read = std::make_shared<View>();
  if (position.complete) *read = {position.generation, position.program};
  const std::lock_guard<std::mutex> lock(views_mutex_);
  return views_.try_emplace(view, std::move(read)).first->second;
}

Result<std::shared_ptr<const StateSpace>> EntityStates::Live(const Program& program, const std::string& fingerprint,
                                                             const std::shared_ptr<const CompiledProgram>& compiled) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto view, Read(program.view));
  if (!view->generation) return std::shared_ptr<const StateSpace>();
  if (view->fingerprint != fingerprint) {
    return Unavailable("view_stale", fmt::format("the online states of '{}' were made by another definition of it", program.view),
                       "'tidemill run' makes them anew");
  }
  return Space(*view->generation, program, fingerprint, compiled);
}

std::shared_ptr<const StateSpace> EntityStates::Space(const std::string& generation, const Program& program,
                                                      const std::string& fingerprint,
                                                      const std::shared_ptr<const CompiledProgram>& compiled) {
  const std::lock_guard<std::mutex> lock(views_mutex_);
  for (const auto& space : spaces_) {
    if (space->program.view == program.view && space->generation == generation && space->fingerprint == fingerprint) return space;
  }
  auto space = std::make_shared<const StateSpace>(next_space_++, generation, program, fingerprint, compiled);
  spaces_.push_back(space);
  return space;
}

void EntityStates::Moved(const std::string& view) {
  const auto position = ReadViewPosition(store_, view);
  auto now = std::make_shared<View>();
  if (position.ok() && position->complete) *now = {position->generation, position->program};
  std::vector<uint32_t> gone;
  {
    const std::lock_guard<std::mutex> lock(views_mutex_);
    views_[view] = now;
    const auto other = [&](const auto& space) {
      return space->program.view == view && !(now->generation == space->generation && now->fingerprint == space->fingerprint);
    };
    for (const auto& space : spaces_) {
      if (other(space)) gone.push_back(space->id);
    }
    std::erase_if(spaces_, other);
  }
  for (const uint32_t space : gone) LetGo(space);
}

void EntityStates::LetGo(uint32_t space) {
  for (Shard& shard : *shards_) {
    const std::lock_guard<std::mutex> lock(shard.mutex);
    std::erase_if(shard.entries, [&](const auto& entry) {
      if (entry.second->space->id != space) return false;
      entry.second->let_go = true;
      bytes_ -= entry.second->bytes;
      shard.recent.erase(entry.second->recent);
      return true;
    });
  }
}

EntityStates::Shard& EntityStates::ShardOf(std::string_view full_key) { return (*shards_)[Hash64(full_key) >> 58U]; }

Result<EntityStates::LockedState> EntityStates::Open(const std::shared_ptr<const StateSpace>& space, std::string_view key) {
  thread_local std::string buffer;
  const std::string_view full_key = FullKeyOf(space->id, key, buffer);
  Shard& shard = ShardOf(full_key);
  std::shared_ptr<Entry> entry;
  {
    const std::lock_guard<std::mutex> lock(shard.mutex);
    const auto known = shard.entries.find(full_key);
    if (known != shard.entries.end()) {
      entry = known->second;
      if (shard.recent.front() != entry.get()) shard.recent.splice(shard.recent.begin(), shard.recent, entry->recent);
    } else {
      entry = std::make_shared<Entry>();
      entry->full_key = full_key;
      entry->space = space;
      shard.recent.push_front(entry.get());
      entry->recent = shard.recent.begin();
      shard.entries.emplace(entry->full_key, entry);
      TIDEMILL_RETURN_IF_ERROR(MakeRoom(shard));
    }
  }
  LockedState locked(this, std::move(entry));
  if (locked.entry_->loaded) {
    hits_.fetch_add(1, std::memory_order_relaxed);
  } else {
    misses_.fetch_add(1, std::memory_order_relaxed);
    TIDEMILL_RETURN_IF_ERROR(Load(*locked.entry_));
  }
  return locked;
}

Status EntityStates::Load(Entry& entry) {
  TIDEMILL_ASSIGN_OR_RETURN(const auto bytes, store_.Get(entry.space->name, entry.key()));
  if (bytes) {
    auto state = EntityState::Make(entry.space->program, entry.space->compiled);
    TIDEMILL_RETURN_IF_ERROR(state->Load(*bytes));
    entry.rows = state->rows();
    entry.state = std::move(state);
    entry.found = true;
  }
  entry.loaded = true;
  Resize(entry);
  return Ok();
}

void EntityStates::Resize(Entry& entry) {
  if (entry.let_go) return;
  size_t bytes = kEntryBytes + 2 * entry.full_key.size();
  if (entry.state) bytes += kStateBytes + entry.rows * (24 + 9 * entry.space->compiled->slot_types().size());
  bytes_ += static_cast<int64_t>(bytes) - entry.bytes.exchange(static_cast<int64_t>(bytes));
}

/// Pushes out what was used longest ago, of this shard. The shard is locked, so an entry that only its table holds stays so.
Status EntityStates::MakeRoom(Shard& shard) {
  while (bytes_ > static_cast<int64_t>(bytes_max_) && shard.recent.size() > 1) {
    std::vector<std::shared_ptr<Entry>> leaving;
    for (auto at = std::prev(shard.recent.end()); at != shard.recent.begin() && leaving.size() < kPushedOutAtOnce; --at) {
      const auto entry = shard.entries.find((*at)->full_key);
      if (entry->second.use_count() == 1) leaving.push_back(entry->second);
    }
    if (leaving.empty()) return Ok();
    TIDEMILL_RETURN_IF_ERROR(WriteStates(leaving));
    for (const auto& entry : leaving) {
      bytes_ -= entry->bytes;
      shard.recent.erase(entry->recent);
      shard.entries.erase(shard.entries.find(entry->full_key));
      ++pushed_out_;
    }
  }
  return Ok();
}

/// The bytes of a state that has changed, without what has expired.
std::optional<OnlineStore::Write> EntityStates::Save(Entry& entry) {
  const std::lock_guard<std::mutex> lock(entry.mutex);
  if (!entry.changed || entry.state == nullptr) return std::nullopt;
  if (const auto oldest = entry.space->Oldest()) entry.state->Expire(*oldest);
  OnlineStore::Write write{entry.space->name, std::string(entry.key()), std::nullopt};
  entry.rows = entry.state->rows();
  entry.found = entry.rows > 0;
  if (entry.found) write.bytes = entry.state->Save();
  entry.changed = false;
  Resize(entry);
  return write;
}

/// The caller sees to it that none of the entries leaves the table meanwhile: what is written last must be the newest.
Status EntityStates::WriteStates(const std::vector<std::shared_ptr<Entry>>& entries) {
  std::vector<OnlineStore::Write> writes;
  std::vector<Entry*> written;
  for (const auto& entry : entries) {
    auto write = Save(*entry);
    if (!write) continue;
    writes.push_back(std::move(*write));
    written.push_back(entry.get());
  }
  if (writes.empty()) return Ok();
  Status status = store_.Put(writes, OnlineStore::Durability::kLater);
  if (!status.ok()) {
    for (Entry* entry : written) entry->changed = true;
    return status;
  }
  written_ += static_cast<int64_t>(writes.size());
  return Ok();
}

Status EntityStates::WriteBack() {
  const std::lock_guard<std::mutex> one_at_a_time(write_mutex_);
  for (Shard& shard : *shards_) {
    std::vector<std::shared_ptr<Entry>> changed;
    {
      const std::lock_guard<std::mutex> lock(shard.mutex);
      for (const auto& [key, entry] : shard.entries) {
        if (entry->changed) changed.push_back(entry);
      }
    }
    for (size_t at = 0; at < changed.size(); at += kWritesAtOnce) {
      const size_t end = std::min(changed.size(), at + kWritesAtOnce);
      TIDEMILL_RETURN_IF_ERROR(WriteStates({changed.begin() + static_cast<ptrdiff_t>(at), changed.begin() + static_cast<ptrdiff_t>(end)}));
    }
  }
  return Ok();
}

Status EntityStates::Sweep(const std::shared_ptr<const StateSpace>& space) {
  const auto oldest = space->Oldest();
  if (!oldest) return Ok();
  std::vector<std::string> outdated;
  TIDEMILL_RETURN_IF_ERROR(store_.Scan(space->name, "", [&](std::string_view key, std::string_view bytes) -> Result<bool> {
    const auto state = EntityState::Make(space->program, space->compiled);
    TIDEMILL_RETURN_IF_ERROR(state->Load(bytes));
    const size_t rows = state->rows();
    state->Expire(*oldest);
    if (state->rows() < rows || rows == 0) outdated.emplace_back(key);
    return true;
  }));
  for (const std::string& key : outdated) {
    TIDEMILL_ASSIGN_OR_RETURN(LockedState locked, Open(space, key));
    if (locked.found()) locked.Change();  // writing it leaves out what has expired
  }
  return WriteBack();
}

EntityStates::Counts EntityStates::counts() const {
  Counts counts{0, 0, bytes_, hits_, misses_, written_, pushed_out_};
  for (Shard& shard : *shards_) {
    const std::lock_guard<std::mutex> lock(shard.mutex);
    counts.states += static_cast<int64_t>(shard.entries.size());
    for (const auto& [key, entry] : shard.entries) counts.changed += entry->changed ? 1 : 0;
  }
  return counts;
}

EntityStates::LockedState::LockedState(EntityStates* states, std::shared_ptr<Entry> entry)
    : states_(states), entry_(std::move(entry)), lock_(entry_->mutex) {}
EntityStates::LockedState::LockedState(LockedState&& other) noexcept = default;

EntityStates::LockedState::~LockedState() {
  if (entry_ && changed_) states_->Resize(*entry_);
}

bool EntityStates::LockedState::found() const { return entry_->found; }

EntityState& EntityStates::LockedState::state() const {
  if (!entry_->state) entry_->state = EntityState::Make(entry_->space->program, entry_->space->compiled);
  return *entry_->state;
}

void EntityStates::LockedState::Change() {
  if (!entry_->state) entry_->state = EntityState::Make(entry_->space->program, entry_->space->compiled);
  entry_->found = true;
  entry_->changed = true;
  ++entry_->rows;
  changed_ = true;
}

}  // namespace tidemill
