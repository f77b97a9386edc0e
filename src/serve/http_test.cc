#include "serve/http.h"

#include <atomic>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tidemill {
namespace {

/// A connection that sends what it is told, HTTP or not.
class RawClient {
 public:
  explicit RawClient(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    const timeval timeout{5, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  }
  ~RawClient() { ::close(socket_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return connected_; }
  void Send(const std::string& bytes) { (void)::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  void EndSending() { ::shutdown(socket_, SHUT_WR); }
  /// What comes until `until` has come, or the end.
  std::string Receive(const std::string& until = "") {
    std::string text;
    char buffer[4096];
    while (until.empty() || text.find(until) == std::string::npos) {
      const ssize_t count = ::recv(socket_, buffer, sizeof(buffer), 0);
      if (count <= 0) break;
      text.append(buffer, static_cast<size_t>(count));
    }
    return text;
  }

 private:
  int socket_;
  bool connected_ = false;
};

class HttpServerTest : public testing::Test {
 protected:
  void Start(HttpServerOptions options = {}) {
    options.stop_at_signals = false;
    auto server = HttpServer::Start(options, [this](const HttpRequest& request) -> HttpResponse {
      ++requests_;
      if (request.path == "/wait") {
        while (!released_) std::this_thread::yield();
      }
      return {200, "text/plain", request.method + " " + request.path + " " + request.body};
    });
    ASSERT_TRUE(server.ok()) << server.error().Format();
    server_ = std::move(server).value();
  }
  std::string Body(const HttpRequest& request) {
    const auto answer = CallHttp("127.0.0.1", server_->port(), request, 5000);
    return answer.ok() ? answer->body : answer.error().code;
  }

  std::atomic<int> requests_{0};
  std::atomic<bool> released_{false};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, Answers) {
  Start();
  EXPECT_EQ(Body({"POST", "/a/b?c=d", "text"}), "POST /a/b text");
  EXPECT_EQ(Body({"GET", "/", ""}), "GET / ");
}

TEST_F(HttpServerTest, KeepsConnectionsOpen) {
  Start();
  RawClient client(server_->port());
  for (int i = 0; i < 3; ++i) {
    client.Send("GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_NE(client.Receive("GET /" + std::to_string(i)).find("200 OK"), std::string::npos);
  }
  client.Send("GET /4 HTTP/1.1\r\nHost: x\r\n\r\nGET /5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string both = client.Receive();
  EXPECT_NE(both.find("GET /4"), std::string::npos);
  EXPECT_NE(both.find("GET /5"), std::string::npos);
}

TEST_F(HttpServerTest, AnswersHeadWithoutABody) {
  Start();
  RawClient client(server_->port());
  client.Send("HEAD /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string answer = client.Receive();
  EXPECT_NE(answer.find("Content-Length: 7"), std::string::npos) << answer;
  EXPECT_EQ(answer.substr(answer.size() - 4), "\r\n\r\n");
}

TEST_F(HttpServerTest, AcknowledgesThatABodyMayCome) {
  Start();
  RawClient client(server_->port());
  client.Send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_NE(client.Receive("\r\n\r\n").find("100 Continue"), std::string::npos);
  client.Send("body");
  EXPECT_NE(client.Receive("POST /x body").find("200 OK"), std::string::npos);
}

TEST_F(HttpServerTest, RefusesWhatIsNotHttpAndGoesOn) {
  HttpServerOptions options;
  options.body_bytes_max = 100;
  Start(options);
  struct Case {
    std::string sent;
    std::string status;  // "" : closed without an answer
  };
  const Case cases[] = {
      {"nonsense\r\n\r\n", "400"},
      {std::string("\0\xFF\x16\x03", 4) + "\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", "413"},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400"},
      {"GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n", "431"},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhalf", "400"},
      {"", ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.sent.substr(0, 60));
    RawClient client(server_->port());
    ASSERT_TRUE(client.connected());
    client.Send(c.sent);
    client.EndSending();
    const std::string answer = client.Receive();
    if (c.status.empty()) {
      EXPECT_EQ(answer, "");
    } else {
      EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 " + c.status) << answer;
      EXPECT_NE(answer.find("\"error\""), std::string::npos);
    }
  }
  EXPECT_EQ(requests_, 0);
  EXPECT_EQ(Body({"GET", "/still", ""}), "GET /still ");
}

TEST_F(HttpServerTest, ClosesConnectionsAboveTheBound) {
  HttpServerOptions options;
  options.connections_max = 1;
  Start(options);
  RawClient first(server_->port());
  first.Send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_NE(first.Receive("GET /1"), "");
  RawClient second(server_->port());
  second.Send("GET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(second.Receive(), "");
}

TEST_F(HttpServerTest, SlowRequestsDoNotKeepOthersWaiting) {
  HttpServerOptions options;
  options.threads = 1;
  options.is_slow = [](const HttpRequest& request) { return request.path == "/wait"; };
  Start(options);
  std::string waited;
  std::thread slow([&] { waited = Body({"GET", "/wait", ""}); });
  while (requests_ == 0) std::this_thread::yield();
  EXPECT_EQ(Body({"GET", "/quick", ""}), "GET /quick ");
  released_ = true;
  slow.join();
  EXPECT_EQ(waited, "GET /wait ");
}

TEST_F(HttpServerTest, StopFinishesRequestsUnderWayAndClosesIdleConnections) {
  for (const bool slow : {false, true}) {
    SCOPED_TRACE(slow);
    requests_ = 0;
    released_ = false;
    HttpServerOptions options;
    options.threads = 2;
    if (slow) options.is_slow = [](const HttpRequest& request) { return request.path == "/wait"; };
    Start(options);
    RawClient idle(server_->port());
    RawClient half(server_->port());
    half.Send("GET / HT");
    std::string waited;
    std::thread busy([&] { waited = Body({"GET", "/wait", ""}); });
    while (requests_ == 0) std::this_thread::yield();
    std::thread stopping([&] { server_->Stop(); });
    EXPECT_EQ(idle.Receive(), "");
    EXPECT_EQ(half.Receive(), "");
    released_ = true;
    busy.join();
    stopping.join();
    EXPECT_EQ(waited, "GET /wait ");
    EXPECT_EQ(Body({"GET", "/late", ""}), "server_unreachable");
  }
}

TEST_F(HttpServerTest, TellsThatAPortIsInUse) {
  Start();
  HttpServerOptions options;
  options.port = server_->port();
  options.stop_at_signals = false;
  const auto second = HttpServer::Start(options, [](const HttpRequest&) { return HttpResponse(); });
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, "port_in_use");
  options.address = "nowhere";
  const auto third = HttpServer::Start(options, [](const HttpRequest&) { return HttpResponse(); });
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().code, "bad_address");
}

TEST_F(HttpServerTest, ManyClientsAtOnce) {
  Start();
  std::atomic<int> good{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&, i] {
      for (int k = 0; k < 25; ++k) {
        const std::string text = std::to_string(i) + "-" + std::to_string(k);
        if (Body({"POST", "/x", text}) == "POST /x " + text) ++good;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(good, 200);
}

TEST(CallHttp, GivesUpOnAServerThatDoesNotAnswer) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  socklen_t size = sizeof(address);
  ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const auto answer = CallHttp("127.0.0.1", ntohs(address.sin_port), {"GET", "/", ""}, 50);
  ::close(listener);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, "server_unreachable");
}

}  // namespace
}  // namespace tidemill
