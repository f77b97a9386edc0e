#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace tidemill {

/// A parsed command line: which command, and what else was asked. Values have gone to the parameters'
/// targets.
struct ParsedArguments {
  std::vector<const Command*> path;  ///< from the root to the command, the root included
  bool help = false;
  bool version = false;
};

/// Parses `arguments` (without the program's name) against the tree under `root`; `common` are parameters
/// that every command has. Codes: "unknown_command", "unknown_option", "unexpected_argument",
/// "missing_argument", "bad_argument". Nothing is stored when help or version is asked.
Result<ParsedArguments> ParseArguments(const Command& root, const std::vector<Parameter>& common,
                                       const std::vector<std::string>& arguments);

}  // namespace tidemill
