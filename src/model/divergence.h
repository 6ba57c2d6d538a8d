// How far one model's predictions are from another's over a text: what a smaller form of a model
// costs, measured where it counts.
//
// For each token but the text's first, the Kullback-Leibler divergence of the second model's
// distribution from the first's, in nats: 0 for the same model, and below 0.01 for what nobody tells
// apart.  Chunks are computed from an empty context each.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/result.h"
#include "base/thread_pool.h"
#include "model/adapter.h"
#include "model/model.h"

namespace hearth::model {

struct DivergenceOptions {
  std::uint32_t n_context = 256;      // Tokens per chunk.
  std::uint32_t n_tokens_max = 2048;  // Of the text; what follows is left out.
  // Called after each batch; false ends with kCancelled.
  std::function<bool(std::uint32_t n_done, std::uint32_t n_tokens)> progress;
};

struct Divergence {
  double mean = 0, largest = 0;  // Nats.
  double same_choice = 0;        // Share of tokens where both think the same one likeliest.
  double perplexity_reference = 0, perplexity = 0;
  std::uint32_t n_scored = 0;
};

// A model and what adapts it.
struct Adapted {
  const Model& model;
  std::span<const AdapterUse> adapters = {};
};

// kInvalidArgument for models of other vocabularies, for those that classify, or a text of fewer than two
// tokens, kOutOfBudget, kCancelled, kInternal for logits that are not numbers.
Result<Divergence> measure_divergence(const Adapted& reference, const Adapted& other,
                                      std::span<const text::TokenId> tokens,
                                      const DivergenceOptions& options, ThreadPool& pool);

}  // namespace hearth::model
