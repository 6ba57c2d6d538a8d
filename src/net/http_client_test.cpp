// The HTTP client against peers that behave and peers that don't.
#include "net/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <optional>

#include "net/loopback_server.h"

namespace hearth::net {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

class Recorder final : public HttpSink {
 public:
  explicit Recorder(std::size_t bytes_wanted = SIZE_MAX) : bytes_wanted_(bytes_wanted) {}

  void on_head(const HttpResponseHead& head) override {
    const std::lock_guard lock(mutex_);
    head_ = head;
  }
  bool on_body(std::string_view piece) override {
    const std::lock_guard lock(mutex_);
    body_.append(piece);
    changed_.notify_all();
    return body_.size() < bytes_wanted_;
  }
  void on_end(const HttpEnd& end) override {
    const std::lock_guard lock(mutex_);
    EXPECT_FALSE(end_) << "on_end came twice";
    end_ = end;
    changed_.notify_all();
  }
  HttpEnd wait() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(20), [&] { return end_.has_value(); }));
    return end_.value_or(HttpEnd{});
  }
  void wait_for_body(std::size_t bytes) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(20), [&] { return body_.size() >= bytes; });
  }
  HttpResponseHead head() {
    const std::lock_guard lock(mutex_);
    return head_;
  }
  std::string body() {
    const std::lock_guard lock(mutex_);
    return body_;
  }

 private:
  const std::size_t bytes_wanted_;
  std::mutex mutex_;
  std::condition_variable changed_;
  HttpResponseHead head_;
  std::string body_;
  std::optional<HttpEnd> end_;
};

class HttpClientTest : public ::testing::Test {
 protected:
  HttpEnd post(HttpPost request) {
    recorder_ = std::make_shared<Recorder>();
    client_->post(std::move(request), recorder_);
    return recorder_->wait();
  }

  std::unique_ptr<HttpClient> client_ = std::move(*HttpClient::create());
  std::shared_ptr<Recorder> recorder_;
};

TEST_F(HttpClientTest, PostsExactlyTheBodyAndHeadersAndReadsTheAnswer) {
  const std::string body("a\0b\xff", 4);
  LoopbackRequest seen;
  LoopbackServer server([&](LoopbackConnection& peer) {
    seen = peer.read_request();
    peer.respond(201, "{\"ok\":true}", "X-Thing: 7\r\n");
  });
  const HttpEnd end = post({.url = server.url("/v1/chat"),
                            .headers = {{"Authorization", "Bearer k", true}, {"Accept", "a/b"}},
                            .body = body});
  EXPECT_EQ(end.failure, HttpFailure::kNone) << end.detail;
  EXPECT_TRUE(end.may_have_sent);
  EXPECT_EQ(recorder_->head().status, 201);
  EXPECT_EQ(*recorder_->head().find("x-thing"), "7");
  EXPECT_EQ(recorder_->head().find("x-other"), nullptr);
  EXPECT_EQ(recorder_->body(), "{\"ok\":true}");
  EXPECT_EQ(end.body_bytes_in, 11U);
  EXPECT_THAT(seen.head, HasSubstr("POST /v1/chat HTTP/1.1"));
  EXPECT_THAT(seen.head, HasSubstr("Authorization: Bearer k"));
  EXPECT_THAT(seen.head, Not(HasSubstr("Expect")));
  EXPECT_EQ(seen.body, body);
}

TEST_F(HttpClientTest, StreamsPiecesAsTheyCome) {
  std::atomic<bool> go_on = false;
  LoopbackServer server([&](LoopbackConnection& peer) {
    peer.read_request();
    peer.begin_stream();
    peer.write("first");
    while (!go_on && peer.pause(milliseconds(1))) {
    }
    peer.write("second");
  });
  const auto recorder = std::make_shared<Recorder>();
  client_->post({.url = server.url()}, recorder);
  recorder->wait_for_body(5);
  EXPECT_EQ(recorder->body(), "first");
  go_on = true;
  EXPECT_EQ(recorder->wait().failure, HttpFailure::kNone);
  EXPECT_EQ(recorder->body(), "firstsecond");
}

