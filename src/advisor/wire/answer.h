// What a wire's events say, put together: text, thinking and tool calls within their limits, usage, why
// it ended, and errors.  The wires write to it; AnswerReader feeds them.
//
// Nothing in an answer is trusted: sizes and counts are bounded, invalid UTF-8 becomes U+FFFD, calls are
// numbered anew, and usage is only recorded (pricing.h decides what to believe).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "advisor/pricing.h"
#include "advisor/provider_json.h"

namespace hearth::advisor {

struct AnswerLimits {
  std::uint64_t text_bytes_max = std::uint64_t{64} << 20;  // Of text, thinking and arguments together.
  std::uint32_t calls_max = 128;
};

// A piece of a tool call; a call's first piece, and only that, has its name.
struct AnswerCall {
  std::uint32_t index = 0;  // In the answer.
  std::string id;           // As the provider has it; may be empty.
  std::string name;
  std::string arguments;  // JSON text: pieces concatenate.
};

struct AnswerPiece {
  std::string reasoning;
  std::string text;
  std::vector<AnswerCall> calls;

  bool is_empty() const { return reasoning.empty() && text.empty() && calls.empty(); }
};

// Threading: externally synchronised.
class Answer {
 public:
  explicit Answer(AnswerLimits limits) : limits_(limits) {}

  // ---- For wires.
  void add_text(const Json& text);       // Passed over where it is no string, as the next.
  void add_reasoning(const Json& text);
  // A call begins; `key` is how the provider tells it from others.  One that is there already goes on.
  void begin_call(std::int64_t key, std::string id, std::string name);
  void add_arguments(std::int64_t key, const Json& text);  // A string, or an object as a whole.
  // A call is over; `whole` are its arguments where they did not come in pieces.
  void end_call(std::int64_t key, const Json& whole);
  // What the provider wants back with the call `key`, or (nothing known of it) with the next that begins.
  void carry(std::int64_t key, std::string state);
  void finish(std::string_view reason);  // In the words of OpenAI's chat.
  void done() { is_done_ = true; }       // Nothing that follows matters.
  void fail(ProviderError error);
  void garble() { is_garbled_ = true; }
  void set_model(std::string name);
  TokenUse& use() { return use_; }
  std::size_t n_calls() const { return calls_.size(); }
  const std::string& carried_next() const { return carried_next_; }
  // A block of thinking that is being received, with what proves it; only its own block grows it.
  struct Thought {
    std::int64_t key = -1;
    std::string text, signature;
  };
  Thought& thought() { return thought_; }
  void grow_thought(std::int64_t key, std::string_view text, std::string_view signature);

  // ---- For readers.
  AnswerPiece take_piece();  // What came since the last time.
  const TokenUse& use() const { return use_; }
  const ProviderError& error() const { return error_; }
  const std::string& finish_reason() const { return finish_reason_; }
  const std::string& model() const { return model_; }  // That answers, as it says.
  std::string carried(std::uint32_t call) const;       // Empty: nothing.
  std::uint64_t content_bytes() const { return content_bytes_; }
  bool has_calls() const { return !calls_.empty(); }
  bool is_done() const { return is_done_; }
  bool is_cut() const { return is_cut_; }
  bool is_garbled() const { return is_garbled_; }

 private:
  struct Call {
    std::int64_t key = 0;
    bool has_arguments = false;
    std::string carried;
  };

  std::string within_limit(std::string_view text);
  AnswerCall& piece_of(std::size_t call);
  std::size_t find(std::int64_t key) const;
  void put_arguments(std::size_t call, std::string_view text);

  AnswerLimits limits_;
  AnswerPiece piece_;
  std::vector<Call> calls_;
  std::string carried_next_;
  Thought thought_;
  TokenUse use_;
  ProviderError error_;
  std::string finish_reason_;
  std::string model_;
  std::uint64_t content_bytes_ = 0;
  bool is_done_ = false;
  bool is_cut_ = false;
  bool is_garbled_ = false;
};

}  // namespace hearth::advisor
