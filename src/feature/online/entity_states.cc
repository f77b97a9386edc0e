#include "feature/online/entity_states.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/hash.h"
#include "base/sha256.h"
#include "feature/online/view_position.h"
#include "feature/program/compiled_program.h"

namespace tidemill {
namespace {

constexpr size_t kWritesAtOnce = 256;
constexpr size_t kPushedOutAtOnce = 32;
/// An entry without its state: the table's node, the lists and the locks.
constexpr size_t kEntryBytes = 320;

/// Space and entity in one text.
std::string_view FullKeyOf(uint32_t space, std::string_view key, std::string& buffer) {
  buffer.assign(reinterpret_cast<const char*>(&space), sizeof(space));
  buffer.append(key);
  return buffer;
}

std::string PieceKey(std::string_view key, uint64_t id) {
  std::string piece(key);
  for (int shift = 56; shift >= 0; shift -= 8) piece += static_cast<char>(id >> shift);
  return piece;
}

EntityState::Fetch FetchFor(OnlineStore& store, const StateSpace& space, std::string_view key) {
  return [&store, pieces = space.pieces, key = std::string(key)](uint64_t id) -> Result<std::string> {
    TIDEMILL_ASSIGN_OR_RETURN(auto bytes, store.Get(pieces, PieceKey(key, id)));
    if (bytes) return std::move(*bytes);
    return UserError("bad_state", "a piece of an online state is missing", "materialize the view again");
  };
}

}  // namespace

struct EntityStates::Entry {
  std::string full_key;  ///< as in the shard's table
  std::shared_ptr<const StateSpace> space;
  std::list<Entry*>::iterator recent;  ///< under the shard's lock
  std::atomic<bool> changed{false};    ///< set under `mutex`
  std::atomic<int64_t> bytes{0};
  std::atomic<bool> let_go{false};     ///< no longer in the table: its bytes don't count
  std::atomic<bool> used{false};       ///< since it was last considered for leaving
  std::mutex mutex;
  bool loaded = false;                 ///< under mutex, as all below
  bool found = false;
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
  std::list<Entry*> recent;  ///< newest first; the last one leaves next, unless it was used: then it begins anew
};

/// What the store says about a view.
struct EntityStates::View {
  std::optional<std::string> generation;
  std::string fingerprint;
  int64_t known_until = 0;
  int64_t sequence_until = 0;
  mutable std::shared_ptr<const StateSpace> space;  ///< under views_mutex_: the live one, once it was asked for
};

std::string ProgramFingerprint(const Program& program) { return Sha256(std::string(KernelVersion()) + program.ToJson().dump()); }

StateSpace::StateSpace(uint32_t space_id, std::string at_generation, const Program& of, std::string its_fingerprint,
                       std::shared_ptr<const CompiledProgram> its_compiled)
    : id(space_id),
      name(StatesSpaceName(of.view, at_generation)),
      pieces(PiecesSpaceName(of.view, at_generation)),
      generation(std::move(at_generation)),
      fingerprint(std::move(its_fingerprint)),
      program(of),
      compiled(std::move(its_compiled)) {}

namespace {

void Raise(std::atomic<int64_t>& time, int64_t to) {
  int64_t now = time;
  while (to > now && !time.compare_exchange_weak(now, to)) continue;
}

std::optional<Timestamp> Before(int64_t time, Duration lookback) {
  if (time == std::numeric_limits<int64_t>::min()) return std::nullopt;
  return Timestamp{time} - lookback;
}

}  // namespace

void StateSpace::SetNow(Timestamp time) const { Raise(now_, time.micros); }
std::optional<Timestamp> StateSpace::Oldest() const { return Before(now_, program.lookback); }
void StateSpace::SetSettled(Timestamp time) const { Raise(settled_, time.micros); }
std::optional<Timestamp> StateSpace::FoldedUntil() const { return Before(settled_, program.lookback); }

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
  if (position.complete) *read = {position.generation, position.program, position.known_until, position.sequence_until, nullptr};
  const std::lock_guard<std::mutex> lock(views_mutex_);
  return views_.try_emplace(view, std::move(read)).first->second;
}

