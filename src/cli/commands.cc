#include "cli/commands.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "base/error_json.h"
#include "cli/arguments.h"
#include "cli/help.h"
#include "project/project.h"

namespace tidemill {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

void TellError(const Error& error, bool json, Console& console) {
  if (json) {
    console.Tell(Json{{"error", ErrorToJson(error)}}.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    return;
  }
  std::string text = error.Format();
  const std::string_view label = "error:";
  if (text.rfind(label, 0) == 0) text = console.ErrStyle(Style::kBad, label) + text.substr(label.size());
  console.Tell(text);
}

/// Success, or the reader of stdout has gone, which is its own choice.
int ExitCode(const Status& status, bool json, Console& console) {
  if (status.ok() || status.error().code == "output_closed") return 0;
  TellError(status.error(), json, console);
  return kExitFailed;
}

Status RunCommand(const Command& command, CommandContext& context) {
  if (!context.now) context.now = PinnedNow(context.project);
  Status status = command.run(context);
  // What was written before a failure is data too.
  Status flushed = context.console.Flush();
  return status.ok() ? std::move(flushed) : std::move(status);
}

}  // namespace

std::unique_ptr<const Command> MakeCommandTree() {
  auto root = std::make_unique<Command>();
  root->name = "tidemill";
  root->summary = "machine learning inside data engineering, as one program and one folder of plain files";
  root->details =
      "Data goes to stdout, messages and progress to stderr. The exit code is 0 only on success, 1 when the command failed, 2 "
      "when the command line is wrong. With --json, data and errors are JSON.";
  root->examples = {{"tidemill init --from churn.csv --predict churned", "a project that runs at once"},
                    {"tidemill run", "bring everything up to date"},
                    {"tidemill run --help", "what a command does"}};
  root->commands.push_back(MakeInitCommand());
  root->commands.push_back(MakeCheckCommand());
  root->commands.push_back(MakePlanCommand());
  root->commands.push_back(MakeRunCommand());
  root->commands.push_back(MakeShowCommand());
  root->commands.push_back(MakeQueryCommand());
  root->commands.push_back(MakeModelsCommand());
  root->commands.push_back(MakePredictCommand());
  root->commands.push_back(MakePushCommand());
  root->commands.push_back(MakeServeCommand());
  root->commands.push_back(MakeFeaturesCommand());
  root->commands.push_back(MakeLineageCommand());
  root->commands.push_back(MakeReplayCommand());
  root->commands.push_back(MakeReportCommand());
  root->commands.push_back(MakeQuarantineCommand());
  root->commands.push_back(MakeLakeCommand());
  root->commands.push_back(MakeSchemaCommand());
  root->commands.push_back(MakeCompletionCommand(*root));
  root->commands.push_back(MakeHelpMarkdownCommand(*root));
  return root;
}

std::vector<Parameter> CommonParameters(CommandContext* context) {
  std::vector<Parameter> common;
  common.push_back(Option("--project", "DIR", "folder of the project, or one below it (default: .)", &context->project)
                       .Offering(Completes::kFolders));
  common.push_back(Flag("--json", "data and errors as JSON", &context->json));
  common.push_back(
      Option("--now", "TIME", "the project clock: what became known later is not seen (default: the wall clock)", &context->now));
  return common;
}

int RunCommandLine(const std::vector<std::string>& arguments, Console& console, const Clock& clock) {
  CommandContext context{console, clock, ".", false, std::nullopt};
  const std::vector<Parameter> common = CommonParameters(&context);
  const std::unique_ptr<const Command> root = MakeCommandTree();
  const auto parsed = ParseArguments(*root, common, arguments);
  if (!parsed.ok()) {
    const bool json = std::find(arguments.begin(), arguments.end(), "--json") != arguments.end();
    TellError(parsed.error(), json, console);
    return kExitUsage;
  }
  Status status;
  if (parsed->version) {
    status = console.Write(fmt::format("tidemill {}\n", TIDEMILL_VERSION));
  } else if (parsed->help) {
    status = console.Write(HelpText(parsed->path, common));
  } else {
    return ExitCode(RunCommand(*parsed->path.back(), context), context.json, console);
  }
  if (status.ok()) status = console.Flush();
  return ExitCode(status, context.json, console);
}

}  // namespace tidemill
