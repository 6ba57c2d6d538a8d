// The forward pass over a mixed batch: several sessions' tokens in one sweep of the weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "base/thread_pool.h"
#include "model/adapter.h"
#include "model/kv_layout.h"
#include "model/model.h"

namespace hearth::model {

// A run of consecutive tokens of one session.
struct Segment {
  std::span<const text::TokenId> tokens;  // At least one; each in [0, n_vocab).
  std::uint32_t position = 0;             // Of tokens[0] in its session, from 0.
  // Page i holds positions [i * kPageTokens, (i + 1) * kPageTokens); pages up to the last position
  // must be there.  Those that cover this segment's positions are written and must not be shared.
  std::span<std::byte* const> pages;
  // Logits are computed for the last n_logits tokens (0: none) into logits [n_logits, n_vocab], or as
  // many each as ModelConfig::n_logits says.
  std::uint32_t n_logits = 0;
  float* logits = nullptr;
  // At most kAdaptersPerSegment, each once; a session's always in the same order.
  std::span<const AdapterUse> adapters = {};
  // The session's own [KvLayout::state_bytes], aligned to floats, as the segment before left it;
  // what it holds at position 0 does not count.  Null for models without.
  std::byte* state = nullptr;
};

// Scratch memory of one forward pass at a time, taken once for up to n_tokens_max tokens a batch.
//
// Threading: externally synchronised; one per engine thread.  Usable with every model: `reserve`
// grows it to fit the largest seen.
class ForwardScratch {
 public:
  ForwardScratch();
  ~ForwardScratch();
  // Makes room for batches of n_tokens_max tokens of `model`, so that `forward` allocates nothing.
  // kOutOfBudget if memory is short.
  Result<> reserve(const Model& model, std::uint32_t n_tokens_max);

  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

// Runs all segments through the model: writes their keys and values into their pages and the logits
// that they asked for.  Causal within and across segments of one session; segments of different
// sessions do not see one another.  The sum of tokens must fit `scratch`.  Results do not depend on
// what else is in the batch.
void forward(const Model& model, std::span<const Segment> batch, ForwardScratch& scratch,
             ThreadPool& pool);

}  // namespace hearth::model
