#include "text/grammar/mask_cache.h"

#include <algorithm>

namespace hearth::text::grammar {

MaskCache::MaskCache(const Automaton& automaton, const Lexicon& lexicon)
    : lexicon_(lexicon),
      stacks_(automaton),
      path_(kTokenBytesMax + 1),
      has_left_(kTokenBytesMax + 1) {}

bool MaskCache::fill(SetId set, std::span<std::uint64_t> mask, std::uint64_t n_visits_max) {
  const auto known = whole_masks_.find(set);
  if (known != whole_masks_.end()) {
    std::ranges::copy(known->second, mask.begin());
    return true;
  }
  visits_end_ = stacks_.n_visited() + n_visits_max;
  std::ranges::fill(mask, 0);
  // A copy: stepping makes new sets.
  const auto frames = stacks_.frames_of(set);
  const std::vector<FrameId> tops(frames.begin(), frames.end());
  for (const FrameId top : tops) {
    if (top == kEndFrame) continue;
    const TopMask& own = top_mask(top);
    if (own.is_overflow) return false;
    add(own, mask);
  }
  for (const FrameId top : tops) {
    if (top != kEndFrame && !decide(set, top_mask(top), mask)) return false;
  }
  whole_masks_.emplace(set, std::vector(mask.begin(), mask.end()));
  mask_bytes_ += mask.size_bytes() + sizeof(SetId);
  return true;
}

const MaskCache::TopMask& MaskCache::top_mask(FrameId top) {
  const FrameId local = local_frame(top);
  const auto known = masks_.find(local);
  if (known != masks_.end()) return known->second;
  TopMask made = compute(local);
  pack(made);
  mask_bytes_ += sizeof(TopMask) + (made.accepted.size() + made.undecided.size()) * sizeof(Run) +
                 made.accepted_bits.size() * sizeof(std::uint64_t);
  return masks_.emplace(local, std::move(made)).first->second;
}

// The same state over an unknown context; a loop above which it stands belongs to it.
FrameId MaskCache::local_frame(FrameId top) {
  const Frame frame = stacks_.frame(top);
  const Frame parent = stacks_.frame(frame.parent);
  const bool is_in_loop = frame.parent > kContextFrame && (parent.state & kLoopBit) != 0;
  if (!is_in_loop) return stacks_.intern({frame.state, frame.count, kContextFrame});
  const Loop& loop = stacks_.automaton().loops[parent.state & ~kLoopBit];
  const FrameId round =
      stacks_.intern({parent.state, canonical_count(loop, parent.count), kContextFrame});
  return stacks_.intern({frame.state, frame.count, round});
}

// A round reads at least one byte, so a bound that is further away than the longest token is not
// met within it, however far it is.
std::uint32_t MaskCache::canonical_count(const Loop& loop, std::uint32_t count) const {
  const std::uint32_t reach = lexicon_.token_bytes_max() + 1;
  const bool is_max_near = loop.max != kUnbounded && loop.max - count <= reach;
  if (is_max_near) return count;
  if (count >= loop.min) return loop.min;
  return loop.min - count <= reach ? count : 0;
}

// One walk over the trie.
MaskCache::TopMask MaskCache::compute(FrameId local) {
  TopMask mask;
  const std::span<const Lexicon::Node> nodes = lexicon_.nodes();
  const auto append = [](std::vector<Run>& runs, Run run) {
    if (run.begin == run.end) return;
    if (!runs.empty() && runs.back().end == run.begin)
      runs.back().end = run.end;
    else
      runs.push_back(run);
  };
  path_[0] = stacks_.set_of({local});
  has_left_[0] = false;
  for (std::size_t i = 1; i + 1 < nodes.size();) {
    const Lexicon::Node& node = nodes[i];
    const std::size_t depth = node.depth;
    const SetId set = stacks_.step(path_[depth - 1], node.byte);
    if (set == kOverflowSet || is_spent()) {
      mask.is_overflow = true;
      return mask;
    }
    if (set == kDeadSet) {
      const Run below{node.first_token, nodes[node.subtree_end].first_token};
      if (has_left_[depth - 1]) append(mask.undecided, below);
      i = node.subtree_end;
      continue;
    }
    append(mask.accepted, {node.first_token, nodes[i + 1].first_token});
    path_[depth] = set;
    has_left_[depth] = has_left_[depth - 1] || stacks_.has(set, kContextFrame);
    ++i;
  }
  return mask;
}

// Runs of many tokens become bits by id: adding those is a loop over words.
void MaskCache::pack(TopMask& mask) {
  std::size_t n_tokens = 0;
  for (const Run& run : mask.accepted) n_tokens += run.end - run.begin;
  if (n_tokens < lexicon_.mask_words()) return;
  mask.accepted_bits.resize(lexicon_.mask_words());
  for (const Run& run : mask.accepted) set_bits(run, mask.accepted_bits);
  mask.accepted = {};
}

void MaskCache::set_bits(Run run, std::span<std::uint64_t> mask) const {
  for (std::uint32_t i = run.begin; i < run.end; ++i) {
    const auto id = static_cast<std::size_t>(lexicon_.order()[i]);
    mask[id / 64] |= std::uint64_t{1} << (id % 64);
  }
}

void MaskCache::add(const TopMask& top, std::span<std::uint64_t> mask) const {
  for (std::size_t i = 0; i < top.accepted_bits.size(); ++i) mask[i] |= top.accepted_bits[i];
  for (const Run& run : top.accepted) set_bits(run, mask);
}

// Tries the undecided tokens of one top frame against the whole set.  Neighbours in the lexicon's
// order begin alike, so only the bytes that differ are stepped.
bool MaskCache::decide(SetId set, const TopMask& top, std::span<std::uint64_t> mask) {
  path_[0] = set;
  std::string_view last;
  for (const Run& run : top.undecided) {
    for (std::uint32_t i = run.begin; i < run.end; ++i) {
      const std::string_view bytes = lexicon_.piece(lexicon_.order()[i]);
      auto depth = static_cast<std::size_t>(std::ranges::mismatch(last, bytes).in2 - bytes.begin());
      for (; depth < bytes.size(); ++depth) {
        path_[depth + 1] = stacks_.step(path_[depth], static_cast<std::uint8_t>(bytes[depth]));
      }
      last = bytes;
      const SetId end = path_[bytes.size()];
      if (end == kOverflowSet || is_spent()) return false;
      if (end != kDeadSet) set_bits({i, i + 1}, mask);
    }
  }
  return true;
}

}  // namespace hearth::text::grammar
