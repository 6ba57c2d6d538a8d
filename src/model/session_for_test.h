// One session's pages and position, for tests and measurements of the forward pass.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "model/forward.h"

namespace hearth::model {

class SessionForTest {
 public:
  explicit SessionForTest(const Model& model, unsigned n_threads = 2,
                          std::uint32_t n_tokens_max = 64)
      : model_(model), pool_(n_threads) {
    HEARTH_CHECK(scratch_.reserve(model, n_tokens_max));
    state_.assign(model.kv_layout().state_bytes, std::byte{0x7F});
  }

  // A segment that continues this session; its pages are added.
  Segment segment(std::span<const text::TokenId> tokens, std::uint32_t n_logits, float* logits) {
    const std::uint32_t start = position_;
    position_ += static_cast<std::uint32_t>(tokens.size());
    while (pages_.size() * kPageTokens < position_) {
      // Garbage, as in a pool: what is read before it is written shows.
      storage_.emplace_back(model_.kv_layout().page_bytes(), std::byte{0x7F});
      pages_.push_back(storage_.back().data());
    }
    return {.tokens = tokens,
            .position = start,
            .pages = pages_,
            .n_logits = n_logits,
            .logits = logits,
            .state = state_.empty() ? nullptr : state_.data()};
  }

  void forward_batch(std::span<const Segment> batch) { forward(model_, batch, scratch_, pool_); }

  // Runs `tokens` as one batch; the logits of all of them, [n_tokens, n_vocab].
  std::vector<float> run(std::span<const text::TokenId> tokens,
                         std::span<const AdapterUse> adapters = {}) {
    std::vector<float> logits(tokens.size() * model_.config().n_vocab);
    Segment one = segment(tokens, static_cast<std::uint32_t>(tokens.size()), logits.data());
    one.adapters = adapters;
    forward_batch(std::span(&one, 1));
    return logits;
  }

  std::uint32_t position() const { return position_; }
  // Forgets the tokens from `position` on.
  void go_back(std::uint32_t position) { position_ = position; }

 private:
  const Model& model_;
  ThreadPool pool_;
  ForwardScratch scratch_;
  std::uint32_t position_ = 0;
  std::vector<std::vector<std::byte>> storage_;
  std::vector<std::byte*> pages_;
  std::vector<std::byte> state_;
};

}  // namespace hearth::model