TEST_F(HttpClientTest, ARefusedConnectionSendsNothing) {
  const HttpEnd end = post({.url = "http://127.0.0.1:" + std::to_string(unused_port())});
  EXPECT_EQ(end.failure, HttpFailure::kConnect);
  EXPECT_FALSE(end.may_have_sent);
  EXPECT_NE(end.detail, "");
}

TEST_F(HttpClientTest, OtherProtocolsAndBadUrlsAreRefused) {
  for (const char* url : {"file:///etc/passwd", "ftp://127.0.0.1/x", "http://", "", ":::"}) {
    const HttpEnd end = post({.url = url});
    EXPECT_EQ(end.failure, HttpFailure::kConnect) << url;
    EXPECT_FALSE(end.may_have_sent);
  }
}

TEST_F(HttpClientTest, ALineBreakInAHeaderIsRefused) {
  const HttpEnd end = post({.url = "http://127.0.0.1:1", .headers = {{"A", "x\r\nEvil: 1", true}}});
  EXPECT_THAT(end.detail, HasSubstr("the header 'A' holds a line break"));
  EXPECT_THAT(end.detail, Not(HasSubstr("Evil")));
}

TEST_F(HttpClientTest, ASlowFirstByteTimesOutAfterTheRequestLeft) {
  LoopbackServer server([](LoopbackConnection& peer) {
    peer.read_request();
    peer.wait_for_hangup();
  });
  const HttpEnd end = post({.url = server.url(), .timeouts = {.first_byte = milliseconds(50)}});
  EXPECT_EQ(end.failure, HttpFailure::kTimeout);
  EXPECT_TRUE(end.may_have_sent);
  EXPECT_THAT(end.detail, HasSubstr("50 ms"));
}

TEST_F(HttpClientTest, SilenceInTheMiddleTimesOut) {
  LoopbackServer server([](LoopbackConnection& peer) {
    peer.read_request();
    peer.begin_stream();
    peer.write("some");
    peer.wait_for_hangup();
  });
  const HttpEnd end = post({.url = server.url(), .timeouts = {.idle = milliseconds(50)}});
  EXPECT_EQ(end.failure, HttpFailure::kTimeout);
  EXPECT_EQ(recorder_->body(), "some");
}

TEST_F(HttpClientTest, ADripThatNeverEndsHitsTheTotalTimeout) {
  LoopbackServer server([](LoopbackConnection& peer) {
    peer.read_request();
    peer.begin_stream();
    while (peer.write("x") && peer.pause(milliseconds(5))) {
    }
  });
  const HttpEnd end = post({.url = server.url(), .timeouts = {.total = milliseconds(150)}});
  EXPECT_EQ(end.failure, HttpFailure::kTimeout);
}

TEST_F(HttpClientTest, AnEndlessAnswerIsCutAtItsLimit) {
  LoopbackServer server([](LoopbackConnection& peer) {
    peer.read_request();
    peer.begin_stream();
    while (peer.write(std::string(1000, 'x'))) {
    }
  });
  const HttpEnd end = post({.url = server.url(), .response_bytes_max = 4321});
  EXPECT_EQ(end.failure, HttpFailure::kTooLarge);
  EXPECT_EQ(recorder_->body().size(), 4321U);
}

TEST_F(HttpClientTest, AnAnswerOfExactlyTheLimitPasses) {
  LoopbackServer server([](LoopbackConnection& peer) {
    peer.read_request();
    peer.respond(200, std::string(100, 'x'));
  });
  EXPECT_EQ(post({.url = server.url(), .response_bytes_max = 100}).failure, HttpFailure::kNone);
  EXPECT_EQ(post({.url = server.url(), .response_bytes_max = 99}).failure, HttpFailure::kTooLarge);
}

TEST_F(HttpClientTest, EndlessHeadersAreCut) {
  LoopbackServer server([](LoopbackConnection& peer) {
    peer.read_request();
    peer.write("HTTP/1.1 200 OK\r\n");
    while (peer.write("A: " + std::string(1000, 'x') + "\r\n")) {
    }
  });
  EXPECT_NE(post({.url = server.url()}).failure, HttpFailure::kNone);
}

