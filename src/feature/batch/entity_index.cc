#include "feature/batch/entity_index.h"

#include <algorithm>

#include "feature/entity_key.h"

namespace tidemill {
namespace {

constexpr size_t kPlacesAtFirst = 1024;
constexpr size_t kFoundAhead = 16;  // whose memory is fetched

bool IsInteger(Type type) {
  return type == Type::kBool || type == Type::kInt64 || type == Type::kTimestamp || type == Type::kDate;
}

/// Spreads neighbours over the whole table (the finalizer of SplitMix64).
uint64_t Mix(uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ULL;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebULL;
  return bits ^ (bits >> 31);
}

}  // namespace

EntityIndex::EntityIndex(std::vector<Type> key_types)
    : key_types_(std::move(key_types)), by_integer_(key_types_.size() == 1 && IsInteger(key_types_[0])) {
  if (by_integer_) integers_.resize(kPlacesAtFirst);
}

size_t EntityIndex::FirstPlace(int64_t key) const { return Mix(static_cast<uint64_t>(key)) & (integers_.size() - 1); }

size_t EntityIndex::Place(int64_t key) const {
  size_t place = FirstPlace(key);
  while (integers_[place].entity != kNoEntity && integers_[place].key != key) place = (place + 1) & (integers_.size() - 1);
  return place;
}

void EntityIndex::Grow() {
  std::vector<Entry> old(integers_.size() * 2);
  old.swap(integers_);
  for (const Entry& entry : old) {
    if (entry.entity != kNoEntity) integers_[Place(entry.key)] = entry;
  }
}

uint32_t EntityIndex::AddInteger(int64_t key) {
  Entry& entry = integers_[Place(key)];
  if (entry.entity != kNoEntity) return entry.entity;
  const auto entity = static_cast<uint32_t>(size_++);
  entry = {key, entity};
  if (size_ * 2 > integers_.size()) Grow();
  return entity;
}

uint32_t EntityIndex::Add(std::span<const Datum> key) {
  if (by_integer_) return AddInteger(key[0].integer);
  key_.clear();
  for (size_t i = 0; i < key_types_.size(); ++i) AppendKeyPart(key[i], key_types_[i], key_);
  const uint32_t entity = EntityId(key_, encoded_);
  size_ = encoded_.size();
  return entity;
}

void EntityIndex::Add(std::span<const Column* const> keys, std::vector<uint32_t>& entities) {
  const size_t rows = keys[0]->size();
  if (by_integer_) {
    for (size_t row = 0; row < rows; ++row) entities.push_back(AddInteger(keys[0]->ints[row]));
    return;
  }
  std::vector<Datum> key(keys.size());
  for (size_t row = 0; row < rows; ++row) {
    for (size_t i = 0; i < keys.size(); ++i) key[i] = ColumnDatum(*keys[i], row);
    entities.push_back(Add(key));
  }
}

void EntityIndex::AddAll(std::span<const Column* const> keys) {
  std::vector<Datum> key(keys.size());
  for (size_t row = 0; row < keys[0]->size(); ++row) {
    if (std::any_of(keys.begin(), keys.end(), [&](const Column* column) { return column->IsNull(row); })) continue;
    for (size_t i = 0; i < keys.size(); ++i) key[i] = ColumnDatum(*keys[i], row);
    Add(key);
  }
}

void EntityIndex::Find(std::span<const Column* const> keys, size_t begin, size_t end, uint32_t* entities) const {
  if (by_integer_) {
    const Column& column = *keys[0];
    for (size_t row = begin; row < end; ++row) {
      if (row + kFoundAhead < end) __builtin_prefetch(&integers_[FirstPlace(column.ints[row + kFoundAhead])]);
      *entities++ = column.IsNull(row) ? kNoEntity : FindInteger(column.ints[row]);
    }
    return;
  }
  std::string key;
  for (size_t row = begin; row < end; ++row, ++entities) {
    *entities = kNoEntity;
    if (std::any_of(keys.begin(), keys.end(), [&](const Column* column) { return column->IsNull(row); })) continue;
    key.clear();
    for (size_t i = 0; i < keys.size(); ++i) AppendKeyPart(ColumnDatum(*keys[i], row), key_types_[i], key);
    if (const auto known = encoded_.find(std::string_view(key)); known != encoded_.end()) *entities = known->second;
  }
}

}  // namespace tidemill
