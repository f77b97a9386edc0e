#include "feature/entity_groups.h"

#include <numeric>

namespace tidemill {

uint32_t EntityId(std::string_view key, EntityIds& ids) {
  const auto known = ids.find(key);
  return known != ids.end() ? known->second : ids.emplace(key, static_cast<uint32_t>(ids.size())).first->second;
}

EntityGroups GroupByEntity(const std::vector<uint32_t>& entity_of_row, size_t entities) {
  EntityGroups groups;
  groups.begin.assign(entities + 1, 0);
  for (const uint32_t entity : entity_of_row) {
    if (entity != kNoEntity) ++groups.begin[entity + 1];
  }
  std::partial_sum(groups.begin.begin(), groups.begin.end(), groups.begin.begin());
  groups.rows.resize(groups.begin.back());
  std::vector<size_t> next(groups.begin.begin(), groups.begin.end() - 1);
  for (uint32_t row = 0; row < entity_of_row.size(); ++row) {
    if (entity_of_row[row] != kNoEntity) groups.rows[next[entity_of_row[row]]++] = row;
  }
  return groups;
}

}  // namespace tidemill