TEST_F(HttpClientTest, APeerThatDiesMidBodyIsBroken) {
  LoopbackServer server([](LoopbackConnection& peer) {
    peer.read_request();
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  });
  const HttpEnd end = post({.url = server.url()});
  EXPECT_EQ(end.failure, HttpFailure::kBroken);
  EXPECT_EQ(end.body_bytes_in, 4U);
}

TEST_F(HttpClientTest, GarbageAndSilenceAreBroken) {
  for (const char* answer : {"", "\x16\x03\x01 what\r\n\r\n"}) {
    LoopbackServer server([&](LoopbackConnection& peer) {
      peer.read_request();
      peer.write(answer);
    });
    EXPECT_EQ(post({.url = server.url()}).failure, HttpFailure::kBroken) << answer;
  }
}

TEST_F(HttpClientTest, RedirectsAreNotFollowed) {
  LoopbackServer other([](LoopbackConnection& peer) { peer.read_request(); });
  LoopbackServer server([&](LoopbackConnection& peer) {
    peer.read_request();
    peer.respond(307, "", "Location: " + other.url() + "\r\n");
  });
  EXPECT_EQ(post({.url = server.url(), .body = "secret"}).failure, HttpFailure::kNone);
  EXPECT_EQ(recorder_->head().status, 307);
  EXPECT_EQ(other.n_connections(), 0);
}

TEST_F(HttpClientTest, CancelEndsACallAtOnce) {
  LoopbackServer server([](LoopbackConnection& peer) {
    peer.read_request();
    peer.begin_stream();
    peer.write("some");
    peer.wait_for_hangup();
  });
  const auto recorder = std::make_shared<Recorder>();
  const HttpCallId call = client_->post({.url = server.url()}, recorder);
  recorder->wait_for_body(4);
  client_->cancel(call);
  EXPECT_EQ(recorder->wait().failure, HttpFailure::kCancelled);
  client_->cancel(call);  // No effect.
}

TEST_F(HttpClientTest, WhenItsSinkHasEnoughACallEndsWell) {
  LoopbackServer server([](LoopbackConnection& peer) {
    peer.read_request();
    peer.begin_stream();
    peer.write("all that is wanted");
    peer.wait_for_hangup();
  });
  const auto recorder = std::make_shared<Recorder>(18);
  client_->post({.url = server.url()}, recorder);
  EXPECT_EQ(recorder->wait().failure, HttpFailure::kNone);
  EXPECT_EQ(recorder->head().status, 200);
  EXPECT_EQ(recorder->body(), "all that is wanted");
}

TEST_F(HttpClientTest, DestructionEndsWhatRuns) {
  LoopbackServer server([](LoopbackConnection& peer) { peer.wait_for_hangup(); });
  std::vector<std::shared_ptr<Recorder>> recorders;
  for (int i = 0; i < 20; ++i) {
    recorders.push_back(std::make_shared<Recorder>());
    client_->post({.url = server.url()}, recorders.back());
  }
  client_.reset();
  for (const auto& recorder : recorders) {
    EXPECT_EQ(recorder->wait().failure, HttpFailure::kCancelled);
  }
}

TEST_F(HttpClientTest, AHundredCallsAtOnce) {
  LoopbackServer server([](LoopbackConnection& peer) {
    const LoopbackRequest request = peer.read_request();
    peer.pause(milliseconds(20));
    peer.respond(200, request.body);
  });
  std::vector<std::shared_ptr<Recorder>> recorders;
  for (int i = 0; i < 100; ++i) {
    recorders.push_back(std::make_shared<Recorder>());
    client_->post({.url = server.url(), .body = std::to_string(i)}, recorders.back());
  }
  for (std::size_t i = 0; i < recorders.size(); ++i) {
    EXPECT_EQ(recorders[i]->wait().failure, HttpFailure::kNone);
    EXPECT_EQ(recorders[i]->body(), std::to_string(i));
  }
}

}  // namespace
}  // namespace hearth::net
