// The adapters of one session: what the forward pass adds, and what the prefix cache must tell apart.
//
// Keys and values of a token depend on the adapters that apply before it, so those are part of each
// cached page's key.  An activated adapter applies only from its invocation on: pages before it
// have the base's key and are shared with sessions that use no adapter at all.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "model/adapter.h"

namespace hearth::engine {

// AdapterMix::key_before without the adapters: what other threads may take along.
//
// Threading: a value.
class AdapterTrail {
 public:
  std::uint64_t key_before(std::uint32_t end) const;
  // The largest of (begin, end] whose key_before is `key`; `begin` if none is.
  std::uint32_t reach(std::uint64_t key, std::uint32_t begin, std::uint32_t end) const;

 private:
  friend class AdapterMix;
  struct Step {
    std::uint32_t end = 0;  // From here on,
    std::uint64_t key = 0;  // this.
  };
  std::vector<Step> steps_;  // Ascending.
};

// Threading: immutable.
class AdapterMix {
 public:
  AdapterMix() = default;  // None.
  // `choices` as check_adapters lets them pass; the adapters must outlive the mix.
  AdapterMix(std::span<const AdapterChoice> choices, std::span<const text::TokenId> prompt);

  // For model::Segment, always in the same order.
  std::span<const model::AdapterUse> uses() const { return uses_; }

  // Stands for all adapters, their weights and where they begin, that apply to positions before
  // `end`; 0 for none.
  std::uint64_t key_before(std::uint32_t end) const;
  // The first position in (begin, end) where another adapter begins; `end` if none does.
  std::uint32_t next_change(std::uint32_t begin, std::uint32_t end) const;

  AdapterTrail trail() const;

 private:
  std::vector<model::AdapterUse> uses_;
};

// kInvalidArgument for more than kAdaptersPerSegment, for one that is named twice, and for a weight
// that is no number.
Result<> check_adapters(std::span<const AdapterChoice> choices);

}  // namespace hearth::engine
