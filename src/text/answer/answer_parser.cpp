// Answers in which marks stand between plain text; those of channels are in
// channel_parser.cpp.
//
//   kPlain ----> kThinking ----> kPlain
//     |  ^
//     v  |  (rejected, or nothing more of calls follows)
//   kCall <--> kBetween
//
// `buffer_` holds what is not decided yet.  Each step decides something about its head, or says
// that it needs more.
#include "text/answer/answer_parser.h"

#include <algorithm>
#include <optional>

#include "text/answer/call_reader.h"
#include "text/answer/channel_parser.h"

namespace hearth::text {
namespace {

enum class Mark : std::uint8_t { kThinking, kCall, kDropped };

struct FoundMark {
  std::size_t at = std::string_view::npos;
  std::size_t size = 0;
  Mark mark = Mark::kDropped;
};

class MarkedParser final : public AnswerParser {
 public:
  MarkedParser(const AnswerFormat& format, AnswerParserOptions options)
      : format_(format),
        calls_(*format.calls),
        out_(std::move(options.tools), options.parallel_calls) {
    begin_after(options.prompt_tail);
  }

  void push(std::string_view text, std::vector<AnswerEvent>& events) override {
    out_.set_target(events);
    buffer_.append(text);
    run(/*is_last=*/false, /*is_cut=*/false);
  }

  void finish(bool is_cut, std::vector<AnswerEvent>& events) override {
    out_.set_target(events);
    run(/*is_last=*/true, is_cut);
    if (state_ == State::kPlain) out_.text(held_space_);
    held_space_.clear();
  }

 private:
  enum class State : std::uint8_t { kPlain, kThinking, kCall, kBetween };

  // What the prompt's end has opened already.
  void begin_after(std::string_view tail) {
    while (!tail.empty() && is_white_space(tail.back())) tail.remove_suffix(1);
    if (format_.thinking != nullptr && tail.ends_with(format_.thinking->open)) {
      state_ = State::kThinking;
      drops_space_ = true;
    } else if (!calls_.open.empty() && tail.ends_with(calls_.open)) {
      state_ = State::kCall;
    }
  }

  void run(bool is_last, bool is_cut) {
    const ReadInput whole{.text = buffer_, .is_last = is_last, .is_cut = is_cut};
    ReadInput input = whole;
    while (step(input)) {
    }
    buffer_.erase(0, buffer_.size() - input.text.size());
  }

  // Decides something about the head of `input`, and removes it there.  False: more is needed.
  bool step(ReadInput& input) {
    switch (state_) {
      case State::kPlain:
        return read_plain(input);
      case State::kThinking:
        return read_thinking(input);
      case State::kCall:
        return read_call(input);
      case State::kBetween:
        return read_between(input);
    }
    return false;
  }

  // ---- Plain text ----

  bool read_plain(ReadInput& input) {
    if (input.text.empty()) return false;
    if (is_blank_ && calls_.may_be_bare && out_.has_tools() && begins_bare_call(input)) return true;
    const FoundMark found = find_mark(input.text);
    if (found.at == std::string_view::npos) {
      const std::size_t held = input.is_last ? 0 : undecided_suffix(input.text);
      take_text(input, input.text.size() - held);
      return false;
    }
    take_text(input, found.at);
    // Text before it may have settled that a mark is none.
    if (found.mark == Mark::kThinking && !may_think()) return take_mark_as_text(input, found.size);
    if (found.mark == Mark::kCall) return begin_call(input, found.size);
    input.text.remove_prefix(found.size);
    drops_space_ = true;
    held_space_.clear();
    if (found.mark == Mark::kThinking) state_ = State::kThinking;
    return true;
  }

  bool take_mark_as_text(ReadInput& input, std::size_t size) {
    take_text(input, size);
    return true;
  }

  bool may_think() const {
    return format_.thinking != nullptr && (is_blank_ || may_think_after_text());
  }
  bool may_think_after_text() const {
    return format_.thinking != nullptr && format_.thinking->is_anywhere;
  }

