// What MCP's messages may be, how revisions are told apart, headers, and the tools' schemas.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "api/mcp/message.h"
#include "api/mcp/revision.h"
#include "api/mcp/tools.h"

namespace hearth::api::mcp {
namespace {

using testing::HasSubstr;

TEST(McpMessage, WhatAMessageIs) {
  struct Row {
    const char* text;
    MessageKind kind;
    const char* id;
  };
  static constexpr Row kRows[] = {
      {R"({"jsonrpc":"2.0","id":7,"method":"ping"})", MessageKind::kRequest, "7"},
      {R"({"jsonrpc":"2.0","id":"a\"b","method":"ping","params":{}})", MessageKind::kRequest, R"("a\"b")"},
      {R"({"jsonrpc":"2.0","method":"notifications/initialized"})", MessageKind::kNotification, ""},
      {R"({"jsonrpc":"2.0","id":1,"result":{}})", MessageKind::kResponse, "1"},
  };
  dom::parser parser;
  for (const Row& row : kRows) {
    const auto message = read_message(parser, row.text);
    ASSERT_TRUE(message.has_value()) << row.text;
    EXPECT_EQ(message->kind, row.kind) << row.text;
    EXPECT_EQ(message->id, row.id) << row.text;
  }
}

TEST(McpMessage, WhatIsNone) {
  struct Row {
    std::string text;
    RpcCode code;
    const char* id;  // That the error carries.
    const char* says;
  };
  const Row rows[] = {
      {"{", RpcCode::kParseError, "", "not valid JSON"},
      {std::string(100, '[') + std::string(100, ']'), RpcCode::kParseError, "", "64 levels"},
      {R"([{"jsonrpc":"2.0","id":1,"method":"ping"}])", RpcCode::kInvalidRequest, "", "Batches"},
      {R"("ping")", RpcCode::kInvalidRequest, "", "object"},
      {R"({"id":1,"method":"ping"})", RpcCode::kInvalidRequest, "1", "jsonrpc"},
      {R"({"jsonrpc":"1.0","id":1,"method":"ping"})", RpcCode::kInvalidRequest, "1", "jsonrpc"},
      {R"({"jsonrpc":"2.0","id":null,"method":"ping"})", RpcCode::kInvalidRequest, "", "'id'"},
      {R"({"jsonrpc":"2.0","id":1.5,"method":"ping"})", RpcCode::kInvalidRequest, "", "'id'"},
      {R"({"jsonrpc":"2.0","id":")" + std::string(300, 'x') + R"(","method":"ping"})", RpcCode::kInvalidRequest, "", "256"},
      {R"({"jsonrpc":"2.0","id":1,"method":7})", RpcCode::kInvalidRequest, "1", "'method'"},
      {R"({"jsonrpc":"2.0","id":1,"method":")" + std::string(129, 'x') + R"("})", RpcCode::kInvalidRequest, "1", "128"},
      {R"({"jsonrpc":"2.0","id":1,"method":"ping","params":[1]})", RpcCode::kInvalidParams, "1", "'params'"},
  };
  dom::parser parser;
  for (const Row& row : rows) {
    const auto message = read_message(parser, row.text);
    ASSERT_FALSE(message.has_value()) << row.text;
    EXPECT_EQ(message.error().code, row.code) << row.text;
    EXPECT_EQ(message.error().id, row.id) << row.text;
    EXPECT_THAT(message.error().message, HasSubstr(row.says));
  }
}

// What a request of 2026-07-28 must say, and what HTTP must repeat of it.
TEST(McpRevision, ARequestWithoutASession) {
  constexpr const char* kGood =
      R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}})";
  constexpr const char* kUnknown =
      R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask","_meta":{"io.modelcontextprotocol/protocolVersion":"2099-01-01","io.modelcontextprotocol/clientCapabilities":{}}}})";
  constexpr const char* kNoCapabilities =
      R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}})";
  constexpr const char* kNoVersion = R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask","_meta":{"io.modelcontextprotocol/clientCapabilities":{}}}})";
  struct Row {
    const char* text;
    Headers headers;
    std::optional<RpcCode> code;  // None: it is good.
  };
  const Row rows[] = {
      {kGood, {"2026-07-28", "tools/call", "ask"}, std::nullopt},
      {kGood, {"2026-07-28", "tools/call", "=?base64?YXNr?="}, std::nullopt},
      {kGood, {"2026-07-28", "tools/call", "=?base64?YXN?="}, RpcCode::kHeaderMismatch},
      {kGood, {"", "tools/call", "ask"}, RpcCode::kHeaderMismatch},
      {kGood, {"2025-11-25", "tools/call", "ask"}, RpcCode::kHeaderMismatch},
      {kGood, {"2026-07-28", "", "ask"}, RpcCode::kHeaderMismatch},
      {kGood, {"2026-07-28", "Tools/Call", "ask"}, RpcCode::kHeaderMismatch},
      {kGood, {"2026-07-28", "tools/call", ""}, RpcCode::kHeaderMismatch},
      {kGood, {"2026-07-28", "tools/call", "Ask"}, RpcCode::kHeaderMismatch},
      {kUnknown, {"2099-01-01", "tools/call", "ask"}, RpcCode::kUnsupportedVersion},
      {kNoCapabilities, {"2026-07-28", "tools/call", "ask"}, RpcCode::kInvalidParams},
      {kNoVersion, {"2026-07-28", "tools/call", "ask"}, RpcCode::kInvalidParams},
  };
  dom::parser parser;
  for (const Row& row : rows) {
    const auto message = read_message(parser, row.text);
    ASSERT_TRUE(message.has_value());
    const auto meta = read_meta(*message);
    ASSERT_TRUE(meta.has_value());
    EXPECT_TRUE(is_sessionless(*meta, &row.headers));
    const auto checked = check_sessionless(*message, *meta, &row.headers);
    EXPECT_EQ(checked.has_value(), !row.code.has_value()) << row.text << (checked ? "" : checked.error().message);
    if (!checked && row.code) {
      EXPECT_EQ(checked.error().code, *row.code) << checked.error().message;
      EXPECT_EQ(checked.error().id, "1");
      EXPECT_EQ(checked.error().status, 400U);
    }
  }
  const auto refused = unsupported_version("2099-01-01", "1");
  EXPECT_EQ(refused.data, R"({"supported":["2026-07-28","2025-11-25","2025-06-18"],"requested":"2099-01-01"})");
}

