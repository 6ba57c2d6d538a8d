// What the scheduler asks of a model: facts, the text of its tokens, and one step.
//
// The scheduler knows no weights and no files.  In the program a StepRunner stands for a
// model::Model and its forward pass (model_step_runner.h); in simulation tests it is a
// fake whose logits are a function of the tokens it can find in its pages.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "model/forward.h"
#include "model/kv_layout.h"
#include "text/tokenizer.h"

namespace hearth::engine {

using text::TokenId;

// One session's text as it grows.
class TextStream {
 public:
  virtual ~TextStream() = default;
  // The text that `id` completes: whole code points, may be empty.
  virtual std::string push(TokenId id) = 0;
  // What was held back at the end.
  virtual std::string flush() = 0;
};

// Threading: facts and text may be asked from any thread, `reserve` and `run` by the engine thread.
class StepRunner {
 public:
  virtual ~StepRunner() = default;

  virtual std::uint64_t identity() const = 0;     // Equal for runners of the same model only.
  virtual model::KvLayout kv_layout() const = 0;
  virtual std::uint32_t n_vocab() const = 0;
  virtual std::uint32_t n_context() const = 0;    // Tokens that the model was trained for.
  virtual std::optional<TokenId> unsure_token() const = 0;

  virtual bool is_end_of_generation(TokenId id) const = 0;
  // The token's own bytes; of a control token its name.
  virtual std::string token_bytes(TokenId id) const = 0;
  // The text of what is generated after `prompt`; of control tokens only those in `spoken` (sorted;
  // must outlive the stream) have one.
  virtual std::unique_ptr<TextStream> text_after(std::span<const TokenId> prompt,
                                                 std::span<const TokenId> spoken) const = 0;

  // Whether a step would wait for weights that are being read just now.
  virtual bool is_streaming() const { return false; }
  // Makes room for batches of n_tokens_max tokens.  kOutOfBudget if memory is short.
  virtual Result<> reserve(std::uint32_t n_tokens_max) = 0;
  // Runs one batch, as model::forward.  An error fails all of its sessions.
  virtual Result<> run(std::span<const model::Segment> batch) = 0;
};

}  // namespace hearth::engine
