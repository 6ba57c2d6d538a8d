#include "model/logits_runner.h"

#include <fmt/format.h>

#include <new>

namespace hearth::model {

Result<> LogitsRunner::reserve(std::uint32_t n_context, std::uint32_t n_batch, std::uint32_t n_rows) {
  const ModelConfig& config = model_.config();
  if (config.n_logits != config.n_vocab) {
    return fail(Code::kInvalidArgument,
                fmt::format("a model that tells {} classes apart foresees no tokens: nothing can be "
                            "measured over a text",
                            config.n_logits));
  }
  const KvLayout layout = model_.kv_layout();
  const std::size_t n_pages = (n_context + kPageTokens - 1) / kPageTokens;
  try {
    memory_.resize(n_pages * layout.page_bytes());
    state_.resize(layout.state_bytes);
    logits_.resize(std::size_t{n_rows} * config.n_vocab);
  } catch (const std::bad_alloc&) {
    return fail(Code::kOutOfBudget,
                fmt::format("no memory for {} tokens' keys and values and {} rows of logits", n_context, n_rows));
  }
  for (std::size_t i = 0; i < n_pages; ++i) pages_.push_back(memory_.data() + i * layout.page_bytes());
  return scratch_.reserve(model_, n_batch);
}

void LogitsRunner::run(std::span<const text::TokenId> tokens, std::uint32_t position, bool wants_logits) {
  const Segment segment{.tokens = tokens,
                        .position = position,
                        .pages = pages_,
                        .n_logits = wants_logits ? static_cast<std::uint32_t>(tokens.size()) : 0,
                        .logits = wants_logits ? logits_.data() : nullptr,
                        .adapters = adapters_,
                        .state = state_.data()};
  forward(model_, {&segment, 1}, scratch_, pool_);
}

}  // namespace hearth::model
