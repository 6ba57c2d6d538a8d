#include "store/switch_forecast.h"

#include <algorithm>
#include <utility>

namespace hearth::store {
namespace {

constexpr double kFade = 0.8;      // Of a context's counts with each new one: some five count.
constexpr double kForgotten = 0.01;
constexpr double kDoubt = 0.9;     // Weight of what was never seen.

}  // namespace

bool SwitchForecast::note(const std::string& name) {
  if (name == last_) return false;
  if (!pending_.empty()) {
    ++stats_.guesses;
    if (pending_ == name) ++stats_.hits;
    pending_.clear();
  }
  if (!last_.empty()) {
    ++stats_.switches;
    learn({"", last_}, name);
    if (!before_.empty()) learn({before_, last_}, name);
  }
  before_ = std::exchange(last_, name);
  return true;
}

void SwitchForecast::learn(const Context& context, const std::string& next) {
  if (counts_.size() >= kContextsMax) counts_.clear();
  Counts& counts = counts_[context];
  for (auto& [name, count] : counts) count *= kFade;
  std::erase_if(counts, [](const auto& entry) { return entry.second < kForgotten; });
  counts[next] += 1;
}

std::optional<SwitchForecast::Guess> SwitchForecast::best_after(const Context& context) const {
  const auto found = counts_.find(context);
  if (found == counts_.end()) return {};
  double sum = kDoubt;
  for (const auto& [name, count] : found->second) sum += count;
  const auto best = std::ranges::max_element(
      found->second, {}, [](const auto& entry) { return entry.second; });
  return Guess{best->first, best->second / sum};
}

std::optional<SwitchForecast::Guess> SwitchForecast::guess() {
  auto best = best_after({before_, last_});
  if (!best || best->probability < kSureEnough) {
    const auto shorter = best_after({"", last_});
    if (shorter && (!best || shorter->probability > best->probability)) best = shorter;
  }
  if (!best || best->probability < kSureEnough) return {};
  pending_ = best->name;
  return best;
}

}  // namespace hearth::store
