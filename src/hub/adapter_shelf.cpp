#include "hub/adapter_shelf.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "store/adapters.h"

namespace hearth::hub {
namespace {

std::uint64_t quarter_of_memory() {
  const auto pages = static_cast<std::uint64_t>(std::max(::sysconf(_SC_PHYS_PAGES), 0L));
  return pages * static_cast<std::uint64_t>(std::max(::sysconf(_SC_PAGESIZE), 0L)) / 4;
}

// The file of the weights, as it is now.
store::FileKey key_of(const std::filesystem::path& path) {
  if (const auto key = store::file_key(path)) return *key;
  return store::file_key(path / store::kPeftWeights).value_or(store::FileKey{});
}

}  // namespace

AdapterShelf::AdapterShelf(Load load, std::uint64_t bytes_max)
    : load_(std::move(load)), bytes_max_(bytes_max != 0 ? bytes_max : quarter_of_memory()) {}

std::shared_ptr<const model::Adapter> AdapterShelf::find_one(const store::CatalogueEntry& entry,
                                                             const model::Model& base) {
  const store::FileKey key = key_of(entry.path);
  const std::lock_guard lock(mutex_);
  const auto slot = std::ranges::find_if(slots_, [&](const Slot& s) {
    return s.path == entry.path && s.key == key && s.adapter->fits(base);
  });
  if (slot == slots_.end()) return nullptr;
  slots_.splice(slots_.begin(), slots_, slot);
  return slot->adapter;
}

std::optional<std::vector<engine::AdapterChoice>> AdapterShelf::find(
    std::span<const AdapterEntry> wanted, const model::Model& base) {
  std::vector<engine::AdapterChoice> found;
  for (const AdapterEntry& wish : wanted) {
    auto adapter = find_one(wish.entry, base);
    if (adapter == nullptr) return std::nullopt;
    found.push_back({std::move(adapter), wish.weight});
  }
  return found;
}

Result<std::vector<engine::AdapterChoice>> AdapterShelf::get(std::span<const AdapterEntry> wanted,
                                                             const model::Model& base) {
  std::vector<engine::AdapterChoice> found;
  for (const AdapterEntry& wish : wanted) {
    auto adapter = find_one(wish.entry, base);
    if (adapter == nullptr) {
      const store::FileKey key = key_of(wish.entry.path);
      HEARTH_TRY(adapter, load_(wish.entry, base));
      keep({wish.entry.path, key, adapter});
    }
    found.push_back({std::move(adapter), wish.weight});
  }
  return found;
}

void AdapterShelf::keep(Slot slot) {
  const std::lock_guard lock(mutex_);
  std::erase_if(slots_, [&](const Slot& old) { return old.path == slot.path && old.key != slot.key; });
  slots_.push_front(std::move(slot));
  std::uint64_t bytes = 0;
  for (auto at = slots_.begin(); at != slots_.end();) {
    bytes += at->adapter->bytes();
    at = bytes > bytes_max_ && at != slots_.begin() ? slots_.erase(at) : std::next(at);
  }
}

bool AdapterShelf::is_resident(const std::filesystem::path& path) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(slots_, [&](const Slot& slot) { return slot.path == path; });
}

std::uint64_t AdapterShelf::bytes() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t bytes = 0;
  for (const Slot& slot : slots_) bytes += slot.adapter->bytes();
  return bytes;
}

}  // namespace hearth::hub
