#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace tidemill {

struct HttpRequest {
  std::string method;  ///< "GET"
  std::string path;    ///< without the query
  std::string body;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
};

/// Answers a request. Called from several threads at once; must not throw.
using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

struct HttpServerOptions {
  std::string address = "127.0.0.1";
  int port = 0;
  int threads = 2;
  int64_t body_bytes_max = 4 << 20;
  int connections_max = 1024;
  int idle_seconds_max = 60;    ///< of a connection between requests, and for a request to arrive whole
  bool stop_at_signals = true;  ///< SIGINT and SIGTERM stop it
  /// Requests that take long: they run one after the other on a thread of their own.
  std::function<bool(const HttpRequest&)> is_slow;
};

/// HTTP/1.1 with keep-alive. What is not HTTP, too large or too slow is answered with 4xx or closed; nothing
/// a client sends stops it.
class HttpServer {
 public:
  /// Listens when it returns. Codes "port_in_use", "bad_address", "cannot_listen".
  static Result<std::unique_ptr<HttpServer>> Start(const HttpServerOptions& options, HttpHandler handler);
  virtual ~HttpServer() = default;
  virtual int port() const = 0;
  virtual void Wait() = 0;  ///< until stopped
  virtual void Stop() = 0;  ///< takes no more connections, finishes requests under way, returns when all is
                            ///< quiet; may be repeated
};

/// One request to a server. Code "server_unreachable" when it cannot be reached or does not answer in time.
Result<HttpResponse> CallHttp(const std::string& address, int port, const HttpRequest& request, int timeout_ms);

}  // namespace tidemill
