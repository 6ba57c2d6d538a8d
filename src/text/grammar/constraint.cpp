#include "text/grammar/constraint.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "text/grammar/mask_cache.h"

namespace hearth::text::grammar {
namespace {

std::unexpected<Error> too_ambiguous() {
  return fail(Code::kInvalidArgument,
              fmt::format("the grammar can be read in more than {} ways at once, or takes too long "
                          "to follow: make it less ambiguous",
                          kStacksMax));
}

}  // namespace

Constraint::Constraint(GrammarPtr grammar, std::shared_ptr<const Lexicon> lexicon,
                       std::size_t cache_bytes_max)
    : grammar_(std::move(grammar)),
      lexicon_(std::move(lexicon)),
      cache_bytes_max_(cache_bytes_max),
      cache_(std::make_shared<MaskCache>(grammar_->automaton, *lexicon_)) {}

Constraint::~Constraint() = default;

// The cache to work with instead of `old`: the same while there is room in it.  The mutex is held.
std::shared_ptr<MaskCache> Constraint::current(const std::shared_ptr<MaskCache>& old) {
  if (old->bytes_used() <= cache_bytes_max_) return old;
  if (cache_->bytes_used() > cache_bytes_max_) {
    cache_ = std::make_shared<MaskCache>(grammar_->automaton, *lexicon_);
  }
  return cache_;
}

Matcher::Matcher(std::shared_ptr<Constraint> constraint) : constraint_(std::move(constraint)) {
  const std::lock_guard lock(constraint_->mutex_);
  cache_ = constraint_->current(constraint_->cache_);
  set_ = cache_->stacks().start();
}

std::size_t Matcher::mask_words() const { return constraint_->lexicon().mask_words(); }

Result<> Matcher::fill_mask(std::span<std::uint64_t> mask) {
  const std::lock_guard lock(constraint_->mutex_);
  if (auto cache = constraint_->current(cache_); cache != cache_) {
    set_ = cache->stacks().adopt(cache_->stacks(), set_);
    cache_ = std::move(cache);
  }
  if (!cache_->fill(set_, mask, kVisitsPerMaskMax)) {
    return too_ambiguous();
  }
  if (cache_->stacks().has(set_, kEndFrame)) {
    for (const TokenId id : constraint_->lexicon().end_tokens()) {
      const auto bit = static_cast<std::size_t>(id);
      mask[bit / 64] |= std::uint64_t{1} << (bit % 64);
    }
  }
  if (std::ranges::any_of(mask, [](std::uint64_t word) { return word != 0; })) return {};
  return fail(Code::kInvalidArgument,
              "no token of the model's vocabulary continues the answer within its grammar: the "
              "vocabulary can't spell what the grammar asks for");
}

Result<> Matcher::accept(TokenId id) {
  const std::string_view bytes = constraint_->lexicon().piece(id);
  const std::lock_guard lock(constraint_->mutex_);
  for (const char byte : bytes) {
    set_ = cache_->stacks().step(set_, static_cast<std::uint8_t>(byte));
  }
  if (set_ == kOverflowSet) return too_ambiguous();
  if (!bytes.empty() && set_ != kDeadSet) return {};
  set_ = kDeadSet;
  return fail(Code::kInternal, fmt::format("the grammar does not allow token {} here", id));
}

bool Matcher::can_end() const {
  const std::lock_guard lock(constraint_->mutex_);
  return cache_->stacks().has(set_, kEndFrame);
}

bool Matcher::is_complete() const {
  const std::lock_guard lock(constraint_->mutex_);
  const auto frames = cache_->stacks().frames_of(set_);
  return frames.size() == 1 && frames[0] == kEndFrame;
}

}  // namespace hearth::text::grammar
