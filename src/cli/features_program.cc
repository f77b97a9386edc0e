#include "cli/features_program.h"

#include <memory>

#include <fmt/format.h>

#include "base/files.h"
#include "base/text_distance.h"
#include "cli/commands.h"

namespace tidemill {
namespace {

struct ProgramArguments {
  std::string view;
  std::string output;
};

Result<Json> ProgramOf(const Workspace& workspace, const std::string& view) {
  const auto program = workspace.programs.find(view);
  if (program != workspace.programs.end()) return program->second.ToJson();
  if (workspace.derived_plans.contains(view)) {
    return UserError("unknown_view",
                     fmt::format("'{}' is a derived view: it is computed from other views' features and keeps no state", view),
                     "the views that it uses have programs");
  }
  std::vector<std::string> names;
  for (const auto& [name, unused] : workspace.programs) names.push_back(name);
  return UserError("unknown_view", fmt::format("there is no feature view '{}'", view), SuggestionHint(view, names));
}

Status RunProgram(const ProgramArguments& arguments, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(const Workspace workspace, OpenWorkspace(context.project, context.clock));
  TIDEMILL_ASSIGN_OR_RETURN(const Json program, ProgramOf(workspace, arguments.view));
  if (arguments.output.empty()) return context.console.WriteJson(program);
  TIDEMILL_RETURN_IF_ERROR(WriteFileAtomic(arguments.output, program.dump() + "\n"));
  context.console.Tell(fmt::format("{} the program of {} is in {}\n", context.console.ErrStyle(Style::kGood, "✓"), arguments.view,
                                   arguments.output));
  return Ok();
}

}  // namespace

Command MakeFeaturesProgramCommand() {
  const auto arguments = std::make_shared<ProgramArguments>();
  Command command;
  command.name = "program";
  command.summary = "What a feature view compiles to: the JSON that the kernel's library loads";
  command.details =
      "A program is plain data: the columns that it reads, its aggregates and its outputs. lib/libtidemill_kernel.so executes it elsewhere "
      "(Python, Spark), to the same bits.";
  command.examples = {{"tidemill features program origin_delays", "onto the screen"},
                      {"tidemill features program origin_delays --output origin_delays.json", "into a file"}};
  command.parameters.push_back(
      Positional("VIEW", "which feature view", &arguments->view).Required().Offering(Completes::kAssets));
  command.parameters.push_back(Option("--output", "FILE", "where to write it (default: stdout)", &arguments->output));
  command.run = [arguments](CommandContext& context) { return RunProgram(*arguments, context); };
  return command;
}

}  // namespace tidemill
