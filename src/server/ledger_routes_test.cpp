// The ledger and the policy over HTTP: what is listed, when bytes are shown, what is refused.
#include "server/ledger_routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/query.h"
#include "base/temp_folder_for_test.h"
#include "net/http_test_client.h"
#include "server/server.h"
#include "server/test_support/fake_hub.h"

namespace hearth::server {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class LedgerRoutes : public testing::Test {
 protected:
  LedgerRoutes() {
    book_ = *ledger::Ledger::open(folder_ / "ledger.db", ledger::Ledger::Mode::kReadWrite);
    books_ = {.ledger = book_.get(), .budget = {.day_usd_micro = 500, .request_usd_micro = 400}};
  }

  void add_call(const std::string& request, const std::string& body, const std::string& client = "") {
    const auto call = *book_->begin_call({.request_id = request, .provider = "p", .url = "https://p.example/v1", .model = "m",
                                          .headers = "content-type: application/json", .body = body, .rule = "r",
                                          .reserved_usd_micro = 100}, books_.budget);
    ASSERT_TRUE(book_->settle(call, {.charged_usd_micro = 40, .http_status = 200, .outcome = "answered"}));
    ASSERT_TRUE(book_->put_receipt({.id = request, .at_unix_us = 7, .model = "m", .advice = "advised", .json = R"({"id":")" + request + "\"}", .client = client}));
  }

  const TempFolder folder_;
  std::unique_ptr<ledger::Ledger> book_;
  Books books_;
};

net::ServerRequest get(std::string target) { return {.method = "GET", .target = std::move(target)}; }

