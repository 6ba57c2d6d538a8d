#include "store/memory_budget.h"

#include <algorithm>

namespace hearth::store {
namespace {

// Taken from one owner at a time, so that several shrink by turns.
constexpr std::uint64_t kCutBytes = std::uint64_t{16} << 20;

constexpr double kMissMsMin = 0.1;  // Nothing is free to miss.

}  // namespace

double MemoryBudget::Place::value() const {
  const double worth = static_cast<double>(n_uses) * ms_per_byte;
  return base + worth * (1 - resident->tail() / 2);
}

void MemoryBudget::use(const std::shared_ptr<Resident>& resident, double miss_ms) {
  const std::lock_guard lock(mutex_);
  auto place = std::ranges::find(places_, resident, &Place::resident);
  if (place == places_.end()) place = places_.insert(places_.end(), Place{.resident = resident});
  ++place->n_uses;
  place->base = aged_to_;
  const auto bytes = static_cast<double>(std::max<std::uint64_t>(resident->bytes_held(), 1));
  place->ms_per_byte = std::max(miss_ms, kMissMsMin) / bytes;
}

void MemoryBudget::forget(const Resident* resident) {
  const std::lock_guard lock(mutex_);
  std::erase_if(places_, [&](const Place& place) { return place.resident.get() == resident; });
}

std::uint64_t MemoryBudget::sum() const {
  std::uint64_t bytes = 0;
  for (const Place& place : places_) bytes += place.resident->bytes_held();
  return bytes;
}

const MemoryBudget::Place* MemoryBudget::least(const std::vector<const Resident*>& spared) const {
  const Place* found = nullptr;
  for (const Place& place : places_) {
    const bool is_spared = std::ranges::find(spared, place.resident.get()) != spared.end();
    if (is_spared || place.resident->bytes_held() == 0) continue;
    if (found == nullptr || place.value() <= found->value()) found = &place;
  }
  return found;
}

// Cuts one owner after another, without the lock: nobody waits for pages that go.
void MemoryBudget::settle(const Resident* newest) {
  std::vector<const Resident*> spared{newest};
  std::unique_lock lock(mutex_);
  for (std::uint64_t bytes = sum(); bytes > bytes_max_; bytes = sum()) {
    const Place* const place = least(spared);
    if (place == nullptr) return;
    const std::shared_ptr<Resident> resident = place->resident;
    const double value = place->value();
    lock.unlock();
    const std::uint64_t given = resident->give_back(std::min(bytes - bytes_max_, kCutBytes));
    lock.lock();
    if (given == 0) spared.push_back(resident.get());
    if (given > 0) aged_to_ = std::max(aged_to_, value);
  }
}

std::uint64_t MemoryBudget::bytes_used() const {
  const std::lock_guard lock(mutex_);
  return sum();
}

std::uint64_t MemoryBudget::n_uses(const Resident* resident) const {
  const std::lock_guard lock(mutex_);
  for (const Place& place : places_) {
    if (place.resident.get() == resident) return place.n_uses;
  }
  return 0;
}

}  // namespace hearth::store
