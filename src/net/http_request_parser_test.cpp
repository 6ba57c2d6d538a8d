// The request parser against what clients cut, forge and overdo.
#include "net/http_request_parser.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <optional>

namespace hearth::net {
namespace {

struct Parsed {
  std::optional<ServerRequest> request;
  std::optional<ProtocolError> error;
  std::size_t consumed = 0;
};

// Feeds `bytes` in pieces the way a connection does: what is not consumed is offered again.
Parsed parse(std::string_view bytes, std::size_t piece, const RequestLimits& limits = {}) {
  RequestParser parser(limits);
  Parsed result;
  std::string pending;
  while (!bytes.empty() && parser.stage() != RequestParser::Stage::kDone) {
    const std::size_t n = std::min(piece, bytes.size());
    pending.append(bytes.substr(0, n));
    bytes.remove_prefix(n);
    while (!pending.empty() && parser.stage() != RequestParser::Stage::kDone) {
      const auto before = parser.stage();
      const auto taken = parser.feed(pending);
      if (!taken) {
        result.error = taken.error();
        return result;
      }
      pending.erase(0, *taken);
      result.consumed += *taken;
      if (*taken == 0 && parser.stage() == before) break;
    }
  }
  if (parser.stage() == RequestParser::Stage::kDone) result.request = std::move(parser.request());
  return result;
}

constexpr std::string_view kPost =
    "POST /v1/x?y=1 HTTP/1.1\r\nHost: localhost:80\r\nContent-Length: 5\r\nX-A:  b \r\n\r\nhello";
constexpr std::string_view kChunked =
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    "3;ext=1\r\nhel\r\n2\r\nlo\r\n0\r\nX-Trailer: t\r\nAuthorization: Bearer evil\r\n\r\n";

TEST(RequestParser, SameRequestHoweverCut) {
  for (std::size_t piece = 1; piece <= kPost.size(); ++piece) {
    const Parsed parsed = parse(kPost, piece);
    ASSERT_TRUE(parsed.request) << "cut every " << piece << " bytes";
    EXPECT_EQ(parsed.request->method, "POST");
    EXPECT_EQ(parsed.request->path(), "/v1/x");
    EXPECT_EQ(parsed.request->header("x-a"), "b");
    EXPECT_EQ(parsed.request->body, "hello");
  }
}

TEST(RequestParser, ChunkedBodyAndIgnoredTrailers) {
  for (std::size_t piece = 1; piece <= kChunked.size(); ++piece) {
    const Parsed parsed = parse(kChunked, piece);
    ASSERT_TRUE(parsed.request) << "cut every " << piece << " bytes";
    EXPECT_EQ(parsed.request->body, "hello");
    EXPECT_EQ(parsed.request->header("Authorization"), "");
    EXPECT_EQ(parsed.consumed, kChunked.size());
  }
}

TEST(RequestParser, AnEmptyChunkedBodyByteByByte) {
  const std::string bytes = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    const Parsed parsed = parse(bytes, piece);
    ASSERT_TRUE(parsed.request) << "cut every " << piece << " bytes";
    EXPECT_EQ(parsed.request->body, "");
  }
}

TEST(RequestParser, LeavesThePipelinedRequestAlone) {
  const Parsed parsed = parse(std::string(kPost) + "GET / HTTP/1.1\r\n", 4096);
  ASSERT_TRUE(parsed.request);
  EXPECT_EQ(parsed.consumed, kPost.size());
}

TEST(RequestParser, EveryPrefixIsUnfinishedAndNoError) {
  for (const std::string_view whole : {kPost, kChunked}) {
    for (std::size_t n = 0; n < whole.size(); ++n) {
      const Parsed parsed = parse(whole.substr(0, n), 7);
      EXPECT_FALSE(parsed.request) << n;
      EXPECT_FALSE(parsed.error) << n;
    }
  }
}

struct Refusal {
  const char* name;
  std::string bytes;
  unsigned status;
};

TEST(RequestParser, RefusesWhatCouldBeReadTwoWays) {
  const std::string host = "Host: a\r\n";
  const Refusal refusals[] = {
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", 400},
      {"length and chunked", "POST / HTTP/1.1\r\n" + host +
           "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"chunked and length", "POST / HTTP/1.1\r\n" + host +
           "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400},
      {"two lengths", "POST / HTTP/1.1\r\n" + host +
           "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
      {"negative length", "POST / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", 400},
      {"other coding", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n", 501},
      {"coding list", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {"space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
      {"absolute target", "GET http://b/ HTTP/1.1\r\n" + host + "\r\n", 400},
      {"unknown expectation", "GET / HTTP/1.1\r\n" + host + "Expect: magic\r\n\r\n", 417},
      {"http/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"tls", std::string("\x16\x03\x01\x02\x00\x01", 6), 400},
      {"bad chunk", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
      {"control byte", "GET / HTTP/1.1\r\n" + host + std::string("X: a\0b\r\n\r\n", 10), 400},
  };
  for (const Refusal& r : refusals) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{4096}}) {
      const Parsed parsed = parse(r.bytes, piece);
      ASSERT_TRUE(parsed.error) << r.name;
      EXPECT_EQ(parsed.error->status, r.status) << r.name << ": " << parsed.error->message;
    }
  }
}

TEST(RequestParser, BothSidesOfTheHeaderLimit) {
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  for (const std::size_t piece : {std::size_t{1}, std::size_t{100}, std::size_t{1} << 20}) {
    const std::string fits = start + std::string(1000 - start.size() - 4, 'x') + "\r\n\r\n";
    EXPECT_TRUE(parse(fits, piece, {.header_bytes_max = 1000}).request) << piece;
    const Parsed over = parse(fits, piece, {.header_bytes_max = 999});
    ASSERT_TRUE(over.error) << piece;
    EXPECT_EQ(over.error->status, 431U);
  }
}

TEST(RequestParser, ManySmallFieldsCountTogether) {
  std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 200; ++i) bytes += "A: b\r\n";
  for (const std::size_t piece : {std::size_t{6}, std::size_t{4096}}) {
    const Parsed parsed = parse(bytes, piece, {.header_bytes_max = 1000});
    ASSERT_TRUE(parsed.error) << piece;
    EXPECT_EQ(parsed.error->status, 431U);
  }
}

TEST(RequestParser, BothSidesOfTheBodyLimit) {
  const auto with_length = [](std::size_t n) {
    return fmt::format("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{}", n,
                       std::string(n, 'x'));
  };
  EXPECT_TRUE(parse(with_length(100), 7, {.body_bytes_max = 100}).request);
  EXPECT_EQ(parse(with_length(101), 7, {.body_bytes_max = 100}).error.value().status, 413U);

  const auto chunked = [](std::size_t n) {
    std::string bytes = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (std::size_t i = 0; i < n; ++i) bytes += "1\r\nx\r\n";
    return bytes + "0\r\n\r\n";
  };
  EXPECT_TRUE(parse(chunked(100), 7, {.body_bytes_max = 100}).request);
  EXPECT_EQ(parse(chunked(101), 7, {.body_bytes_max = 100}).error.value().status, 413U);
}

TEST(RequestParser, AChunkExtensionThatNeverEndsIsRefused) {
  const std::string bytes = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" +
                            std::string(5000, 'x');
  EXPECT_EQ(parse(bytes, 100, {.header_bytes_max = 1000}).error.value().status, 431U);
}

TEST(RequestParser, AnnouncedLengthTakesNoMemory) {
  RequestParser parser({.body_bytes_max = std::size_t{1} << 40});
  const auto taken = parser.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n");
  ASSERT_TRUE(taken);
  EXPECT_EQ(parser.announced_body_bytes(), 1'000'000'000'000U);
  ASSERT_TRUE(parser.feed("x"));
}

TEST(PercentDecode, EscapesAndTheirLimits) {
  std::string out;
  EXPECT_TRUE(percent_decode("a%2Fb%20c", out));
  EXPECT_EQ(out, "a/b c");
  for (const char* bad : {"%", "%4", "a%zz", "%00"}) EXPECT_FALSE(percent_decode(bad, out)) << bad;
}

TEST(ResponseHead, NoValueCanAddAHeader) {
  std::string out;
  append_response_head(out, {.headers = {{"X", "a\r\nEvil: 1"}}}, "Content-Length: 0\r\n", true);
  EXPECT_NE(out.find("X: a  Evil: 1\r\n"), std::string::npos);
  EXPECT_TRUE(out.ends_with("Content-Length: 0\r\nConnection: close\r\n\r\n"));
}

}  // namespace
}  // namespace hearth::net
