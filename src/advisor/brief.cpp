#include "advisor/brief.h"

#include <algorithm>

#include "base/utf8_bounds.h"

namespace hearth::advisor {
namespace {

constexpr std::string_view kInstruction =
    "You advise a small language model that answers a user on the user's own machine. Answer the "
    "question at the end correctly and concisely, in the question's language, so that your text "
    "can "
    "be passed on as it is or be worked into an answer. Give the result and the facts that it "
    "rests "
    "on. If the draft is right, say so in one sentence.";
constexpr std::string_view kCut = " [...] ";
constexpr std::uint64_t kDraftShare = 4;  // The draft gets at most a fourth of the room.

// `text` in at most `bytes_max` bytes: its beginning and its end, where questions usually stand.
std::string shortened(std::string_view text, std::uint64_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  if (bytes_max <= kCut.size()) return "";
  const std::uint64_t half = (bytes_max - kCut.size()) / 2;
  const std::string_view head = text.substr(0, utf8_bound_up_to(text, half));
  const std::string_view tail = text.substr(utf8_bound_from(text, text.size() - half));
  return std::string(head) + std::string(kCut) + std::string(tail);
}

// The newest of the earlier turns that fit, oldest first.
std::string context_of(const AdviceRequest& request, std::uint64_t bytes_max) {
  std::string context;
  for (std::size_t i = request.conversation.size() - 1; i-- > 0;) {
    const BriefMessage& message = request.conversation[i];
    const std::string turn =
        std::string(message.is_user ? "User: " : "Assistant: ") + message.text + "\n";
    if (context.size() + turn.size() > bytes_max) break;
    context.insert(0, turn);
  }
  return context;
}

}  // namespace

std::string brief_text(const AdviceRequest& request, std::uint64_t bytes_max) {
  if (request.conversation.empty()) return "";
  const std::string draft = shortened(
      request.draft, std::min<std::uint64_t>(bytes_max / kDraftShare, request.draft.size()));
  const std::string question =
      shortened(request.conversation.back().text, bytes_max - draft.size());
  const std::string context = context_of(request, bytes_max - draft.size() - question.size());

  std::string text;
  if (!context.empty()) text += "Earlier in the conversation:\n" + context + "\n";
  if (!draft.empty()) text += "The small model's draft, which may be wrong:\n" + draft + "\n\n";
  return text + "Question:\n" + question;
}

WireRequest brief_request(const AdviceRequest& request, const AdviserOptions& options) {
  return {.model = options.model,
          .system = request.instruction.empty() ? std::string(kInstruction) : request.instruction,
          .turns = {{.text = brief_text(request, options.brief_bytes_max)}},
          .max_tokens = options.max_output_tokens};
}

}  // namespace hearth::advisor
