#include "base/fault_guard.h"

#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>

namespace hearth {
namespace {

// What is replaced at a fault: few enough pieces for the kernel's limit of 65,530 mappings even if
// a large file is gone altogether.
constexpr std::uintptr_t kPieceBytes = std::uintptr_t{2} << 20;
constexpr std::uintptr_t kPageBytes = 4096;

// A free slot has begin 0.  The handler reads without a lock: `begin` is written last when a slot
// is taken, and first when it is freed.
struct Slot {
  std::atomic<std::uintptr_t> begin{0}, end{0};
  std::atomic<bool> damaged{false};
};

std::array<Slot, FaultGuard::kGuardsMax> slots;
std::atomic<std::size_t> n_slots_used{0};  // None beyond this was ever taken.
std::mutex taking;
struct sigaction handler_before;

Slot* slot_of(std::uintptr_t address) {
  const std::size_t n = n_slots_used.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < n; ++i) {
    const std::uintptr_t begin = slots[i].begin.load(std::memory_order_acquire);
    if (begin != 0 && address >= begin && address < slots[i].end.load()) return &slots[i];
  }
  return nullptr;
}

// Runs in a signal handler: atomics and system calls only.
void on_bus_error(int number, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  Slot* const slot = slot_of(address);
  if (slot != nullptr) {
    const std::uintptr_t first = address / kPageBytes * kPageBytes;
    const std::uintptr_t limit = (first / kPieceBytes + 1) * kPieceBytes;
    const std::uintptr_t end =
        std::min(limit, (slot->end.load() + kPageBytes - 1) / kPageBytes * kPageBytes);
    void* const at = reinterpret_cast<void*>(first);  // NOLINT: an address from the kernel.
    const void* const made = ::mmap(at, end - first, PROT_READ,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    slot->damaged.store(true, std::memory_order_release);
    if (made != MAP_FAILED) return;
  }
  ::sigaction(number, &handler_before, nullptr);  // The same access faults again, and is theirs.
}

void install_handler() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, &handler_before);
}

}  // namespace

FaultGuard::FaultGuard(std::span<const std::byte> mapping) {
  if (mapping.empty()) return;
  static std::once_flag installed;
  std::call_once(installed, install_handler);
  const std::lock_guard lock(taking);
  const auto free = std::ranges::find_if(slots, [](const Slot& s) { return s.begin.load() == 0; });
  if (free == slots.end()) return;
  slot_ = static_cast<std::size_t>(free - slots.begin());
  n_slots_used.store(std::max(n_slots_used.load(), slot_ + 1), std::memory_order_release);
  free->damaged.store(false);
  const auto begin = reinterpret_cast<std::uintptr_t>(mapping.data());
  free->end.store(begin + mapping.size());
  free->begin.store(begin, std::memory_order_release);
}

FaultGuard::~FaultGuard() {
  if (slot_ < kGuardsMax) slots[slot_].begin.store(0, std::memory_order_release);
}

FaultGuard::FaultGuard(FaultGuard&& other) noexcept
    : slot_(std::exchange(other.slot_, kGuardsMax)) {}

FaultGuard& FaultGuard::operator=(FaultGuard&& other) noexcept {
  std::swap(slot_, other.slot_);
  return *this;
}

bool FaultGuard::is_damaged() const {
  return slot_ < kGuardsMax && slots[slot_].damaged.load(std::memory_order_acquire);
}

}  // namespace hearth
