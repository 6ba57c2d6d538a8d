// The server over real sockets: framing, limits on both sides, early leavers, slow readers, stopping.
#include "net/http_server.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <deque>
#include <mutex>

#include "net/http_test_client.h"

namespace hearth::net {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// A server whose answers a test scripts by path:
//   /echo    the body, at once        /hold   never, unless the test answers
//   /stream  a stream that stays open /drop   dropped without an answer
class Fixture {
 public:
  explicit Fixture(HttpServerOptions options = {}) {
    auto created = HttpServer::create(options, {
        .check_head = [this](const ServerRequest& r) { return check_head(r); },
        .handle = [this](std::shared_ptr<HttpExchange> e) { handle(std::move(e)); },
        .render_error = [](unsigned status, std::string_view message) {
          return ServerResponse{.status = status, .content_type = "text/plain",
                                .body = "E:" + std::string(message)};
        }});
    EXPECT_TRUE(created.has_value());
    server = *std::move(created);
    server->start();
  }

  std::shared_ptr<HttpExchange> next_held() {
    std::shared_ptr<HttpExchange> e;
    EXPECT_TRUE(eventually([&] {
      const std::lock_guard lock(mutex);
      if (held.empty()) return false;
      e = std::move(held.front());
      held.pop_front();
      return true;
    }));
    return e;
  }

  std::uint16_t port() const { return server->port(); }
  TestClient client() const { return TestClient(port()); }

  std::atomic<int> cancelled{0};
  std::mutex mutex;
  std::deque<std::shared_ptr<HttpExchange>> held;
  std::unique_ptr<HttpServer> server;  // Last: stops before the rest goes.

 private:
  std::optional<ServerResponse> check_head(const ServerRequest& r) {
    if (r.path() != "/forbidden") return std::nullopt;
    return ServerResponse{.status = 403, .body = "no"};
  }

  void handle(std::shared_ptr<HttpExchange> e) {
    const std::string_view path = e->request().path();
    if (path == "/drop") return;
    if (path == "/throw") throw std::runtime_error("scripted");
    if (path == "/hold" || path == "/stream") {
      e->on_cancel([this] { ++cancelled; });
      if (path == "/stream") e->start_stream({.content_type = "text/event-stream"});
      const std::lock_guard lock(mutex);
      held.push_back(std::move(e));
      return;
    }
    e->respond({.content_type = "text/plain", .body = e->request().body});
  }
};

std::string get(std::string_view path, std::string_view headers = "") {
  return fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", path, headers);
}
std::string post(std::string_view path, std::string_view body, std::string_view headers = "") {
  return fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: {}\r\n\r\n{}", path,
                     headers, body.size(), body);
}

TEST(HttpServer, AnswersAndKeepsTheConnection) {
  const Fixture f;
  TestClient c = f.client();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(c.send(post("/echo", fmt::format("body {}", i))));
    const TestResponse r = c.read_response();
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.body, fmt::format("body {}", i));
    EXPECT_THAT(r.head, testing::Not(HasSubstr("Connection: close")));
  }
  EXPECT_EQ(f.server->stats().connections_accepted, 1U);
}

TEST(HttpServer, ClosesWhenTheClientAsks) {
  const Fixture f;
  TestClient c = f.client();
  ASSERT_TRUE(c.send(post("/echo", "x", "Connection: close\r\n")));
  const TestResponse r = c.read_response();
  EXPECT_EQ(r.body, "x");
  EXPECT_THAT(r.head, HasSubstr("Connection: close"));
  EXPECT_TRUE(c.await_close());
}

