#include "api/mcp/revision.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/json_writer.h"
#include "base/utf8.h"

namespace hearth::api::mcp {
namespace {

constexpr std::string_view kVersionKey = "io.modelcontextprotocol/protocolVersion";
constexpr std::string_view kCapabilitiesKey = "io.modelcontextprotocol/clientCapabilities";
constexpr std::size_t kShownBytesMax = 64;
constexpr std::string_view kOpen = "=?base64?", kClose = "?=";  // Around what a header could not carry as it is.

// Methods whose `Mcp-Name` header repeats a member of `params`.
struct NamedMethod {
  std::string_view method, member;
};
constexpr auto kNamedMethods = std::to_array<NamedMethod>({
    {"tools/call", "name"},
    {"prompts/get", "name"},
    {"resources/read", "uri"},
});

RpcError bad_params(const Message& message, std::string sentence) {
  return {.code = RpcCode::kInvalidParams, .message = std::move(sentence), .id = message.id};
}

RpcError mismatch(const Message& message, std::string sentence) {
  return {.code = RpcCode::kHeaderMismatch, .message = std::move(sentence), .id = message.id};
}

std::string shown(std::string_view text) { return sanitize_utf8(text.substr(0, kShownBytesMax)); }

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

// Strict: padded to four, nothing left over, nothing foreign.
std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t n_padding = 0;
  while (n_padding < 2 && text.size() > n_padding && text[text.size() - 1 - n_padding] == '=') ++n_padding;
  text.remove_suffix(n_padding);
  std::string out;
  std::uint32_t bits = 0;
  int n_bits = 0;
  for (const char c : text) {
    const int digit = base64_digit(c);
    if (digit < 0) return std::nullopt;
    bits = (bits << 6 | static_cast<std::uint32_t>(digit)) & 0xFFFFFF;
    n_bits += 6;
    if (n_bits < 8) continue;
    n_bits -= 8;
    out.push_back(static_cast<char>(bits >> n_bits & 0xFF));
  }
  if ((bits & ((1U << n_bits) - 1)) != 0) return std::nullopt;
  return out;
}

std::string encode_base64(std::string_view bytes) {
  static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::string_view three = bytes.substr(i, 3);
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k) bits = bits << 8 | (k < three.size() ? static_cast<unsigned char>(three[k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) out.push_back(k <= three.size() ? kDigits[bits >> (18 - 6 * k) & 63] : '=');
  }
  return out;
}

RpcResult<> check_name_header(const Message& message, const Headers& headers) {
  const auto* const row = std::ranges::find(kNamedMethods, message.method, &NamedMethod::method);
  std::string_view name;
  if (row == kNamedMethods.end() || !message.params || (*message.params)[row->member].get_string().get(name) != simdjson::SUCCESS) return {};
  if (headers.name.empty()) {
    return std::unexpected(mismatch(message, fmt::format("The header Mcp-Name is missing: it repeats params.{}.", row->member)));
  }
  const auto decoded = decode_header(headers.name);
  if (!decoded) return std::unexpected(mismatch(message, "The header Mcp-Name is not valid Base64 between =?base64? and ?=."));
  if (*decoded == name) return {};
  return std::unexpected(mismatch(message, fmt::format("The header Mcp-Name is '{}', but params.{} is '{}'.", shown(*decoded), row->member, shown(name))));
}

}  // namespace

const RevisionRow& revision_row(Revision revision) {
  return *std::ranges::find(kRevisions, revision, &RevisionRow::revision);
}

const RevisionRow* find_revision(std::string_view name) {
  const auto* const row = std::ranges::find(kRevisions, name, &RevisionRow::name);
  return row == kRevisions.end() ? nullptr : row;
}

std::string revisions_json() {
  std::string out;
  JsonWriter json(out);
  json.begin_array();
  for (const RevisionRow& row : kRevisions) json.value(row.name);
  json.end_array();
  return out;
}

