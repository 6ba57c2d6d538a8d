// MCP over real sockets, with a scripted hub: both eras, tools, progress, cancelling, sessions, refusals; and the
// same desk on lines.
#include "server/mcp_answer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temp_folder_for_test.h"
#include "net/http_test_client.h"
#include "server/server.h"
#include "server/test_support/fake_hub.h"

namespace hearth::server {
namespace {

using net::eventually;
using net::TestClient;
using net::TestResponse;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kMeta = R"("_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{})";

class Mcp : public testing::Test {
 protected:
  Mcp() : hub_(std::chrono::microseconds{0}) {
    book_ = *ledger::Ledger::open(folder_ / "ledger.db", ledger::Ledger::Mode::kReadWrite);
    ServerOptions options;
    options.version = "1.2.3";
    options.kernels = &kernels_;
    options.books.ledger = book_.get();
    server_ = *Server::create(std::move(options), hub_);
  }

  static std::string bytes(std::string_view method, std::string_view body, std::string_view headers) {
    return fmt::format("{} /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: application/json, text/event-stream\r\n{}Content-Length: {}\r\n\r\n{}",
                       method, headers, body.size(), body);
  }
  TestResponse post(std::string_view body, std::string_view headers = "") const { return send("POST", body, headers); }
  TestResponse send(std::string_view method, std::string_view body, std::string_view headers) const {
    TestClient client(server_->port());
    EXPECT_TRUE(client.send(bytes(method, body, headers)));
    return client.read_response(method == "DELETE");  // 204 has no length.
  }

  // A request of 2026-07-28; `members`: of its params, beside `_meta`.
  static std::string modern(std::string_view method, std::string_view members = "", std::string_view more_meta = "") {
    return fmt::format(R"({{"jsonrpc":"2.0","id":"q-1","method":"{}","params":{{)", method) + std::string(members) + (members.empty() ? "" : ",") + kMeta +
           std::string(more_meta) + "}}}";
  }
  static std::string modern_headers(std::string_view method, std::string_view name = "") {
    std::string headers = fmt::format("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {}\r\n", method);
    if (!name.empty()) headers += fmt::format("Mcp-Name: {}\r\n", name);
    return headers;
  }
  TestResponse call(std::string_view tool, std::string_view arguments, std::string_view more_meta = "") const {
    return post(modern("tools/call", fmt::format(R"("name":"{}","arguments":{})", tool, arguments), more_meta), modern_headers("tools/call", tool));
  }

  // The headers of a session of 2025-11-25 that was just opened.
  std::string open_session() const {
    const TestResponse r = post(R"({"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}})");
    EXPECT_EQ(r.status, 200);
    EXPECT_THAT(r.body, HasSubstr(R"("protocolVersion":"2025-11-25")"));
    const std::size_t at = r.head.find("Mcp-Session-Id: ");
    EXPECT_NE(at, std::string::npos) << r.head;
    return "MCP-Protocol-Version: 2025-11-25\r\n" + r.head.substr(at, r.head.find("\r\n", at) + 2 - at);
  }

  const TempFolder folder_;
  FakeHub hub_;
  hub::KernelDesk kernels_{{.open_shelf = [] { return Result<std::unique_ptr<compute::KernelShelf>>(fail(Code::kNotFound, "no shelf")); }, .n_threads = 1}};
  std::unique_ptr<ledger::Ledger> book_;
  std::unique_ptr<Server> server_;
};

