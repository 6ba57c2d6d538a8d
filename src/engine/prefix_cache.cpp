#include "engine/prefix_cache.h"

#include <algorithm>

namespace hearth::engine {

PrefixCache::~PrefixCache() {
  while (evict_one()) {
  }
  HEARTH_CHECK(roots_.empty());
}

std::uint32_t PrefixCache::common_length(const Node& node, std::span<const TokenId> tokens) {
  const std::size_t n = std::min<std::size_t>(node.n_tokens, tokens.size());
  const auto end = node.tokens.begin() + static_cast<std::ptrdiff_t>(n);
  const auto [mine, theirs] = std::mismatch(node.tokens.begin(), end, tokens.begin());
  return static_cast<std::uint32_t>(mine - node.tokens.begin());
}

std::uint32_t PrefixCache::first_sibling(std::uint32_t parent, TokenId first) const {
  const auto found = siblings_.find(sibling_key(parent, first));
  return found == siblings_.end() ? kNone : found->second;
}

std::uint32_t PrefixCache::find_child(std::uint32_t parent, std::span<const TokenId> page_tokens,
                                      std::uint64_t adapters) const {
  std::uint32_t node = first_sibling(parent, page_tokens[0]);
  while (node != kNone && (nodes_[node].adapters != adapters ||
                           common_length(nodes_[node], page_tokens) != kPageTokens)) {
    node = nodes_[node].next_sibling;
  }
  return node;
}

// A tail of which `tokens` is a continuation.
std::uint32_t PrefixCache::find_tail(std::uint32_t parent, std::span<const TokenId> tokens,
                                     std::uint64_t adapters) const {
  std::uint32_t node = first_sibling(parent, tokens[0]);
  while (node != kNone && (nodes_[node].adapters != adapters ||
                           nodes_[node].n_tokens == kPageTokens ||
                           common_length(nodes_[node], tokens) != nodes_[node].n_tokens)) {
    node = nodes_[node].next_sibling;
  }
  return node;
}

// Makes sure that a spare node exists.  All that can throw in this class is here, in `enter` and at
// the head of `add_child`, before anything has changed.
void PrefixCache::reserve_node() {
  if (!spare_nodes_.empty()) return;
  if (nodes_.size() == nodes_.capacity()) {
    const std::size_t capacity = std::max<std::size_t>(64, 2 * nodes_.size());
    spare_nodes_.reserve(capacity);  // So that giving nodes back never allocates.
    nodes_.reserve(capacity);
  }
  nodes_.emplace_back();
  spare_nodes_.push_back(static_cast<std::uint32_t>(nodes_.size() - 1));
}

NodeId PrefixCache::enter(const PrefixKey& key) {
  for (const Root& root : roots_) {
    if (root.key == key) {
      ++nodes_[root.node].n_pins;
      return NodeId{root.node};
    }
  }
  reserve_node();
  roots_.push_back({key, spare_nodes_.back()});
  spare_nodes_.pop_back();
  Node& node = nodes_[roots_.back().node];
  node = Node{};
  node.n_pins = 1;
  return NodeId{roots_.back().node};
}

std::optional<NodeId> PrefixCache::descend(NodeId at, std::span<const TokenId> page_tokens,
                                           std::uint64_t adapters) {
  HEARTH_DCHECK(page_tokens.size() == kPageTokens);
  const std::uint32_t child = find_child(index(at), page_tokens, adapters);
  if (child == kNone) return std::nullopt;
  pin(child);
  return NodeId{child};
}

PrefixCache::Overlap PrefixCache::find_overlap(NodeId at, std::span<const TokenId> next,
                                               std::uint64_t adapters) {
  if (next.empty()) return {};
  Overlap best;
  std::uint32_t best_node = kNone;
  for (std::uint32_t node = first_sibling(index(at), next[0]); node != kNone;
       node = nodes_[node].next_sibling) {
    if (nodes_[node].adapters != adapters) continue;
    const std::uint32_t n_tokens = common_length(nodes_[node], next);
    if (n_tokens <= best.n_tokens) continue;
    best = {nodes_[node].page, n_tokens};
    best_node = node;
  }
  if (best_node != kNone && nodes_[best_node].n_pins == 0) {
    unlink(best_node);
    link_newest(best_node);
  }
  return best;
}

PrefixCache::Insertion PrefixCache::insert(NodeId at, std::span<const TokenId> page_tokens,
                                           std::uint64_t adapters, PageId page) {
  HEARTH_DCHECK(page_tokens.size() == kPageTokens);
  std::uint32_t node = find_child(index(at), page_tokens, adapters);
  if (node == kNone) {
    node = add_child(index(at), page_tokens, adapters, page);
    // A tail that this page continues has nothing left to offer.
    const std::uint32_t tail = find_tail(index(at), page_tokens, adapters);
    if (tail != kNone) remove_leaf(tail);
  }
  pin(node);
  return {NodeId{node}, nodes_[node].page};
}

void PrefixCache::insert_tail(NodeId at, std::span<const TokenId> tokens, std::uint64_t adapters,
                              PageId page) {
  HEARTH_DCHECK(!tokens.empty() && tokens.size() < kPageTokens);
  if (find_overlap(at, tokens, adapters).n_tokens == tokens.size()) return;
  const std::uint32_t shorter = find_tail(index(at), tokens, adapters);
  add_child(index(at), tokens, adapters, page);
  if (shorter != kNone) remove_leaf(shorter);
}

// Adds an unpinned child, the newest of all.
std::uint32_t PrefixCache::add_child(std::uint32_t parent, std::span<const TokenId> tokens,
                                     std::uint64_t adapters, PageId page) {
  reserve_node();
  auto& first = siblings_.try_emplace(sibling_key(parent, tokens[0]), kNone).first->second;

  const std::uint32_t child = spare_nodes_.back();
  spare_nodes_.pop_back();
  Node& node = nodes_[child];
  node = Node{};
  node.parent = parent;
  node.next_sibling = first;
  node.n_tokens = static_cast<std::uint32_t>(tokens.size());
  node.adapters = adapters;
  node.page = page;
  std::copy(tokens.begin(), tokens.end(), node.tokens.begin());
  first = child;
  ++nodes_[parent].n_children;
  pool_.share(page);
  link_newest(child);
  return child;
}

void PrefixCache::remove_leaf(std::uint32_t node) {
  const Node& gone = nodes_[node];
  HEARTH_CHECK(gone.n_children == 0 && gone.n_pins == 0);
  unlink(node);

  const auto head = siblings_.find(sibling_key(gone.parent, gone.tokens[0]));
  std::uint32_t* link = &head->second;
  while (*link != node) link = &nodes_[*link].next_sibling;
  *link = gone.next_sibling;
  if (head->second == kNone) siblings_.erase(head);

  pool_.release(gone.page);
  --nodes_[gone.parent].n_children;
  spare_nodes_.push_back(node);
  remove_root_if_bare(gone.parent);
}

void PrefixCache::remove_root_if_bare(std::uint32_t node) {
  const Node& root = nodes_[node];
  if (root.parent != kNone || root.n_children > 0 || root.n_pins > 0) return;
  std::erase_if(roots_, [&](const Root& r) { return r.node == node; });
  spare_nodes_.push_back(node);
}

void PrefixCache::pin(std::uint32_t node) {
  if (nodes_[node].n_pins++ == 0) unlink(node);
}

void PrefixCache::leave(NodeId at) {
  std::uint32_t node = index(at);
  for (;;) {
    HEARTH_CHECK(nodes_[node].n_pins > 0);
    const std::uint32_t parent = nodes_[node].parent;
    const bool is_free = --nodes_[node].n_pins == 0;
    if (parent == kNone) break;
    if (is_free) link_newest(node);
    node = parent;
  }
  remove_root_if_bare(node);
}

bool PrefixCache::evict_one() {
  if (oldest_ == kNone) return false;
  remove_leaf(oldest_);
  return true;
}

bool PrefixCache::make_room(PageClass page_class, std::uint64_t n_pages) {
  std::uint64_t n_free = pool_.available_pages(page_class);
  if (n_free >= n_pages) return true;
  // Cut to whole slabs it may be less, but never more than this can be had.
  const std::uint64_t bytes_held = pool_.bytes_used() - bytes_cached_;
  if ((pool_.bytes_max() - bytes_held) / pool_.page_bytes(page_class) < n_pages) return false;
  while (n_free < n_pages && evict_one()) n_free = pool_.available_pages(page_class);
  return n_free >= n_pages;
}

void PrefixCache::link_newest(std::uint32_t node) {
  nodes_[node].newer = kNone;
  nodes_[node].older = newest_;
  (newest_ == kNone ? oldest_ : nodes_[newest_].newer) = node;
  newest_ = node;
  ++pages_cached_;
  bytes_cached_ += pool_.page_bytes(pool_.class_of(nodes_[node].page));
}

void PrefixCache::unlink(std::uint32_t node) {
  const Node& n = nodes_[node];
  (n.newer == kNone ? newest_ : nodes_[n.newer].older) = n.older;
  (n.older == kNone ? oldest_ : nodes_[n.older].newer) = n.newer;
  --pages_cached_;
  bytes_cached_ -= pool_.page_bytes(pool_.class_of(n.page));
}

}  // namespace hearth::engine
