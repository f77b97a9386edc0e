#include <memory>

#include "cli/commands.h"
#include "cli/table.h"
#include "orchestrate/run.h"

namespace tidemill {
namespace {

struct PlanArguments {
  std::vector<std::string> assets;
};

Json PlanToJson(const std::vector<PlanStep>& steps) {
  Json json = Json::array();
  for (const PlanStep& step : steps) {
    json.push_back({{"asset", step.asset},
                    {"kind", std::string(AssetKindName(step.kind))},
                    {"action", step.action},
                    {"state", step.state},
                    {"reason", step.reason}});
  }
  return json;
}

Status ShowPlan(const std::vector<PlanStep>& steps, Console& console) {
  if (steps.empty()) {
    console.Tell(console.ErrStyle(Style::kGood, "✓") + " everything is up to date\n");
    return Ok();
  }
  TableWriter table(console, {{"asset"}, {"kind"}, {"action"}, {"state"}, {"reason"}});
  for (const PlanStep& step : steps) {
    TIDEMILL_RETURN_IF_ERROR(
        table.Add({step.asset, std::string(AssetKindName(step.kind)), step.action, step.state, step.reason}));
  }
  return table.Finish();
}

}  // namespace

Command MakePlanCommand() {
  const auto arguments = std::make_shared<PlanArguments>();
  Command command;
  command.name = "plan";
  command.summary = "What is stale or behind, why, and what a run would do; changes nothing";
  command.details =
      "Stale: the definition of an asset, or of one that it reads, has changed (comments and layout do not count). Behind: "
      "there is new input.";
  command.examples = {{"tidemill plan", "everything"}, {"tidemill plan late_arrival", "one asset and what it needs"}};
  command.parameters.push_back(
      Positional("ASSET", "only these, and what they need", &arguments->assets).Offering(Completes::kAssets));
  command.run = [arguments](CommandContext& context) -> Status {
    TIDEMILL_ASSIGN_OR_RETURN(Workspace workspace, OpenWorkspace(context.project, context.clock));
    TIDEMILL_ASSIGN_OR_RETURN(const std::vector<PlanStep> steps, MakePlan(workspace, context.Now(), arguments->assets));
    return context.json ? context.console.WriteJson(PlanToJson(steps)) : ShowPlan(steps, context.console);
  };
  return command;
}

}  // namespace tidemill
