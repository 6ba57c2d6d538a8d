// Logits of a text outside of the engine: one context's keys, values and state in memory of their own,
// for what measures models.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "model/forward.h"

namespace hearth::model {

// Threading: externally synchronised.
class LogitsRunner {
 public:
  LogitsRunner(const Model& model, std::span<const AdapterUse> adapters, ThreadPool& pool)
      : model_(model), adapters_(adapters), pool_(pool) {}

  // Room for contexts of `n_context` tokens, `n_batch` of them at once and the logits of `n_rows`.
  // kInvalidArgument for a model that classifies, whose logits are not of tokens; kOutOfBudget.
  Result<> reserve(std::uint32_t n_context, std::uint32_t n_batch, std::uint32_t n_rows);

  // Computes `tokens` (at most n_batch, or n_rows where logits are wanted), which stand at `position`
  // of their context: behind those of the last run, or at 0 to begin another.
  void run(std::span<const text::TokenId> tokens, std::uint32_t position, bool wants_logits);

  // Of token `row` of the last run that wanted them: [n_vocab].
  std::span<const float> logits(std::uint32_t row) const {
    const std::size_t n_vocab = model_.config().n_vocab;
    return std::span(logits_).subspan(row * n_vocab, n_vocab);
  }

 private:
  const Model& model_;
  const std::span<const AdapterUse> adapters_;
  ThreadPool& pool_;
  ForwardScratch scratch_;
  std::vector<std::byte> memory_, state_;
  std::vector<std::byte*> pages_;
  std::vector<float> logits_;  // [n_rows, n_vocab]
};

}  // namespace hearth::model
