#include "serve/http.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/version.hpp>

namespace tidemill {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Tcp = asio::ip::tcp;
using BeastRequest = http::request<http::string_body>;
using BeastResponse = http::response<http::string_body>;

constexpr uint32_t kHeaderBytesMax = 16 * 1024;

std::string ErrorBody(std::string_view code, std::string_view message) {
  // Both are ours and need no escapes.
  return fmt::format("{{\"error\": {{\"code\": \"{}\", \"message\": \"{}\"}}}}", code, message);
}

class Connection;

/// What connections share.
struct Shared {
  HttpServerOptions options;
  HttpHandler handler;
  asio::io_context context;
  asio::thread_pool slow{1};
  std::mutex mutex;
  std::set<Connection*> connections;  // under mutex; each removes itself
  std::atomic<bool> stopping{false};

  explicit Shared(const HttpServerOptions& server_options, HttpHandler server_handler)
      : options(server_options), handler(std::move(server_handler)), context(server_options.threads) {}
};

/// One client's connection: reads a request, answers it, and again. Lives as long as something is under way.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Tcp::socket socket, std::shared_ptr<Shared> shared) : stream_(std::move(socket)), shared_(std::move(shared)) {
    const std::lock_guard<std::mutex> lock(shared_->mutex);
    shared_->connections.insert(this);
  }
  ~Connection() {
    const std::lock_guard<std::mutex> lock(shared_->mutex);
    shared_->connections.erase(this);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Begin() {
    asio::post(stream_.get_executor(), [self = shared_from_this()] { self->ReadHeader(); });
  }

  /// Closes it unless a whole request has arrived; then it closes after its answer.
  void CloseWhenIdle() {
    asio::post(stream_.get_executor(), [self = shared_from_this()] {
      if (self->idle_) self->Close();
    });
  }

 private:
  void ReadHeader() {
    if (shared_->stopping) return Close();
    idle_ = true;
    parser_.emplace();
    parser_->body_limit(static_cast<uint64_t>(shared_->options.body_bytes_max));
    parser_->header_limit(kHeaderBytesMax);
    stream_.expires_after(std::chrono::seconds(shared_->options.idle_seconds_max));
    http::async_read_header(stream_, buffer_, *parser_, [self = shared_from_this()](beast::error_code problem, size_t) {
      if (problem) return self->Refuse(problem);
      self->ReadBody();
    });
  }

  void ReadBody() {
    if (beast::iequals(parser_->get()[http::field::expect], "100-continue")) return SendContinue();
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](beast::error_code problem, size_t) {
      if (problem) return self->Refuse(problem);
      self->Answer();
    });
  }

  void SendContinue() {
    parser_->get().erase(http::field::expect);
    auto answer = std::make_shared<http::response<http::empty_body>>(http::status::continue_, 11);
    http::async_write(stream_, *answer, [self = shared_from_this(), answer](beast::error_code problem, size_t) {
      if (!problem) self->ReadBody();
    });
  }

  void Answer() {
    idle_ = false;
    const BeastRequest request = parser_->release();
    keep_alive_ = request.keep_alive();
    head_ = request.method() == http::verb::head;
    version_ = request.version();
    const beast::string_view target = request.target();
    HttpRequest plain{head_ ? "GET" : std::string(request.method_string()), std::string(target.substr(0, target.find('?'))),
                      request.body()};
    if (!shared_->options.is_slow || !shared_->options.is_slow(plain)) return Write(shared_->handler(plain));
    // The answer may take longer than a connection may be quiet.
    stream_.expires_never();
    // The guard keeps the threads that write answers.
    asio::post(shared_->slow,
               [self = shared_from_this(), guard = asio::make_work_guard(stream_.get_executor()), plain = std::move(plain)] {
                 HttpResponse response = self->shared_->handler(plain);
                 asio::post(self->stream_.get_executor(),
                            [self, response = std::move(response)]() mutable { self->Write(std::move(response)); });
               });
  }

  void Write(HttpResponse response) {
    response_.emplace(static_cast<http::status>(response.status), version_);
    response_->set(http::field::content_type, response.content_type);
    response_->set(http::field::server, "tidemill");
    keep_alive_ = keep_alive_ && !shared_->stopping;
    response_->keep_alive(keep_alive_);
    response_->content_length(response.body.size());
    if (!head_) response_->body() = std::move(response.body);
    stream_.expires_after(std::chrono::seconds(shared_->options.idle_seconds_max));
    const auto done = [self = shared_from_this()](beast::error_code problem, size_t) {
      if (problem || !self->keep_alive_) return self->Close();
      self->ReadHeader();
    };
    if (!head_) return http::async_write(stream_, *response_, done);
    head_serializer_.emplace(*response_);
    http::async_write_header(stream_, *head_serializer_, done);
  }

  /// Answers what could not be read, where the client may still listen.
  void Refuse(beast::error_code problem) {
    if (problem == http::error::end_of_stream || problem == beast::error::timeout ||
        problem.category() != http::make_error_code(http::error::bad_method).category()) {
      return Close();
    }
    keep_alive_ = false;
    head_ = false;
    version_ = 11;
    if (problem == http::error::body_limit) {
      const std::string message = fmt::format("the body is larger than {} bytes", shared_->options.body_bytes_max);
      return Write({413, "application/json", ErrorBody("body_too_large", message)});
    }
    if (problem == http::error::header_limit)
      return Write({431, "application/json", ErrorBody("header_too_large", "the header is too large")});
    Write({400, "application/json", ErrorBody("bad_http", "this is not a whole HTTP request")});
  }

  void Close() {
    beast::error_code ignored;
    stream_.socket().shutdown(Tcp::socket::shutdown_send, ignored);
    stream_.close();
  }

  beast::tcp_stream stream_;
  std::shared_ptr<Shared> shared_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<BeastResponse> response_;
  std::optional<http::response_serializer<http::string_body>> head_serializer_;
  bool keep_alive_ = false;
  bool head_ = false;
  bool idle_ = true;
  unsigned version_ = 11;
};

