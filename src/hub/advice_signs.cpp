#include "hub/advice_signs.h"

#include <algorithm>

#include "advisor/gate/ask_policy.h"
#include "base/ascii.h"

namespace hearth::hub {
namespace {

constexpr std::size_t kBeginBytes = 200;  // Of an answer, or of a tool's result, looked at.

constexpr std::string_view kRefusals[] = {
    "i can't", "i cannot", "i can not", "i'm unable", "i am unable", "i'm not able", "i am not able", "i don't know",
    "i do not know", "i'm not sure", "i am not sure", "i won't", "i will not be able", "as an ai", "no idea",
    "i don't have access", "i do not have access", "i don't have enough information", "i do not have enough information",
};
constexpr std::string_view kFailures[] = {
    "error", "traceback", "exception", "failed", "failure", "command not found", "no such file", "permission denied",
    "timed out", "timeout", "not found", "invalid", "fatal",
};

// The beginning in lower case, with the typographic apostrophe as the plain one.
std::string begin_of(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  std::string begin = lower(text.substr(std::min(first, text.size()), kBeginBytes));
  constexpr std::string_view kApostrophe = "\u2019";
  for (std::size_t at; (at = begin.find(kApostrophe)) != begin.npos;) begin.replace(at, kApostrophe.size(), "'");
  return begin;
}

// Of a whole word or more: "error:" but not "terrors".
bool says(std::string_view text, std::string_view words) {
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  for (std::size_t at = text.find(words); at != text.npos; at = text.find(words, at + 1)) {
    const std::size_t end = at + words.size();
    if ((at == 0 || !is_letter(text[at - 1])) && (end == text.size() || !is_letter(text[end]))) return true;
  }
  return false;
}

bool is_failure(std::string_view result) {
  const std::string begin = begin_of(result);
  constexpr std::string_view kNoErrors[] = {"0 errors", "no error", "no errors", "\"error\": null", "\"error\":null"};
  if (std::ranges::any_of(kNoErrors, [&](std::string_view words) { return begin.find(words) != begin.npos; })) return false;
  return std::ranges::any_of(kFailures, [&](std::string_view words) { return says(begin, words); });
}

}  // namespace

bool is_refusal(std::string_view answer) {
  const std::string begin = begin_of(answer);
  const std::string_view sentence = std::string_view(begin).substr(0, begin.find_first_of(".!?\n"));
  return std::ranges::any_of(kRefusals, [&](std::string_view words) { return says(sentence, words); });
}

std::uint32_t n_tool_errors(std::span<const Message> messages) {
  std::uint32_t n = 0;
  for (std::size_t i = messages.size(); i-- > 0;) {
    if (messages[i].role == Role::kUser) break;
    if (messages[i].role != Role::kTool) continue;
    if (!is_failure(messages[i].content)) break;
    ++n;
  }
  return n;
}

bool has_used_tools(std::span<const Message> messages) {
  for (std::size_t i = messages.size(); i-- > 0 && messages[i].role != Role::kUser;) {
    if (messages[i].role == Role::kTool) return true;
  }
  return false;
}

std::string find_risky(std::span<const std::string> called, std::span<const std::string> patterns) {
  for (const std::string& name : called) {
    const auto fits = [&](const std::string& pattern) { return advisor::gate::is_like(name, pattern); };
    if (std::ranges::any_of(patterns, fits)) return name;
  }
  return "";
}

}  // namespace hearth::hub