  template <class Visit>
  void for_each_mark(Visit visit) const {
    if (may_think()) visit(format_.thinking->open, Mark::kThinking);
    if (out_.has_tools()) {
      visit(calls_.section_open, Mark::kCall);
      visit(calls_.open, Mark::kCall);
    }
    for (const std::string_view dropped : format_.dropped) visit(dropped, Mark::kDropped);
  }

  // The first mark in `text`; of two at one place, the one that is visited first.
  FoundMark find_mark(std::string_view text) const {
    FoundMark found;
    for_each_mark([&](std::string_view literal, Mark mark) {
      const std::size_t at = literal.empty() ? std::string_view::npos : text.find(literal);
      if (at < found.at) found = {at, literal.size(), mark};
    });
    return found;
  }

  std::size_t undecided_suffix(std::string_view text) const {
    std::size_t held = 0;
    for_each_mark([&](std::string_view literal, Mark) {
      held = std::max(held, partial_suffix(text, literal));
    });
    return held;
  }

  void take_text(ReadInput& input, std::size_t size) {
    const bool may_be_followed =
        out_.has_tools() || may_think_after_text() || !format_.dropped.empty();
    if (take(input, size, may_be_followed, [this](std::string_view text) { out_.text(text); })) {
      is_blank_ = false;
    }
  }

  // Hands `size` bytes to `show`, what was held before them first; false if they are blank.  White
  // space at their end waits for what follows if `holds_space`.
  template <class Show>
  bool take(ReadInput& input, std::size_t size, bool holds_space, Show&& show) {
    std::string_view text = input.text.substr(0, size);
    input.text.remove_prefix(size);
    const std::size_t start = skip_white_space(text);
    if (drops_space_) text.remove_prefix(start);
    if (start == size) {
      if (!drops_space_) held_space_.append(text);
      return false;
    }
    drops_space_ = false;
    show(held_space_);
    held_space_.clear();
    std::size_t end = text.size();
    while (holds_space && is_white_space(text[end - 1])) --end;
    show(text.substr(0, end));
    held_space_.append(text.substr(end));
    return true;
  }

  // ---- Thinking ----

  bool read_thinking(ReadInput& input) {
    const std::string_view close = format_.thinking->close;
    const std::size_t end = input.text.find(close);
    const bool is_closed = end != std::string_view::npos;
    const std::size_t held = is_closed || input.is_last ? 0 : partial_suffix(input.text, close);
    take_reasoning(input, is_closed ? end : input.text.size() - held);
    if (!is_closed) return false;
    input.text.remove_prefix(close.size());
    state_ = State::kPlain;
    held_space_.clear();
    drops_space_ = is_blank_ = true;
    return true;
  }

  void take_reasoning(ReadInput& input, std::size_t size) {
    take(input, size, true, [this](std::string_view text) { out_.reasoning(text); });
  }

  // ---- Calls ----

  // Whether the answer's first letter begins a call without an opening mark.
  bool begins_bare_call(ReadInput& input) {
    const std::size_t at = skip_white_space(input.text);
    if (at == input.text.size() || (input.text[at] != '{' && input.text[at] != '[')) return false;
    if (is_bare_rejected_) return false;
    opening_size_ = 0;
    take_text_space(input, at);
    reader_.reset();
    state_ = State::kCall;
    is_bare_ = true;
    return true;
  }

  void take_text_space(ReadInput& input, std::size_t size) {
    if (!drops_space_) held_space_.append(input.text.substr(0, size));
    input.text.remove_prefix(size);
  }

  // At an opening mark: the call begins behind it, or behind the second of a section's two.
  bool begin_call(ReadInput& input, std::size_t size) {
    const bool is_section = !calls_.section_open.empty() && input.text.starts_with(calls_.section_open);
    if (is_section) {
      const std::size_t at = skip_white_space(input.text, size);
      const std::string_view rest = input.text.substr(at);
      if (!rest.starts_with(calls_.open)) {
        if (!input.is_last && calls_.open.starts_with(rest)) return false;
        return reject_mark(input, size);
      }
      size = at + calls_.open.size();
    }
    opening_size_ = size;
    reader_.reset();
    state_ = State::kCall;
    is_bare_ = false;
    return true;
  }

