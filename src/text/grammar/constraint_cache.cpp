#include "text/grammar/constraint_cache.h"

#include <algorithm>
#include <utility>

namespace hearth::text::grammar {

std::shared_ptr<Constraint> ConstraintCache::get(GrammarPtr grammar) {
  const std::lock_guard lock(mutex_);
  const auto known = std::ranges::find_if(constraints_, [&](const auto& constraint) {
    return constraint->grammar().key == grammar->key;
  });
  if (known != constraints_.end()) {
    constraints_.splice(constraints_.begin(), constraints_, known);
    return constraints_.front();
  }
  if (lexicon_ == nullptr) lexicon_ = Lexicon::create(tokenizer_);
  constraints_.push_front(std::make_shared<Constraint>(std::move(grammar), lexicon_));
  if (constraints_.size() > kConstraintsMax) constraints_.pop_back();
  return constraints_.front();
}

}  // namespace hearth::text::grammar
