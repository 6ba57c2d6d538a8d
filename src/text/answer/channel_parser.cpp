#include "text/answer/channel_parser.h"

#include <algorithm>
#include <array>

#include "text/answer/call_reader.h"

namespace hearth::text {
namespace {

constexpr std::string_view kStart = "<|start|>", kChannel = "<|channel|>", kMessage = "<|message|>";
constexpr auto kBodyEnds = std::to_array<std::string_view>(
    {"<|end|>", "<|call|>", "<|return|>", kStart, kChannel});
constexpr auto kHeaderBegins =
    std::to_array<std::string_view>({kStart, kChannel, kMessage, "assistant", "to="});
constexpr std::size_t kHeaderBytesMax = 1024;

// The word behind `mark` in a header; empty if the mark is not there.
std::string_view word_after(std::string_view header, std::string_view mark) {
  const std::size_t at = header.find(mark);
  if (at == std::string_view::npos) return {};
  header.remove_prefix(at + mark.size());
  return header.substr(0, header.find_first_of(" \t\n<"));
}

class ChannelParser final : public AnswerParser {
 public:
  explicit ChannelParser(AnswerParserOptions options)
      : out_(std::move(options.tools), options.parallel_calls) {}

  void push(std::string_view text, std::vector<AnswerEvent>& events) override {
    out_.set_target(events);
    buffer_.append(text);
    run({.text = buffer_});
  }

  void finish(bool is_cut, std::vector<AnswerEvent>& events) override {
    out_.set_target(events);
    run({.text = buffer_, .is_last = true, .is_cut = is_cut});
    if (out_.is_in_call()) end_call(is_cut);
  }

 private:
  enum class Body : std::uint8_t { kNone, kReasoning, kText, kArguments };

  void run(ReadInput input) {
    while (body_ == Body::kNone ? read_header(input) : read_body(input)) {
    }
    buffer_.erase(0, buffer_.size() - input.text.size());
  }

  bool read_header(ReadInput& input) {
    if (skip_white_space(input.text) == input.text.size()) return false;
    const std::size_t end = input.text.find(kMessage);
    if (end != std::string_view::npos && begins_header(input)) return begin_body(input, end);
    const bool may_go_on = !input.is_last && input.text.size() <= kHeaderBytesMax;
    if (may_go_on && begins_header(input)) return false;
    // No header at all: plain text, its first mark included, which would end it again.
    body_ = Body::kText;
    const std::size_t at = skip_white_space(input.text);
    for (const std::string_view mark : {kStart, kChannel}) {
      if (!input.text.substr(at).starts_with(mark)) continue;
      show(input.text.substr(0, at + mark.size()));
      input.text.remove_prefix(at + mark.size());
    }
    return true;
  }

  // Whether the text begins as headers do, or still may.
  static bool begins_header(const ReadInput& input) {
    const std::string_view rest = input.text.substr(skip_white_space(input.text));
    return std::ranges::any_of(kHeaderBegins, [&](std::string_view begin) {
      return rest.starts_with(begin) || (!input.is_last && begin.starts_with(rest));
    });
  }

  bool begin_body(ReadInput& input, std::size_t header_size) {
    const std::string_view header = input.text.substr(0, header_size);
    const std::string_view channel = word_after(header, kChannel);
    const std::string_view recipient = word_after(header, "to=");
    const std::string_view function = bare_function_name(recipient);
    if (out_.is_offered(function)) {
      body_ = Body::kArguments;
      is_at_start_ = true;
      out_.start(function);
    } else if (!recipient.empty()) {
      body_ = Body::kText;  // A call of nothing that was offered: shown as it is.
      out_.text(input.text.substr(0, header_size + kMessage.size()));
    } else {
      body_ = channel == "analysis" ? Body::kReasoning : Body::kText;
    }
    input.text.remove_prefix(header_size + kMessage.size());
    return true;
  }

  bool read_body(ReadInput& input) {
    std::size_t end = std::string_view::npos, mark_size = 0, held = 0;
    for (const std::string_view mark : kBodyEnds) {
      const std::size_t at = input.text.find(mark);
      if (at < end) {
        end = at;
        mark_size = mark == kStart || mark == kChannel ? 0 : mark.size();  // Those begin a header.
      }
      held = std::max(held, partial_suffix(input.text, mark));
    }
    const bool is_ended = end != std::string_view::npos;
    const std::size_t size = is_ended ? end : input.text.size() - (input.is_last ? 0 : held);
    show(input.text.substr(0, size));
    input.text.remove_prefix(size);
    if (!is_ended) return false;
    input.text.remove_prefix(mark_size);
    if (body_ == Body::kArguments) end_call(/*is_cut=*/false);
    body_ = Body::kNone;
    return true;
  }

  void show(std::string_view text) {
    if (body_ == Body::kReasoning) return out_.reasoning(text);
    if (body_ == Body::kText) return out_.text(text);
    if (is_at_start_) text.remove_prefix(skip_white_space(text));
    if (!text.empty()) is_at_start_ = false;
    out_.arguments(text);
  }

  void end_call(bool is_cut) {
    if (is_at_start_ && !is_cut) out_.arguments("{}");
    out_.end();
  }

  CallWriter out_;
  std::string buffer_;
  Body body_ = Body::kNone;
  bool is_at_start_ = false;  // Of arguments: white space is dropped.
};

}  // namespace

std::unique_ptr<AnswerParser> make_channel_parser(AnswerParserOptions options) {
  return std::make_unique<ChannelParser>(std::move(options));
}

}  // namespace hearth::text