TEST_F(Mcp, DiscoverAndListWithoutASession) {
  const TestResponse found = post(modern("server/discover"), modern_headers("server/discover"));
  EXPECT_EQ(found.status, 200);
  EXPECT_THAT(found.head, HasSubstr("Content-Type: application/json"));
  EXPECT_THAT(found.body, HasSubstr(R"({"jsonrpc":"2.0","id":"q-1","result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"hearth","title":"Hearth","version":"1.2.3"}},"supportedVersions":["2026-07-28",)"));
  EXPECT_THAT(found.body, HasSubstr(R"("ttlMs":3600000,"cacheScope":"public")"));
  EXPECT_THAT(found.head, Not(HasSubstr("Mcp-Session-Id")));
  const TestResponse listed = post(modern("tools/list"), modern_headers("tools/list"));
  for (const char* const tool : {"ask", "compare", "list_kernels", "run_kernel", "search_ledger"}) EXPECT_THAT(listed.body, HasSubstr(fmt::format(R"("name":"{}")", tool)));
  EXPECT_THAT(listed.body, HasSubstr(R"("ttlMs")"));
}

TEST_F(Mcp, AnAnswerWithItsReceipt) {
  const TestResponse r = call("ask", R"({"question":"hello there","system":"Be brief.","model":"fake","max_tokens":9,"temperature":0.5,"seed":3,"advice":"never"})");
  EXPECT_EQ(r.status, 200);
  EXPECT_THAT(r.body, HasSubstr(R"("structuredContent":{"answer":"You said: hello there ","finish_reason":"stop","receipt":{"id":"r-0123456789abcdefghijklmnop")"));
  EXPECT_THAT(r.body, HasSubstr(R"("isError":false)"));
  EXPECT_THAT(r.body, HasSubstr(R"({"type":"text","text":"{\"answer\":)"));
  const hub::ChatRequest asked = hub_.last_request();
  EXPECT_EQ(asked.messages.size(), 2U);
  EXPECT_EQ(asked.max_tokens, 9U);
  EXPECT_EQ(asked.sampling.seed, 3U);
  EXPECT_EQ(asked.advice, hub::AdviceMode::kNever);
  EXPECT_EQ(asked.client, "127.0.0.1");
  EXPECT_THAT(asked.headers, testing::Contains("mcp-method: tools/call"));
}

TEST_F(Mcp, ProgressMakesAStream) {
  const TestResponse r = call("ask", R"({"question":"status","model":"fake"})", R"(,"progressToken":"p-1")");
  EXPECT_EQ(r.status, 200);
  EXPECT_THAT(r.head, HasSubstr("Content-Type: text/event-stream"));
  EXPECT_THAT(r.body, HasSubstr(R"(data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p-1","progress":1,"message":"asking the adviser"}})"));
  EXPECT_THAT(r.body, HasSubstr(R"("answer":"done")"));
  const TestResponse consent = call("ask", R"({"question":"consent","model":"fake"})", R"(,"progressToken":7)");
  EXPECT_THAT(consent.body, HasSubstr("/hearth/v1/consents/c-1"));
  EXPECT_THAT(consent.body, HasSubstr(R"("progressToken":7)"));
}

