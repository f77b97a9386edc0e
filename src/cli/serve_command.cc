#include <memory>

#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/open.h"
#include "orchestrate/workspace.h"
#include "serve/client.h"
#include "serve/server.h"

namespace tidemill {
namespace {

struct ServeArguments {
  std::optional<std::string> address;
  std::optional<int64_t> port;
  std::optional<int64_t> threads;
};

std::vector<OnlineWork::View> ViewsOf(const Workspace& workspace) {
  std::vector<OnlineWork::View> views;
  for (const auto& [name, program] : workspace.programs) {
    const auto view = workspace.project.views.find(name);
    if (view == workspace.project.views.end()) continue;
    const auto table = workspace.project.tables.find(view->second.from);
    if (table != workspace.project.tables.end()) views.push_back({program, table->first, table->second.timestamp});
  }
  return views;
}

Result<OwnedStore> OpenStore(const Workspace& workspace, const StatePaths& state, std::function<void(const std::string&)> tell) {
  auto store = OpenOwnedStore(SiteOf(workspace), *workspace.lake, std::move(tell));
  if (store.ok() || store.error().code != "store_owned") return store;
  Error error = std::move(store).error();
  if (const std::optional<Endpoint> endpoint = ReadEndpoint(state.endpoint())) {
    error.message = fmt::format("a server already serves this project at {}:{} (process {})", endpoint->address, endpoint->port,
                                endpoint->process_id);
    error.hint = "stop it first, or use it";
  }
  return error;
}

Status RunServe(const ServeArguments& arguments, CommandContext& context) {
  TIDEMILL_ASSIGN_OR_RETURN(Workspace workspace, OpenWorkspace(context.project, context.clock));
  const StatePaths state{workspace.state_folder};
  Console& console = context.console;
  const bool json = context.json;
  const auto tell = [&console, json](const std::string& line) {
    console.Tell(json ? Json{{"note", line}}.dump() + "\n" : line + "\n");
  };
  TIDEMILL_ASSIGN_OR_RETURN(const OwnedStore owned, OpenStore(workspace, state, tell));
  TIDEMILL_ASSIGN_OR_RETURN(const auto door, PushDoor::Make(workspace.project.sources));

  ServerOptions options;
  options.address = arguments.address.value_or(options.address);
  options.port = static_cast<int>(arguments.port.value_or(options.port));
  options.threads = static_cast<int>(arguments.threads.value_or(options.threads));
  options.endpoint_file = state.endpoint();
  options.now = context.now.value_or(Timestamp{});
  ServerParts parts;
  parts.catalog = workspace.catalog.get();
  parts.lake = workspace.lake.get();
  parts.store = owned.store.get();
  parts.pushes = owned.pushes.get();
  parts.door = door.get();
  parts.later = workspace.pushed_views.later;
  parts.clock = &context.clock;
  for (const auto& [name, model] : workspace.project.models) parts.models.push_back(name);
  parts.views = ViewsOf(workspace);
  parts.derived_views = workspace.derived_plans;
  parts.tell = tell;

  TIDEMILL_ASSIGN_OR_RETURN(const std::unique_ptr<Server> server, StartServer(options, parts));
  for (const LaterView& view : parts.later) {
    parts.tell(fmt::format("{} sees what is pushed with the next run: {}", view.view, view.reason));
  }
  if (context.json) {
    TIDEMILL_RETURN_IF_ERROR(console.WriteJson({{"address", options.address}, {"port", server->port()}}));
    TIDEMILL_RETURN_IF_ERROR(console.Flush());
  }
  parts.tell(fmt::format("serving {} at http://{}:{} (Ctrl-C stops)", workspace.project.name, options.address, server->port()));
  TIDEMILL_RETURN_IF_ERROR(server->Wait());
  parts.tell("stopped; every logged prediction is in the lake");
  return Ok();
}

}  // namespace

Command MakeServeCommand() {
  const auto arguments = std::make_shared<ServeArguments>();
  Command command;
  command.name = "serve";
  command.summary = "Answer over HTTP: predictions, online features, health, metrics";
  command.details =
      "POST /v1/models/MODEL/predict with {\"instances\": [{...}]}; POST /v1/features/VIEW with {\"entities\": [{...}]}; POST "
      "/v1/push/SOURCE with {\"rows\": [{...}]}; GET /v1/models, /health, /metrics. New champions take over by themselves; 'tidemill run' beside it brings the online store "
      "up to date through it.";
  command.examples = {{"tidemill serve", "at 127.0.0.1:8080"},
                      {"tidemill serve --address 0.0.0.0 --port 9000", "for other machines"}};
  command.parameters.push_back(Option("--address", "IP", "where to listen (default: 127.0.0.1)", &arguments->address));
  command.parameters.push_back(
      Option("--port", "PORT", "where to listen, 0: any free one (default: 8080)", &arguments->port, 0, 65535));
  command.parameters.push_back(Option("--threads", "COUNT", "that answer requests (default: 2)", &arguments->threads, 1, 256));
  command.run = [arguments](CommandContext& context) { return RunServe(*arguments, context); };
  return command;
}

}  // namespace tidemill
