// Where `ask` and `chat` get their answers: a hub in this process, or one that runs.
//
// Both give the same pieces in the same order, so that a verb prints without knowing
// which it talks to.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "advisor/consent.h"
#include "base/result.h"
#include "cli/verbs.h"
#include "hub/chat.h"

namespace hearth::cli {

// What becomes of a call that waits for consent.
struct ConsentReply {
  bool is_allowed = false;
  bool is_remembered = false;
};

// What is printed while an answer comes.  Called on the thread that called `answer`.
struct AnswerListener {
  std::function<void(const std::string& text)> on_text;
  std::function<void(const std::string& text)> on_thinking;
  std::function<void(const std::string& status)> on_status;
  // A call waits for consent.  Unset: the answer is no.
  std::function<ConsentReply(const advisor::Departure& departure)> on_consent = {};
  // In a preview: what would leave.
  std::function<void(const advisor::Departure& departure)> on_preview = {};
};

// For a person at a terminal: the answer on standard output; on standard error, faint, what the hub is
// doing and, unless `hide_thinking`, what the model thinks.
AnswerListener terminal_listener(bool hide_thinking);
// For --json: nothing while the answer comes.
AnswerListener silent_listener();

struct Answer {
  std::string text;
  engine::FinishReason reason = engine::FinishReason::kStop;
  hub::Receipt receipt;
};

// Threading: externally synchronised.
class AnswerSource {
 public:
  // Follows options.hub; see AnswerOptions.
  static Result<std::unique_ptr<AnswerSource>> open(const Context& context, const AnswerOptions& options);

  virtual ~AnswerSource() = default;

  // Blocks until the answer is complete.  An interrupt (cli/interrupt.h) cancels it: kCancelled.
  virtual Result<Answer> answer(const std::vector<hub::Message>& messages, const AnswerOptions& options,
                                const AnswerListener& listener) = 0;
};

}  // namespace hearth::cli
