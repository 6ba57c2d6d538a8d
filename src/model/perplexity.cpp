#include "model/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "model/logits_runner.h"

namespace hearth::model {
namespace {

constexpr std::uint32_t kBatchTokens = 512;   // Where no logits are wanted,
constexpr std::uint32_t kScoredTokens = 128;  // and where they are: 128 rows of 150,000 take 77 MB.
constexpr std::uint32_t kContextMin = 4;      // Fewer leave nothing to score.

// Which tokens of a text are computed together, and from where they are scored.
struct Chunks {
  std::uint32_t n_context = 0;
  std::uint32_t step = 0;         // From one chunk's begin to the next.
  std::uint32_t first_logit = 0;  // Position whose logits score the token after it.
  std::uint32_t count = 0;
  bool starts_with_bos = false;
};

Result<Chunks> plan_chunks(const Model& model, std::size_t n_tokens,
                           const PerplexityOptions& options) {
  const std::uint64_t n_context = std::uint64_t{options.n_context} + options.stride / 2;
  if (options.n_context < kContextMin || n_context > model.config().n_context_train) {
    return fail(Code::kInvalidArgument,
                fmt::format("a context of {} tokens can't be measured: this model's is {} to {}",
                            n_context, kContextMin, model.config().n_context_train));
  }
  if (options.stride >= n_context) {
    return fail(Code::kInvalidArgument, fmt::format("a stride of {} tokens does not fit a context of {}",
                                                    options.stride, n_context));
  }
  if (n_tokens < 2 * n_context) {
    return fail(Code::kInvalidArgument,
                fmt::format("the text has {} tokens, {} are needed for a context of {}: take a longer "
                            "text or a shorter context",
                            n_tokens, 2 * n_context, n_context));
  }
  Chunks chunks;
  chunks.n_context = static_cast<std::uint32_t>(n_context);
  if (options.stride > 0) {
    chunks.step = options.stride;
    chunks.first_logit = chunks.n_context - options.stride - 1;
    chunks.count = static_cast<std::uint32_t>((n_tokens - n_context + options.stride - 1) / options.stride);
  } else {
    chunks.step = chunks.n_context;
    chunks.first_logit = chunks.n_context / 2;
    chunks.count = static_cast<std::uint32_t>(n_tokens / n_context);
    chunks.starts_with_bos = model.tokenizer().adds_bos() && model.tokenizer().bos().has_value();
  }
  if (options.n_chunks_max > 0) chunks.count = std::min(chunks.count, options.n_chunks_max);
  return chunks;
}

// -log of the softmax of `logits` at `id`; summed in double, since a rare token's share is small.
double surprise(std::span<const float> logits, text::TokenId id) {
  const float max = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += static_cast<double>(std::exp(logit - max));
  return std::log(sum) - static_cast<double>(logits[static_cast<std::size_t>(id)] - max);
}

// Computes chunks one after another in the same memory.
class ChunkRunner {
 public:
  ChunkRunner(const Model& model, const Chunks& chunks, ThreadPool& pool)
      : model_(model), chunks_(chunks), pool_(pool), runner_(model, {}, pool) {}

  Result<> reserve() { return runner_.reserve(chunks_.n_context, kBatchTokens, kScoredTokens); }

  // Writes the surprise of each scored token of a chunk.  `tokens` [n_context + 1 or fewer] begins
  // with the chunk's own.
  void run(std::span<const text::TokenId> tokens, std::span<double> surprises) {
    chunk_.assign(tokens.begin(), tokens.begin() + chunks_.n_context);
    if (chunks_.starts_with_bos) chunk_[0] = *model_.tokenizer().bos();
    for (std::uint32_t at = 0; at < chunks_.first_logit;) {
      const std::uint32_t n = std::min(kBatchTokens, chunks_.first_logit - at);
      runner_.run(std::span(chunk_).subspan(at, n), at, false);
      at += n;
    }
    for (std::uint32_t at = chunks_.first_logit; at + 1 < chunks_.n_context;) {
      const std::uint32_t n = std::min(kScoredTokens, chunks_.n_context - 1 - at);
      runner_.run(std::span(chunk_).subspan(at, n), at, true);
      pool_.run(n, [&](std::uint32_t i) {
        surprises[at - chunks_.first_logit + i] = surprise(runner_.logits(i), tokens[at + i + 1]);
      });
      at += n;
    }
  }

 private:
  const Model& model_;
  const Chunks& chunks_;
  ThreadPool& pool_;
  LogitsRunner runner_;
  std::vector<text::TokenId> chunk_;
};

// Mean surprise so far, and what it says.
struct Score {
  double sum = 0;
  double sum_of_squares = 0;
  std::uint64_t n = 0;

  void add(std::span<const double> surprises) {
    for (const double s : surprises) {
      sum += s;
      sum_of_squares += s * s;
    }
    n += surprises.size();
  }
  double perplexity() const { return std::exp(sum / static_cast<double>(n)); }
  // The mean's standard error, carried over to e^mean.
  double standard_error() const {
    const auto count = static_cast<double>(n);
    const double variance = sum_of_squares / count - (sum / count) * (sum / count);
    return n > 1 && variance > 0 ? std::sqrt(variance / (count - 1)) * perplexity() : 0;
  }
};

}  // namespace

Result<Perplexity> measure_perplexity(const Model& model, std::span<const text::TokenId> tokens,
                                      const PerplexityOptions& options, ThreadPool& pool) {
  HEARTH_TRY(const Chunks chunks, plan_chunks(model, tokens.size(), options));
  ChunkRunner runner(model, chunks, pool);
  HEARTH_TRY_VOID(runner.reserve());

  Score score;
  std::vector<double> surprises(chunks.n_context - 1 - chunks.first_logit);
  for (std::uint32_t i = 0; i < chunks.count; ++i) {
    runner.run(tokens.subspan(std::size_t{i} * chunks.step), surprises);
    score.add(surprises);
    if (!std::isfinite(score.sum)) {
      return fail(Code::kInternal, fmt::format("chunk {} of {} gives logits that are not numbers: check the file",
                                               i + 1, chunks.count));
    }
    if (options.progress && !options.progress(i + 1, chunks.count, score.perplexity())) {
      return fail(Code::kCancelled, fmt::format("stopped after {} of {} chunks", i + 1, chunks.count));
    }
  }
  return Perplexity{score.perplexity(), score.standard_error(), score.n, chunks.count, chunks.n_context};
}

}  // namespace hearth::model
