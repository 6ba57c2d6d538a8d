#include "hub/prompt.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/utf8.h"

namespace hearth::hub {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kFenceOpen = "\xEF\xB7\x90";   // U+FDD0
constexpr std::string_view kFenceClose = "\xEF\xB7\x91";  // U+FDD1
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
}

const char* role_name(Role role) {
  switch (role) {
    case Role::kSystem:
      return "system";
    case Role::kUser:
      return "user";
    case Role::kAssistant:
      return "assistant";
    case Role::kTool:
      return "tool";
  }
  return "user";
}

Json tool_call_json(const ToolCall& call, const ControlTextGuard& guard) {
  // Templates expect arguments as an object where they are one.
  Json arguments = Json::parse(guard.fence(call.arguments), nullptr, false);
  if (arguments.is_discarded()) arguments = guard.fence(call.arguments);
  return {{"id", guard.fence(call.id)},
          {"type", "function"},
          {"function", {{"name", guard.fence(call.name)}, {"arguments", std::move(arguments)}}}};
}

Json message_json(const Message& message, const ControlTextGuard& guard) {
  Json json = {{"role", role_name(message.role)}, {"content", guard.fence(message.content)}};
  if (!message.reasoning.empty()) json["reasoning_content"] = guard.fence(message.reasoning);
  if (!message.name.empty()) json["name"] = guard.fence(message.name);
  if (!message.tool_call_id.empty()) json["tool_call_id"] = guard.fence(message.tool_call_id);
  for (const ToolCall& call : message.tool_calls) {
    json["tool_calls"].push_back(tool_call_json(call, guard));
  }
  return json;
}

std::string token_text(const text::Tokenizer& tokenizer, std::optional<text::TokenId> id) {
  return id ? std::string(tokenizer.token_text(*id)) : std::string();
}

Result<std::string> render(const ReadyModel& ready, const std::vector<Message>& messages) {
  const text::Tokenizer& tokenizer = ready.model->tokenizer();
  Json context = {{"messages", Json::array()},
                  {"add_generation_prompt", true},
                  {"bos_token", token_text(tokenizer, tokenizer.bos())},
                  {"eos_token", token_text(tokenizer, tokenizer.eos())}};
  for (const Message& message : messages) {
    context["messages"].push_back(message_json(message, ready.guard));
  }
  return ready.model->chat_template().render(context);
}

void append_paragraph(std::string& text, std::string_view more) {
  if (!text.empty() && !more.empty()) text.append("\n\n");
  text.append(more);
}

// System texts move into the first user message, in their order.
std::vector<Message> without_system(const std::vector<Message>& messages) {
  std::string system;
  std::vector<Message> rest;
  for (const Message& message : messages) {
    if (message.role == Role::kSystem)
      append_paragraph(system, message.content);
    else
      rest.push_back(message);
  }
  const auto user = std::ranges::find(rest, Role::kUser, &Message::role);
  if (user == rest.end()) {
    rest.insert(rest.begin(), Message{.role = Role::kUser, .content = std::move(system)});
    return rest;
  }
  append_paragraph(system, user->content);
  user->content = std::move(system);
  return rest;
}

// Neighbours of one role become one message, and an assistant's first turn gets a user's before it.
std::vector<Message> alternating(const std::vector<Message>& messages) {
  std::vector<Message> merged;
  for (const Message& message : messages) {
    const bool joins = !merged.empty() && merged.back().role == message.role &&
                       message.role != Role::kTool && message.tool_calls.empty() &&
                       merged.back().tool_calls.empty();
    if (joins)
      append_paragraph(merged.back().content, message.content);
    else
      merged.push_back(message);
  }
  if (!merged.empty() && merged.front().role == Role::kAssistant) {
    merged.insert(merged.begin(), Message{.role = Role::kUser, .content = "(start)"});
  }
  return merged;
}

// Renders, merging more each time that the template refuses.
Result<std::string> render_somehow(const ReadyModel& ready, const std::vector<Message>& messages) {
  auto text = render(ready, messages);
  if (text || text.error().code != Code::kInvalidArgument) return text;
  const std::vector<Message> merged = without_system(messages);
  if (auto again = render(ready, merged)) return again;
  if (auto again = render(ready, alternating(merged))) return again;
  return text;  // The first refusal names what the client sent.
}

