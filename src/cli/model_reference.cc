#include "cli/model_reference.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include <fmt/format.h>

#include "base/text_distance.h"

namespace tidemill {

Result<ModelReference> ParseModelReference(const std::string& text) {
  const size_t at = text.find('@');
  ModelReference reference{text.substr(0, at), std::nullopt};
  if (at == std::string::npos) return reference;
  int64_t version = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, problem] = std::from_chars(text.data() + at + 1, end, version);
  if (reference.model.empty() || problem != std::errc() || stopped != end || version < 1) {
    return UserError("bad_argument", fmt::format("'{}' is not a model's version", text), "for instance late_arrival@3");
  }
  reference.version = version;
  return reference;
}

Result<ModelVersion> FindModelVersion(Catalog& catalog, const ModelReference& reference) {
  TIDEMILL_ASSIGN_OR_RETURN(const std::vector<ModelVersion> versions, catalog.ModelVersions(""));
  std::vector<std::string> names;
  for (const ModelVersion& version : versions) {
    if (std::find(names.begin(), names.end(), version.model) == names.end()) names.push_back(version.model);
  }
  if (std::find(names.begin(), names.end(), reference.model) == names.end()) {
    return UserError("unknown_model", fmt::format("no model '{}' has been trained", reference.model),
                     names.empty() ? "'tidemill run' trains the project's models" : SuggestionHint(reference.model, names));
  }
  if (reference.version) return catalog.GetModelVersion(reference.model, *reference.version);
  TIDEMILL_ASSIGN_OR_RETURN(const std::optional<int64_t> champion, catalog.Alias(reference.model, kChampionAlias));
  if (!champion) {
    return UserError("no_champion", fmt::format("no version of '{}' is the champion", reference.model),
                     fmt::format("name a version ('tidemill models list {}' shows them)", reference.model));
  }
  return catalog.GetModelVersion(reference.model, *champion);
}

}  // namespace tidemill
