#include <memory>

#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/progress_display.h"
#include "cli/table.h"
#include "orchestrate/run.h"

namespace tidemill {
namespace {

struct RunArguments {
  std::vector<std::string> assets;
};

Json SummaryToJson(const RunSummary& summary) {
  Json steps = Json::array();
  for (const StepRecord& step : summary.steps) {
    Json json = {
        {"asset", step.asset}, {"status", step.status}, {"reason", step.reason}, {"rows", step.rows}, {"seconds", step.seconds}};
    if (!step.error.empty()) json["error"] = step.error;
    steps.push_back(std::move(json));
  }
  return {{"run", summary.run_id},
          {"nothing_to_do", summary.nothing_to_do},
          {"seconds", summary.seconds},
          {"steps", std::move(steps)},
          {"notes", summary.notes}};
}

void TellSummary(const RunSummary& summary, Console& console) {
  for (const std::string& note : summary.notes)
    console.Tell(fmt::format("{} {}\n", console.ErrStyle(Style::kCaution, "•"), note));
  if (summary.nothing_to_do) {
    console.Tell(console.ErrStyle(Style::kGood, "✓") + " everything is up to date\n");
    return;
  }
  console.Tell(fmt::format("run {}: {} step{} in {}\n", summary.run_id, summary.steps.size(),
                           summary.steps.size() == 1 ? "" : "s", FormatSeconds(summary.seconds)));
}

std::string RunLine(const std::vector<std::string>& assets) {
  std::string line = "run";
  for (const std::string& asset : assets) line += " " + asset;
  return line;
}

}  // namespace

Command MakeRunCommand() {
  const auto arguments = std::make_shared<RunArguments>();
  Command command;
  command.name = "run";
  command.summary = "Bring everything, or these assets, up to date: only what changed";
  command.details =
      "Ingests new files under their contracts, updates tables, feature views and scores, monitors the models, and trains those "
      "that are stale or whose own condition holds. Safe to repeat after any interruption. Several runs of one project at a "
      "time are refused.";
  command.examples = {{"tidemill run", "everything"},
                      {"tidemill run departures", "one asset and what it needs"},
                      {"tidemill run --now 2013-05-01", "as it would have been on that day"}};
  command.parameters.push_back(
      Positional("ASSET", "only these, and what they need", &arguments->assets).Offering(Completes::kAssets));
  command.run = [arguments](CommandContext& context) -> Status {
    TIDEMILL_ASSIGN_OR_RETURN(Workspace workspace, OpenWorkspace(context.project, context.clock));
    RunOptions options;
    options.now = context.Now();
    options.assets = arguments->assets;
    options.command = RunLine(arguments->assets);
    ProgressDisplay display(context.console);
    TIDEMILL_ASSIGN_OR_RETURN(const RunSummary summary, RunProject(workspace, options, display.AsProgress()));
    if (context.json) return context.console.WriteJson(SummaryToJson(summary));
    TellSummary(summary, context.console);
    return Ok();
  };
  return command;
}

}  // namespace tidemill