RpcResult<Meta> read_meta(const Message& message) {
  Meta meta;
  dom::element value;
  if (!message.params || (*message.params)["_meta"].get(value) != simdjson::SUCCESS) return meta;
  dom::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) {
    return std::unexpected(bad_params(message, "'_meta' must be an object."));
  }
  std::string_view version;
  if (object[kVersionKey].get_string().get(version) == simdjson::SUCCESS) meta.version = version;
  dom::object capabilities;
  meta.has_capabilities = object[kCapabilitiesKey].get_object().get(capabilities) == simdjson::SUCCESS;
  if (object["progressToken"].get(value) == simdjson::SUCCESS) {
    const auto token = token_text(value);
    if (!token || token->size() > kIdBytesMax) {
      return std::unexpected(bad_params(message, fmt::format("'_meta.progressToken' must be a text of at most {} bytes or a whole number.", kIdBytesMax)));
    }
    meta.progress_token = *token;
  }
  return meta;
}

bool is_sessionless(const Meta& meta, const Headers* headers) {
  if (meta.version) return true;
  if (headers == nullptr || headers->protocol_version.empty()) return false;
  const RevisionRow* const row = find_revision(headers->protocol_version);
  return row == nullptr || !row->has_sessions;
}

RpcResult<> check_sessionless(const Message& message, const Meta& meta, const Headers* headers) {
  if (headers != nullptr && headers->protocol_version.empty()) {
    return std::unexpected(mismatch(message, "The header MCP-Protocol-Version is missing: it repeats the revision that _meta names."));
  }
  if (headers != nullptr && meta.version && *meta.version != headers->protocol_version) {
    return std::unexpected(mismatch(message, fmt::format("The header MCP-Protocol-Version is '{}', but _meta says '{}'.",
                                                         shown(headers->protocol_version), shown(*meta.version))));
  }
  const std::string_view version = meta.version ? std::string_view(*meta.version) : headers->protocol_version;
  const RevisionRow* const row = find_revision(version);
  if (row == nullptr) return std::unexpected(unsupported_version(version, message.id));
  if (row->has_sessions) {
    return std::unexpected(RpcError{.code = RpcCode::kInvalidRequest,
                                    .message = fmt::format("Revision {} begins with 'initialize'; only from 2026-07-28 on does _meta name the revision.", version),
                                    .id = message.id});
  }
  if (!meta.version) return std::unexpected(bad_params(message, fmt::format("Missing required member: '_meta[\"{}\"]'.", kVersionKey)));
  if (!meta.has_capabilities) {
    return std::unexpected(bad_params(message, fmt::format("Missing required member: '_meta[\"{}\"]', an object.", kCapabilitiesKey)));
  }
  if (headers == nullptr) return {};
  if (headers->method.empty()) return std::unexpected(mismatch(message, "The header Mcp-Method is missing: it repeats the message's method."));
  if (headers->method != message.method) {
    return std::unexpected(mismatch(message, fmt::format("The header Mcp-Method is '{}', but the message's method is '{}'.", shown(headers->method), message.method)));
  }
  return check_name_header(message, *headers);
}

RpcError unsupported_version(std::string_view asked, std::string_view id) {
  std::string data;
  JsonWriter json(data);
  json.begin_object().key("supported").raw(revisions_json()).key("requested").value(asked.substr(0, kShownBytesMax)).end_object();
  return {.code = RpcCode::kUnsupportedVersion,
          .message = fmt::format("Revision '{}' of the protocol is not spoken here.", shown(asked)),
          .data = std::move(data),
          .id = std::string(id)};
}

std::optional<std::string> decode_header(std::string_view value) {
  if (!value.starts_with(kOpen) || !value.ends_with(kClose) || value.size() < kOpen.size() + kClose.size()) return std::string(value);
  return decode_base64(value.substr(kOpen.size(), value.size() - kOpen.size() - kClose.size()));
}

std::string encode_header(std::string_view text) {
  const bool is_plain = std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7F; }) && !text.starts_with(' ') && !text.ends_with(' ') &&
                        !(text.starts_with(kOpen) && text.ends_with(kClose));
  return is_plain ? std::string(text) : std::string(kOpen) + encode_base64(text) + std::string(kClose);
}

}  // namespace hearth::api::mcp
