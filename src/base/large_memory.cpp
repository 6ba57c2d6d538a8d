#include "base/large_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "base/mapped_pages.h"

namespace hearth {
namespace {

std::size_t round_up(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

LargeMemory::LargeMemory(std::size_t bytes, Reserve reserve) {
  if (bytes == 0 || bytes > SIZE_MAX / 2) return;
  const std::size_t kept = round_up(bytes, static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (reserve == Reserve::kTouched ? MAP_NORESERVE : 0);
  void* const at = ::mmap(nullptr, kept + kLargePageBytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (at == MAP_FAILED) return;
  const auto begin = reinterpret_cast<std::uintptr_t>(at);
  const std::size_t lead = round_up(begin, kLargePageBytes) - begin;
  data_ = static_cast<std::byte*>(at) + lead;
  bytes_ = kept;
  if (lead > 0) ::munmap(at, lead);
  if (lead < kLargePageBytes) ::munmap(data_ + kept, kLargePageBytes - lead);
  (void)::madvise(data_, bytes_, MADV_HUGEPAGE);  // Advice: may be refused.
}

LargeMemory::~LargeMemory() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

void LargeMemory::keep(std::size_t bytes) {
  const std::size_t kept = round_up(bytes, kLargePageBytes);
  if (kept >= bytes_) return;
  if (kept == 0) {
    *this = LargeMemory();
    return;
  }
  ::munmap(data_ + kept, bytes_ - kept);
  bytes_ = kept;
}

void LargeMemory::seal() {
  if (data_ != nullptr) (void)::mprotect(data_, bytes_, PROT_READ);
}

}  // namespace hearth
