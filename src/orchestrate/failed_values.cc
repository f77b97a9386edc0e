#include "orchestrate/failed_values.h"

#include <algorithm>
#include <filesystem>
#include <utility>

namespace tidemill {

Error PlaceFailedValues(const Project& project, Error error) {
  if (error.code != "values_failed" || !error.place || error.place->line > 0) return error;
  const std::string column = std::exchange(error.place->excerpt, "");
  const auto view = project.views.find(std::filesystem::path(error.place->file).stem().string());
  if (view == project.views.end()) return error;
  for (const FeatureDefinition& feature : view->second.features) {
    const std::vector<std::string> columns = FeatureColumns(feature);
    if (std::find(columns.begin(), columns.end(), column) != columns.end()) error.place = feature.place;
  }
  return error;
}

}  // namespace tidemill
