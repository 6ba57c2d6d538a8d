#include "api/openai/chat_writer.h"

#include <fmt/format.h>

#include <optional>
#include <utility>
#include <vector>

#include "api/openai/response.h"
#include "net/sse.h"

namespace hearth::api::openai {
namespace {

// What the answer has to know of its request.
struct Asked {
  AnswerHead head;
  std::uint32_t n_choices = 1;
  std::string echo;  // Completions: the prompt, before each choice's text.
};

// The receipt is in the last chunk's member `hearth`; a comment with its header's name and value follows
// for clients that read lines.
class ChatWriter final : public AnswerWriter {
 public:
  explicit ChatWriter(Asked asked)
      : asked_(std::move(asked)),
        chunks_(asked_.head),
        text_bytes_(asked_.n_choices, 0),
        has_tool_calls_(asked_.n_choices, false) {}

  bool wants_tokens() const override { return asked_.head.logprobs; }

  std::string whole(std::span<const Choice> choices, const hub::Usage& usage,
                    const hub::Receipt& receipt) const override {
    if (asked_.echo.empty()) return render_answer(asked_.head, choices, usage, receipt);
    std::vector<Choice> echoed(choices.begin(), choices.end());
    for (Choice& choice : echoed) choice.text.insert(0, asked_.echo);
    return render_answer(asked_.head, echoed, usage, receipt);
  }

  void begin(std::string& out) override {
    for (std::uint32_t i = 0; i < asked_.n_choices; ++i) {
      chunks_.role(out, i);
      if (!asked_.echo.empty()) chunks_.text(out, i, asked_.echo, {}, 0);
    }
  }

  void text(std::string& out, std::uint32_t choice, std::string_view text,
            const engine::TokenEvent& token) override {
    if (choice >= text_bytes_.size()) return;
    chunks_.text(out, choice, text, token, text_bytes_[choice]);
    text_bytes_[choice] += token.token.bytes.empty() ? text.size() : token.token.bytes.size();
  }

  void reasoning(std::string& out, std::uint32_t choice, std::string_view text) override {
    chunks_.reasoning(out, choice, text);
  }

  void tool_call(std::string& out, std::uint32_t choice, const hub::ToolCallPiece& piece) override {
    if (choice >= has_tool_calls_.size()) return;
    has_tool_calls_[choice] = true;
    chunks_.tool_call(out, choice, piece);
  }

  void status(std::string& out, std::string_view text) override { net::append_sse_comment(out, text); }

  void choice_end(std::string& out, std::uint32_t choice, const hub::ChoiceEnd& end) override {
    send_held_end(out, nullptr);
    if (choice < asked_.n_choices) held_end_ = {choice, end.reason};  // The last one waits for the receipt.
  }

  void finish(std::string& out, const hub::Usage& usage, const hub::Receipt& receipt) override {
    send_held_end(out, asked_.head.include_usage ? nullptr : &receipt);
    if (asked_.head.include_usage) chunks_.usage(out, usage, receipt);
    net::append_sse_comment(out, "x-hearth-receipt: " + receipt.id);
    ChunkRenderer::done(out);
  }

  void error(std::string& out, const ApiError& error) override { ChunkRenderer::error(out, error); }

 private:
  void send_held_end(std::string& out, const hub::Receipt* receipt) {
    if (!held_end_) return;
    const auto [choice, reason] = *held_end_;
    chunks_.finish(out, choice, reason, has_tool_calls_[choice], receipt);
    held_end_.reset();
  }

  const Asked asked_;
  const ChunkRenderer chunks_;
  std::vector<std::size_t> text_bytes_;  // By choice, so far.
  std::vector<bool> has_tool_calls_;     // By choice.
  std::optional<std::pair<std::uint32_t, engine::FinishReason>> held_end_;
};

}  // namespace

std::expected<ChatCall, ApiError> parse_call(Endpoint endpoint, std::string_view body) {
  HEARTH_TRY(Request request, parse_request(endpoint, body));
  Asked asked{.head = {.endpoint = endpoint,
                       .model = request.chat.model,
                       .logprobs = request.logprobs,
                       .include_usage = request.include_usage},
              .n_choices = request.chat.n,
              .echo = request.echo ? request.chat.prompt : std::string()};
  const char* const prefix = endpoint == Endpoint::kChat ? "chatcmpl" : "cmpl";
  return ChatCall{.chat = std::move(request.chat),
                  .stream = request.stream,
                  .make_writer = [asked = std::move(asked), prefix](const AnswerMark& mark) mutable {
                    asked.head.id = fmt::format("{}-{}", prefix, mark.id);
                    asked.head.created_unix_s = mark.created_unix_us / 1'000'000;
                    return std::make_unique<ChatWriter>(std::move(asked));
                  }};
}

}  // namespace hearth::api::openai
