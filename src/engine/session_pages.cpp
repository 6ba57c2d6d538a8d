#include "engine/session_pages.h"

#include <algorithm>
#include <new>

namespace hearth::engine {
namespace {

constexpr std::uint32_t kPageTokens = model::kPageTokens;

// The tokens of page `i`.
std::span<const TokenId> page_tokens(std::span<const TokenId> tokens, std::uint32_t i) {
  return tokens.subspan(std::size_t{i} * kPageTokens, kPageTokens);
}

}  // namespace

SessionPages::SessionPages(KvPagePool& pool, PrefixCache* cache, const PrefixKey& key,
                           AdapterMix adapters)
    : pool_(pool),
      evictable_(cache),
      cache_(key.layout.state_bytes > 0 ? nullptr : cache),
      key_(key),
      adapters_(std::move(adapters)) {}

SessionPages::~SessionPages() { HEARTH_DCHECK(!is_open_); }

void SessionPages::append(PageId page) {
  pages_.push_back(page);
  addresses_.push_back(pool_.bytes(page).data());
}

void SessionPages::replace(std::uint32_t i, PageId page) {
  pool_.share(page);
  pool_.release(pages_[i]);
  pages_[i] = page;
  addresses_[i] = pool_.bytes(page).data();
}

void SessionPages::drop_all() {
  for (const PageId page : pages_) pool_.release(page);
  pages_.clear();
  addresses_.clear();
  n_shared_ = 0;
  if (state_) pool_.release(*state_);
  state_.reset();
  state_address_ = nullptr;
  if (cache_ != nullptr) cache_->leave(cursor_);
  is_open_ = false;
}

bool SessionPages::make_room(PageClass page_class, std::uint64_t n_pages) {
  if (evictable_ != nullptr) return evictable_->make_room(page_class, n_pages);
  return pool_.available_pages(page_class) >= n_pages;
}

Result<std::uint32_t> SessionPages::open(std::span<const TokenId> tokens,
                                         std::uint32_t headroom_pages, bool knows_logits) {
  HEARTH_DCHECK(!is_open_ && !tokens.empty());
  // Reserved first, so that nothing below can throw with pages in hand.
  pages_.reserve(pages_for(static_cast<std::uint32_t>(tokens.size())) + 1);
  addresses_.reserve(pages_.capacity());
  if (cache_ != nullptr) cursor_ = cache_->enter(key_);
  is_open_ = true;
  auto n_known = take_rest(tokens, knows_logits ? tokens : tokens.first(tokens.size() - 1),
                           headroom_pages);
  if (n_known) {
    if (auto taken = take_state(); !taken) n_known = std::unexpected(std::move(taken).error());
  }
  if (!n_known) drop_all();
  return n_known;
}

Result<> SessionPages::take_state() {
  if (key_.layout.state_bytes == 0) return {};
  HEARTH_TRY(const PageClass page_class, pool_.page_class(key_.layout.state_bytes));
  if (!make_room(page_class, 1)) return fail(Code::kOutOfBudget, "KV pages are short");
  PageId page{};
  HEARTH_TRY_VOID(pool_.acquire(page_class, std::span(&page, 1)));
  state_ = page;
  state_address_ = pool_.bytes(page).data();
  return {};
}

// Walks down the cache as far as whole pages match; returns their number.
std::uint32_t SessionPages::match_whole_pages(std::span<const TokenId> wanted) {
  if (cache_ == nullptr) return 0;
  while (std::size_t{n_shared_ + 1} * kPageTokens <= wanted.size()) {
    const auto next =
        cache_->descend(cursor_, page_tokens(wanted, n_shared_), adapters_of(n_shared_));
    if (!next) break;
    cursor_ = *next;
    pool_.share(cache_->page(cursor_));
    append(cache_->page(cursor_));
    ++n_shared_;
  }
  return n_shared_;
}

// The cached page that begins most like `next`, the tokens from position `begin` on.  Where an
// adapter begins within the page, one that was computed without it serves up to there.
PrefixCache::Overlap SessionPages::find_overlap(std::span<const TokenId> next,
                                                std::uint32_t begin) {
  next = next.first(std::min<std::size_t>(next.size(), kPageTokens));
  const auto end = begin + static_cast<std::uint32_t>(next.size());
  const auto whole = cache_->find_overlap(cursor_, next, adapters_.key_before(end));
  const std::uint32_t change = adapters_.next_change(begin, end);
  if (change == end) return whole;
  const auto part =
      cache_->find_overlap(cursor_, next.first(change - begin), adapters_.key_before(change));
  return part.n_tokens > whole.n_tokens ? part : whole;
}

// `wanted` is what of the tokens the cache may serve.
Result<std::uint32_t> SessionPages::take_rest(std::span<const TokenId> tokens,
                                              std::span<const TokenId> wanted,
                                              std::uint32_t headroom_pages) {
  HEARTH_TRY(const PageClass page_class, pool_.page_class(key_.layout.page_bytes()));
  const std::uint32_t n_whole = match_whole_pages(wanted);
  std::uint32_t n_known = n_whole * kPageTokens;

  // A page that begins like ours is held while room is made, and then copied.
  if (cache_ != nullptr) {
    const auto overlap = find_overlap(wanted.subspan(n_known), n_known);
    if (overlap.n_tokens > 0) {
      pool_.share(overlap.page);
      append(overlap.page);
      n_known += overlap.n_tokens;
    }
  }

  const std::uint32_t n_pages = pages_for(static_cast<std::uint32_t>(tokens.size()));
  const std::uint32_t n_wanted = n_pages - n_whole;
  if (!make_room(page_class, std::uint64_t{n_wanted} + headroom_pages)) {
    return fail(Code::kOutOfBudget, "KV pages are short");
  }
  if (pages_.size() > n_whole) {
    HEARTH_TRY(pages_.back(), pool_.make_writable(pages_.back()));
    addresses_.back() = pool_.bytes(pages_.back()).data();
  }
  while (pages_.size() < n_pages) {
    PageId page{};
    HEARTH_TRY_VOID(pool_.acquire(page_class, std::span(&page, 1)));
    append(page);
  }
  return n_known;
}

std::uint32_t SessionPages::adopt(std::span<const TokenId> tokens, std::uint32_t n_computed) {
  if (cache_ == nullptr) return n_computed;
  while (std::size_t{n_shared_ + 1} * kPageTokens < tokens.size()) {
    const auto next =
        cache_->descend(cursor_, page_tokens(tokens, n_shared_), adapters_of(n_shared_));
    if (!next) break;
    cursor_ = *next;
    replace(n_shared_, cache_->page(cursor_));
    ++n_shared_;
  }
  return std::max(n_computed, n_shared_ * kPageTokens);
}

Result<> SessionPages::grow(std::uint32_t n_tokens) {
  const std::uint32_t n_pages = pages_for(n_tokens);
  if (pages_.size() >= n_pages) return {};
  if (pages_.capacity() < n_pages) pages_.reserve(std::max<std::size_t>(n_pages, 2 * pages_.size()));
  addresses_.reserve(pages_.capacity());
  HEARTH_TRY(const PageClass page_class, pool_.page_class(key_.layout.page_bytes()));
  if (!make_room(page_class, n_pages - pages_.size())) {
    return fail(Code::kOutOfBudget, "KV pages are short");
  }
  while (pages_.size() < n_pages) {
    PageId page{};
    HEARTH_TRY_VOID(pool_.acquire(page_class, std::span(&page, 1)));
    append(page);
  }
  return {};
}

void SessionPages::publish(std::span<const TokenId> tokens, std::uint32_t n_computed) {
  if (cache_ == nullptr) return;
  while ((n_shared_ + 1) * kPageTokens <= n_computed) {
    const auto [node, page] =
        cache_->insert(cursor_, page_tokens(tokens, n_shared_), adapters_of(n_shared_),
                       pages_[n_shared_]);
    cursor_ = node;
    // Another session was first: its page serves both.
    if (page != pages_[n_shared_]) replace(n_shared_, page);
    ++n_shared_;
  }
}

void SessionPages::close(std::span<const TokenId> tokens, std::uint32_t n_computed) {
  if (!is_open_) return;
  const std::uint32_t begin = n_shared_ * kPageTokens;
  if (cache_ != nullptr && n_computed > begin) {
    // More than a tail only if `publish` ran out of memory.
    const std::uint32_t n_tail = std::min(n_computed - begin, kPageTokens - 1);
    try {
      cache_->insert_tail(cursor_, tokens.subspan(begin, n_tail),
                          adapters_.key_before(begin + n_tail), pages_[n_shared_]);
    } catch (const std::bad_alloc&) {
      // A tail that is not remembered is computed again: slower, never wrong.
    }
  }
  drop_all();
}

}  // namespace hearth::engine