  // The mark at the head is text, or nothing if it is one that is dropped anyway.
  bool reject_mark(ReadInput& input, std::size_t size) {
    state_ = State::kPlain;
    const std::string_view mark = input.text.substr(0, size);
    if (std::ranges::find(format_.dropped, mark) != format_.dropped.end()) {
      input.text.remove_prefix(size);
      return true;
    }
    return take_mark_as_text(input, size);
  }

  // The opening mark stays in the input until the function is known: it may still be text.
  bool read_call(ReadInput& input) {
    const ReadInput inner{.text = input.text.substr(opening_size_),
                          .is_last = input.is_last,
                          .is_cut = input.is_cut};
    if (reader_ == nullptr) reader_ = make_call_reader(calls_, inner);
    if (reader_ == nullptr) return false;
    const bool was_started = out_.is_in_call();
    const ReadResult result = reader_->read(inner, out_);
    if (result.step == Step::kRejected) return reject_call(input);
    if (result.step == Step::kPlainText) {
      input.text.remove_prefix(opening_size_ + result.consumed);
      state_ = State::kPlain;
      drops_space_ = true;
      return true;
    }
    if (out_.is_in_call() || result.step == Step::kEnded || was_started) {
      input.text.remove_prefix(opening_size_ + result.consumed);
      opening_size_ = 0;
      held_space_.clear();
    }
    if (result.step == Step::kNeedMore) return false;
    if (result.step == Step::kEnded) {
      state_ = State::kBetween;
      may_resume_ = true;
    }
    return true;
  }

  bool reject_call(ReadInput& input) {
    reader_.reset();
    if (is_bare_ || opening_size_ == 0) {
      is_bare_rejected_ = true;
      state_ = State::kPlain;
      is_blank_ = false;
      return true;
    }
    const bool is_section = !calls_.section_open.empty() && input.text.starts_with(calls_.section_open);
    const std::size_t size = is_section ? calls_.section_open.size() : calls_.open.size();
    opening_size_ = 0;
    return reject_mark(input, size);
  }

  // Behind a call: another one, closing marks, or plain text again.
  bool read_between(ReadInput& input) {
    if (may_resume_) {
      const ReadResult result = reader_->resume(input);
      if (result.step == Step::kNeedMore) return false;
      input.text.remove_prefix(result.consumed);
      if (result.step == Step::kMore) {
        state_ = State::kCall;
        is_bare_ = true;
        return true;
      }
      may_resume_ = false;
    }
    const std::size_t at = skip_white_space(input.text);
    const std::string_view rest = input.text.substr(at);
    for (const std::string_view filler : {calls_.close, calls_.section_close}) {
      if (filler.empty() || !rest.starts_with(filler)) continue;
      input.text.remove_prefix(at + filler.size());
      return true;
    }
    const bool may_become_filler =
        calls_.close.starts_with(rest) || calls_.section_close.starts_with(rest);
    if (!input.is_last && (rest.empty() || may_become_filler)) return false;
    const bool is_cut_mark = may_become_filler;  // By the answer's end.
    input.text.remove_prefix(is_cut_mark ? input.text.size() : at);
    state_ = State::kPlain;
    drops_space_ = is_blank_ = true;
    is_bare_rejected_ = false;
    return true;
  }

  const AnswerFormat format_;
  const CallFormat& calls_;
  CallWriter out_;
  State state_ = State::kPlain;
  std::string buffer_;
  std::string held_space_;     // White space that is shown if text follows it.
  bool drops_space_ = false;   // White space at the head belongs to a mark.
  bool is_blank_ = true;       // No text since the start, or since thinking or a call.
  std::unique_ptr<CallReader> reader_;
  std::size_t opening_size_ = 0;  // Of the marks in front of a call that is not certain yet.
  bool is_bare_ = false;          // The call has no opening mark.
  bool is_bare_rejected_ = false;
  bool may_resume_ = false;
};

}  // namespace

std::unique_ptr<AnswerParser> AnswerParser::create(const AnswerFormat& format,
                                                   AnswerParserOptions options) {
  if (format.has_channels()) return make_channel_parser(std::move(options));
  return std::make_unique<MarkedParser>(format, std::move(options));
}

}  // namespace hearth::text
