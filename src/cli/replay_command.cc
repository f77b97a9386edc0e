#include <memory>

#include <fmt/format.h>

#include "base/files.h"
#include "base/number_text.h"
#include "cli/commands.h"
#include "cli/progress_display.h"
#include "cli/table.h"
#include "orchestrate/replay.h"

namespace tidemill {
namespace {

struct ReplayArguments {
  std::optional<Timestamp> from;
  std::optional<Timestamp> until;
  std::optional<Duration> every;
  std::string model;
};

std::string Figure(const std::optional<double>& value) { return value ? fmt::format("{:.4f}", *value) : "-"; }

Status ShowMonths(const ReplayReport& report, Console& console) {
  TableWriter table(console, {{"month"},
                              {"rows", true},
                              {"positive", true},
                              {"drifted", true},
                              {"auc of first", true},
                              {"auc live", true},
                              {"ap of first", true},
                              {"ap live", true},
                              {"retrainings"}});
  for (const ReplayMonth& month : report.months) {
    TIDEMILL_RETURN_IF_ERROR(
        table.Add({month.month, GroupedNumber(month.rows), fmt::format("{:.1f} %", month.positive_share * 100),
                   std::to_string(month.drifted_features), Figure(month.auc_first), Figure(month.auc_live),
                   Figure(month.average_precision_first), Figure(month.average_precision_live),
                   fmt::format("{}", fmt::join(month.retrainings, "; "))}));
  }
  return table.Finish();
}

}  // namespace

Command MakeReplayCommand() {
  const auto arguments = std::make_shared<ReplayArguments>();
  Command command;
  command.name = "replay";
  command.summary = "Rehearse the project's policy along history: alerts, retrainings, and the accuracy users would have seen";
  command.details =
      "Moves the project clock from tick to tick and does what the schedule would have done, with only what was known then, in "
      "a branch of its own: the lake, the catalog and the online store of the project stay as they are.";
  command.examples = {{"tidemill replay --from 2013-05-01 --until 2013-12-31 --every 7d", "eight months, week by week"}};
  command.parameters.push_back(Option("--from", "TIME", "the first tick", &arguments->from).Required());
  command.parameters.push_back(Option("--until", "TIME", "no tick after this", &arguments->until).Required());
  command.parameters.push_back(Option("--every", "DURATION", "between ticks (default: 7d)", &arguments->every));
  command.parameters.push_back(
      Option("--model", "MODEL", "which model (default: the only one)", &arguments->model).Offering(Completes::kModels));
  command.run = [arguments](CommandContext& context) -> Status {
    ReplayOptions options;
    options.from = *arguments->from;
    options.until = *arguments->until;
    if (arguments->every) options.every = *arguments->every;
    options.model = arguments->model;
    if (options.until < options.from) return UserError("bad_argument", "--until lies before --from");
    if (options.every.micros <= 0) return UserError("bad_argument", "--every must be longer than nothing");
    TIDEMILL_ASSIGN_OR_RETURN(Workspace workspace, OpenWorkspace(context.project, context.clock));
    ProgressDisplay display(context.console);
    TIDEMILL_ASSIGN_OR_RETURN(const ReplayReport report, ReplayProject(workspace, options, context.clock, display.AsProgress()));
    if (context.json) return context.console.WriteJson(report.ToJson());
    TIDEMILL_RETURN_IF_ERROR(ShowMonths(report, context.console));
    TIDEMILL_RETURN_IF_ERROR(context.console.Flush());
    context.console.Tell(fmt::format("{} ticks, {} alerts, {} retrainings, {} promotions in {}; 'tidemill report' shows them\n",
                                     report.ticks, report.alerts, report.retrainings, report.promotions,
                                     FormatSeconds(report.seconds)));
    return Ok();
  };
  return command;
}

}  // namespace tidemill
