#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "catalog/catalog.h"

namespace tidemill {

/// "late_arrival", or "late_arrival@3".
struct ModelReference {
  std::string model;
  std::optional<int64_t> version;
};
Result<ModelReference> ParseModelReference(const std::string& text);

/// The version meant: the one named, else the champion. Codes: "unknown_model" (with a suggestion),
/// "no_champion", and the catalog's own for a version that is not there.
Result<ModelVersion> FindModelVersion(Catalog& catalog, const ModelReference& reference);

}  // namespace tidemill
