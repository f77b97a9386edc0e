#include <memory>

#include <fmt/format.h>

#include "base/value_json.h"
#include "cli/commands.h"
#include "cli/online_answers.h"
#include "cli/table.h"
#include "orchestrate/workspace.h"
#include "serve/client.h"
#include "serve/push_door.h"

namespace tidemill {
namespace {

struct PushArguments {
  std::string source;
  std::string rows;
  std::optional<std::string> id;
};

/// Stores a push in this process, in the online store and in the lake.
Result<Json> PushHere(const PushArguments& arguments, const Json& body, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(const Workspace workspace, OpenWorkspace(context.project, context.clock));
  TIDEMILL_ASSIGN_OR_RETURN(const auto door, PushDoor::Make(workspace.project.sources));
  TIDEMILL_ASSIGN_OR_RETURN(const PushedBatch batch, door->Read(arguments.source, body));
  TIDEMILL_ASSIGN_OR_RETURN(const OwnedStore owned, OpenOwnedStore(SiteOf(workspace), *workspace.lake));
  TIDEMILL_ASSIGN_OR_RETURN(const PushReceipt receipt, owned.pushes->Push(batch, [&context] { return context.Now(); }));
  TIDEMILL_RETURN_IF_ERROR(owned.pushes->Stop());
  return PushDoor::ToJson(arguments.source, receipt, batch, workspace.pushed_views.later);
}

Result<Json> PushWhereOwned(const PushArguments& arguments, const Json& body, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(const StatePaths state, FindState(context.project));
  if (const std::optional<Endpoint> endpoint = ReadEndpoint(state.endpoint())) {
    auto answer = PostJson(endpoint->address, endpoint->port, "/v1/push/" + arguments.source, body);
    // A server that has just ended may have left its address; then the store is free.
    if (answer.ok() || answer.error().code != "server_unreachable") return answer;
  }
  return PushHere(arguments, body, context);
}

Status ShowPushed(const Json& answer, Console& console) {
  if (answer.value("repeated", false)) {
    console.Tell(fmt::format("{} this push was stored before, at {}\n", console.ErrStyle(Style::kCaution, "•"),
                             answer.value("arrived_at", "")));
    return Ok();
  }
  std::string line = fmt::format("{} rows into {}", answer.value("rows", int64_t{0}), answer.value("source", ""));
  const auto refused = answer.value("quarantined", int64_t{0});
  if (refused > 0) line += fmt::format(", {} in quarantine", refused);
  console.Tell(console.ErrStyle(Style::kGood, "✓") + " " + line + "\n");
  for (const Json& one : answer.value("reasons", Json::array())) {
    console.Tell(fmt::format("  row {}: {}\n", one.value("row", int64_t{0}), one.value("reason", "")));
  }
  for (const Json& one : answer.value("left_out", Json::array())) {
    const std::string column = one.value("column", "");
    console.Tell(
        fmt::format("{} row {} is in no view: {} of the table '{}' can't be computed for it, and its next update may fail\n",
                    console.ErrStyle(Style::kCaution, "•"), one.value("row", int64_t{0}),
                    column.empty() ? "the condition" : fmt::format("'{}'", column), one.value("table", "")));
  }
  for (const Json& one : answer.value("next_run", Json::array())) {
    console.Tell(fmt::format("{} {} sees them with the next run: {}\n", console.ErrStyle(Style::kCaution, "•"),
                             one.value("view", ""), one.value("reason", "")));
  }
  return Ok();
}

}  // namespace

Command MakePushCommand() {
  const auto arguments = std::make_shared<PushArguments>();
  Command command;
  command.name = "push";
  command.summary = "Store rows of a pushed source as they happen";
  command.details =
      "The source's file says 'from: push'. Rows are checked by its contract, are in the answers of the views that follow it at once, and "
      "in the lake seconds later with the same known time: the later of their known_at column and their arrival. A push with "
      "an id is stored once, however often it comes. Views that see the rows with the next run only are named, with the reason. A running server is asked by "
      "itself, and its own clock holds.";
  command.examples = {{"tidemill push taps '{\"card\": \"c1\", \"amount\": 9.5, \"tapped_at\": \"2026-03-01T10:00:00Z\"}'", "one row"},
                      {"tidemill push taps --id batch-17 - < rows.json", "a list of rows, stored once even when repeated"}};
  command.parameters.push_back(Positional("SOURCE", "which source", &arguments->source).Required().Offering(Completes::kAssets));
  command.parameters.push_back(Positional("JSON", "a row or a list of rows, or - for stdin", &arguments->rows).Required());
  command.parameters.push_back(Option("--id", "TEXT", "what tells this push from others, when it may be repeated", &arguments->id));
  command.run = [arguments](CommandContext& context) -> Status {
    TIDEMILL_ASSIGN_OR_RETURN(const Json rows, ReadInstances(arguments->rows));
    Json body = {{"rows", rows}};
    if (arguments->id) body["id"] = *arguments->id;
    TIDEMILL_ASSIGN_OR_RETURN(const Json answer, PushWhereOwned(*arguments, body, context));
    return context.json ? context.console.WriteJson(answer) : ShowPushed(answer, context.console);
  };
  return command;
}

}  // namespace tidemill
