#include "hub/tasks/model_tags.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/ascii.h"
#include "store/adapters.h"

namespace hearth::hub {
namespace {

std::size_t n_shared(const store::CatalogueEntry& entry, const std::vector<std::string>& tags) {
  return static_cast<std::size_t>(std::ranges::count_if(tags, [&](const std::string& tag) {
    return std::ranges::find(entry.tags, lower(tag)) != entry.tags.end();
  }));
}

}  // namespace

std::string find_tagged(std::span<const store::CatalogueEntry> candidates,
                        std::span<const store::CatalogueEntry> adapters,
                        const std::vector<std::string>& tags) {
  std::string best;
  std::size_t most = 0;
  for (const store::CatalogueEntry& entry : candidates) {
    if (const std::size_t n = n_shared(entry, tags); n > most) {
      most = n;
      best = entry.name;
    }
  }
  for (const store::CatalogueEntry& adapter : adapters) {
    const std::size_t n = adapter.problem.empty() ? n_shared(adapter, tags) : 0;
    if (n <= most) continue;
    const auto base = std::ranges::find_if(
        candidates, [&](const store::CatalogueEntry& entry) { return store::may_fit(adapter, entry); });
    if (base == candidates.end()) continue;
    most = n;
    best = fmt::format("{}@{}", base->name, adapter.name);
  }
  return best;
}

}  // namespace hearth::hub
