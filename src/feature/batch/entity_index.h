#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/columns.h"
#include "feature/entity_groups.h"
#include "feature/program/datum.h"

namespace tidemill {

/// The entities that views have rows of, numbered from 0 in order of appearance. Keys are equal by type and value; a key of one
/// column of 64 bits takes a table of its own, any other the encoding of AppendKeyPart. About 24 or 100 bytes an entity.
/// Reading is thread-safe while nothing is added.
class EntityIndex {
 public:
  explicit EntityIndex(std::vector<Type> key_types);

  size_t size() const { return size_; }
  /// The number of an entity, a new one when it has none yet. No part of the key is null.
  uint32_t Add(std::span<const Datum> key);
  /// The numbers of the entities of all rows, appended to `entities`; new ones where they have none yet. No key is null.
  void Add(std::span<const Column* const> keys, std::vector<uint32_t>& entities);
  /// Numbers the entities of all rows that have one.
  void AddAll(std::span<const Column* const> keys);
  /// The numbers of the entities of rows [begin, end), kNoEntity for those without: a null in the key, or not in this index.
  void Find(std::span<const Column* const> keys, size_t begin, size_t end, uint32_t* entities) const;

 private:
  struct Entry {
    int64_t key = 0;
    uint32_t entity = kNoEntity;
  };

  size_t FirstPlace(int64_t key) const;
  size_t Place(int64_t key) const;
  void Grow();
  uint32_t AddInteger(int64_t key);
  uint32_t FindInteger(int64_t key) const { return integers_[Place(key)].entity; }

  std::vector<Type> key_types_;
  bool by_integer_ = false;
  size_t size_ = 0;
  std::vector<Entry> integers_;  ///< open addressing; a power of two, at most half full
  EntityIds encoded_;
  std::string key_;
};

}  // namespace tidemill
