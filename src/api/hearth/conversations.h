// Hearth's own API: conversations that a person had the page keep on the hub.
//
//   GET    /hearth/v1/conversations       {"folder", "limits": {...}, "conversations": [{"id", "title", "updated_at",
//                                         "bytes"}]}, the newest first
//   GET    /hearth/v1/conversations/{id}  as it was put
//   PUT    /hearth/v1/conversations/{id}  a JSON object; "id" is that of the path, "title" and "updated_at" (Unix, ms)
//                                         are what is listed, the rest is the page's own business
//   DELETE /hearth/v1/conversations/{id}
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "api/request_values.h"

namespace hearth::api::hearth {

inline constexpr std::size_t kConversationBytesMax = std::size_t{8} << 20;
inline constexpr std::size_t kConversationsMax = 2'000;
inline constexpr std::uint64_t kConversationsBytesMax = std::uint64_t{1} << 30;
inline constexpr std::size_t kConversationTitleBytesMax = 1'000;

struct ConversationHead {
  std::string id;
  std::string title;
  std::int64_t updated_at_ms = 0;
  std::uint64_t bytes = 0;  // Of the whole.
};

// 1 to 64 of a-z, 0-9 and '-': what is a file's name everywhere, and a path nowhere.
bool is_conversation_id(std::string_view id);

// The head of a conversation that is put under `id`.
Parsed<ConversationHead> parse_conversation(std::string_view id, std::string_view body);

std::string render_conversations(std::string_view folder, std::span<const ConversationHead> heads);

// A kept file is the head on a line of its own, and the conversation below it.
std::string render_head_line(const ConversationHead& head);
// kCorrupt where the line is none of ours.
Result<ConversationHead> parse_head_line(std::string_view line);

}  // namespace hearth::api::hearth
