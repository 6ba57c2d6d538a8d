#include "model/divergence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "model/logits_runner.h"

namespace hearth::model {
namespace {

constexpr std::uint32_t kBatchTokens = 64;

// log of the sum of e^logit, summed in double from the largest on.
double log_sum(std::span<const float> logits) {
  const double max = static_cast<double>(*std::ranges::max_element(logits));
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - max);
  return max + std::log(sum);
}

struct TokenScore {
  double divergence = 0;
  double surprise_reference = 0, surprise = 0;
  bool is_same_choice = false;
};

TokenScore compare(std::span<const float> p, std::span<const float> q, text::TokenId next) {
  const double p_sum = log_sum(p), q_sum = log_sum(q);
  double divergence = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double log_p = static_cast<double>(p[i]) - p_sum;
    divergence += std::exp(log_p) * (log_p - (static_cast<double>(q[i]) - q_sum));
  }
  const auto at = static_cast<std::size_t>(next);
  return {divergence, p_sum - static_cast<double>(p[at]), q_sum - static_cast<double>(q[at]),
          std::ranges::max_element(p) - p.begin() == std::ranges::max_element(q) - q.begin()};
}

struct Sums {
  double divergence = 0, largest = 0, surprise_reference = 0, surprise = 0;
  std::uint32_t n_same = 0, n = 0;

  void add(const TokenScore& score) {
    divergence += score.divergence;
    largest = std::max(largest, score.divergence);
    surprise_reference += score.surprise_reference;
    surprise += score.surprise;
    n_same += score.is_same_choice ? 1 : 0;
    ++n;
  }
  Divergence result() const {
    const double count = n;
    // Equal distributions may round to a little less than 0.
    return {std::max(0.0, divergence / count), largest,    n_same / count,
            std::exp(surprise_reference / count), std::exp(surprise / count), n};
  }
};

}  // namespace

Result<Divergence> measure_divergence(const Adapted& reference, const Adapted& other,
                                      std::span<const text::TokenId> tokens,
                                      const DivergenceOptions& options, ThreadPool& pool) {
  const std::uint32_t n_vocab = reference.model.config().n_vocab;
  if (n_vocab != other.model.config().n_vocab) {
    return fail(Code::kInvalidArgument,
                fmt::format("models of {} and {} tokens can't be compared", n_vocab,
                            other.model.config().n_vocab));
  }
  const auto n_tokens =
      static_cast<std::uint32_t>(std::min<std::size_t>(tokens.size(), options.n_tokens_max));
  if (n_tokens < 2) {
    return fail(Code::kInvalidArgument, "a text of two tokens or more is needed to compare models");
  }
  const std::uint32_t n_context = std::min({options.n_context, n_tokens,
                                            reference.model.config().n_context_train,
                                            other.model.config().n_context_train});
  LogitsRunner first(reference.model, reference.adapters, pool), second(other.model, other.adapters, pool);
  for (LogitsRunner* side : {&first, &second}) {
    HEARTH_TRY_VOID(side->reserve(n_context, kBatchTokens, kBatchTokens));
  }
  Sums sums;
  std::vector<TokenScore> scores(kBatchTokens);
  for (std::uint32_t at = 0; at + 1 < n_tokens;) {
    const std::uint32_t position = at % n_context;
    const std::uint32_t n = std::min({kBatchTokens, n_context - position, n_tokens - 1 - at});
    for (LogitsRunner* side : {&first, &second}) side->run(tokens.subspan(at, n), position, true);
    pool.run(n, [&](std::uint32_t i) {
      scores[i] = compare(first.logits(i), second.logits(i), tokens[at + i + 1]);
    });
    for (std::uint32_t i = 0; i < n; ++i) sums.add(scores[i]);
    at += n;
    if (!std::isfinite(sums.divergence)) {
      return fail(Code::kInternal, "a model gives logits that are not numbers: check its file");
    }
    if (options.progress && !options.progress(at, n_tokens)) {
      return fail(Code::kCancelled, fmt::format("stopped after {} of {} tokens", at, n_tokens));
    }
  }
  return sums.result();
}

}  // namespace hearth::model
