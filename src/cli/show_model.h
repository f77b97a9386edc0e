#pragma once

#include <string>

#include "catalog/catalog.h"
#include "cli/command.h"

namespace tidemill {

/// The versions of a model ("" : of all models): number, status, when, figures, alias.
Status ShowModelVersions(const std::string& model, CommandContext& context);

/// Everything of one version.
Status ShowModelVersion(const ModelVersion& version, CommandContext& context);

}  // namespace tidemill