class BeastServer : public HttpServer {
 public:
  BeastServer(const HttpServerOptions& options, HttpHandler handler)
      : shared_(std::make_shared<Shared>(options, std::move(handler))),
        acceptor_(asio::make_strand(shared_->context)),
        signals_(shared_->context) {}

  ~BeastServer() override { Stop(); }

  Status Listen() {
    beast::error_code problem;
    const HttpServerOptions& options = shared_->options;
    const auto address = asio::ip::make_address(options.address == "localhost" ? "127.0.0.1" : options.address, problem);
    if (problem)
      return UserError("bad_address", fmt::format("'{}' is not an address to listen at", options.address),
                       "for instance 127.0.0.1, or 0.0.0.0 for all");
    const Tcp::endpoint endpoint(address, static_cast<uint16_t>(options.port));
    acceptor_.open(endpoint.protocol(), problem);
    if (!problem) acceptor_.set_option(asio::socket_base::reuse_address(true), problem);
    if (!problem) acceptor_.bind(endpoint, problem);
    if (!problem) acceptor_.listen(asio::socket_base::max_listen_connections, problem);
    if (problem == asio::error::address_in_use) {
      return Unavailable("port_in_use", fmt::format("port {} of {} is in use", options.port, options.address),
                         "another server may be running; stop it, or choose a port with --port (0: any free one)");
    }
    if (problem)
      return UserError("cannot_listen",
                       fmt::format("cannot listen at {}:{}: {}", options.address, options.port, problem.message()));
    port_ = acceptor_.local_endpoint().port();
    return Ok();
  }

  void Run() {
    if (shared_->options.stop_at_signals) {
      signals_.add(SIGINT);
      signals_.add(SIGTERM);
      signals_.async_wait([this](beast::error_code problem, int) {
        if (!problem) BeginStop();
      });
    }
    asio::post(acceptor_.get_executor(), [this] { Accept(); });
    for (int i = 0; i < std::max(1, shared_->options.threads); ++i) {
      threads_.emplace_back([this] { shared_->context.run(); });
    }
  }

  int port() const override { return port_; }

