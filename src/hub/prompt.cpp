#include "hub/prompt.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/utf8.h"
#include "hub/forced_call.h"
#include "hub/template_context.h"

namespace hearth::hub {
namespace {

using Json = nlohmann::ordered_json;

// Of a prompt's text that its Prompt keeps: longer than any format's mark.
constexpr std::size_t kTailBytes = 256;

constexpr std::string_view kFenceOpen = "\xEF\xB7\x90";   // U+FDD0
constexpr std::string_view kFenceClose = "\xEF\xB7\x91";  // U+FDD1
constexpr std::string_view kEscapedFence = "\\ufdd";  // The head of both:
constexpr std::string_view kEscapedOpen = "\\ufdd0", kEscapedClose = "\\ufdd1";
constexpr std::string_view kReplacement = "\xEF\xBF\xBD", kEscapedReplacement = "\\ufffd";

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
}

Result<std::string> render(const ReadyModel& ready, const ChatRequest& request,
                           const std::vector<Message>& messages) {
  HEARTH_TRY(const Json context, template_context(ready, request, messages));
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
Result<std::string> render_somehow(const ReadyModel& ready, const ChatRequest& request,
                                   const std::vector<Message>& messages) {
  auto text = render(ready, request, messages);
  if (text || text.error().code != Code::kInvalidArgument) return text;
  const std::vector<Message> merged = without_system(messages);
  if (auto again = render(ready, request, merged)) return again;
  if (auto again = render(ready, request, alternating(merged))) return again;
  return text;  // The first refusal names what the client sent.
}

// Fences that a template has printed as escapes, as fences again.
std::string with_plain_fences(std::string_view text) {
  std::string out;
  for (std::size_t at = text.find(kEscapedFence); at != std::string_view::npos;
       at = text.find(kEscapedFence)) {
    const std::string_view fence = text.substr(at, kEscapedOpen.size());
    const bool is_open = fence == kEscapedOpen, is_close = fence == kEscapedClose;
    out.append(text.substr(0, at));
    out.append(is_open ? kFenceOpen : is_close ? kFenceClose : fence);
    text.remove_prefix(at + fence.size());
  }
  return out.append(text);
}

Result<std::string> render_fenced(const ReadyModel& ready, const ChatRequest& request,
                                  const std::vector<Message>& messages) {
  HEARTH_TRY(std::string text, render_somehow(ready, request, messages));
  return text.find(kEscapedFence) == std::string::npos ? text : with_plain_fences(text);
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
  replace_all(clean, kEscapedOpen, kEscapedReplacement);
  replace_all(clean, kEscapedClose, kEscapedReplacement);

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

ReadyModel::ReadyModel(std::shared_ptr<const model::Model> its_model)
    : model(std::move(its_model)),
      guard(model->tokenizer()),
      traits(probe_template(model->chat_template())),
      format(text::detect_answer_format(model->chat_template().source(), model->tokenizer())),
      spoken_with_calls(text::spoken_control_tokens(format, model->tokenizer(), true)),
      spoken(text::spoken_control_tokens(format, model->tokenizer(), false)),
      constraints(std::make_unique<text::grammar::ConstraintCache>(model->tokenizer())) {}

Result<Prompt> encode_chat(const ReadyModel& ready, const ChatRequest& request,
                           const std::vector<Message>& messages) {
  HEARTH_TRY(std::string text, render_fenced(ready, request, messages));
  if (must_call(request)) text += forced_call_opening(ready.format, text);
  const std::size_t n_tail = std::min(text.size(), kTailBytes);
  return Prompt{encode_text(ready, text), text.substr(text.size() - n_tail)};
}

Result<std::string> lay_out_chat(const ReadyModel& ready, const ChatRequest& request) {
  HEARTH_TRY(std::string text, render_fenced(ready, request, request.messages));
  for (const std::string_view fence : {kFenceOpen, kFenceClose}) replace_all(text, fence, "");
  return text;
}

Prompt encode_prompt(const ReadyModel& ready, std::string_view prompt) {
  return {encode_text(ready, sanitize_utf8(prompt)), {}};
}

std::unique_ptr<text::AnswerParser> make_answer_parser(const ReadyModel& ready, const ChatRequest& request,
                                                       const Prompt& prompt, engine::GenerateRequest& job) {
  if (request.messages.empty()) return nullptr;
  // An answer of a given format is that from its first byte on.
  if (request.grammar != nullptr && !must_call(request)) return nullptr;
  text::AnswerParserOptions options{.parallel_calls = request.parallel_tool_calls,
                                    .prompt_tail = prompt.tail};
  for (const Tool& tool : shown_tools(ready, request)) {
    options.tools.push_back({tool.name, tool.parameters});
  }
  job.spoken_control = options.tools.empty() ? ready.spoken : ready.spoken_with_calls;
  const text::AnswerFormat& format = must_call(request) ? forced_call_format() : ready.format;
  return text::AnswerParser::create(format, std::move(options));
}

Result<std::shared_ptr<text::grammar::Constraint>> make_constraint(const ReadyModel& ready,
                                                                   const ChatRequest& request) {
  text::grammar::GrammarPtr grammar = request.grammar;
  if (must_call(request)) {
    HEARTH_TRY(grammar, forced_call_grammar(shown_tools(ready, request), *ready.format.calls));
  }
  if (grammar == nullptr) return nullptr;
  return ready.constraints->get(grammar);
}

}  // namespace hearth::hub