TEST_F(Mcp, SeveralModelsSideBySide) {
  const TestResponse r = call("compare", R"({"question":"hi","models":["fake","nobody","org/fake-2"]})");
  EXPECT_THAT(r.body, HasSubstr(R"({"answers":[{"model":"fake","answer":"You said: hi ",)"));
  EXPECT_THAT(r.body, HasSubstr(R"({"model":"nobody","error":"no model named 'nobody')"));
  EXPECT_THAT(r.body, HasSubstr(R"({"model":"org/fake-2","answer":"You said: hi ",)"));
  EXPECT_THAT(r.body, HasSubstr(R"("isError":false)"));
  EXPECT_EQ(hub_.last_request().sampling.temperature, 0);
  EXPECT_THAT(call("compare", R"({"question":"hi","models":["a","b"]})").body, HasSubstr("No model answered"));
}

TEST_F(Mcp, AKernelRuns) {
  const TestResponse r = call("run_kernel", R"({"name":"mul_f32","arrays":{"in":[1.5,-2],"weights":{"dtype":"f32","shape":[2],"data":[2,2]}}})");
  EXPECT_THAT(r.body, HasSubstr(R"("structuredContent":{"name":"mul_f32","key":")"));
  EXPECT_THAT(r.body, HasSubstr(R"("outputs":{"out":{"dtype":"f32","shape":[2],"data":[3,-4]}})"));
}

TEST_F(Mcp, TheLedgerIsSearchedWithoutTheWordsThatWereSent) {
  const auto sent = *book_->begin_call({.request_id = "r-1", .provider = "acme", .url = "https://acme.example/v1", .model = "wise", .headers = "", .body = "secret words",
                                        .rule = "class open", .reserved_usd_micro = 10}, {.day_usd_micro = 100, .request_usd_micro = 100});
  ASSERT_TRUE(book_->settle(sent, {.charged_usd_micro = 4, .http_status = 200, .outcome = "answered"}));
  ASSERT_TRUE(book_->put_receipt({.id = "r-1", .at_unix_us = 7, .model = "m", .advice = "advised", .json = R"({"id":"r-1","model":"m","adviser":"acme/wise"})"}));
  ASSERT_TRUE(book_->put_receipt({.id = "r-2", .at_unix_us = 8, .model = "m", .advice = "not_needed", .json = R"({"id":"r-2","model":"m"})"}));
  const std::string all = call("search_ledger", "{}").body;
  EXPECT_THAT(all, HasSubstr(R"("receipts":[{"id":"r-2","model":"m"},{"id":"r-1")"));
  const std::string found = call("search_ledger", R"({"text":"ACME"})").body;
  EXPECT_THAT(found, HasSubstr("r-1"));
  EXPECT_THAT(found, Not(HasSubstr("r-2")));
  const std::string one = call("search_ledger", R"({"id":"r-1"})").body;
  EXPECT_THAT(one, HasSubstr(R"("provider":"acme","url":"https://acme.example/v1","model":"wise","bytes_out":12,"rule":"class open")"));
  EXPECT_THAT(one, Not(HasSubstr("secret words")));
  EXPECT_THAT(call("search_ledger", R"({"id":"r-9"})").body, HasSubstr(R"("isError":true)"));
}

// What a model could mend is an answer of the tool; what only a program could is an error of the protocol.
TEST_F(Mcp, ErrorsOfTools) {
  struct Row {
    const char* tool;
    const char* arguments;
    const char* says;
  };
  static constexpr Row kRows[] = {
      {"ask", "{}", "Missing required parameter: 'question'."},
      {"ask", R"({"question":""})", "Missing required parameter: 'question'."},
      {"ask", R"({"question":"x","temprature":1})", "There is no argument 'temprature'; there are: question, model,"},
      {"ask", R"({"question":"x","temperature":9})", "temperature"},
      {"ask", R"({"question":"x","advice":"maybe"})", "Supported values are"},
      {"ask", R"({"question":"x","model":"nobody"})", "no model named 'nobody'; there are: fake"},
      {"ask", R"({"question":"fail","model":"fake"})", "the script says fail"},
      {"compare", R"({"question":"x","models":["a"]})", "2 to 8 names are expected"},
      {"list_kernels", "{}", "no shelf"},
      {"run_kernel", R"({"name":"mul_f32","inputs":{}})", "There is no argument 'inputs'"},
      {"run_kernel", R"({"name":"mul_f32","arrays":{"in":"x"}})", "arrays.in"},
      {"search_ledger", R"({"since":"yesterday"})", "2026-03-01T12:00:00Z"},
      {"search_ledger", R"({"limit":101})", "limit"},
  };
  for (const Row& row : kRows) {
    const TestResponse r = call(row.tool, row.arguments);
    EXPECT_EQ(r.status, 200) << row.arguments;
    EXPECT_THAT(r.body, HasSubstr(R"("isError":true)")) << row.arguments;
    EXPECT_THAT(r.body, HasSubstr(row.says)) << row.arguments;
    EXPECT_THAT(r.body, Not(HasSubstr("structuredContent"))) << row.arguments;
  }
}

TEST_F(Mcp, ErrorsOfTheProtocol) {
  struct Row {
    std::string body, headers;
    int status;
    const char* says;
  };
  const std::string session = open_session();
  const Row rows[] = {
      {"{", "", 400, R"({"jsonrpc":"2.0","error":{"code":-32700,)"},
      {"[]", "", 400, R"("code":-32600)"},
      {modern("prompts/list"), modern_headers("prompts/list"), 404, R"("id":"q-1","error":{"code":-32601,)"},
      {modern("initialize"), modern_headers("initialize"), 404, R"("code":-32601)"},
      {modern("subscriptions/listen"), modern_headers("subscriptions/listen"), 404, R"("code":-32601)"},
      {modern("tools/list"), modern_headers("tools/call"), 400, R"("code":-32020)"},
      {modern("tools/call", R"("name":"nothing")"), modern_headers("tools/call", "nothing"), 200, R"("code":-32602)"},
      {modern("tools/call", R"("name":"ask","arguments":[])"), modern_headers("tools/call", "ask"), 200, R"("code":-32602)"},
      {modern("tools/list", R"("cursor":"x")"), modern_headers("tools/list"), 200, R"("code":-32602)"},
      {R"({"jsonrpc":"2.0","id":1,"method":"tools/list"})", "", 400, "Mcp-Session-Id is missing"},
      {R"({"jsonrpc":"2.0","id":1,"method":"tools/list"})", "Mcp-Session-Id: x\r\n", 404, "no such session"},
      {R"({"jsonrpc":"2.0","id":1,"method":"tools/list"})", "MCP-Protocol-Version: 1999-01-01\r\n", 400, R"("code":-32022)"},
      {R"({"jsonrpc":"2.0","id":1,"method":"resources/list"})", session, 200, R"("code":-32601)"},
      {R"({"jsonrpc":"2.0","id":1,"method":"initialize","params":{}})", "", 400, R"("code":-32602)"},
  };
  for (const Row& row : rows) {
    const TestResponse r = post(row.body, row.headers);
    EXPECT_EQ(r.status, row.status) << row.body << r.body;
    EXPECT_THAT(r.body, HasSubstr(row.says)) << row.body;
  }
  const TestResponse got = send("GET", "", "");
  EXPECT_EQ(got.status, 405);
  EXPECT_THAT(got.head, HasSubstr("Allow: POST, DELETE"));
  const TestResponse foreign = post(modern("server/discover"), "Origin: http://evil.example\r\n" + modern_headers("server/discover"));
  EXPECT_EQ(foreign.status, 403);
  EXPECT_THAT(foreign.body, HasSubstr(R"({"jsonrpc":"2.0","error":{"code":-32600,)"));
}

TEST_F(Mcp, ASessionFromItsBeginningToItsEnd) {
  const std::string session = open_session();
  EXPECT_EQ(post(R"({"jsonrpc":"2.0","method":"notifications/initialized"})", session).status, 202);
  EXPECT_THAT(post(R"({"jsonrpc":"2.0","id":1,"method":"ping"})", session).body, HasSubstr(R"({"jsonrpc":"2.0","id":1,"result":{}})"));
  const TestResponse listed = post(R"({"jsonrpc":"2.0","id":2,"method":"tools/list"})", session);
  EXPECT_THAT(listed.body, HasSubstr(R"("id":2,"result":{"tools":[{"name":"ask")"));
  EXPECT_THAT(listed.body, Not(HasSubstr("resultType")));
  const TestResponse asked = post(R"({"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"ask","arguments":{"question":"hi","model":"fake"}}})", session);
  EXPECT_THAT(asked.body, HasSubstr(R"("id":3,"result":{"content":[)"));
  EXPECT_EQ(send("DELETE", "", session).status, 204);
  EXPECT_EQ(send("DELETE", "", session).status, 404);
  EXPECT_EQ(send("DELETE", "", "").status, 400);
  EXPECT_EQ(post(R"({"jsonrpc":"2.0","id":4,"method":"ping"})", session).status, 404);
  // Another revision is answered with the newest that has sessions.
  EXPECT_THAT(post(R"({"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05"}})").body, HasSubstr(R"("protocolVersion":"2025-11-25")"));
  EXPECT_THAT(post(R"({"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}})").body, HasSubstr(R"("protocolVersion":"2025-06-18")"));
}

TEST_F(Mcp, AClientThatLeavesEndsItsCall) {
  TestClient client(server_->port());
  const std::string body = modern("tools/call", R"("name":"ask","arguments":{"question":"hold","model":"fake"})", R"(,"progressToken":1)");
  ASSERT_TRUE(client.send(bytes("POST", body, modern_headers("tools/call", "ask"))));
  ASSERT_TRUE(client.await(R"("message":"held")"));
  client.close();
  EXPECT_TRUE(eventually([&] { return hub_.stats().cancelled == 1; }));
}

TEST_F(Mcp, AWishToCancelEndsACallOfASession) {
  const std::string session = open_session();
  TestClient client(server_->port());
  const std::string body = R"({"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"ask","arguments":{"question":"hold","model":"fake"},"_meta":{"progressToken":1}}})";
  ASSERT_TRUE(client.send(bytes("POST", body, session)));
  ASSERT_TRUE(client.await(R"("message":"held")"));
  EXPECT_THAT(post(body, session).body, HasSubstr("still being answered"));
  EXPECT_EQ(post(R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":8}})", session).status, 202);
  EXPECT_EQ(hub_.n_running(), 1U);
  EXPECT_EQ(post(R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}})", session).status, 202);
  const TestResponse r = client.read_response(false);
  EXPECT_THAT(r.body, Not(HasSubstr(R"("result")")));
  EXPECT_TRUE(eventually([&] { return hub_.stats().cancelled == 1; }));
}

