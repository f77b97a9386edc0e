#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"

namespace tidemill {

Command MakeInitCommand();
Command MakeCheckCommand();
Command MakePlanCommand();
Command MakeRunCommand();
Command MakeQueryCommand();
Command MakeShowCommand();
Command MakeModelsCommand();
Command MakePushCommand();
Command MakePredictCommand();
Command MakeServeCommand();
Command MakeFeaturesCommand();
Command MakeLineageCommand();
Command MakeReplayCommand();
Command MakeReportCommand();
Command MakeQuarantineCommand();
Command MakeLakeCommand();
Command MakeSchemaCommand();
/// These two are made from the tree itself, which must outlive their run.
Command MakeCompletionCommand(const Command& root);
Command MakeHelpMarkdownCommand(const Command& root);

/// All commands. The tree refers to itself (completion) and holds the targets of its parameters: it stays
/// where it is, and one tree is good for one command line.
std::unique_ptr<const Command> MakeCommandTree();
/// What every command has, stored into `context`.
std::vector<Parameter> CommonParameters(CommandContext* context);

/// Runs one command line (without the program's name) and returns the exit code: 0 success, 1 the command
/// failed, 2 the command line is wrong. Errors go to stderr, as JSON when --json is given.
int RunCommandLine(const std::vector<std::string>& arguments, Console& console, const Clock& clock);

}  // namespace tidemill
