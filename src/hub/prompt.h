// From a conversation to the tokens that a model reads.
//
// A chat template turns messages into one text in which control tokens ("<|im_end|>")
// mark the turns.  That text is then tokenised with control tokens recognised, so a user
// who writes "<|im_end|>" in a message could end his own turn and forge the next.  To
// prevent it, each control token's text inside of what a client sent is fenced, before
// rendering, by two code points that mean nothing anywhere (U+FDD0, U+FDD1: Unicode keeps
// them free for uses like this).  After rendering, what lies between a pair is tokenised
// as plain text, the rest with control tokens, and the fences vanish.  The template still
// sees the text, so its own tests ("if '</think>' in content") work as before.  Where a
// client sends those two code points themselves, they become U+FFFD.
//
// Rejected: rendering with placeholders instead of contents.  Templates trim, split and
// compare contents, and would lay out something else.
//
// Some templates print what they lay out as JSON or Python with escapes; then the fences arrive
// as the texts "\ufdd0" and "\ufdd1", and do their work as well.  A client's own are replaced.
//
// Not covered: a control token whose first half ends a client's text and whose second
// half begins the template's own text; no known template begins a piece so.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hub/chat.h"
#include "hub/template_traits.h"
#include "model/model.h"
#include "text/answer/answer_parser.h"
#include "text/grammar/constraint_cache.h"

namespace hearth::hub {

// Knows the texts of a vocabulary's control tokens.
//
// Threading: immutable.
class ControlTextGuard {
 public:
  explicit ControlTextGuard(const text::Tokenizer& tokenizer);

  // `text` with each control token's text fenced; valid UTF-8 in, valid UTF-8 out.
  std::string fence(std::string_view text) const;

 private:
  // The longest control token's text at the head of `text`; 0 for none.
  std::size_t match_length(std::string_view text) const;

  std::vector<std::string> texts_;  // Sorted; longest first among those with one first byte.
  std::string first_bytes_;         // That any of them begins with.
};

// A model with what the hub derives from it once.
struct ReadyModel {
  explicit ReadyModel(std::shared_ptr<const model::Model> its_model);
  std::shared_ptr<const model::Model> model;
  std::shared_ptr<const model::Model> draft_model;  // Drafts for `model`; null: none does.
  ControlTextGuard guard;
  TemplateTraits traits;
  text::AnswerFormat format;
  // Control tokens that an answer's text must keep for the format, with and without tool calls.
  std::vector<text::TokenId> spoken_with_calls, spoken;
  std::unique_ptr<text::grammar::ConstraintCache> constraints;
};
using ReadyModelPtr = std::shared_ptr<const ReadyModel>;

struct Prompt {
  std::vector<text::TokenId> tokens;
  std::string tail;  // The end of its text, which may have opened a thinking block.
};

// Lays out `messages`, with the rest of `request`, by the model's template, ready for an assistant's
// turn.  Where a template refuses a system message or two turns of one role in a row, they are merged
// and it is tried again.  kInvalidArgument with the template's own words if it refuses that as well.
Result<Prompt> encode_chat(const ReadyModel& ready, const ChatRequest& request,
                           const std::vector<Message>& messages);

// The same as text, the template's own and what clients wrote alike.
Result<std::string> lay_out_chat(const ReadyModel& ready, const ChatRequest& request);

// A plain prompt, control tokens recognised: whoever completes a raw prompt owns all of it.
Prompt encode_prompt(const ReadyModel& ready, std::string_view prompt);

// What the answer is held to: the request's grammar, or that of a call that must be; null for neither.
// May take milliseconds.  kInvalidArgument for tools that no grammar can be made of.
Result<std::shared_ptr<text::grammar::Constraint>> make_constraint(const ReadyModel& ready,
                                                                   const ChatRequest& request);

// Reads what `job` will answer to `prompt`, and has the job say the control tokens that it reads by; null
// where there is nothing to take apart: plain completions, and answers of a given format.
std::unique_ptr<text::AnswerParser> make_answer_parser(const ReadyModel& ready, const ChatRequest& request,
                                                       const Prompt& prompt, engine::GenerateRequest& job);

}  // namespace hearth::hub
