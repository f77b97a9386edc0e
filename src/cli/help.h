#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace tidemill {

/// "tidemill lake verify".
std::string CommandLine(const std::vector<const Command*>& path);
/// "tidemill show ASSET [--at SNAPSHOT] ...".
std::string UsageLine(const std::vector<const Command*>& path);
/// What --help shows, for people.
std::string HelpText(const std::vector<const Command*>& path, const std::vector<Parameter>& common);
/// docs/cli.md: every command that is not hidden.
std::string HelpMarkdown(const Command& root, const std::vector<Parameter>& common);

}  // namespace tidemill