TEST(HttpServer, Http10ClosesUnlessAsked) {
  const Fixture f;
  TestClient plain = f.client();
  ASSERT_TRUE(plain.send("GET /echo HTTP/1.0\r\n\r\n"));
  EXPECT_EQ(plain.read_response().status, 200);
  EXPECT_TRUE(plain.await_close());
  TestClient keep = f.client();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(keep.send("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    EXPECT_THAT(keep.read_response().head, HasSubstr("Connection: keep-alive"));
  }
}

TEST(HttpServer, PipelinedRequestsAreAnsweredInOrder) {
  Fixture f;
  TestClient c = f.client();
  std::string all = get("/hold");
  for (int i = 0; i < 20; ++i) all += post("/echo", fmt::format("{}", i));
  ASSERT_TRUE(c.send(all));
  f.next_held()->respond({.body = "first"});
  EXPECT_EQ(c.read_response().body, "first");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(c.read_response().body, fmt::format("{}", i));
}

TEST(HttpServer, SplitWrites) {
  const Fixture f;
  TestClient c = f.client();
  for (const char byte : post("/echo", "hello")) {
    ASSERT_TRUE(c.send({&byte, 1}));
    std::this_thread::sleep_for(100us);
  }
  EXPECT_EQ(c.read_response().body, "hello");
}

TEST(HttpServer, LargeBodiesBothWays) {
  const Fixture f;
  TestClient c = f.client();
  const std::string body(std::size_t{8} << 20, 'x');
  std::jthread sender([&] { c.send(post("/echo", body)); });
  EXPECT_EQ(c.read_response().body.size(), body.size());
}

TEST(HttpServer, HeadHasTheLengthAndNoBody) {
  const Fixture f;
  TestClient c = f.client();
  ASSERT_TRUE(c.send("HEAD /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"));
  EXPECT_THAT(c.read_response(true).head, HasSubstr("Content-Length: 2\r\n"));
  ASSERT_TRUE(c.send(post("/echo", "next")));
  EXPECT_EQ(c.read_response().body, "next");
}

TEST(HttpServer, ExpectContinueIsAnsweredBeforeTheBody) {
  const Fixture f;
  TestClient c = f.client();
  ASSERT_TRUE(c.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                     "Content-Length: 4\r\n\r\n"));
  ASSERT_TRUE(c.await("HTTP/1.1 100 Continue\r\n\r\n"));
  c.read_response(true);
  ASSERT_TRUE(c.send("body"));
  EXPECT_EQ(c.read_response().body, "body");
}

