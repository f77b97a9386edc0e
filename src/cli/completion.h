#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"

namespace tidemill {

/// A script for "bash", "zsh" or "fish" that completes commands, options, choices, files and the names of
/// assets.
std::string CompletionScript(const Command& root, const std::vector<Parameter>& common, std::string_view shell);

}  // namespace tidemill
