#include "api/hearth/conversations.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/json_writer.h"

namespace hearth::api::hearth {
namespace {

constexpr std::size_t kIdBytesMax = 64;
constexpr std::int64_t kUnixMsMax = 253'402'300'799'999;  // The year 9999.

Parsed<ConversationHead> head_of(dom::object object) {
  ConversationHead head;
  HEARTH_TRY(const std::string_view id, need_text(object, "", "id"));
  HEARTH_TRY(const std::string_view title, need_text(object, "", "title"));
  HEARTH_TRY(const dom::element updated_at, need(object, "", "updated_at"));
  HEARTH_TRY(head.updated_at_ms, as_integer("updated_at", updated_at, 0, kUnixMsMax));
  if (!is_conversation_id(id)) return refuse("invalid_value", "id", "'id' must be 1 to 64 of a-z, 0-9 and '-'.");
  if (title.size() > kConversationTitleBytesMax) {
    return refuse("invalid_value", "title", fmt::format("'title' has {} bytes; at most {} are kept.", title.size(),
                                                        kConversationTitleBytesMax));
  }
  head.id = id;
  head.title = title;
  return head;
}

void write_head(JsonWriter& json, const ConversationHead& head) {
  json.begin_object().key("id").value(head.id).key("title").value(head.title);
  json.key("updated_at").value(head.updated_at_ms).key("bytes").value(head.bytes).end_object();
}

}  // namespace

bool is_conversation_id(std::string_view id) {
  const auto is_fine = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  return !id.empty() && id.size() <= kIdBytesMax && std::ranges::all_of(id, is_fine);
}

Parsed<ConversationHead> parse_conversation(std::string_view id, std::string_view body) {
  if (body.size() > kConversationBytesMax) {
    return refuse("invalid_value", "", fmt::format("The conversation has {} bytes; at most {} are kept.", body.size(),
                                                   kConversationBytesMax));
  }
  dom::parser parser;
  HEARTH_TRY(const dom::object object, parse_body(parser, body));
  HEARTH_TRY(ConversationHead head, head_of(object));
  if (head.id != id) {
    return refuse("invalid_value", "id", fmt::format("The path names the conversation '{}', its 'id' is '{}'.", id, head.id));
  }
  head.bytes = body.size();
  return head;
}

std::string render_conversations(std::string_view folder, std::span<const ConversationHead> heads) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("folder").value(folder).key("limits").begin_object();
  json.key("conversation_bytes").value(kConversationBytesMax).key("conversations").value(kConversationsMax);
  json.key("bytes").value(kConversationsBytesMax).end_object().key("conversations").begin_array();
  for (const ConversationHead& head : heads) write_head(json, head);
  json.end_array().end_object();
  return out;
}

std::string render_head_line(const ConversationHead& head) {
  std::string line;
  JsonWriter json(line);
  write_head(json, head);
  return line + '\n';
}

Result<ConversationHead> parse_head_line(std::string_view line) {
  dom::parser parser;
  const auto object = parse_body(parser, line);
  auto head = object ? head_of(*object) : Parsed<ConversationHead>(std::unexpected(object.error()));
  if (!head) return fail(Code::kCorrupt, fmt::format("its first line is no conversation's head: {}", head.error().message));
  return *std::move(head);
}

}  // namespace hearth::api::hearth
