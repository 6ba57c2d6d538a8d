// Perplexity: how surprised a model is by a text.  The one figure that tells whether quantised
// weights, kernels and a tokenizer together still are the model that was trained.
//
// The definition is llama-perplexity's, so that figures can be held against one another: the text
// is cut into chunks of n_context tokens, each computed on its own; where the vocabulary asks for a
// BOS the chunk's first token is replaced by it; and only tokens with at least half a chunk before
// them are scored, n_context - n_context / 2 - 1 of them per chunk.  Perplexity is e to their mean
// negative log-likelihood.
//
// With a stride, chunks are n_context + stride / 2 long, begin `stride` tokens apart, and each
// scores its last `stride` tokens; no BOS is put in.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/result.h"
#include "base/thread_pool.h"
#include "model/model.h"

namespace hearth::model {

struct PerplexityOptions {
  std::uint32_t n_context = 512;   // Tokens per chunk, at least 4.
  std::uint32_t stride = 0;        // 0: chunks do not overlap.
  std::uint32_t n_chunks_max = 0;  // 0: all.
  // Called after each chunk with the perplexity so far; returning false ends with kCancelled.
  std::function<bool(std::uint32_t n_done, std::uint32_t n_chunks, double perplexity)> progress;
};

struct Perplexity {
  double value = 0;
  double standard_error = 0;       // Of `value`; 0 where it can't be told.
  std::uint64_t n_scored = 0;      // Tokens whose likelihood was taken.
  std::uint32_t n_chunks = 0;
  std::uint32_t n_context = 0;     // Tokens per chunk, with what a stride adds.
};

// `tokens` is the whole text with the BOS that its tokenizer adds.  kInvalidArgument: fewer tokens
// than two chunks, or a context or stride that can't be; kOutOfBudget: no memory for keys, values
// and logits; kCancelled by `progress`; kInternal for logits that are not numbers.
Result<Perplexity> measure_perplexity(const Model& model, std::span<const text::TokenId> tokens,
                                      const PerplexityOptions& options, ThreadPool& pool);

}  // namespace hearth::model
