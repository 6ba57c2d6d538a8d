// The whole path over real sockets with a scripted hub: answers, streams, errors in the API's
// shape, who may come in, early leavers, slow readers, stopping.
#include "server/server.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/http_test_client.h"
#include "net/sse.h"
#include "server/test_support/fake_hub.h"

namespace hearth::server {
namespace {

using namespace std::chrono_literals;
using net::eventually;
using net::TestClient;
using net::TestResponse;
using testing::HasSubstr;
using testing::Not;

class Fixture {
 public:
  explicit Fixture(const ServerOptions& options = {}, std::chrono::microseconds step = 0us)
      : hub(step) {
    auto created = Server::create(options, hub);
    EXPECT_TRUE(created.has_value()) << (created ? "" : created.error().message);
    server = *std::move(created);
  }
  TestClient client(int receive_bytes = 0) const { return TestClient(server->port(), receive_bytes); }

  TestResponse request(std::string_view method, std::string_view path, std::string_view body = "",
                       std::string_view headers = "Host: localhost\r\n") const {
    TestClient c = client();
    EXPECT_TRUE(c.send(fmt::format("{} {} HTTP/1.1\r\n{}Content-Length: {}\r\n\r\n{}", method, path,
                                   headers, body.size(), body)));
    return c.read_response(method == "HEAD");
  }
  TestResponse get(std::string_view path) const { return request("GET", path); }
  TestResponse chat(std::string_view text, std::string_view fields = "") const {
    return request("POST", "/v1/chat/completions", chat_body(text, fields));
  }

  static std::string chat_body(std::string_view text, std::string_view fields = "") {
    return fmt::format(R"({{"model":"fake","messages":[{{"role":"user","content":"{}"}}]{}{}}})", text,
                       fields.empty() ? "" : ",", fields);
  }
  static std::string chat_bytes(std::string_view text, std::string_view fields = "") {
    const std::string body = chat_body(text, fields);
    return fmt::format("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n"
                       "\r\n{}", body.size(), body);
  }