  void Wait() override {
    const std::lock_guard<std::mutex> lock(join_mutex_);
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    shared_->slow.join();
  }

  void Stop() override {
    BeginStop();
    Wait();
  }

 private:
  void Accept() {
    acceptor_.async_accept(asio::make_strand(shared_->context),
                           asio::bind_executor(acceptor_.get_executor(), [this](beast::error_code problem, Tcp::socket socket) {
                             if (shared_->stopping || problem == asio::error::operation_aborted) return;
                             if (!problem && HasRoom()) {
                               beast::error_code ignored;
                               socket.set_option(Tcp::no_delay(true), ignored);
                               std::make_shared<Connection>(std::move(socket), shared_)->Begin();
                             }
                             // Out of descriptors and the like pass; a connection above the bound is closed at once.
                             Accept();
                           }));
  }

  bool HasRoom() {
    const std::lock_guard<std::mutex> lock(shared_->mutex);
    return static_cast<int>(shared_->connections.size()) < shared_->options.connections_max;
  }

  /// Threads end by themselves once nothing is under way.
  void BeginStop() {
    if (shared_->stopping.exchange(true)) return;
    asio::post(acceptor_.get_executor(), [this] {
      beast::error_code ignored;
      acceptor_.close(ignored);
      signals_.cancel(ignored);
      std::vector<std::shared_ptr<Connection>> alive;  // let go after the lock, which the last owner of a connection takes
      {
        const std::lock_guard<std::mutex> lock(shared_->mutex);
        for (Connection* connection : shared_->connections) alive.push_back(connection->weak_from_this().lock());
      }
      for (const auto& connection : alive) {
        if (connection) connection->CloseWhenIdle();
      }
    });
  }

  std::shared_ptr<Shared> shared_;
  Tcp::acceptor acceptor_;
  asio::signal_set signals_;
  std::vector<std::thread> threads_;
  std::mutex join_mutex_;
  int port_ = 0;
};

Error Unreachable(const std::string& address, int port, const std::string& why) {
  return Unavailable("server_unreachable", fmt::format("no answer from {}:{}: {}", address, port, why),
                     "is 'tidemill serve' running?");
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpServerOptions& options, HttpHandler handler) {
  try {
    auto server = std::make_unique<BeastServer>(options, std::move(handler));
    TIDEMILL_RETURN_IF_ERROR(server->Listen());
    server->Run();
    return std::unique_ptr<HttpServer>(std::move(server));
  } catch (const std::exception& problem) {
    return Unavailable("cannot_listen", fmt::format("cannot start the server: {}", problem.what()));
  }
}

Result<HttpResponse> CallHttp(const std::string& address, int port, const HttpRequest& request, int timeout_ms) {
  try {
    asio::io_context context;
    beast::tcp_stream stream(context);
    beast::error_code problem;
    const auto ip = asio::ip::make_address(address == "localhost" ? "127.0.0.1" : address, problem);
    if (problem) return UserError("bad_address", fmt::format("'{}' is not an address", address));
    BeastRequest call(http::string_to_verb(request.method), request.path, 11);
    call.set(http::field::host, address);
    call.set(http::field::content_type, "application/json");
    call.keep_alive(false);
    call.body() = request.body;
    call.prepare_payload();
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(uint64_t{64} << 20);

    stream.expires_after(std::chrono::milliseconds(timeout_ms));
    const auto keep = [&problem](beast::error_code result, size_t) { problem = result; };
    stream.async_connect(Tcp::endpoint(ip, static_cast<uint16_t>(port)), [&](beast::error_code result) {
      problem = result;
      if (problem) return;
      http::async_write(stream, call, [&](beast::error_code written, size_t) {
        problem = written;
        if (!problem) http::async_read(stream, buffer, parser, keep);
      });
    });
    context.run();
    if (problem) return Unreachable(address, port, problem.message());
    const BeastResponse answer = parser.release();
    return HttpResponse{static_cast<int>(answer.result_int()), std::string(answer[http::field::content_type]), answer.body()};
  } catch (const std::exception& problem) {
    return Unreachable(address, port, problem.what());
  }
}

}  // namespace tidemill