TEST(HttpServer, ARefusedHeadNeedsNoBody) {
  const Fixture f;
  TestClient c = f.client();
  ASSERT_TRUE(c.send("POST /forbidden HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                     "Content-Length: 400\r\n\r\n"));
  EXPECT_EQ(c.read_response().status, 403);
  EXPECT_TRUE(c.await_close());
  // Without a body there is nothing unread, and the connection lives on.
  TestClient d = f.client();
  ASSERT_TRUE(d.send(get("/forbidden") + get("/echo")));
  EXPECT_EQ(d.read_response().status, 403);
  EXPECT_EQ(d.read_response().status, 200);
}

TEST(HttpServer, StreamsInChunks) {
  Fixture f;
  TestClient c = f.client();
  ASSERT_TRUE(c.send(get("/stream")));
  const auto e = f.next_held();
  ASSERT_TRUE(c.await("Transfer-Encoding: chunked"));
  EXPECT_TRUE(e->write("one"));
  ASSERT_TRUE(c.await("3\r\none\r\n"));
  EXPECT_TRUE(e->write("two"));
  e->end_stream();
  EXPECT_FALSE(e->write("late"));
  const TestResponse r = c.read_response();
  EXPECT_EQ(r.body, "onetwo");
  ASSERT_TRUE(c.send(get("/echo")));
  EXPECT_EQ(c.read_response().status, 200);
  EXPECT_EQ(f.cancelled, 0);
}

TEST(HttpServer, StreamsUntilCloseForHttp10) {
  Fixture f;
  TestClient c = f.client();
  ASSERT_TRUE(c.send("GET /stream HTTP/1.0\r\n\r\n"));
  const auto e = f.next_held();
  e->write("one");
  e->end_stream();
  EXPECT_EQ(c.read_response().body, "one");
}

TEST(HttpServer, AStreamThatPromisedToCloseCloses) {
  Fixture f;
  for (const std::string& request : {get("/stream", "Connection: close\r\n"), std::string("GET /stream HTTP/1.0\r\n\r\n")}) {
    TestClient c = f.client();
    ASSERT_TRUE(c.send(request));
    const auto e = f.next_held();
    ASSERT_TRUE(c.await("\r\n\r\n"));  // The head has left before the stream ends.
    e->end_stream();
    EXPECT_TRUE(c.await_close());
  }
}

TEST(HttpServer, AFailedStreamClosesTheConnection) {
  Fixture f;
  TestClient c = f.client();
  ASSERT_TRUE(c.send(get("/stream")));
  f.next_held()->end_stream(true);
  EXPECT_EQ(c.read_response().status, 200);
  EXPECT_TRUE(c.await_close());
}

TEST(HttpServer, ADroppedRequestIsA500) {
  const Fixture f;
  for (const char* path : {"/drop", "/throw"}) {
    TestClient c = f.client();
    ASSERT_TRUE(c.send(get(path)));
    EXPECT_EQ(c.read_response().status, 500) << path;
  }
}

TEST(HttpServer, AClientThatLeavesCancelsWhatWaits) {
  Fixture f;
  for (const char* path : {"/hold", "/stream"}) {
    const int before = f.cancelled;
    TestClient c = f.client();
    ASSERT_TRUE(c.send(get(path)));
    const auto e = f.next_held();
    c.close();
    EXPECT_TRUE(eventually([&] { return f.cancelled == before + 1; })) << path;
    EXPECT_FALSE(e->write("x"));
    bool late = false;
    e->on_cancel([&] { late = true; });  // The answer is over: nothing to cancel.
    EXPECT_FALSE(late);
  }
  EXPECT_TRUE(eventually([&] { return f.server->stats().connections_open == 0; }));
  EXPECT_EQ(f.server->stats().requests_cancelled, 2U);
}

TEST(HttpServer, ASlowReaderIsCutOffAtTheBufferLimit) {
  Fixture f({.stream_buffer_bytes_max = 64 << 10, .socket_send_bytes = 16 << 10});
  TestClient c(f.port(), 4096);
  ASSERT_TRUE(c.send(get("/stream")));
  const auto e = f.next_held();
  const std::string piece(1000, 'x');
  std::size_t accepted = 0;
  while (e->write(piece)) {
    accepted += piece.size();
    ASSERT_LT(accepted, std::size_t{64} << 20);
    if (accepted % 10'000 == 0) std::this_thread::sleep_for(1ms);
  }
  EXPECT_GE(accepted, 64'000U);
  EXPECT_TRUE(eventually([&] { return f.cancelled == 1; }));
  EXPECT_EQ(f.server->stats().slow_readers, 1U);
  EXPECT_TRUE(eventually([&] { return f.server->stats().connections_open == 0; }));
}

TEST(HttpServer, AReaderThatStopsIsCutOffInTime) {
  Fixture f({.socket_send_bytes = 16 << 10, .write_timeout = 100ms});
  TestClient c(f.port(), 4096);
  ASSERT_TRUE(c.send(get("/stream")));
  const auto e = f.next_held();
  e->write(std::string(200'000, 'x'));
  EXPECT_TRUE(eventually([&] { return f.cancelled == 1; }));
}

TEST(HttpServer, IdleCallbackUntilTheEnd) {
  Fixture f;
  TestClient c = f.client();
  ASSERT_TRUE(c.send(get("/stream")));
  const auto e = f.next_held();
  e->on_idle(10ms, [raw = e.get()] { raw->write(":\n\n"); });
  ASSERT_TRUE(c.await("3\r\n:\n\n\r\n3\r\n:\n\n"));
  e->end_stream();
  EXPECT_EQ(c.read_response().status, 200);
}

TEST(HttpServer, TimeoutsEndWhatStalls) {
  Fixture f({.idle_timeout = 50ms, .head_timeout = 50ms, .body_timeout = 50ms});
  TestClient idle = f.client();
  EXPECT_TRUE(idle.await_close());
  EXPECT_EQ(idle.buffer(), "");
  TestClient head = f.client();
  ASSERT_TRUE(head.send("GET / HT"));
  EXPECT_EQ(head.read_response().status, 408);
  TestClient body = f.client();
  ASSERT_TRUE(body.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf"));
  EXPECT_EQ(body.read_response().status, 408);
}

TEST(HttpServer, AnAnswerMayTakeLongerThanAnyReadTimeout) {
  Fixture f({.idle_timeout = 20ms, .head_timeout = 20ms, .body_timeout = 20ms});
  TestClient c = f.client();
  ASSERT_TRUE(c.send(get("/hold")));
  const auto e = f.next_held();
  std::this_thread::sleep_for(100ms);
  e->respond({.body = "slow"});
  EXPECT_EQ(c.read_response().body, "slow");
}

TEST(HttpServer, ProtocolErrorsAreAnsweredInTheGivenShape) {
  const Fixture f({.request = {.header_bytes_max = 1000, .body_bytes_max = 100}});
  const std::pair<std::string, int> cases[] = {
      {"nonsense\r\n\r\n", 400},
      {get("/", "X: " + std::string(2000, 'x') + "\r\n"), 431},
      {post("/echo", std::string(101, 'x')), 413},
      {"GET / HTTP/1.1\r\n\r\n", 400},
  };
  for (const auto& [bytes, status] : cases) {
    TestClient c = f.client();
    ASSERT_TRUE(c.send(bytes));
    const TestResponse r = c.read_response();
    EXPECT_EQ(r.status, status);
    EXPECT_THAT(r.body, testing::StartsWith("E:"));
    EXPECT_TRUE(c.await_close());
  }
  TestClient c = f.client();
  ASSERT_TRUE(c.send(post("/echo", std::string(100, 'x'))));
  EXPECT_EQ(c.read_response().status, 200);
}

// The answer must reach a client that is still sending its oversized body.
TEST(HttpServer, A413ReachesAClientThatKeepsSending) {
  const Fixture f({.request = {.body_bytes_max = 1000}});
  for (int i = 0; i < 5; ++i) {
    TestClient c = f.client();
    std::jthread sender([&] { c.send(post("/echo", std::string(4 << 20, 'x'))); });
    EXPECT_EQ(c.read_response().status, 413);
  }
}

TEST(HttpServer, BothSidesOfTheConnectionLimit) {
  Fixture f({.connections_max = 2});
  TestClient a = f.client();
  TestClient b = f.client();
  for (TestClient* c : {&a, &b}) {
    ASSERT_TRUE(c->send(get("/echo")));
    EXPECT_EQ(c->read_response().status, 200);
  }
  TestClient over = f.client();
  ASSERT_TRUE(over.send(get("/echo")));
  const TestResponse r = over.read_response();
  EXPECT_EQ(r.status, 503);
  EXPECT_THAT(r.body, HasSubstr("limit of 2 connections"));
  a.close();
  EXPECT_TRUE(eventually([&] { return f.server->stats().connections_open < 2; }));
  TestClient again = f.client();
  ASSERT_TRUE(again.send(get("/echo")));
  EXPECT_EQ(again.read_response().status, 200);
}

TEST(HttpServer, BothSidesOfTheRequestLimit) {
  Fixture f({.requests_max = 2});
  TestClient a = f.client();
  TestClient b = f.client();
  ASSERT_TRUE(a.send(get("/hold")));
  ASSERT_TRUE(b.send(get("/hold")));
  const auto held = f.next_held();
  const auto held_too = f.next_held();
  TestClient over = f.client();
  ASSERT_TRUE(over.send(get("/echo")));
  EXPECT_EQ(over.read_response().status, 503);
  held->respond({});
  EXPECT_EQ(a.read_response().status, 200);
  TestClient again = f.client();
  ASSERT_TRUE(again.send(get("/echo")));
  EXPECT_EQ(again.read_response().status, 200);
}

TEST(HttpServer, BothSidesOfTheTotalBodyLimit) {
  Fixture f({.body_bytes_total_max = 1000});
  TestClient a = f.client();
  ASSERT_TRUE(a.send(post("/hold", std::string(600, 'x'))));
  const auto held = f.next_held();
  TestClient fits = f.client();
  ASSERT_TRUE(fits.send(post("/echo", std::string(400, 'x'))));
  EXPECT_EQ(fits.read_response().status, 200);
  TestClient over = f.client();
  ASSERT_TRUE(over.send(post("/echo", std::string(401, 'x'))));
  EXPECT_EQ(over.read_response().status, 503);
  held->respond({});
  EXPECT_EQ(a.read_response().status, 200);
  TestClient again = f.client();
  ASSERT_TRUE(again.send(post("/echo", std::string(1000, 'x'))));
  EXPECT_EQ(again.read_response().status, 200);
}

TEST(HttpServer, APortInUseIsOneClearError) {
  const Fixture f;
  const auto second = HttpServer::create({.port = f.port()}, {});
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Code::kUnavailable);
  EXPECT_THAT(second.error().message, HasSubstr(fmt::format("port {} on 127.0.0.1 is in use", f.port())));
}

TEST(HttpServer, AnAddressThatIsNone) {
  EXPECT_EQ(HttpServer::create({.address = "not an address"}, {}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(HttpServer::create({.address = "203.0.113.7"}, {}).error().code, Code::kInvalidArgument);
  EXPECT_TRUE(is_loopback_address("127.8.9.1") && is_loopback_address("::1"));
  EXPECT_FALSE(is_loopback_address("0.0.0.0") || is_loopback_address("example.org"));
}

TEST(HttpServer, WhoeverAsksLearnsWhatListeningWouldMeet) {
  std::uint16_t port = 0;
  {
    const Fixture f;
    port = f.port();
    EXPECT_TRUE(try_listening("localhost", port).value() == std::errc::address_in_use);
  }
  EXPECT_FALSE(try_listening("127.0.0.1", port).value());
  EXPECT_TRUE(HttpServer::create({.port = port}, {})) << "nothing listens there";
  EXPECT_TRUE(try_listening("203.0.113.7", port).value());
  EXPECT_EQ(try_listening("a.name.of.this.machine", port).error().code, Code::kInvalidArgument);
}

TEST(HttpServer, StopLetsARunningAnswerFinish) {
  Fixture f;
  TestClient idle = f.client();
  TestClient c = f.client();
  ASSERT_TRUE(c.send(get("/stream")));
  const auto e = f.next_held();
  e->write("before ");
  std::jthread stopper([&] { f.server->stop(5s); });
  EXPECT_TRUE(idle.await_close());
  EXPECT_FALSE(TestClient(f.port()).connected());
  e->write("after");
  e->end_stream();
  const TestResponse r = c.read_response();
  EXPECT_EQ(r.body, "before after");
  EXPECT_TRUE(c.await_close());
  EXPECT_EQ(f.cancelled, 0);
}

TEST(HttpServer, StopCancelsAfterTheGrace) {
  Fixture f;
  TestClient c = f.client();
  TestClient mute = f.client();
  ASSERT_TRUE(c.send(get("/stream")));
  const auto e = f.next_held();
  ASSERT_TRUE(mute.send(get("/hold")));
  const auto never = f.next_held();
  e->on_cancel([&f, raw = e.get()] {  // What a good handler does: say why, and end.
    ++f.cancelled;
    raw->write("stopping");
    raw->end_stream(true);
  });
  f.server->stop(50ms);
  EXPECT_EQ(f.cancelled, 2);
  EXPECT_EQ(c.read_response().body, "stopping");
  EXPECT_FALSE(e->write("x"));  // Handles may outlive the server.
}

TEST(HttpServer, ManyStreamsHalfOfWhichLeaveEarly) {
  constexpr int kStreams = 200;
  const std::size_t files_before = count_open_files();
  {
    Fixture f;
    std::vector<TestClient> clients;
    std::vector<std::shared_ptr<HttpExchange>> streams;
    for (int i = 0; i < kStreams; ++i) {
      clients.push_back(f.client());
      ASSERT_TRUE(clients.back().send(get("/stream")));
      streams.push_back(f.next_held());
    }
    std::jthread producer([&] {
      for (int round = 0; round < 20; ++round) {
        for (const auto& s : streams) s->write("token ");
      }
      EXPECT_TRUE(eventually([&] { return f.cancelled == kStreams / 2; }));
      for (const auto& s : streams) s->end_stream();
    });
    for (int i = 0; i < kStreams; i += 2) clients[static_cast<std::size_t>(i)].close();
    for (int i = 1; i < kStreams; i += 2) {
      EXPECT_EQ(clients[static_cast<std::size_t>(i)].read_response().body.size(), 120U);
    }
    producer.join();
    clients.clear();
    EXPECT_TRUE(eventually([&] { return f.server->stats().connections_open == 0; }));
    EXPECT_EQ(f.server->stats().requests_running, 0U);
    for (const auto& s : streams) EXPECT_EQ(s.use_count(), 1);
  }
  EXPECT_EQ(count_open_files(), files_before);
}

}  // namespace
}  // namespace hearth::net
