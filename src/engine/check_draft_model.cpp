// Whether two models speak of the same tokens.
#include <fmt/format.h>

#include <algorithm>

#include "engine/engine.h"

namespace hearth::engine {
namespace {

// Makers fill vocabularies up to sizes that suit their machines.
constexpr std::uint32_t kFillTokensMax = 512;

}  // namespace

Result<> check_draft_model(const model::Model& model, const model::Model& draft) {
  const auto& config = model.config();
  const auto& draft_config = draft.config();
  if (draft.kv_layout().state_bytes > 0) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' can't draft for '{}': its architecture '{}' can't take back what it "
                            "read of a draft that is refused; choose another model of the family",
                            draft_config.name, config.name, draft_config.architecture));
  }
  const std::uint32_t n_common = std::min(config.n_vocab, draft_config.n_vocab);
  if (std::max(config.n_vocab, draft_config.n_vocab) - n_common > kFillTokensMax) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' can't draft for '{}': it has {} tokens and the other {}; choose a "
                            "smaller model of the same family",
                            draft_config.name, config.name, draft_config.n_vocab, config.n_vocab));
  }
  for (std::uint32_t i = 0; i < n_common; ++i) {
    const auto id = static_cast<text::TokenId>(i);
    const std::string ours = model.tokenizer().piece(id, /*special=*/true);
    const std::string theirs = draft.tokenizer().piece(id, /*special=*/true);
    if (ours == theirs) continue;
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' can't draft for '{}': token {} is '{}' to it and '{}' to the other; "
                            "choose a smaller model of the same family",
                            draft_config.name, config.name, i, theirs, ours));
  }
  return {};
}

}  // namespace hearth::engine
