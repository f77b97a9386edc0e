#include "cli/online_answers.h"

#include <iostream>
#include <iterator>

#include <fmt/format.h>

#include "base/value_json.h"
#include "orchestrate/workspace.h"
#include "serve/client.h"

namespace tidemill {

Result<Json> ReadInstances(const std::string& text) {
  std::string json_text = text;
  if (text == "-") json_text = std::string(std::istreambuf_iterator<char>(std::cin), {});
  auto json = ParseJson(json_text);
  if (!json.ok()) {
    Error error = std::move(json).error();
    error.hint = "one object, or a list of them, for instance '{\"id\": 1}'";
    return error;
  }
  if (json->is_object()) return Json::array({std::move(*json)});
  return json;
}

Result<Json> AnswerOnline(const CommandContext& context, const std::string& path, const Json& body,
                          const std::function<Result<Json>(OnlineStore& store)>& local) {
  TIDEMILL_ASSIGN_OR_RETURN(const StatePaths state, FindState(context.project));
  if (const std::optional<Endpoint> endpoint = ReadEndpoint(state.endpoint())) {
    auto answer = body.is_null() ? GetJson(endpoint->address, endpoint->port, path)
                                 : PostJson(endpoint->address, endpoint->port, path, body);
    // A server that has just ended may have left its address; then the store is free.
    if (answer.ok() || answer.error().code != "server_unreachable") return answer;
  }
  if (!std::filesystem::exists(state.online())) {
    return UserError("online_missing", "the online store is empty", "'tidemill run' fills it");
  }
  TIDEMILL_ASSIGN_OR_RETURN(std::unique_ptr<OnlineStore> store, OnlineStore::OpenEmbedded(state.online()));
  TIDEMILL_ASSIGN_OR_RETURN(const bool left_behind, OnlinePushes::LeftBehind(*store));
  if (left_behind) {
    store.reset();
    TIDEMILL_ASSIGN_OR_RETURN(const Workspace workspace, OpenWorkspace(context.project, context.clock));
    TIDEMILL_RETURN_IF_ERROR(FlushPushes(SiteOf(workspace), *workspace.lake));
    TIDEMILL_ASSIGN_OR_RETURN(store, OnlineStore::OpenEmbedded(state.online()));
  }
  return local(*store);
}

}  // namespace tidemill
