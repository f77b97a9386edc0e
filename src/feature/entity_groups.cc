#include "feature/entity_groups.h"

#include <numeric>

namespace tidemill {

uint32_t EntityId(std::string_view key, EntityIds& ids) {
  const auto known = ids.find(key);
  return known != ids.end() ? known->second : ids.emplace(key, static_cast<uint32_t>(ids.size())).first->second;
}

std::vector<size_t> EntityBegins(const std::vector<uint32_t>& entity_of_row, size_t entities) {
  std::vector<size_t> begin(entities + 1, 0);
  for (const uint32_t entity : entity_of_row) {
    if (entity != kNoEntity) ++begin[entity + 1];
  }
  std::partial_sum(begin.begin(), begin.end(), begin.begin());
  return begin;
}

EntityPlaces PlaceByEntity(std::vector<uint32_t> entity_of_row, size_t entities) {
  EntityPlaces places{EntityBegins(entity_of_row, entities), std::move(entity_of_row)};
  std::vector<uint32_t> next(places.begin.begin(), places.begin.end() - 1);
  for (uint32_t& place : places.place) {
    if (place != kNoEntity) place = next[place]++;
  }
  return places;
}

EntityGroups GroupByEntity(const std::vector<uint32_t>& entity_of_row, size_t entities) {
  EntityGroups groups;
  groups.begin = EntityBegins(entity_of_row, entities);
  groups.rows.resize(groups.begin.back());
  std::vector<size_t> next(groups.begin.begin(), groups.begin.end() - 1);
  for (uint32_t row = 0; row < entity_of_row.size(); ++row) {
    if (entity_of_row[row] != kNoEntity) groups.rows[next[entity_of_row[row]]++] = row;
  }
  return groups;
}

}  // namespace tidemill
