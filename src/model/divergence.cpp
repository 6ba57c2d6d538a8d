#include "model/divergence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <new>
#include <vector>

#include "model/forward.h"

namespace hearth::model {
namespace {

constexpr std::uint32_t kBatchTokens = 64;

// One model's logits of chunk after chunk, in the same memory.
class Side {
 public:
  Side(const Adapted& adapted, ThreadPool& pool) : adapted_(adapted), pool_(pool) {}

  Result<> reserve(std::uint32_t n_context) {
    const KvLayout layout = adapted_.model.kv_layout();
    const std::size_t n_pages = (n_context + kPageTokens - 1) / kPageTokens;
    try {
      memory_.resize(n_pages * layout.page_bytes());
      state_.resize(layout.state_bytes);
      logits_.resize(std::size_t{kBatchTokens} * n_logits());
    } catch (const std::bad_alloc&) {
      return fail(Code::kOutOfBudget,
                  fmt::format("no memory for {} tokens' keys and values and {} rows of logits",
                              n_context, kBatchTokens));
    }
    for (std::size_t i = 0; i < n_pages; ++i) {
      pages_.push_back(memory_.data() + i * layout.page_bytes());
    }
    return scratch_.reserve(adapted_.model, kBatchTokens);
  }

  // The logits of `tokens`, which stand at `position` of their chunk.
  void run(std::span<const text::TokenId> tokens, std::uint32_t position) {
    const Segment segment{.tokens = tokens,
                          .position = position,
                          .pages = pages_,
                          .n_logits = static_cast<std::uint32_t>(tokens.size()),
                          .logits = logits_.data(),
                          .adapters = adapted_.adapters,
                          .state = state_.data()};
    forward(adapted_.model, {&segment, 1}, scratch_, pool_);
  }

  std::span<const float> logits(std::uint32_t row) const {
    return std::span(logits_).subspan(std::size_t{row} * n_logits(), n_logits());
  }

 private:
  std::uint32_t n_logits() const { return adapted_.model.config().n_logits; }

  const Adapted& adapted_;
  ThreadPool& pool_;
  ForwardScratch scratch_;
  std::vector<std::byte> memory_, state_;
  std::vector<std::byte*> pages_;
  std::vector<float> logits_;  // [kBatchTokens, n_logits]
};

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
  const std::uint32_t n_logits = reference.model.config().n_logits;
  if (n_logits != other.model.config().n_logits) {
    return fail(Code::kInvalidArgument,
                fmt::format("models of {} and {} tokens can't be compared", n_logits,
                            other.model.config().n_logits));
  }
  const auto n_tokens =
      static_cast<std::uint32_t>(std::min<std::size_t>(tokens.size(), options.n_tokens_max));
  if (n_tokens < 2) {
    return fail(Code::kInvalidArgument, "a text of two tokens or more is needed to compare models");
  }
  const std::uint32_t n_context = std::min({options.n_context, n_tokens,
                                            reference.model.config().n_context_train,
                                            other.model.config().n_context_train});
  Side first(reference, pool), second(other, pool);
  HEARTH_TRY_VOID(first.reserve(n_context));
  HEARTH_TRY_VOID(second.reserve(n_context));
  Sums sums;
  std::vector<TokenScore> scores(kBatchTokens);
  for (std::uint32_t at = 0; at + 1 < n_tokens;) {
    const std::uint32_t position = at % n_context;
    const std::uint32_t n = std::min({kBatchTokens, n_context - position, n_tokens - 1 - at});
    for (Side* side : {&first, &second}) side->run(tokens.subspan(at, n), position);
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
