// The revisions of MCP that are spoken, and what a message says of its own.
//
// Up to 2025-11-25 a client shakes hands first (`initialize`) and what was agreed holds for its session.  From
// 2026-07-28 on there are no sessions: each request says in `_meta` which revision it is of and what its client
// can do, and over HTTP repeats some of it in headers, which must agree.
//
// Source: https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning and .../transports.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/mcp/message.h"

namespace hearth::api::mcp {

enum class Revision : std::uint8_t { k2026_07_28, k2025_11_25, k2025_06_18 };

struct RevisionRow {
  Revision revision;
  std::string_view name;
  bool has_sessions;
};

// The newest first.
inline constexpr auto kRevisions = std::to_array<RevisionRow>({
    {Revision::k2026_07_28, "2026-07-28", false},
    {Revision::k2025_11_25, "2025-11-25", true},
    {Revision::k2025_06_18, "2025-06-18", true},
});
inline constexpr Revision kNewestWithSessions = Revision::k2025_11_25;

const RevisionRow& revision_row(Revision revision);
const RevisionRow* find_revision(std::string_view name);  // Null: not spoken here.
std::string revisions_json();                             // ["2026-07-28", ...]

// What HTTP says beside the body; empty: that header is missing.
struct Headers {
  std::string_view protocol_version, method, name, session;
};

// Of a request's `_meta`, what matters here.
struct Meta {
  std::optional<std::string> version;  // Of the protocol.
  bool has_capabilities = false;
  std::string progress_token = {};     // JSON text; empty: no progress is wanted.
};

// kInvalidParams for a `_meta` or a progress token that can't be one.
RpcResult<Meta> read_meta(const Message& message);

// Whether a message is of a revision without sessions (or claims one that nobody knows).  `headers`: null where
// there are none, as on standard input.
bool is_sessionless(const Meta& meta, const Headers* headers);

// Holds such a request against its own metadata and headers.
RpcResult<> check_sessionless(const Message& message, const Meta& meta, const Headers* headers);

RpcError unsupported_version(std::string_view asked, std::string_view id);

// A header's value, decoded where it is written =?base64?...?=; nothing for what can't be decoded.
std::optional<std::string> decode_header(std::string_view value);
// The other way round: a text as a header may carry it.
std::string encode_header(std::string_view text);

}  // namespace hearth::api::mcp
