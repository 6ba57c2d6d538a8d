// From logits to one token.
//
// The stages are those of sampling.h, in its order.  Three ideas keep them fast on a
// vocabulary of 150,000 without changing what they mean:
//
// * Nothing is sorted.  Top-k finds its k-th logit with a heap of k; top-p and typical
//   find the last token they keep by halving with nth_element, which is linear.
// * Top-p and min-p first drop what can't be kept: tokens below (1 - p) / n_vocab of the
//   mass sum to less than 1 - p, so the kept set lies above that line.
// * Candidates stay in the order of their ids.  The draw walks them in that order, so
//   two near-equal logits that swap ranks (another batch, another kernel) do not move
//   every boundary behind them.
//
// A grammar's mask comes before all stages, on a copy.  Log-probabilities and entropy come from the
// raw distribution, before mask and stages.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/sampling.h"

namespace hearth::engine {

using text::TokenId;

inline constexpr std::uint32_t kPenaltyWindowTokensMax = 4096;
inline constexpr std::size_t kLogitBiasMax = 4096;  // Entries.

// The raw distribution of one step, in nats.
struct LogitStats {
  float max = 0;
  float log_z = 0;    // Log of the sum of exp(logit): logprob(id) = logits[id] - log_z.
  float entropy = 0;
};

// kInternal if the logits hold a NaN or no finite value: the model or a kernel is broken.
Result<LogitStats> measure_logits(std::span<const float> logits);

struct ScoredToken {
  TokenId id = 0;
  float logit = 0;
};

// The k largest logits, best first; of equal ones the lower id.  `out` keeps its memory.
void select_top(std::span<const float> logits, std::uint32_t k, std::vector<ScoredToken>& out);

// Working memory of `Sampler::choose`, shared by all sessions of a thread.  Only grows.
struct SamplerScratch {
  struct Candidate {
    TokenId id;
    float weight;  // Proportional to the tempered probability.
    float rank;    // What a stage keeps most of.
  };
  std::vector<std::pair<TokenId, float>> saved;  // Logits changed by bias and penalties.
  std::vector<float> weights;                    // [n_vocab]
  std::vector<ScoredToken> top;
  std::vector<Candidate> candidates;             // In the order of their ids.
  std::vector<Candidate> ranked;
  std::vector<std::uint64_t> mask;               // Of a grammar, a bit per token.
  std::vector<float> masked;                     // [n_vocab] Logits under it.
};

// Copies `logits` to `out` [as many] where `mask` has the token's bit; the others, also those beyond
// the mask, become minus infinity.  False if no finite one is left.
bool apply_mask(std::span<const float> logits, std::span<const std::uint64_t> mask,
                std::span<float> out);

// One session's sampling.
//
// Threading: externally synchronised.
class Sampler {
 public:
  // `options` must have passed validate(); ids in its bias must be in the vocabulary.
  explicit Sampler(const SamplingOptions& options);

  // The next token.  `logits` [n_vocab] must have passed measure_logits; bias and penalties change
  // them during the call and are undone.  `index` counts the tokens sampled before: seed and index
  // decide the draw.
  TokenId choose(std::span<float> logits, std::uint64_t index, SamplerScratch& scratch) const;

  // Tells the penalties of a sampled token.
  void accept(TokenId id);

 private:
  struct Seen {
    TokenId id;
    std::uint32_t count;
  };
  bool has_penalties() const;
  void adjust(std::span<float> logits, SamplerScratch& scratch) const;
  TokenId draw(std::span<const float> logits, std::uint64_t index, SamplerScratch& scratch) const;

  SamplingOptions options_;
  std::vector<TokenId> window_;  // A ring of the last penalty_window_tokens tokens.
  std::size_t window_next_ = 0;
  std::vector<Seen> seen_;       // What is in the window, sorted by id.
};

}  // namespace hearth::engine