Result<std::shared_ptr<const StateSpace>> EntityStates::Live(const Program& program, const std::string& fingerprint,
                                                             const std::shared_ptr<const CompiledProgram>& compiled) {
  {
    const std::lock_guard<std::mutex> lock(views_mutex_);
    const auto known = views_.find(program.view);
    if (known != views_.end() && known->second->space && known->second->fingerprint == fingerprint) return known->second->space;
  }
  TIDEMILL_ASSIGN_OR_RETURN(const auto view, Read(program.view));
  if (!view->generation) return std::shared_ptr<const StateSpace>();
  if (view->fingerprint != fingerprint) {
    return Unavailable("view_stale", fmt::format("the online states of '{}' were made by another definition of it", program.view),
                       "'tidemill run' makes them anew");
  }
  auto space = Space(*view->generation, program, fingerprint, compiled);
  const std::lock_guard<std::mutex> lock(views_mutex_);
  const auto known = views_.find(program.view);
  if (known != views_.end() && known->second == view) view->space = space;
  return space;
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
  if (position.ok() && position->complete) *now = {position->generation, position->program, position->known_until, position->sequence_until, nullptr};
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

std::optional<EntityStates::Sampling> EntityStates::BeginSampling(std::span<const std::string> views, Timestamp at) const {
  const AnswerSampler* sampler = sampler_;
  Sampling sampling;
  sampling.brought = brought_;
  if (sampler == nullptr || bringing_ > 0) return std::nullopt;
  for (const std::string& view : views) {
    const std::optional<bool> wanted = sampler->Wants(view, at);
    if (!wanted) return std::nullopt;
    sampling.follows[view] = *wanted;
  }
  return sampling;
}

void EntityStates::Keep(const Sampling& sampling, SampledAnswer answer) {
  for (const auto& [name, follows] : sampling.follows) {
    const auto view = Read(name);
    if (!view.ok() || !(*view)->generation) return;
    answer.held[name] = {(*view)->known_until, (*view)->sequence_until, follows};
  }
  AnswerSampler* sampler = sampler_;
  if (sampler == nullptr || bringing_ > 0 || brought_ != sampling.brought) return;
  sampler->Keep(std::move(answer));
}

uint64_t EntityStates::Place(const StateSpace& space, std::string_view key) {
  thread_local std::string buffer;
  return Hash64(FullKeyOf(space.id, key, buffer));
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
      entry->used.store(true, std::memory_order_relaxed);
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
    TIDEMILL_RETURN_IF_ERROR(state->Open(*bytes, FetchFor(store_, *entry.space, entry.key())));
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
  if (entry.state) bytes += entry.state->memory_bytes();
  bytes_ += static_cast<int64_t>(bytes) - entry.bytes.exchange(static_cast<int64_t>(bytes));
}

/// Pushes out what was not used for long, of this shard. The shard is locked, so an entry that only its table holds stays so.
Status EntityStates::MakeRoom(Shard& shard) {
  int rounds = 0;  // the first one may only find entries that were used since the last
  while (bytes_ > static_cast<int64_t>(bytes_max_) && shard.recent.size() > 1) {
    std::vector<std::shared_ptr<Entry>> leaving;
    for (size_t looked_at = shard.recent.size(); looked_at > 1 && leaving.size() < kPushedOutAtOnce; --looked_at) {
      Entry* oldest = shard.recent.back();
      const auto entry = shard.entries.find(oldest->full_key);
      const bool stays = oldest->used.exchange(false) || entry->second.use_count() > 1;
      if (!stays) leaving.push_back(entry->second);
      shard.recent.splice(shard.recent.begin(), shard.recent, oldest->recent);
    }
    if (leaving.empty() && ++rounds > 1) return Ok();
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

/// Adds the records of a state that have changed, without what has expired; false when there are none.
bool EntityStates::Save(Entry& entry, std::vector<OnlineStore::Write>& writes) {
  const std::lock_guard<std::mutex> lock(entry.mutex);
  if (!entry.changed || entry.state == nullptr) return false;
  if (const auto oldest = entry.space->Oldest()) entry.state->Expire(*oldest);
  if (const auto until = entry.space->FoldedUntil()) entry.state->Fold(*until);
  entry.found = entry.state->rows() > 0;
  StateChanges changes = entry.state->TakeChanges();
  for (StateRecord& record : changes.written) {
    const bool head = record.id == 0;
    // Without rows nothing is kept of an entity.
    if (head && !entry.found) continue;
    writes.push_back({head ? entry.space->name : entry.space->pieces, head ? std::string(entry.key()) : PieceKey(entry.key(), record.id),
                      std::move(record.bytes)});
  }
  for (const uint64_t id : changes.removed) writes.push_back({entry.space->pieces, PieceKey(entry.key(), id), std::nullopt});
  if (!entry.found) writes.push_back({entry.space->name, std::string(entry.key()), std::nullopt});
  entry.changed = false;
  Resize(entry);
  return true;
}

/// The caller sees to it that none of the entries leaves the table meanwhile: what is written last must be the newest. What could not
/// be written stays waiting, and goes before what comes later.
Status EntityStates::WriteStates(const std::vector<std::shared_ptr<Entry>>& entries) {
  const std::lock_guard<std::mutex> in_order(write_mutex_);
  for (const auto& entry : entries) written_ += Save(*entry, unwritten_) ? 1 : 0;
  if (unwritten_.empty()) return Ok();
  TIDEMILL_RETURN_IF_ERROR(store_.Put(unwritten_, OnlineStore::Durability::kLater));
  unwritten_.clear();
  return Ok();
}

Status EntityStates::WriteBack() {
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
  return WriteStates({});
}

Status EntityStates::Sweep(const std::shared_ptr<const StateSpace>& space) {
  const auto oldest = space->Oldest();
  if (!oldest) return Ok();
  std::vector<std::string> outdated;
  TIDEMILL_RETURN_IF_ERROR(store_.Scan(space->name, "", [&](std::string_view key, std::string_view bytes) -> Result<bool> {
    const auto state = EntityState::Make(space->program, space->compiled);
    TIDEMILL_RETURN_IF_ERROR(state->Open(bytes, FetchFor(store_, *space, key)));
    state->Expire(*oldest);
    if (const auto until = space->FoldedUntil()) state->Fold(*until);
    if (state->changed() || state->rows() == 0) outdated.emplace_back(key);
    return true;
  }));
  for (const std::string& key : outdated) {
    TIDEMILL_ASSIGN_OR_RETURN(LockedState locked, Open(space, key));
    if (locked.found()) locked.Change();  // writing it leaves out what has expired, and folds
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
  changed_ = true;
}

}  // namespace tidemill
