// The page's files: forms, tags, caching, the policy; and that what is embedded is served by a server.
#include "server/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "net/http_test_client.h"
#include "server/server.h"
#include "server/test_support/fake_hub.h"

namespace hearth::server {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr PageFile kFiles[] = {
    {"/", "text/html; charset=utf-8", "aa", false, {0, 4}, {4, 2}, {6, 1}},
    {"/diagram.html", "text/html; charset=utf-8", "cc", false, {0, 4}, {}, {}},
    {"/assets/x-1.js", "text/javascript; charset=utf-8", "bb", true, {7, 3}, {}, {}},
};
constexpr Page kPage{.files = kFiles, .pack = "htmlgzbxjs"};

net::ServerRequest get(std::string target, net::HeaderList headers = {}) {
  return {.method = "GET", .target = std::move(target), .headers = std::move(headers)};
}

std::string header(const net::ServerResponse& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return "";
}

TEST(Page, AFileGoesOutInTheFormThatTheClientTakes) {
  struct Row {
    const char* accepted;
    const char* coding;
    const char* body;
    const char* tag;
  };
  for (const Row& row : {Row{"", "", "html", "\"aa\""}, Row{"gzip, deflate, br", "br", "b", "\"aa-br\""},
                         Row{"gzip", "gzip", "gz", "\"aa-gzip\""}, Row{"br;q=0", "", "html", "\"aa\""}}) {
    const auto r = answer_page(kPage, get("/?x=1", {{"Accept-Encoding", row.accepted}}));
    EXPECT_EQ(r.status, 200U);
    EXPECT_EQ(r.body, row.body);
    EXPECT_EQ(header(r, "Content-Encoding"), row.coding);
    EXPECT_EQ(header(r, "ETag"), row.tag);
    EXPECT_EQ(header(r, "Vary"), "Accept-Encoding");
  }
}

TEST(Page, WhatTheClientHasIsNotSentAgain) {
  const auto same = answer_page(kPage, get("/", {{"If-None-Match", "\"zz\", \"aa\""}}));
  EXPECT_EQ(same.status, 304U);
  EXPECT_EQ(same.body, "");
  EXPECT_EQ(answer_page(kPage, get("/", {{"If-None-Match", "\"aa-br\""}})).status, 200U);
  EXPECT_EQ(header(same, "Cache-Control"), "no-cache");
  EXPECT_THAT(header(answer_page(kPage, get("/assets/x-1.js")), "Cache-Control"), HasSubstr("immutable"));
}

TEST(Page, OnlyItsOwnFilesAreServed) {
  for (const char* path : {"/assets/", "/assets/x-2.js", "/assets/../x", "/assets/%2e%2e/etc/passwd", "/index.html"}) {
    EXPECT_EQ(answer_page(kPage, get(path)).status, 404U) << path;
  }
}

TEST(Page, ThePolicyAllowsNothingButItsOwnScriptAndHub) {
  const std::string policy = header(answer_page(kPage, get("/")), "Content-Security-Policy");
  EXPECT_THAT(policy, HasSubstr("default-src 'none'; script-src 'self'"));
  EXPECT_THAT(policy, HasSubstr("frame-ancestors 'none'"));
  EXPECT_THAT(policy, HasSubstr("require-trusted-types-for 'script'"));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  EXPECT_THAT(policy, Not(HasSubstr("http")));
}

TEST(Page, TheDocumentOfPicturesMayStyleItselfAndAskNobody) {
  const std::string policy = header(answer_page(kPage, get("/diagram.html")), "Content-Security-Policy");
  EXPECT_THAT(policy, HasSubstr("default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'"));
  EXPECT_THAT(policy, HasSubstr("frame-ancestors 'self'"));
  EXPECT_THAT(policy, Not(HasSubstr("connect-src")));
}

TEST(Page, AProgramWithoutItSaysHowToGetIt) {
  EXPECT_THAT(answer_page({}, get("/")).body, HasSubstr("install Node.js"));
  EXPECT_EQ(answer_page({}, get("/assets/x-1.js")).status, 404U);
}

TEST(Page, TheEmbeddedOneIsServedWithoutAKeyAndNotToOtherSites) {
  FakeHub hub;
  ServerOptions options;
  options.keys = {{.name = "a", .secret = "sixteen-letters!"}};
  const auto server = *Server::create(options, hub);
  const auto request = [&](std::string_view headers) {
    net::TestClient client(server->port());
    EXPECT_TRUE(client.send(fmt::format("GET / HTTP/1.1\r\n{}\r\n", headers)));
    return client.read_response();
  };
  const auto page = request("Host: localhost\r\n");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.body, HasSubstr("<title>Hearth</title>"));
  EXPECT_EQ(request("Host: evil.example\r\n").status, 403);
  EXPECT_EQ(request("Host: localhost\r\nOrigin: https://evil.example\r\n").status, 403);
  EXPECT_EQ(request("Host: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n").status, 403);
  if (embedded_page().files.empty()) GTEST_SKIP() << "this program was built without the page (HEARTH_WEB)";

  // Each file in each form lies within the pack.
  for (const PageFile& file : embedded_page().files) {
    for (const PageBytes& form : {file.plain, file.gzip, file.brotli}) {
      EXPECT_LE(form.offset + form.bytes, embedded_page().pack.size()) << file.path;
    }
    EXPECT_GT(file.plain.bytes, 0U) << file.path;
  }
}

}  // namespace
}  // namespace hearth::server
