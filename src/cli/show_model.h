#pragma once

#include <string>

#include "cli/command.h"

namespace tidemill {

/// The versions of a model ("" : of all models): number, status, when, figures, alias.
Status ShowModelVersions(const std::string& model, CommandContext& context);

}  // namespace tidemill
