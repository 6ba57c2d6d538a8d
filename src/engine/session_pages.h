// The pages of one session: a path in the prefix cache, then pages of its own.
//
//   pages   [ c c c c | o o o ]       c: whole pages, shared with the cache and pinned there
//   tokens  [ . . . . | . . ]         o: this session's alone, the only ones that are written
//
// `open` takes everything that the prompt needs at once, so a session that runs never
// waits for pages in the middle of its prompt; while it generates it grows page by page.
// As soon as a page of its own is full, `publish` moves the border.
//
// A model whose layout has a state (model/kv_layout.h) keeps what it read of a text in one place
// that each token changes: no page of it can serve another session, and no token can be taken back.
// Its sessions have pages and a state of their own and leave nothing in the cache; one that was
// preempted reads its text again from the beginning.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/adapter_mix.h"
#include "engine/kv_page_pool.h"
#include "engine/prefix_cache.h"

namespace hearth::engine {

// Threading: externally synchronised, with its pool and cache, which must outlive it.
class SessionPages {
 public:
  // `cache` may be null: then all pages are the session's own and nothing is remembered.
  SessionPages(KvPagePool& pool, PrefixCache* cache, const PrefixKey& key, AdapterMix adapters = {});
  ~SessionPages();  // Closed before, or never opened.
  SessionPages(const SessionPages&) = delete;
  SessionPages& operator=(const SessionPages&) = delete;

  // Finds the longest known prefix of `tokens`, short of the last one unless the caller knows its
  // logits, and takes pages for the rest, dropping cached ones if need be, so that `headroom_pages` more could be
  // had.  Returns how many tokens need no computing.  kOutOfBudget changes nothing but the cache.
  Result<std::uint32_t> open(std::span<const TokenId> tokens, std::uint32_t headroom_pages,
                             bool knows_logits = false);

  // Takes over whole pages that other sessions computed since; returns how many tokens need no
  // computing now, at least `n_computed`.
  std::uint32_t adopt(std::span<const TokenId> tokens, std::uint32_t n_computed);

  // Makes sure that n_tokens have pages.  kOutOfBudget if none can be had without preempting.
  Result<> grow(std::uint32_t n_tokens);

  // Shares the pages that are full now: the first n_computed of `tokens` have keys and values.
  void publish(std::span<const TokenId> tokens, std::uint32_t n_computed);

  // Gives everything back; what was computed stays in the cache while memory lasts.
  void close(std::span<const TokenId> tokens, std::uint32_t n_computed);

  bool is_open() const { return is_open_; }
  // Whether it finds others' pages and leaves its own to them.
  bool shares() const { return cache_ != nullptr; }
  // Null for models without; else [KvLayout::state_bytes], valid while open.
  std::byte* state() const { return state_address_; }
  std::span<std::byte* const> addresses() const { return addresses_; }
  std::span<const PageId> page_ids() const { return pages_; }
  const PrefixKey& key() const { return key_; }
  const AdapterMix& adapters() const { return adapters_; }
  std::uint32_t n_pages() const { return static_cast<std::uint32_t>(pages_.size()); }
  std::uint32_t n_shared_pages() const { return n_shared_; }
  // Where in the cache the shared part ends; meaningful while open and cached.
  NodeId cursor() const { return cursor_; }

 private:
  // What changed the keys and values of page `i`.
  std::uint64_t adapters_of(std::uint32_t i) const {
    return adapters_.key_before((i + 1) * model::kPageTokens);
  }
  std::uint32_t match_whole_pages(std::span<const TokenId> wanted);
  PrefixCache::Overlap find_overlap(std::span<const TokenId> next, std::uint32_t begin);
  Result<std::uint32_t> take_rest(std::span<const TokenId> tokens, std::span<const TokenId> wanted,
                                  std::uint32_t headroom_pages);
  bool make_room(PageClass page_class, std::uint64_t n_pages);
  void append(PageId page);
  void replace(std::uint32_t i, PageId page);
  void drop_all();

  Result<> take_state();

  KvPagePool& pool_;
  PrefixCache* const evictable_;  // Gives way when pages are short.
  PrefixCache* const cache_;      // The same, or null where nothing is shared.
  PrefixKey key_;
  AdapterMix adapters_;
  bool is_open_ = false;
  NodeId cursor_{};
  std::uint32_t n_shared_ = 0;
  std::vector<PageId> pages_;
  std::vector<std::byte*> addresses_;  // Of pages_.
  std::optional<PageId> state_;
  std::byte* state_address_ = nullptr;
};

// Pages that n_tokens take.
constexpr std::uint32_t pages_for(std::uint32_t n_tokens) {
  return n_tokens / model::kPageTokens + (n_tokens % model::kPageTokens != 0 ? 1 : 0);
}

}  // namespace hearth::engine
