// JSON-RPC 2.0 as MCP has it: a message read, and answers written.
//
// One message is one JSON object.  Arrays of them (batches) are no part of the revisions spoken here and are
// refused.  An id is a text or a whole number and never null; it comes back as it was sent.
//
// Sources: https://www.jsonrpc.org/specification and the section "Messages" of
// https://modelcontextprotocol.io/specification/2026-07-28/basic.
#pragma once

#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::api::mcp {

namespace dom = simdjson::dom;

inline constexpr std::size_t kMessageBytesMax = std::size_t{16} << 20;  // As the HTTP server's bodies.
inline constexpr std::size_t kMessageDepthMax = 64;
inline constexpr std::size_t kIdBytesMax = 256;
inline constexpr std::size_t kMethodBytesMax = 128;

// JSON-RPC's own codes, and those that MCP adds from 2026-07-28 on.
enum class RpcCode : std::int32_t {
  kParseError = -32700,
  kInvalidRequest = -32600,
  kMethodNotFound = -32601,
  kInvalidParams = -32602,
  kInternal = -32603,
  kHeaderMismatch = -32020,
  kUnsupportedVersion = -32022,
};

struct RpcError {
  RpcCode code = RpcCode::kInternal;
  std::string message;     // One sentence.
  std::string data = {};   // JSON text; empty: none.
  std::string id = {};     // JSON text of the request's id; empty: it could not be read.
  unsigned status = 400;   // Of HTTP.
};

template <class T = void>
using RpcResult = std::expected<T, RpcError>;

enum class MessageKind : std::uint8_t { kRequest, kNotification, kResponse };

// `params` is borrowed from the parser that read it.
struct Message {
  MessageKind kind = MessageKind::kRequest;
  std::string id = {};      // JSON text; empty in notifications.
  std::string method = {};  // Empty in responses.
  std::optional<dom::object> params = std::nullopt;
};

// kParseError for what is no JSON, nested too deep or too long; kInvalidRequest for JSON that is no message.
RpcResult<Message> read_message(dom::parser& parser, std::string_view text);

// The member's JSON text where it is a text or a whole number (an id, a progress token); else nothing.
std::optional<std::string> token_text(dom::element value);

// {"jsonrpc":"2.0","id":ID,"result":RESULT}
std::string render_result(std::string_view id, std::string_view result_json);
// {"jsonrpc":"2.0","id":ID,"error":{...}}
std::string render_error(const RpcError& error);
// {"jsonrpc":"2.0","method":METHOD,"params":PARAMS}
std::string render_notification(std::string_view method, std::string_view params_json);

}  // namespace hearth::api::mcp