  FakeHub hub;
  std::unique_ptr<Server> server;
};

struct Stream {
  std::vector<std::string> data;
  std::vector<std::string> comments;
};

Stream parse_stream(const std::string& body) {
  Stream s;
  net::SseParser parser([&](const net::SseEvent& e) {
    (e.comment.empty() ? s.data : s.comments).push_back(e.comment.empty() ? e.data : e.comment);
  });
  EXPECT_TRUE(parser.feed(body).has_value());
  EXPECT_FALSE(parser.inside_event());
  return s;
}

TEST(Server, AWholeAnswerWithItsReceipt) {
  const Fixture f;
  const TestResponse r = f.chat("hello there");
  EXPECT_EQ(r.status, 200);
  EXPECT_THAT(r.head, HasSubstr("x-hearth-receipt: r-0123456789abcdefghijklmnop\r\n"));
  EXPECT_THAT(r.head, HasSubstr("x-request-id: req-"));
  EXPECT_THAT(r.head, HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_THAT(r.body, HasSubstr(R"("content":"You said: hello there ")"));
  EXPECT_THAT(r.body, HasSubstr(R"("finish_reason":"stop")"));
  EXPECT_THAT(r.body, HasSubstr(R"("usage":{"prompt_tokens":3,"completion_tokens":3,"total_tokens":6,)"));
  EXPECT_EQ(f.hub.last_request().client, "127.0.0.1");
}

TEST(Server, AStreamedAnswer) {
  const Fixture f;
  const TestResponse r = f.chat("count 3", R"("stream":true,"stream_options":{"include_usage":true})");
  EXPECT_EQ(r.status, 200);
  EXPECT_THAT(r.head, HasSubstr("Content-Type: text/event-stream"));
  const Stream s = parse_stream(r.body);
  ASSERT_EQ(s.data.size(), 7U);
  EXPECT_THAT(s.data[0], HasSubstr(R"("delta":{"role":"assistant","content":""})"));
  EXPECT_THAT(s.data[1], HasSubstr(R"("delta":{"content":"1 "})"));
  EXPECT_THAT(s.data[4], HasSubstr(R"("finish_reason":"stop")"));
  EXPECT_THAT(s.data[4], Not(HasSubstr("\"hearth\"")));
  EXPECT_THAT(s.data[5], HasSubstr(R"("choices":[],"usage":{"prompt_tokens":3)"));
  EXPECT_THAT(s.data[5], HasSubstr(R"("hearth":{"id":"r-0123456789abcdefghijklmnop")"));
  EXPECT_EQ(s.data[6], "[DONE]");
  EXPECT_THAT(s.comments, testing::ElementsAre("x-hearth-receipt: r-0123456789abcdefghijklmnop"));
}

TEST(Server, WithoutAUsageChunkTheFinishCarriesTheReceipt) {
  const Fixture f;
  const Stream s = parse_stream(f.chat("count 1", R"("stream":true,"n":2)").body);
  ASSERT_EQ(s.data.size(), 7U);  // Two roles, two texts, two ends, [DONE].
  EXPECT_THAT(s.data[4], Not(HasSubstr("\"hearth\"")));
  EXPECT_THAT(s.data[5], HasSubstr(R"("index":1)"));
  EXPECT_THAT(s.data[5], HasSubstr(R"("hearth":{"id":)"));
}

TEST(Server, EachProtocolHasItsAnswerAndItsErrors) {
  struct Row {
    const char* path;
    const char* body;
    const char* answer;  // A part of it.
    const char* error;   // Of a body that is no JSON.
  };
  static constexpr Row kRows[] = {
      {"/v1/responses", R"({"model":"fake","input":"hello there"})", R"("text":"You said: hello there ")",
       R"({"error":{"message":)"},
      {"/v1/messages", R"({"model":"fake","max_tokens":9,"messages":[{"role":"user","content":"hello there"}]})",
       R"("text":"You said: hello there ")", R"({"type":"error","error":{"type":"invalid_request_error")"},
      {"/v1/messages/count_tokens", R"({"model":"fake","messages":[{"role":"user","content":"a"}]})",
       R"({"input_tokens":1})", R"({"type":"error",)"},
      {"/api/chat", R"({"model":"fake","stream":false,"messages":[{"role":"user","content":"hello there"}]})",
       R"("content":"You said: hello there ")", R"({"error":"The request's body is not valid JSON)"},
      {"/api/generate", R"({"model":"fake","stream":false,"prompt":"hello there"})",
       R"("response":"You said: hello there ")", R"({"error":")"},
      {"/api/embed", R"({"model":"fake-encoder","input":"ab"})", R"("embeddings":[[2,1]])", R"({"error":")"},
      {"/api/show", R"({"model":"fake"})", R"("capabilities":["completion")", R"({"error":")"},
      {"/models/load", R"({"model":"fake"})", R"({"success":true})", R"({"error":{"message":)"},
  };
  const Fixture f;
  for (const Row& row : kRows) {
    const TestResponse good = f.request("POST", row.path, row.body);
    EXPECT_EQ(good.status, 200) << row.path << good.body;
    EXPECT_THAT(good.body, HasSubstr(row.answer)) << row.path;
    const TestResponse bad = f.request("POST", row.path, "{");
    EXPECT_EQ(bad.status, 400) << row.path;
    EXPECT_THAT(bad.body, testing::StartsWith(row.error)) << row.path;
  }
}

TEST(Server, EachProtocolStreams) {
  const Fixture f;
  const TestResponse lines =
      f.request("POST", "/api/chat", R"({"model":"fake","messages":[{"role":"user","content":"count 2"}]})");
  EXPECT_THAT(lines.head, HasSubstr("Content-Type: application/x-ndjson"));
  EXPECT_THAT(lines.body, HasSubstr("\n"));
  const TestResponse events = f.request(
      "POST", "/v1/messages",
      R"({"model":"fake","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"count 2"}]})");
  EXPECT_THAT(events.head, HasSubstr("Content-Type: text/event-stream"));
  EXPECT_THAT(events.body, testing::EndsWith("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
  const TestResponse broken = f.request(
      "POST", "/v1/messages",
      R"({"model":"fake","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"break"}]})");
  EXPECT_THAT(broken.body, HasSubstr("event: error\n"));
  EXPECT_THAT(f.request("POST", "/v1/responses", R"({"model":"fake","stream":true,"input":"count 2"})").body,
              HasSubstr("event: response.completed\n"));
}

