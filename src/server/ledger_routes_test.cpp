// The ledger and the policy over HTTP: what is listed, when bytes are shown, what is refused.
#include "server/ledger_routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "api/query.h"
#include "net/http_test_client.h"
#include "server/server.h"
#include "server/test_support/fake_hub.h"

namespace hearth::server {
namespace {

using testing::HasSubstr;
using testing::Not;

class LedgerRoutes : public testing::Test {
 protected:
  LedgerRoutes() {
    std::filesystem::create_directories(folder_);
    book_ = *ledger::Ledger::open(folder_ / "ledger.db", ledger::Ledger::Mode::kReadWrite);
    books_ = {.ledger = book_.get(), .budget = {.day_usd_micro = 500, .request_usd_micro = 400}};
  }
  ~LedgerRoutes() override { std::filesystem::remove_all(folder_); }

  void add_call(const std::string& request, const std::string& body) {
    const auto call = *book_->begin_call({.request_id = request, .provider = "p", .url = "https://p.example/v1", .model = "m",
                                          .headers = "content-type: application/json", .body = body, .rule = "r",
                                          .reserved_usd_micro = 100}, books_.budget);
    ASSERT_TRUE(book_->settle(call, {.charged_usd_micro = 40, .http_status = 200, .outcome = "answered"}));
    ASSERT_TRUE(book_->put_receipt({.id = request, .at_unix_us = 7, .model = "m", .advice = "advised", .json = R"({"id":")" + request + "\"}"}));
  }

  const std::filesystem::path folder_ = std::filesystem::path(testing::TempDir()) / "hearth-ledger-routes";
  std::unique_ptr<ledger::Ledger> book_;
  Books books_;
};

net::ServerRequest get(std::string target) { return {.method = "GET", .target = std::move(target)}; }

TEST_F(LedgerRoutes, RowsComeWithoutTheirBytesUnlessOneRequestIsAskedFor) {
  add_call("r-1", "first \"body\"");
  add_call("r-2", "second body");
  const std::string all = answer_ledger(books_, get("/hearth/v1/ledger")).body;
  EXPECT_THAT(all, HasSubstr(R"("seq":4)"));
  EXPECT_THAT(all, HasSubstr(R"("body_bytes":12)"));
  EXPECT_THAT(all, Not(HasSubstr("first")));
  EXPECT_THAT(all, HasSubstr(R"("budget":{"day_usd_micro":500,"request_usd_micro":400},"today":{"charged_usd_micro":80)"));
  const std::string one = answer_ledger(books_, get("/hearth/v1/ledger?request=r-1")).body;
  EXPECT_THAT(one, HasSubstr(R"("body":"first \"body\"")"));
  EXPECT_THAT(one, Not(HasSubstr("r-2")));
  const std::string later = answer_ledger(books_, get("/hearth/v1/ledger?after=2&limit=1")).body;
  EXPECT_THAT(later, HasSubstr(R"("seq":3)"));
  EXPECT_THAT(later, Not(HasSubstr(R"("seq":4)")));
}

TEST_F(LedgerRoutes, ReceiptsAreListedAndFound) {
  add_call("r-1", "a");
  add_call("r-2", "b");
  EXPECT_EQ(answer_receipts(books_, get("/hearth/v1/receipts?limit=1&advice=advised")).body.find("r-1"), std::string::npos);
  EXPECT_EQ(answer_receipts(books_, get("/hearth/v1/receipts?advice=failed")).body, R"({"receipts":[]})");
  EXPECT_EQ(answer_receipt(books_, "r-1").body, R"({"id":"r-1"})");
  EXPECT_EQ(answer_receipt(books_, "r-9").status, 404U);
}

TEST_F(LedgerRoutes, TheChainIsVerified) {
  add_call("r-1", "a");
  EXPECT_THAT(answer_verify(books_).body, HasSubstr(R"({"holds":true,"rows":2,"calls":1)"));
}

TEST_F(LedgerRoutes, WrongFiltersAreNamed) {
  for (const char* query : {"limit=x", "limit=-1", "limit=9999", "after=1e3", "after=%zz", "limit=99999999999999999999"}) {
    EXPECT_EQ(answer_ledger(books_, get(std::string("/hearth/v1/ledger?") + query)).status, 400U) << query;
  }
  EXPECT_EQ(answer_ledger(books_, get("/hearth/v1/ledger?request=" + std::string(api::kQueryValueBytesMax + 1, 'x'))).status, 400U);
  EXPECT_EQ(answer_ledger(books_, get("/hearth/v1/ledger?other=1&limit=")).status, 200U);
}

TEST_F(LedgerRoutes, WithoutALedgerAndAPolicyTheyAre404) {
  EXPECT_EQ(answer_ledger({}, get("/")).status, 404U);
  EXPECT_EQ(answer_receipts({}, get("/")).status, 404U);
  EXPECT_EQ(answer_receipt({}, "r").status, 404U);
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

}  // namespace
}  // namespace hearth::server