TEST_F(LedgerRoutes, RowsComeWithoutTheirBytesUnlessOneRequestIsAskedFor) {
  add_call("r-1", "first \"body\"");
  add_call("r-2", "second body");
  const std::string all = answer_ledger(books_, get("/hearth/v1/ledger"), {}).body;
  EXPECT_THAT(all, HasSubstr(R"("seq":4)"));
  EXPECT_THAT(all, HasSubstr(R"("body_bytes":12)"));
  EXPECT_THAT(all, Not(HasSubstr("first")));
  EXPECT_THAT(all, HasSubstr(R"("budget":{"day_usd_micro":500,"request_usd_micro":400},"today":{"charged_usd_micro":80)"));
  const std::string one = answer_ledger(books_, get("/hearth/v1/ledger?request=r-1"), {}).body;
  EXPECT_THAT(one, HasSubstr(R"("body":"first \"body\"")"));
  EXPECT_THAT(one, Not(HasSubstr("r-2")));
  const std::string later = answer_ledger(books_, get("/hearth/v1/ledger?after=2&limit=1"), {}).body;
  EXPECT_THAT(later, HasSubstr(R"("seq":3)"));
  EXPECT_THAT(later, Not(HasSubstr(R"("seq":4)")));
}

TEST_F(LedgerRoutes, ReceiptsAreListedAndFound) {
  add_call("r-1", "a");
  add_call("r-2", "b");
  EXPECT_EQ(answer_receipts(books_, get("/hearth/v1/receipts?limit=1&advice=advised"), {}).body.find("r-1"), std::string::npos);
  EXPECT_EQ(answer_receipts(books_, get("/hearth/v1/receipts?advice=failed"), {}).body, R"({"receipts":[]})");
  EXPECT_EQ(answer_receipt(books_, "r-1", {}).body, R"({"id":"r-1"})");
  EXPECT_EQ(answer_receipt(books_, "r-9", {}).status, 404U);
}

TEST_F(LedgerRoutes, TheChainIsVerified) {
  add_call("r-1", "a");
  EXPECT_THAT(answer_verify(books_).body, HasSubstr(R"({"holds":true,"rows":2,"calls":1)"));
}

TEST_F(LedgerRoutes, WrongFiltersAreNamed) {
  for (const char* query : {"limit=x", "limit=-1", "limit=9999", "after=1e3", "after=%zz", "limit=99999999999999999999"}) {
    EXPECT_EQ(answer_ledger(books_, get(std::string("/hearth/v1/ledger?") + query), {}).status, 400U) << query;
  }
  EXPECT_EQ(answer_ledger(books_, get("/hearth/v1/ledger?request=" + std::string(api::kQueryValueBytesMax + 1, 'x')), {}).status, 400U);
  EXPECT_EQ(answer_ledger(books_, get("/hearth/v1/ledger?other=1&limit="), {}).status, 200U);
}

TEST_F(LedgerRoutes, WithoutALedgerAndAPolicyTheyAre404) {
  EXPECT_EQ(answer_ledger({}, get("/"), {}).status, 404U);
  EXPECT_EQ(answer_receipts({}, get("/"), {}).status, 404U);
  EXPECT_EQ(answer_receipt({}, "r", {}).status, 404U);
  EXPECT_EQ(answer_verify({}).status, 404U);
  EXPECT_EQ(answer_policy({}, get("/")).status, 404U);
}

TEST_F(LedgerRoutes, AServerHasThem) {
  add_call("r-1", "a");
  FakeHub hub;
  ServerOptions options;
  options.books = books_;
  options.books.explain_policy = [](std::string_view body) -> api::Parsed<std::string> { return std::string(body); };
  const auto server = *Server::create(options, hub);
  const auto status = [&](std::string_view head, std::string_view body = "") {
    net::TestClient client(server->port());
    EXPECT_TRUE(client.send(fmt::format("{} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}", head, body.size(), body)));
    return client.read_response().status;
  };
  EXPECT_EQ(status("GET /hearth/v1/receipts"), 200);
  EXPECT_EQ(status("GET /hearth/v1/receipts/r-1"), 200);
  EXPECT_EQ(status("GET /hearth/v1/ledger?request=r-1"), 200);
  EXPECT_EQ(status("POST /hearth/v1/ledger/verify"), 200);
  EXPECT_EQ(status("GET /hearth/v1/ledger/verify"), 405);
  EXPECT_EQ(status("POST /hearth/v1/policy/explain", "{}"), 200);
  EXPECT_EQ(status("POST /models/unload", R"({"model":"fake"})"), 400);  // This hub can't.
  EXPECT_EQ(status("POST /models/unload", "{}"), 400);
}

TEST_F(LedgerRoutes, AKeySeesWhatWasAskedWithItAndAnAdminsKeyAll) {
  add_call("r-1", "the laptop's words", "laptop");
  add_call("r-2", "the phone's words", "phone");
  add_call("r-3", "whose words, nobody knows");
  FakeHub hub;
  ServerOptions options;
  options.books = books_;
  options.keys = {{"laptop", "secret-one"}, {"phone", "secret-two"}, {"owner", "secret-all", /*is_admin=*/true}};
  options.note_outcome = [](const std::string&, bool) -> Result<std::string> { return "{}"; };
  const auto server = *Server::create(options, hub);
  const auto ask = [&](std::string_view key, std::string_view head, std::string_view body = "") {
    net::TestClient client(server->port());
    EXPECT_TRUE(client.send(fmt::format("{} HTTP/1.1\r\nHost: localhost\r\nx-api-key: {}\r\nMCP-Protocol-Version: 2026-07-28\r\n"
                                        "Mcp-Method: tools/call\r\nMcp-Name: search_ledger\r\n"
                                        "Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{}",
                                        head, key, body.size(), body)));
    return client.read_response();
  };
  EXPECT_EQ(ask("secret-one", "GET /hearth/v1/receipts").body, R"({"receipts":[{"id":"r-1"}]})");
  EXPECT_EQ(ask("secret-one", "GET /hearth/v1/receipts/r-1").status, 200);
  EXPECT_EQ(ask("secret-one", "GET /hearth/v1/receipts/r-2").status, 404);
  EXPECT_EQ(ask("secret-one", "GET /hearth/v1/receipts/r-3").status, 404);
  EXPECT_THAT(ask("secret-one", "GET /hearth/v1/ledger?request=r-1").body, HasSubstr("the laptop's words"));
  EXPECT_THAT(ask("secret-one", "GET /hearth/v1/ledger?request=r-2").body, HasSubstr(R"("rows":[])"));
  EXPECT_THAT(ask("secret-two", "GET /hearth/v1/ledger").body, AllOf(HasSubstr("r-2"), Not(HasSubstr("r-1")), Not(HasSubstr("r-3"))));
  constexpr const char* kBad = R"({"receipt":"r-1","outcome":"bad"})";
  EXPECT_EQ(ask("secret-one", "POST /hearth/v1/outcomes", kBad).status, 200);
  EXPECT_EQ(ask("secret-two", "POST /hearth/v1/outcomes", kBad).status, 404);

  constexpr const char* kSearch = R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search_ledger","arguments":{},)"
      R"("_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}})";
  EXPECT_THAT(ask("secret-two", "POST /mcp", kSearch).body, AllOf(HasSubstr("r-2"), Not(HasSubstr("r-1"))));
  for (const char* id : {"r-1", "r-2", "r-3"}) {
    EXPECT_THAT(ask("secret-all", "GET /hearth/v1/receipts").body, HasSubstr(id));
    EXPECT_THAT(ask("secret-all", "GET /hearth/v1/ledger").body, HasSubstr(id));
    EXPECT_THAT(ask("secret-all", "POST /mcp", kSearch).body, HasSubstr(id));
  }
}

}  // namespace
}  // namespace hearth::server
