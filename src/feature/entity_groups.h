#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tidemill {

/// Entities numbered from 0 in order of appearance, by their encoded key (AppendKeyPart).
struct EntityKeyHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
using EntityIds = std::unordered_map<std::string, uint32_t, EntityKeyHash, std::equal_to<>>;
constexpr uint32_t kNoEntity = UINT32_MAX;

/// The number of an entity, a new one when it has none yet.
uint32_t EntityId(std::string_view key, EntityIds& ids);

/// Positions of rows by entity: those of entity e are rows[begin[e]] ... rows[begin[e + 1] - 1], in their own order.
struct EntityGroups {
  std::vector<size_t> begin;
  std::vector<uint32_t> rows;
};

/// Where each row lies when rows are put in the order of their entities, those of one in their own order.
struct EntityPlaces {
  std::vector<size_t> begin;    ///< those of entity e are [begin[e], begin[e + 1])
  std::vector<uint32_t> place;  ///< by row; kNoEntity for rows without one

  size_t placed() const { return begin.back(); }
};

/// Where the rows of each entity begin when they lie by entity, and where the last ones end; rows with kNoEntity do not count.
std::vector<size_t> EntityBegins(const std::vector<uint32_t>& entity_of_row, size_t entities);
EntityPlaces PlaceByEntity(std::vector<uint32_t> entity_of_row, size_t entities);

/// A counting sort; rows with kNoEntity are left out.
EntityGroups GroupByEntity(const std::vector<uint32_t>& entity_of_row, size_t entities);

}  // namespace tidemill
