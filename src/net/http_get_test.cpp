// Downloads from peers that behave and peers that don't.
#include "net/http_get.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/loopback_server.h"

namespace hearth::net {
namespace {

using ::testing::HasSubstr;

TEST(HttpGet, EndlessHeadersAreCutOff) {
  LoopbackServer server([](LoopbackConnection& connection) {
    connection.read_request();
    connection.write("HTTP/1.1 200 X\r\n");
    const std::string line = "X-More: " + std::string(8000, 'x') + "\r\n";
    for (int i = 0; i < 100'000 && connection.write(line); ++i) {
    }
  });
  const auto text = http_get_text({.url = server.url("/")}, 1000);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, Code::kUnavailable);
  EXPECT_THAT(text.error().message, HasSubstr("headers exceed"));
}

TEST(HttpGet, TheLastOfManyRedirectsCounts) {
  LoopbackServer server([&](LoopbackConnection& connection) {
    const LoopbackRequest request = connection.read_request();
    if (request.head.starts_with("GET /last")) return connection.respond(200, "here");
    connection.respond(302, "not here", "Location: /last\r\n");
  });
  const auto text = http_get_text({.url = server.url("/first")}, 1000);
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(*text, "here");
}

TEST(HttpGet, ATextHasALimit) {
  LoopbackServer server([](LoopbackConnection& connection) {
    connection.read_request();
    connection.respond(200, std::string(2000, 'x'));
  });
  EXPECT_TRUE(http_get_text({.url = server.url("/")}, 2000));
  const auto text = http_get_text({.url = server.url("/")}, 1999);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace hearth::net
