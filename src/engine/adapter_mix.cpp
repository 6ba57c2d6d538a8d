#include "engine/adapter_mix.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/digest.h"

namespace hearth::engine {

AdapterMix::AdapterMix(std::span<const AdapterChoice> choices,
                       std::span<const text::TokenId> prompt) {
  for (const AdapterChoice& choice : choices) {
    const std::uint32_t first = model::first_adapted_position(*choice.adapter, prompt);
    if (choice.weight == 0 || first == model::kNeverAdapted) continue;
    uses_.push_back({choice.adapter.get(), choice.weight, first});
  }
  // "A+B" is "B+A": the order of sums must not depend on how it was said.
  std::ranges::sort(uses_, {}, [](const model::AdapterUse& use) { return use.adapter->identity(); });
}

std::uint64_t AdapterMix::key_before(std::uint32_t end) const {
  std::uint64_t key = 0;
  for (const model::AdapterUse& use : uses_) {
    if (use.first_position >= end) continue;
    const std::uint64_t part[] = {use.adapter->identity(),
                                  (std::uint64_t{std::bit_cast<std::uint32_t>(use.weight)} << 32) |
                                      use.first_position};
    key = hash64(std::as_bytes(std::span(part)), key + 1);
    if (key == 0) key = 1;
  }
  return key;
}

std::uint32_t AdapterMix::next_change(std::uint32_t begin, std::uint32_t end) const {
  std::uint32_t next = end;
  for (const model::AdapterUse& use : uses_) {
    if (use.first_position > begin) next = std::min(next, use.first_position);
  }
  return next;
}

AdapterTrail AdapterMix::trail() const {
  AdapterTrail trail;
  for (const model::AdapterUse& use : uses_) trail.steps_.push_back({use.first_position + 1});
  std::ranges::sort(trail.steps_, {}, &AdapterTrail::Step::end);
  for (AdapterTrail::Step& step : trail.steps_) step.key = key_before(step.end);
  return trail;
}

std::uint64_t AdapterTrail::key_before(std::uint32_t end) const {
  std::uint64_t key = 0;
  for (const Step& step : steps_) {
    if (step.end <= end) key = step.key;
  }
  return key;
}

std::uint32_t AdapterTrail::reach(std::uint64_t key, std::uint32_t begin,
                                  std::uint32_t end) const {
  if (key_before(end) == key) return end;
  // Else it ends where one of ours begins.
  for (std::size_t i = steps_.size(); i-- > 0;) {
    const std::uint32_t before = steps_[i].end - 1;
    if (before > begin && before < end && key_before(before) == key) return before;
  }
  return begin;
}

Result<> check_adapters(std::span<const AdapterChoice> choices) {
  if (choices.size() > model::kAdaptersPerSegment) {
    return fail(Code::kInvalidArgument, fmt::format("{} adapters are named, at most {} can be mixed",
                                                    choices.size(), model::kAdaptersPerSegment));
  }
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (!std::isfinite(choices[i].weight)) {
      return fail(Code::kInvalidArgument, "an adapter's weight is no number");
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (choices[i].adapter->identity() != choices[j].adapter->identity()) continue;
      return fail(Code::kInvalidArgument, "an adapter is named twice: give it one weight");
    }
  }
  return {};
}

}  // namespace hearth::engine
