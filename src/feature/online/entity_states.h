#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <limits>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "feature/online/answer_sampler.h"
#include "feature/online/store.h"
#include "feature/program/entity_state.h"

namespace tidemill {

/// The states of one view's entities under one program. A view that is built anew gets another generation beside the old one.
struct StateSpace {
  StateSpace(uint32_t space_id, std::string at_generation, const Program& of, std::string its_fingerprint,
             std::shared_ptr<const CompiledProgram> its_compiled);

  uint32_t id = 0;          ///< unique among the spaces of a store while it is open
  std::string name;         ///< of the store's space with the heads of states, by entity
  std::string pieces;       ///< of the space with the other records, by entity and number
  std::string generation;
  std::string fingerprint;  ///< ProgramFingerprint
  Program program;
  std::shared_ptr<const CompiledProgram> compiled;

  /// States written from now on forget what no query at `time` - look-back or later can see. Never goes back.
  void SetNow(Timestamp time) const;
  /// nullopt before the first SetNow.
  std::optional<Timestamp> Oldest() const;
  /// All rows that are known by `time` are in the states, so that those written from now on may fold rows (EntityState::Fold).
  /// Never goes back.
  void SetSettled(Timestamp time) const;
  /// Up to when rows may be folded: no query for an earlier time is answered. nullopt before the first SetSettled.
  std::optional<Timestamp> FoldedUntil() const;

 private:
  mutable std::atomic<int64_t> now_{std::numeric_limits<int64_t>::min()};
  mutable std::atomic<int64_t> settled_{std::numeric_limits<int64_t>::min()};
};

/// What decides the states of a program: itself and the kernel's version.
std::string ProgramFingerprint(const Program& program);

/// Decoded states of entities above a store of bytes, least recently used ones first out, within a bound.
///
/// Threads: any number may look up and change states at once. The cache is cut into shards by the hash of the entity, each with a
/// lock that is held for a look into its table; a state has a lock of its own, held by its LockedState, so a slow entity keeps
/// nobody from the others. Never hold two LockedState at once.
/// Durability: changes stay in memory until WriteBack() or until they are pushed out; whoever needs them to survive writes a log
/// first (feature/online/pushes.h). A state is stored in records of up to about 1,000 rows, of which only the changed ones are written, so
/// an entity with many rows costs no more than others.
class EntityStates {
 public:
  explicit EntityStates(OnlineStore& store);
  ~EntityStates();

  /// How many bytes of decoded states are kept; one state that is larger by itself stays alone. Default 256 MiB.
  void SetCacheBytes(size_t bytes) { bytes_max_ = bytes; }
  size_t cache_limit() const { return bytes_max_; }
  /// The space that answers for a view. Code "view_stale" when its states were made by another program; nullptr when there are none.
  Result<std::shared_ptr<const StateSpace>> Live(const Program& program, const std::string& fingerprint,
                                                 const std::shared_ptr<const CompiledProgram>& compiled);
  /// The space of a generation that is not live (yet).
  std::shared_ptr<const StateSpace> Space(const std::string& generation, const Program& program, const std::string& fingerprint,
                                          const std::shared_ptr<const CompiledProgram>& compiled);
  /// To be called when a view's position or generation was written: looks at the store again, and lets go of states of other
  /// generations.
  void Moved(const std::string& view);

  /// While an object of this lives, states of a view hold more than its position says, so that no answers are sampled.
  class Bringing {
   public:
    explicit Bringing(EntityStates& states) : states_(states) { ++states_.bringing_; }
    ~Bringing() {
      ++states_.brought_;
      --states_.bringing_;
    }
    Bringing(const Bringing&) = delete;
    Bringing& operator=(const Bringing&) = delete;

   private:
    EntityStates& states_;
  };
  /// Answers are offered to it from now on; nullptr: to none. It must outlive its use here.
  void SetSampler(AnswerSampler* sampler) { sampler_ = sampler; }
  /// An answer that is about to be made from the states of views, if it is wanted for the sample.
  struct Sampling {
    std::map<std::string, bool> follows;  ///< by view
    int64_t brought = 0;
  };
  std::optional<Sampling> BeginSampling(std::span<const std::string> views, Timestamp at) const;
  /// Offers the answer, without `held`, to the sample: kept unless states changed in a way that batch can't follow.
  void Keep(const Sampling& sampling, SampledAnswer answer);

  struct Entry;
  /// A state of which this thread is the only user.
  class LockedState {
   public:
    LockedState(LockedState&& other) noexcept;
    ~LockedState();
    bool found() const;  ///< the entity has a state
    EntityState& state() const;
    /// Has to be called before the state is changed.
    void Change();

   private:
    friend class EntityStates;
    LockedState(EntityStates* states, std::shared_ptr<Entry> entry);
    EntityStates* states_;
    std::shared_ptr<Entry> entry_;
    std::unique_lock<std::mutex> lock_;
    bool changed_ = false;
  };
  /// The state of an entity by its encoded key, read from the store when it isn't here. Unknown entities are remembered too.
  Result<LockedState> Open(const std::shared_ptr<const StateSpace>& space, std::string_view key);

  /// States that are opened in the order of this number lie near each other in memory.
  static uint64_t Place(const StateSpace& space, std::string_view key);

  /// Writes all changed states to the store, not synced: an acknowledged write after it makes them durable.
  Status WriteBack();
  /// Reads the stored states of a space one after the other, forgets what has expired and folds what can be; states without rows
  /// go away.
  Status Sweep(const std::shared_ptr<const StateSpace>& space);

  struct Counts {
    int64_t states = 0, changed = 0, bytes = 0;  ///< in the cache now
    int64_t hits = 0, misses = 0, written = 0, pushed_out = 0;
  };
  Counts counts() const;

 private:
  static constexpr size_t kShards = 64;
  struct Shard;
  struct View;

  Shard& ShardOf(std::string_view full_key);
  Result<std::shared_ptr<const View>> Read(const std::string& view);
  Status Load(Entry& entry);
  Status MakeRoom(Shard& shard);
  Status WriteStates(const std::vector<std::shared_ptr<Entry>>& entries);
  bool Save(Entry& entry, std::vector<OnlineStore::Write>& writes);
  void Resize(Entry& entry);
  void LetGo(uint32_t space);

  OnlineStore& store_;
  std::atomic<size_t> bytes_max_{size_t{256} << 20};
  std::atomic<int64_t> bytes_{0};
  std::atomic<AnswerSampler*> sampler_{nullptr};
  std::atomic<int64_t> bringing_{0}, brought_{0};
  std::atomic<int64_t> hits_{0}, misses_{0}, written_{0}, pushed_out_{0};
  std::unique_ptr<std::array<Shard, kShards>> shards_;
  std::mutex write_mutex_;                     ///< what is taken from states is written in that order
  std::vector<OnlineStore::Write> unwritten_;  ///< under write_mutex_
  mutable std::mutex views_mutex_;
  std::unordered_map<std::string, std::shared_ptr<const View>> views_;
  std::vector<std::shared_ptr<const StateSpace>> spaces_;
  uint32_t next_space_ = 1;
};

}  // namespace tidemill