// ---- Lines ----

class Lines final : public api::mcp::Outlet {
 public:
  void notify(const std::string& message) override { add(message); }
  void finish(const std::string& answer, unsigned) override {
    if (!answer.empty()) add(answer);
  }
  void abandon() override {}
  std::string all() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  void add(const std::string& line) {
    const std::lock_guard lock(mutex_);
    text_ += line + "\n";
  }
  mutable std::mutex mutex_;
  std::string text_;
};

TEST_F(Mcp, LinesSpeakBothErasAndCancel) {
  std::vector<std::jthread> threads;
  api::mcp::Desk desk({.hub = hub_, .submit = [&](std::function<void()> task) { return threads.emplace_back(std::move(task)), true; }}, "1");
  api::mcp::Session line;
  const auto lines = std::make_shared<Lines>();
  const auto say = [&](std::string_view text) { desk.take_line(text, line, {.client = "t", .headers = {}}, lines); };

  say(R"({"jsonrpc":"2.0","id":1,"method":"tools/list"})");
  EXPECT_THAT(lines->all(), HasSubstr("Send 'initialize' first"));
  say(modern("server/discover"));
  EXPECT_THAT(lines->all(), HasSubstr("supportedVersions"));
  say(R"({"jsonrpc":"2.0","id":2,"method":"initialize","params":{"protocolVersion":"2025-11-25"}})");
  say(R"({"jsonrpc":"2.0","method":"notifications/initialized"})");
  say(R"({"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"ask","arguments":{"question":"hello","model":"fake"}}})");
  EXPECT_TRUE(eventually([&] { return lines->all().find("You said: hello") != std::string::npos; }));

  say(R"({"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"ask","arguments":{"question":"silent","model":"fake"}}})");
  EXPECT_FALSE(line.calls->is_empty());
  say(R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x"}})");
  EXPECT_TRUE(eventually([&] { return line.calls->is_empty(); }));
  EXPECT_THAT(lines->all(), Not(HasSubstr(R"("id":"x")")));
}

}  // namespace
}  // namespace hearth::server
