#include "serve/client.h"

#include <csignal>

#include <fmt/format.h>

#include "base/files.h"
#include "base/value_json.h"
#include "serve/http.h"

namespace tidemill {
namespace {

Error AnsweredError(const HttpResponse& response) {
  const auto json = ParseJson(response.body);
  const bool ours = json.ok() && json->is_object() && json->contains("error") && (*json)["error"].is_object();
  if (!ours) return Unavailable("server_error", fmt::format("the server answered with status {}", response.status));
  const Json& error = (*json)["error"];
  const auto text = [&](const char* name) {
    return error.contains(name) && error[name].is_string() ? error[name].get<std::string>() : std::string();
  };
  Error result = UserError(text("code"), text("message"), text("hint"));
  if (response.status >= 500) result.kind = ErrorKind::kUnavailable;
  return result;
}

}  // namespace

std::optional<Endpoint> ReadEndpoint(const std::filesystem::path& endpoint_file) {
  const auto text = ReadFile(endpoint_file);
  if (!text.ok()) return std::nullopt;
  const auto json = ParseJson(*text);
  if (!json.ok() || !json->is_object()) return std::nullopt;
  const auto number = [&](const char* name) {
    return json->contains(name) && (*json)[name].is_number_integer() ? (*json)[name].get<int64_t>() : 0;
  };
  if (!json->contains("address") || !(*json)["address"].is_string()) return std::nullopt;
  Endpoint endpoint{(*json)["address"].get<std::string>(), static_cast<int>(number("port")), number("pid")};
  // A server that was killed leaves its file behind.
  const bool gone = endpoint.process_id <= 0 || (::kill(static_cast<pid_t>(endpoint.process_id), 0) != 0 && errno == ESRCH);
  if (gone || endpoint.port <= 0) return std::nullopt;
  return endpoint;
}

namespace {

Result<Json> AnswerOf(const std::string& address, int port, const HttpRequest& request, int timeout_ms) {
  TIDEMILL_ASSIGN_OR_RETURN(const HttpResponse response, CallHttp(address, port, request, timeout_ms));
  if (response.status >= 400) return AnsweredError(response);
  auto json = ParseJson(response.body, 64);
  if (!json.ok()) return std::move(json).error().WithContext("the server's answer");
  return json;
}

}  // namespace

Result<Json> PostJson(const std::string& address, int port, const std::string& path, const Json& body, int timeout_ms) {
  return AnswerOf(address, port, {"POST", path, body.dump(-1, ' ', false, Json::error_handler_t::replace)}, timeout_ms);
}

Result<Json> GetJson(const std::string& address, int port, const std::string& path, int timeout_ms) {
  return AnswerOf(address, port, {"GET", path, ""}, timeout_ms);
}

}  // namespace tidemill