TEST(Server, ListsModelsForEveryProtocol) {
  const Fixture f;
  EXPECT_THAT(f.get("/api/tags").body, HasSubstr(R"("model":"org/fake-2")"));
  EXPECT_THAT(f.get("/api/tags").body, Not(HasSubstr("broken")));
  EXPECT_THAT(f.get("/api/version").body, HasSubstr("version"));
  EXPECT_THAT(f.get("/models").body, HasSubstr(R"("status":{"value":"unloaded"})"));
  EXPECT_THAT(f.get("/props").body, HasSubstr(R"("n_ctx":8192)"));
  EXPECT_EQ(f.request("POST", "/api/show", R"({"model":"nobody"})").status, 404);
}

constexpr const char* kTools =
    R"("tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}])";

TEST(Server, ToolCallsWhole) {
  const Fixture f;
  const std::string body = f.chat("call", kTools).body;
  EXPECT_THAT(body, HasSubstr(R"("content":"Wait. ","refusal":null,"reasoning_content":"Hm.")"));
  EXPECT_THAT(body, HasSubstr(R"("tool_calls":[{"id":"call_0","type":"function","function":{"name":"f",)"
                              R"("arguments":"{\"of\": \"f )"));
  EXPECT_THAT(body, HasSubstr(R"("finish_reason":"tool_calls")"));
}

TEST(Server, ToolCallsStreamed) {
  const Fixture f;
  const Stream s = parse_stream(f.chat("call", std::string(R"("stream":true,)") + kTools).body);
  ASSERT_EQ(s.data.size(), 11U);  // Role, thinking, a word, 2 calls of 3 pieces, the end, [DONE].
  EXPECT_THAT(s.data[1], HasSubstr(R"("delta":{"reasoning_content":"Hm."})"));
  EXPECT_THAT(s.data[3], HasSubstr(R"({"index":0,"id":"call_0","type":"function",)"));
  EXPECT_THAT(s.data[7], HasSubstr(R"({"index":1,"function":{"arguments":"{\"of\": "}})"));
  EXPECT_THAT(s.data[9], HasSubstr(R"("finish_reason":"tool_calls")"));
}

TEST(Server, StatusEventsAreComments) {
  const Fixture f;
  const Stream s = parse_stream(f.chat("status", R"("stream":true)").body);
  EXPECT_EQ(s.comments.at(0), "asking the adviser");
  EXPECT_EQ(f.chat("status").status, 200);
}

TEST(Server, MaxTokensAndLogprobs) {
  const Fixture f;
  EXPECT_THAT(f.chat("count 9", R"("max_tokens":2)").body, HasSubstr(R"("finish_reason":"length")"));
  const std::string body = f.chat("euro", R"("logprobs":true,"top_logprobs":2)").body;
  EXPECT_THAT(body, HasSubstr("\"content\":\"\xE2\x82\xACuro\""));
  EXPECT_THAT(body, HasSubstr(R"("bytes":[226,130],"top_logprobs":[{"token":"t0")"));
}

TEST(Server, Completions) {
  const Fixture f;
  const TestResponse r = f.request("POST", "/v1/completions",
                                   R"({"model":"fake","prompt":"count 2","echo":true})");
  EXPECT_THAT(r.body, HasSubstr(R"("object":"text_completion")"));
  EXPECT_THAT(r.body, HasSubstr(R"("text":"count 21 2 ")"));
  EXPECT_THAT(f.request("POST", "/v1/completions",
                        R"({"model":"fake","prompt":"count 1","logprobs":1,"stream":true})").body,
              HasSubstr(R"("text":"1 ","logprobs":{"tokens":["1 "])"));
}

TEST(Server, SeedsDifferUnlessGiven) {
  const Fixture f;
  f.chat("count 1");
  const auto first = f.hub.last_request().sampling.seed;
  f.chat("count 1");
  EXPECT_NE(f.hub.last_request().sampling.seed, first);
  f.chat("count 1", R"("seed":42)");
  EXPECT_EQ(f.hub.last_request().sampling.seed, 42U);
}

TEST(Server, AdviceFromFieldOrHeader) {
  const Fixture f;
  const auto with = [&](std::string_view fields, std::string_view headers) {
    return f.request("POST", "/v1/chat/completions", f.chat_body("count 1", fields),
                     fmt::format("Host: localhost\r\n{}", headers));
  };
  EXPECT_EQ(with("", "x-hearth-advice: never\r\n").status, 200);
  EXPECT_EQ(f.hub.last_request().advice, hub::AdviceMode::kNever);
  with(R"("hearth":{"advice":"always"})", "x-hearth-advice: never\r\n");
  EXPECT_EQ(f.hub.last_request().advice, hub::AdviceMode::kAlways);
  const TestResponse bad = with("", "x-hearth-advice: maybe\r\n");
  EXPECT_EQ(bad.status, 400);
  EXPECT_THAT(bad.body, HasSubstr(R"("param":"x-hearth-advice")"));
}

TEST(Server, ErrorsHaveTheApisShape) {
  const Fixture f;
  const struct {
    TestResponse r;
    int status;
    const char* text;
  } cases[] = {
      {f.request("POST", "/v1/chat/completions", "{"), 400, R"("code":"invalid_json")"},
      {f.chat("x", R"("temperature":9)"), 400, R"("param":"temperature")"},
      {f.request("POST", "/v1/chat/completions",
                 R"({"model":"missing","messages":[{"role":"user","content":"x"}]})"),
       404, R"("param":"model","code":"model_not_found")"},
      {f.chat("overflow"), 400, R"("code":"context_length_exceeded")"},
      {f.chat("refuse"), 503, R"("code":"unavailable")"},
      {f.chat("fail"), 500, R"("type":"server_error")"},
      {f.chat("fail", R"("stream":true)"), 500, R"("type":"server_error")"},
      {f.get("/v1/nothing"), 404, R"("code":"unknown_url")"},
      {f.get("/v1/chat/completions"), 405, R"("code":"method_not_supported")"},
      {f.get("/hearth/v1/receipts/r-1"), 404, "keeps no receipts"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(c.r.status, c.status) << c.text;
    EXPECT_THAT(c.r.body, testing::StartsWith(R"({"error":{"message":")"));
    EXPECT_THAT(c.r.body, HasSubstr(c.text));
    EXPECT_EQ(c.r.head.find("Retry-After: 1") != std::string::npos, c.status == 503);
  }
  EXPECT_THAT(f.get("/v1/chat/completions").head, HasSubstr("Allow: POST\r\n"));
}

TEST(Server, AWrongContentTypeIsTolerated) {
  const Fixture f;
  EXPECT_EQ(f.request("POST", "/v1/chat/completions", f.chat_body("count 1"),
                      "Host: localhost\r\nContent-Type: text/plain\r\n").status, 200);
  EXPECT_EQ(f.request("POST", "/v1/chat/completions", "x",
                      "Host: localhost\r\nContent-Encoding: gzip\r\n").status, 415);
}

TEST(Server, AFailureInTheMiddleIsAnErrorEvent) {
  const Fixture f;
  TestClient c = f.client();
  ASSERT_TRUE(c.send(f.chat_bytes("break", R"("stream":true)")));
  const TestResponse r = c.read_response();
  EXPECT_EQ(r.status, 200);
  const Stream s = parse_stream(r.body);
  EXPECT_THAT(s.data.back(), HasSubstr(R"({"error":{"message":"the script says fail")"));
  EXPECT_THAT(r.body, Not(HasSubstr("[DONE]")));
  EXPECT_TRUE(c.await_close());
}

TEST(Server, Models) {
  const Fixture f;
  const std::string list = f.get("/v1/models").body;
  for (const char* id : {"auto", "local", "fake", "org/fake-2"}) {
    EXPECT_THAT(list, HasSubstr(fmt::format("\"id\":\"{}\"", id)));
    EXPECT_EQ(f.get(fmt::format("/v1/models/{}", id)).status, 200) << id;
  }
  EXPECT_THAT(list, Not(HasSubstr("broken")));
  EXPECT_EQ(f.get("/v1/models/org%2Ffake-2").status, 200);
  const TestResponse broken = f.get("/v1/models/broken");
  EXPECT_EQ(broken.status, 404);
  EXPECT_THAT(broken.body, HasSubstr("its file is cut short"));
  EXPECT_THAT(f.get("/v1/models/none").body, HasSubstr("model_not_found"));
}

TEST(Server, HealthMetricsAndTheRootPage) {
  Fixture f;
  EXPECT_EQ(f.get("/health").body, R"({"status":"ok"})");
  f.hub.healthy = false;
  EXPECT_EQ(f.get("/health").status, 503);
  f.chat("count 2");
  const std::string metrics = f.get("/metrics").body;
  EXPECT_THAT(metrics, HasSubstr("\nhearth_requests_total 1\n"));
  EXPECT_THAT(metrics, HasSubstr("\nhearth_first_token_seconds_bucket{le=\"0.005\"} 1\n"));
  EXPECT_THAT(metrics, HasSubstr("\nhearth_request_seconds_sum 0.02\n"));
  EXPECT_THAT(metrics, HasSubstr("hearth_http_responses_total{class=\"5xx\"} 1\n"));
  EXPECT_THAT(f.get("/").body, HasSubstr("<title>Hearth</title>"));
  EXPECT_EQ(f.request("HEAD", "/").status, 200);
}

TEST(Server, AWebPageOfAnotherSiteIsRefused) {
  ServerOptions options;
  options.host_names = {"hub.lan"};
  options.origins = {"https://notes.example:8443"};
  const Fixture f(options);
  const std::uint16_t port = f.server->port();
  const struct {
    std::string headers;
    int status;
  } cases[] = {
      {"Host: localhost\r\n", 200},
      {fmt::format("Host: 127.0.0.1:{}\r\n", port), 200},
      {"Host: [::1]:80\r\n", 200},
      {"Host: LOCALHOST:1\r\n", 200},
      {"Host: hub.lan:8642\r\n", 200},
      {"Host: evil.example\r\n", 403},
      {"Host: localhost.evil.example\r\n", 403},
      {"Host: 127.0.0.1.evil.example\r\n", 403},
      {"Host: 192.168.1.7\r\n", 403},
      {"Host: \r\n", 403},
      {"Host: [\r\n", 403},
      {fmt::format("Host: localhost:{0}\r\nOrigin: http://localhost:{0}\r\n", port), 200},
      {"Host: localhost:1\r\nOrigin: http://localhost:2\r\n", 403},
      {"Host: localhost\r\nOrigin: https://localhost\r\n", 403},
      {"Host: localhost\r\nOrigin: null\r\n", 403},
      {"Host: localhost\r\nOrigin: https://evil.example\r\n", 403},
      {"Host: localhost\r\nOrigin: https://notes.example:8443\r\n", 200},
      {"Host: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n", 403},
      {"Host: localhost\r\nSec-Fetch-Site: same-site\r\nSec-Fetch-Mode: no-cors\r\n", 403},  // Another port.
      {"Host: localhost\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\n", 200},
      {"Host: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n", 200},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(f.request("GET", "/health", "", c.headers).status, c.status) << c.headers;
    EXPECT_EQ(f.request("POST", "/v1/chat/completions", f.chat_body("count 1"), c.headers).status,
              c.status) << c.headers;
  }
}

TEST(Server, CorsOnlyForConfiguredOrigins) {
  ServerOptions options;
  options.origins = {"https://notes.example"};
  const Fixture f(options);
  const auto preflight = [&](std::string_view origin) {
    return f.request("OPTIONS", "/v1/chat/completions", "",
                     fmt::format("Host: localhost\r\nOrigin: {}\r\n"
                                 "Access-Control-Request-Method: POST\r\n", origin));
  };
  EXPECT_EQ(preflight("https://evil.example").status, 403);
  EXPECT_THAT(preflight("https://evil.example").head, Not(HasSubstr("Access-Control")));
  TestClient c = f.client();
  ASSERT_TRUE(c.send("OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                     "Origin: https://notes.example\r\n\r\n"));
  const TestResponse good = c.read_response(true);
  EXPECT_EQ(good.status, 204);
  EXPECT_THAT(good.head, HasSubstr("Access-Control-Allow-Origin: https://notes.example\r\n"));
  EXPECT_THAT(good.head, HasSubstr("Access-Control-Allow-Methods: POST\r\n"));
  TestClient plain = f.client();
  ASSERT_TRUE(plain.send("OPTIONS /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  EXPECT_THAT(plain.read_response(true).head,
              testing::AllOf(HasSubstr("Allow: GET, HEAD\r\n"), Not(HasSubstr("Access-Control"))));
}

TEST(Server, KeysAreNeededOnceTheyAreSet) {
  ServerOptions options;
  options.keys = {{"laptop", "secret-one"}, {"phone", "secret-two"}};
  const Fixture f(options);
  const auto status = [&](std::string_view headers, std::string_view path = "/v1/models") {
    return f.request("GET", path, "", fmt::format("Host: localhost\r\n{}", headers)).status;
  };
  EXPECT_EQ(status(""), 401);
  EXPECT_EQ(status("Authorization: Bearer wrong\r\n"), 401);
  EXPECT_EQ(status("Authorization: Bearer secret-on\r\n"), 401);
  EXPECT_EQ(status("Authorization: Bearer secret-one \r\n"), 200);  // HTTP trims values.
  EXPECT_EQ(status("Authorization: Basic secret-one\r\n"), 401);
  EXPECT_EQ(status("Authorization: bearer secret-one\r\n"), 200);
  EXPECT_EQ(status("x-api-key: secret-two\r\n"), 200);
  EXPECT_EQ(status("", "/health"), 200);
  EXPECT_EQ(status("", "/metrics"), 401);
  EXPECT_EQ(status("", "/nothing"), 401);  // Does not tell strangers what there is.
  f.request("POST", "/v1/chat/completions", f.chat_body("count 1"),
            "Host: localhost\r\nx-api-key: secret-two\r\n");
  EXPECT_EQ(f.hub.last_request().client, "phone");
  const TestResponse refused = f.request("GET", "/v1/models", "",
                                         "Host: localhost\r\nAuthorization: Bearer secret-x\r\n");
  EXPECT_THAT(refused.head, HasSubstr("WWW-Authenticate: Bearer\r\n"));
  EXPECT_THAT(refused.body, Not(HasSubstr("secret")));
}

TEST(Server, OnlyWhoAskedAnswersAConsent) {
  ServerOptions options;
  options.keys = {{"laptop", "secret-one"}, {"phone", "secret-two"}};
  Fixture f(options);
  const std::string own = "Host: localhost\r\nx-api-key: secret-one\r\n", other = "Host: localhost\r\nx-api-key: secret-two\r\n";
  const TestResponse asked = f.request("POST", "/v1/chat/completions", f.chat_body("consent", R"("stream":true)"),
                                       own + "X-Project: website\r\nCookie: c=1\r\n");
  EXPECT_THAT(f.hub.last_request().headers, testing::Contains("x-project: website"));
  for (const std::string& header : f.hub.last_request().headers) EXPECT_THAT(header, Not(HasSubstr("secret-one")));
  EXPECT_THAT(f.hub.last_request().headers, Not(testing::Contains("cookie: c=1")));
  EXPECT_THAT(parse_stream(asked.body).comments,
              testing::Contains(HasSubstr(R"(x-hearth-consent: {"id":"c-1","request":"r-1","provider":"acme")")));

  EXPECT_THAT(f.request("GET", "/hearth/v1/consents", "", own).body, HasSubstr(R"("body":"{\"a\": 1}")"));
  EXPECT_EQ(f.request("GET", "/hearth/v1/consents", "", other).body, R"({"consents":[]})");
  EXPECT_EQ(f.get("/hearth/v1/consents").status, 401);
  const auto answer = [&](const std::string& headers, std::string_view body) {
    return f.request("POST", "/hearth/v1/consents/c-1", body, headers);
  };
  EXPECT_EQ(answer("Host: localhost\r\n", R"({"answer":"allow"})").status, 401);
  EXPECT_EQ(answer(other, R"({"answer":"allow"})").status, 404);
  EXPECT_EQ(answer(own, R"({"answer":"perhaps"})").status, 400);
  EXPECT_EQ(answer(own, R"({"answer":"allow","remember":"yes"})").status, 400);
  EXPECT_EQ(f.hub.consented, "");
  EXPECT_EQ(answer(own, R"({"answer":"refuse"})").body, R"({"id":"c-1","answer":"refuse","remember":false})");
  EXPECT_EQ(f.hub.consented, "no");
  EXPECT_EQ(answer(own, R"({"answer":"allow","remember":true})").status, 200);
  EXPECT_EQ(f.hub.consented, "always");
}

TEST(Server, OutcomesAreLearnedFrom) {
  ServerOptions options;
  std::string noted;
  options.note_outcome = [&](const std::string& id, bool is_good) -> Result<std::string> {
    if (id != "r-1") return fail(Code::kNotFound, "there is no receipt");
    noted = is_good ? "good" : "bad";
    return "{}";
  };
  const Fixture f(options);
  EXPECT_EQ(f.request("POST", "/hearth/v1/outcomes", R"({"receipt":"r-1","outcome":"bad"})").status, 200);
  EXPECT_EQ(noted, "bad");
  EXPECT_EQ(f.request("POST", "/hearth/v1/outcomes", R"({"receipt":"r-2","outcome":"good"})").status, 404);
  EXPECT_EQ(f.request("POST", "/hearth/v1/outcomes", R"({"receipt":"r-1"})").status, 400);
  EXPECT_EQ(f.request("POST", "/hearth/v1/outcomes", "[]").status, 400);
}

TEST(Server, AnOpenAddressNeedsAKey) {
  AccessOptions options;
  EXPECT_TRUE(Access::create(options).has_value());
  options.listen_address = "0.0.0.0";
  const auto open = Access::create(options);
  ASSERT_FALSE(open.has_value());
  EXPECT_THAT(open.error().message, HasSubstr("needs an API key"));
  options.keys = {{"k", "12345678"}};
  EXPECT_TRUE(Access::create(options).has_value());
  options.keys = {{"k", "1234567"}};
  EXPECT_FALSE(Access::create(options).has_value());
  options.keys = {{"k", "12345678"}, {"k", "12345679"}};
  EXPECT_FALSE(Access::create(options).has_value());
  options.keys = {};
  options.listen_address = "127.0.0.1";
  options.origins = {"notes.example"};
  EXPECT_FALSE(Access::create(options).has_value());
}

TEST(Server, AClientThatLeavesIsCancelledAtTheHub) {
  Fixture f;
  for (const char* fields : {"", R"("stream":true)"}) {
    for (const char* script : {"silent", "hold"}) {
      TestClient c = f.client();
      ASSERT_TRUE(c.send(f.chat_bytes(script, fields)));
      ASSERT_TRUE(eventually([&] { return f.hub.n_running() == 1; }));
      c.close();
      EXPECT_TRUE(eventually([&] { return f.hub.n_running() == 0; })) << script << fields;
    }
  }
}

TEST(Server, ASlowReaderIsCancelledAtTheHub) {
  ServerOptions options;
  options.http.stream_buffer_bytes_max = 32 << 10;
  options.http.socket_send_bytes = 16 << 10;
  const Fixture f(options);
  TestClient c = f.client(4096);
  ASSERT_TRUE(c.send(f.chat_bytes("count 100000", R"("stream":true)")));
  EXPECT_TRUE(eventually([&] { return f.server->http_stats().slow_readers == 1; }));
  EXPECT_TRUE(eventually([&] { return f.hub.n_running() == 0; }));
  EXPECT_EQ(f.chat("count 1").status, 200);
}

TEST(Server, HeartbeatsWhileNothingHappens) {
  ServerOptions options;
  options.heartbeat_every = 20ms;
  const Fixture f(options);
  TestClient c = f.client();
  ASSERT_TRUE(c.send(f.chat_bytes("silent", R"("stream":true)")));
  ASSERT_TRUE(c.await("HTTP/1.1 200 OK"));
  ASSERT_TRUE(c.await(": still working\n\n"));
}

TEST(Server, TwoHundredStreamsHalfOfWhichLeave) {
  constexpr std::size_t kStreams = 200;
  const std::size_t files_before = net::count_open_files();
  {
    Fixture f({}, 200us);
    std::vector<TestClient> clients;
    for (std::size_t i = 0; i < kStreams; ++i) {
      clients.push_back(f.client());
      ASSERT_TRUE(clients.back().send(f.chat_bytes("count 200", R"("stream":true)")));
    }
    for (std::size_t i = 0; i < kStreams; i += 2) {
      ASSERT_TRUE(clients[i].await("\"content\":\"1 \""));
      clients[i].close();
    }
    for (std::size_t i = 1; i < kStreams; i += 2) {
      const TestResponse r = clients[i].read_response();
      ASSERT_EQ(r.status, 200) << i;
      EXPECT_THAT(r.body, testing::AllOf(HasSubstr("\"content\":\"200 \""), HasSubstr("[DONE]")));
    }
    clients.clear();
    EXPECT_TRUE(eventually([&] { return f.hub.n_running() == 0; }));
    EXPECT_TRUE(eventually([&] { return f.server->http_stats().connections_open == 0; }));
    const auto stats = f.server->http_stats();
    EXPECT_EQ(stats.requests, kStreams);
    EXPECT_EQ(stats.requests_running, 0U);
    EXPECT_EQ(stats.requests_cancelled, kStreams / 2);
  }
  EXPECT_EQ(net::count_open_files(), files_before);
}

TEST(Server, StopCancelsWhatRunsAndSaysSo) {
  Fixture f;
  TestClient streaming = f.client();
  TestClient waiting = f.client();
  ASSERT_TRUE(streaming.send(f.chat_bytes("hold", R"("stream":true)")));
  ASSERT_TRUE(streaming.await("\"content\":\"held\""));
  ASSERT_TRUE(waiting.send(f.chat_bytes("silent")));
  ASSERT_TRUE(eventually([&] { return f.hub.n_running() == 2; }));
  f.server->stop(100ms);
  EXPECT_THAT(streaming.read_response().body, HasSubstr(R"("code":"cancelled")"));
  EXPECT_EQ(waiting.read_response().status, 503);
  EXPECT_EQ(f.hub.n_running(), 0U);
}

TEST(Server, StopLetsAnAnswerFinish) {
  Fixture f({}, 2ms);
  TestClient c = f.client();
  ASSERT_TRUE(c.send(f.chat_bytes("count 50", R"("stream":true)")));
  ASSERT_TRUE(c.await("\"content\":\"1 \""));
  f.server->stop(5s);
  EXPECT_THAT(c.read_response().body, testing::AllOf(HasSubstr("\"50 \""), HasSubstr("[DONE]")));
}

TEST(Server, RunsKernels) {
  hub::KernelDeskOptions options;
  options.open_shelf = []() -> Result<std::unique_ptr<compute::KernelShelf>> { return fail(Code::kNotFound, "there is no shelf"); };
  options.n_threads = 1;
  hub::KernelDesk desk(std::move(options));
  ServerOptions with_kernels;
  with_kernels.kernels = &desk;
  Fixture f(with_kernels);
  const TestResponse run = f.request("POST", "/hearth/v1/kernels/run", R"({"name":"mul_f32","arrays":{"in":[2],"weights":[3]}})");
  EXPECT_EQ(run.status, 200);
  EXPECT_THAT(run.body, HasSubstr(R"("data":[6])"));
  EXPECT_THAT(f.request("POST", "/hearth/v1/kernels/run", R"({"name":"mul_f32"})").body, HasSubstr("nothing says what 'n' is"));
  EXPECT_THAT(f.get("/hearth/v1/kernels/gemm_f64").body, HasSubstr(R"("determinism":"D2")"));
  EXPECT_EQ(f.get("/hearth/v1/kernels/none_such").status, 404);
  EXPECT_EQ(f.request("DELETE", "/hearth/v1/kernels/gemm_f64").status, 403);
  const TestResponse asked = f.request("POST", "/hearth/v1/kernels", R"({"prose":"add one"})");
  EXPECT_THAT(asked.body, HasSubstr("event: error\ndata: {\"error\""));
  EXPECT_EQ(Fixture().get("/hearth/v1/kernels").status, 404);
}

}  // namespace
}  // namespace hearth::server
