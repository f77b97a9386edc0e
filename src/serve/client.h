#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"

namespace tidemill {

/// Where a running server listens.
struct Endpoint {
  std::string address;
  int port = 0;
  int64_t process_id = 0;
};

/// The endpoint that a server wrote when it became ready; nullopt when there is no file or its process has
/// gone.
std::optional<Endpoint> ReadEndpoint(const std::filesystem::path& endpoint_file);

/// Sends JSON and returns the JSON answered. An error that the server answered comes back as that error
/// (code, message, hint); code "server_unreachable" when there is no answer within the timeout.
Result<Json> PostJson(const std::string& address, int port, const std::string& path, const Json& body, int timeout_ms = 30'000);
/// The same without a body.
Result<Json> GetJson(const std::string& address, int port, const std::string& path, int timeout_ms = 30'000);

}  // namespace tidemill
