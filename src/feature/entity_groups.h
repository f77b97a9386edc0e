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

/// A counting sort; rows with kNoEntity are left out.
EntityGroups GroupByEntity(const std::vector<uint32_t>& entity_of_row, size_t entities);

}  // namespace tidemill