TEST(McpRevision, HeadersCarryAnyText) {
  for (const char* const text : {"us-west1", "Hello, \xE4\xB8\x96\xE7\x95\x8C", " padded ", "line1\nline2", "=?base64?literal?=", "", "a", "ab", "abc"}) {
    const std::string header = encode_header(text);
    EXPECT_EQ(decode_header(header), text);
    for (const char c : header) EXPECT_TRUE(c >= 0x20 && c < 0x7F) << header;
  }
  EXPECT_EQ(encode_header(" padded "), "=?base64?IHBhZGRlZCA=?=");
  for (const char* const bad : {"=?base64?a?=", "=?base64?ab=c?=", "=?base64?ab!=?=", "=?base64?YR==?="}) EXPECT_FALSE(decode_header(bad)) << bad;
}

TEST(McpTools, EachHasSchemasThatAreJson) {
  dom::parser parser;
  dom::array list;
  const std::string text = tools_json();
  ASSERT_EQ(parser.parse(text).get_array().get(list), simdjson::SUCCESS) << text;
  EXPECT_EQ(list.size(), tools().size());
  for (const dom::element tool : list) {
    for (const char* const member : {"inputSchema", "outputSchema"}) {
      std::string_view type;
      EXPECT_EQ(tool[member]["type"].get_string().get(type), simdjson::SUCCESS);
      EXPECT_EQ(type, "object");
    }
  }
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace hearth::api::mcp
