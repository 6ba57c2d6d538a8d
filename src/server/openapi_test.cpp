// The document against the code: each route that the router knows is in it and the other way round, and every
// shape that it names is there.
#include "server/openapi.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <set>
#include <string>

#include "base/ascii.h"
#include "net/http_test_client.h"
#include "server/server.h"
#include "server/test_support/fake_hub.h"

namespace hearth::server {
namespace {

namespace dom = simdjson::dom;
using testing::HasSubstr;

// A path as a client would ask for it.
std::string example_of(std::string path) {
  const std::size_t open = path.find('{');
  if (open != std::string::npos) path.replace(open, path.find('}') + 1 - open, "x");
  return path;
}

void collect_references(dom::element value, std::set<std::string>& found) {
  if (value.is_array()) {
    for (const dom::element each : dom::array(value)) collect_references(each, found);
  }
  if (!value.is_object()) return;
  for (const auto field : dom::object(value)) {
    std::string_view text;
    if (field.key == "$ref" && field.value.get_string().get(text) == simdjson::SUCCESS) found.emplace(text);
    collect_references(field.value, found);
  }
}

TEST(OpenApi, HasEachRouteOfTheRouterAndNoOther) {
  const std::string text = render_openapi("1.2.3");
  dom::parser parser;
  const dom::element document = parser.parse(text).value_unsafe();
  ASSERT_EQ(std::string_view(document["openapi"].get_string().value_unsafe()), "3.1.0");
  std::set<std::string> operations;
  for (const auto path : dom::object(document["paths"])) {
    const std::string example = example_of(std::string(path.key));
    for (const auto method : dom::object(path.value)) {
      std::string upper(method.key);
      for (char& c : upper) c = static_cast<char>(c - 'a' + 'A');
      const net::RouteMatch match = net::match_route(kRoutes, upper, example);
      EXPECT_EQ(match.kind, net::RouteMatch::Kind::kFound) << upper << " " << example;
      EXPECT_TRUE(operations.insert(std::string(method.value["operationId"].get_string().value_unsafe())).second) << example;
    }
  }
  EXPECT_EQ(operations.size(), kRoutes.size());
}

TEST(OpenApi, NamesNoShapeThatIsMissingAndNoneIsIdle) {
  const std::string text = render_openapi("1.2.3");
  dom::parser parser;
  const dom::element document = parser.parse(text).value_unsafe();
  std::set<std::string> wanted, there;
  collect_references(document, wanted);
  for (const char* const kind : {"schemas", "parameters"}) {
    for (const auto field : dom::object(document["components"][kind])) there.insert(fmt::format("#/components/{}/{}", kind, field.key));
  }
  EXPECT_EQ(wanted, there);
}

// A server knows what the document says, and serves it.
TEST(OpenApi, IsServedAndTrue) {
  FakeHub hub;
  const auto server = *Server::create({}, hub);
  const auto request = [&](std::string_view method, std::string_view path) {
    net::TestClient client(server->port());
    EXPECT_TRUE(client.send(fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{}}", method, path)));
    return client.read_response(false);
  };
  const net::TestResponse served = request("GET", "/openapi.json");
  EXPECT_EQ(served.status, 200);
  dom::parser parser;
  const dom::element document = parser.parse(served.body).value_unsafe();
  for (const auto path : dom::object(document["paths"])) {
    for (const auto method : dom::object(path.value)) {
      std::string upper(method.key);
      for (char& c : upper) c = static_cast<char>(c - 'a' + 'A');
      const net::TestResponse r = request(upper, example_of(std::string(path.key)));
      EXPECT_NE(r.status, 405) << upper << " " << path.key;
      EXPECT_THAT(r.body, testing::Not(HasSubstr("Invalid URL"))) << upper << " " << path.key;
    }
  }
}

}  // namespace
}  // namespace hearth::server
