// Pages of prompts and answers that were computed before, found again by their tokens.
//
// Shape: a tree for each PrefixKey.  An edge is one page's tokens and the adapters that had
// changed them (AdapterMix::key_before; 0: none), a node owns that page, and a path from the root spells a prefix.  Only whole pages continue a path;
// a session that ends inside a page leaves that page as a *tail*, a leaf with fewer
// tokens.  A session that wants part of a page (a tail, or a page that diverges in its
// middle) copies it and writes on.
//
// Rejected: one hash of the whole prefix per page.  It finds equal pages as fast, but
// can't find the longest common part of a diverging page, and a collision would hand
// one user the keys of another; here tokens are compared, hashes only narrow the search.
//
// Life of a node: a session *pins* the nodes on its path; pinned nodes stay.  What no
// session pins is cached, in one list by last use over all trees, and `evict_one` drops
// the oldest.  A parent is always fresher in that list than its children (a session
// that leaves touches its path from the leaf to the root), so the oldest is a leaf.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/kv_page_pool.h"
#include "model/kv_layout.h"
#include "text/tokenizer.h"

namespace hearth::engine {

using text::TokenId;

// Everything besides the tokens and the adapters that changes keys and values.
struct PrefixKey {
  std::uint64_t model_identity = 0;  // Weights and settings, rotary ones among them.
  model::KvLayout layout;

  bool operator==(const PrefixKey&) const = default;
};

// A place in a tree: the prefix that ends with this node's page.
enum class NodeId : std::uint32_t {};

// Threading: externally synchronised, with its pool.
class PrefixCache {
 public:
  // `pool` must outlive the cache.
  explicit PrefixCache(KvPagePool& pool) : pool_(pool) {}
  ~PrefixCache();  // Gives all pages back; no path may be pinned.
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  // The empty prefix of `key`, pinned; each enter is matched by one leave.
  NodeId enter(const PrefixKey& key);

  // The prefix at `at` and the next kPageTokens tokens under `adapters`, if it is known; pinned.
  std::optional<NodeId> descend(NodeId at, std::span<const TokenId> page_tokens,
                                std::uint64_t adapters);

  // The page among those that follow `at` under `adapters` whose tokens begin most like `next`, and how many of them
  // it shares; 0 tokens if none.  Counts as a use.  The page is not pinned: share it at once.
  struct Overlap {
    PageId page{};
    std::uint32_t n_tokens = 0;
  };
  Overlap find_overlap(NodeId at, std::span<const TokenId> next, std::uint64_t adapters);

  // Remembers `page` as what follows `at` with kPageTokens tokens under `adapters`, and pins the new
  // place.  The cache takes its own share.  If these tokens were known already, that place is pinned instead and its
  // page returned: the caller should drop its own and share that one.
  struct Insertion {
    NodeId node{};
    PageId page{};
  };
  Insertion insert(NodeId at, std::span<const TokenId> page_tokens, std::uint64_t adapters,
                   PageId page);

  // Remembers the last, unfinished page of a session (1 to kPageTokens - 1 tokens), unless the cache
  // knows as much already.  The cache takes its own share.
  void insert_tail(NodeId at, std::span<const TokenId> tokens, std::uint64_t adapters, PageId page);

  // Unpins the path that ends at `at`.
  void leave(NodeId at);

  // Drops the page that was not used for the longest time; false if no page is cached alone.
  bool evict_one();

  // Drops cached pages until n_pages of the class are free in the pool; false, and nothing is dropped,
  // where even an empty cache would not do.
  bool make_room(PageClass page_class, std::uint64_t n_pages);

  PageId page(NodeId node) const { return nodes_[index(node)].page; }
  std::uint64_t pages_cached() const { return pages_cached_; }  // By the cache alone.
  std::uint64_t bytes_cached() const { return bytes_cached_; }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  static constexpr std::uint32_t kPageTokens = model::kPageTokens;

  struct Node {
    std::uint32_t parent = kNone;        // kNone: a root.
    std::uint32_t next_sibling = kNone;  // Same parent and same first token.
    std::uint32_t n_children = 0;
    std::uint32_t n_pins = 0;
    std::uint32_t n_tokens = 0;
    std::uint64_t adapters = 0;          // Under which the page was computed.
    PageId page{};                       // Of all but roots.
    std::uint32_t newer = kNone;         // In the list by last use, while unpinned.
    std::uint32_t older = kNone;
    std::array<TokenId, kPageTokens> tokens;
  };
  struct Root {
    PrefixKey key;
    std::uint32_t node;
  };

  static std::uint32_t index(NodeId node) { return static_cast<std::uint32_t>(node); }
  static std::uint64_t sibling_key(std::uint32_t parent, TokenId first) {
    return (std::uint64_t{parent} << 32) | static_cast<std::uint32_t>(first);
  }
  static std::uint32_t common_length(const Node& node, std::span<const TokenId> tokens);

  std::uint32_t first_sibling(std::uint32_t parent, TokenId first) const;
  std::uint32_t find_child(std::uint32_t parent, std::span<const TokenId> page_tokens,
                           std::uint64_t adapters) const;
  std::uint32_t find_tail(std::uint32_t parent, std::span<const TokenId> tokens,
                          std::uint64_t adapters) const;
  void reserve_node();
  std::uint32_t add_child(std::uint32_t parent, std::span<const TokenId> tokens,
                          std::uint64_t adapters, PageId page);
  void remove_leaf(std::uint32_t node);
  void remove_root_if_bare(std::uint32_t node);
  void pin(std::uint32_t node);
  void link_newest(std::uint32_t node);
  void unlink(std::uint32_t node);

  KvPagePool& pool_;
  std::vector<Node> nodes_;
  std::vector<std::uint32_t> spare_nodes_;
  std::vector<Root> roots_;  // One per model in use: short, searched in order.
  // (parent, first token) to the first of the siblings that begin so.
  std::unordered_map<std::uint64_t, std::uint32_t> siblings_;
  std::uint32_t newest_ = kNone;
  std::uint32_t oldest_ = kNone;
  std::uint64_t pages_cached_ = 0;
  std::uint64_t bytes_cached_ = 0;
};

}  // namespace hearth::engine