// Appends the tokens of a rendered text: fenced parts plainly, the rest with control tokens.
void append_tokens(const text::Tokenizer& tokenizer, std::string_view text,
                   std::vector<text::TokenId>& tokens) {
  const auto append = [&](std::string_view part, bool parse_special) {
    if (part.empty()) return;
    const auto ids = tokenizer.encode(part, {.add_special = false, .parse_special = parse_special});
    tokens.insert(tokens.end(), ids.begin(), ids.end());
  };
  while (!text.empty()) {
    const std::size_t open = text.find(kFenceOpen);
    append(text.substr(0, open), true);
    if (open == std::string_view::npos) return;
    text.remove_prefix(open + kFenceOpen.size());
    // A template may have cut a content in two; a fence that never closes guards the rest.
    const std::size_t close = text.find(kFenceClose);
    append(text.substr(0, close), false);
    text.remove_prefix(close == std::string_view::npos ? text.size() : close + kFenceClose.size());
  }
}

std::vector<text::TokenId> encode_text(const ReadyModel& ready, std::string_view text) {
  const text::Tokenizer& tokenizer = ready.model->tokenizer();
  std::vector<text::TokenId> tokens;
  append_tokens(tokenizer, text, tokens);
  // Many templates write the BOS themselves; a second one would confuse the model.
  const std::optional<text::TokenId> bos = tokenizer.bos();
  if (tokenizer.adds_bos() && bos && (tokens.empty() || tokens.front() != *bos)) {
    tokens.insert(tokens.begin(), *bos);
  }
  return tokens;
}

}  // namespace

ControlTextGuard::ControlTextGuard(const text::Tokenizer& tokenizer) {
  for (std::uint32_t id = 0; id < tokenizer.n_vocab(); ++id) {
    const auto token = static_cast<text::TokenId>(id);
    if (!tokenizer.is_control(token)) continue;
    const std::string_view text = tokenizer.token_text(token);
    if (text.empty()) continue;
    texts_.emplace_back(text);
    if (first_bytes_.find(text[0]) == std::string::npos) first_bytes_.push_back(text[0]);
  }
  std::ranges::sort(texts_, [](const std::string& a, const std::string& b) {
    return a[0] != b[0] ? a[0] < b[0] : a.size() > b.size();
  });
}

std::size_t ControlTextGuard::match_length(std::string_view text) const {
  const auto of_same_start = std::ranges::equal_range(
      texts_, text[0], {}, [](const std::string& candidate) { return candidate[0]; });
  for (const std::string& candidate : of_same_start) {
    if (text.starts_with(candidate)) return candidate.size();
  }
  return 0;
}

std::string ControlTextGuard::fence(std::string_view text) const {
  std::string clean = sanitize_utf8(text);
  replace_all(clean, kFenceOpen, kReplacement);
  replace_all(clean, kFenceClose, kReplacement);

  std::string fenced;
  std::string_view rest = clean;
  while (!rest.empty()) {
    const std::size_t next = std::min(rest.find_first_of(first_bytes_), rest.size());
    fenced.append(rest.substr(0, next));
    rest.remove_prefix(next);
    if (rest.empty()) break;
    const std::size_t length = match_length(rest);
    if (length == 0) {
      fenced.push_back(rest[0]);
      rest.remove_prefix(1);
      continue;
    }
    fenced.append(kFenceOpen).append(rest.substr(0, length)).append(kFenceClose);
    rest.remove_prefix(length);
  }
  return fenced;
}

Result<std::vector<text::TokenId>> encode_chat(const ReadyModel& ready,
                                               const std::vector<Message>& messages) {
  HEARTH_TRY(const std::string text, render_somehow(ready, messages));
  return encode_text(ready, text);
}

std::vector<text::TokenId> encode_prompt(const ReadyModel& ready, std::string_view prompt) {
  return encode_text(ready, sanitize_utf8(prompt));
}

}  // namespace hearth::hub
