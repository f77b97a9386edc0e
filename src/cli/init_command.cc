#include <fmt/format.h>

#include <memory>
#include <optional>

#include "cli/commands.h"
#include "cli/init.h"

namespace tidemill {
namespace {

struct InitArguments {
  std::string folder = ".";
  std::optional<std::string> from;
  std::string predict;
};

std::string FirstRun(const NewProject& project, const std::string& folder) {
  std::string line = "tidemill run";
  if (folder != ".") line += " --project " + folder;
  if (project.now) line += " --now " + FormatTimestamp(*project.now);
  return line;
}

Status RunInit(const InitArguments& arguments, CommandContext& context) {
  InitOptions options;
  options.folder = arguments.folder;
  if (arguments.from) options.from_csv = *arguments.from;
  options.predict = arguments.predict;
  options.now = context.Now();
  TIDEMILL_ASSIGN_OR_RETURN(const NewProject project, InitProject(options));
  const std::string next = FirstRun(project, arguments.folder);
  if (context.json) {
    Json json = {{"files", Json::array()}, {"notes", project.notes}, {"model", project.model}, {"next", next}};
    for (const auto& [name, text] : project.files) json["files"].push_back(name);
    return context.console.WriteJson(json);
  }
  for (const auto& [name, text] : project.files) context.console.Tell("  " + name + "\n");
  for (const std::string& note : project.notes) context.console.Tell(note + "\n");
  if (project.now) context.console.Tell("the data is old: --now puts the project clock to its end\n");
  context.console.Tell(context.console.ErrStyle(Style::kGood, "✓") + " the project is there; train " + project.model + " with: " + next + "\n");
  return Ok();
}

}  // namespace

Command MakeInitCommand() {
  const auto arguments = std::make_shared<InitArguments>();
  Command command;
  command.name = "init";
  command.summary = "Make a project that runs at once";
  command.details =
      "Without options an example with generated data. With --from and --predict a project for a CSV: a source with types found "
      "in the file, a table, "
      "and a model that predicts the column from the others. What was guessed is written into the files as comments. Files that "
      "exist are never replaced.";
  command.examples = {{"tidemill init shop", "an example in the folder shop"},
                      {"tidemill init churn --from churn.csv --predict churned", "a model of your own data"}};
  command.parameters.push_back(
      Positional("FOLDER", "folder of the new project (default: .)", &arguments->folder).Offering(Completes::kFolders));
  command.parameters.push_back(Option("--from", "CSV", "the file to learn from", &arguments->from).Offering(Completes::kFiles));
  command.parameters.push_back(Option("--predict", "COLUMN", "the column to predict: one with two values", &arguments->predict));
  command.run = [arguments](CommandContext& context) { return RunInit(*arguments, context); };
  return command;
}

}  // namespace tidemill
