#include "compute/bridge/memory_pool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

namespace hearth::compute::bridge {
namespace {

constexpr std::uint64_t kPageBytes = 4096;

}  // namespace

MemoryBlock::~MemoryBlock() {
  ::munmap(data_, n_bytes_);
  pool_.n_bytes_used_ -= n_bytes_;
}

bool MemoryPool::reserve(std::uint64_t n_bytes) {
  std::uint64_t used = n_bytes_used_.load();
  do {
    if (n_bytes > n_bytes_max_ - used) return false;
  } while (!n_bytes_used_.compare_exchange_weak(used, used + n_bytes));
  return true;
}

Result<std::shared_ptr<MemoryBlock>> MemoryPool::take(std::uint64_t n_bytes) {
  if (n_bytes == 0) return fail(Code::kInvalidArgument, "a block of memory needs at least one byte");
  const std::uint64_t rounded = n_bytes > n_bytes_max_ ? n_bytes : (n_bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  if (rounded > n_bytes_max_ || !reserve(rounded)) {
    return fail(Code::kOutOfBudget,
                fmt::format("{} MiB of tensors asked for, {} of {} MiB are in use: free some, or raise compute.memory_mib",
                            (n_bytes >> 20) + 1, n_bytes_used() >> 20, n_bytes_max_ >> 20));
  }
  const auto give_back = [&](std::unexpected<Error> error) {
    n_bytes_used_ -= rounded;
    return error;
  };

  auto memory = sandbox::make_shared_memory("hearth tensor", rounded);
  if (!memory) return give_back(std::unexpected(std::move(memory).error()));
  // All pages now: a fault in the middle of a run would cost it, and one that can't be served would end it.
  if (::fallocate(memory->get(), 0, 0, static_cast<off_t>(rounded)) != 0) {
    return give_back(fail(Code::kOutOfBudget, fmt::format("the system has no {} MiB of memory to share: {}", (rounded >> 20) + 1,
                                                          std::strerror(errno))));
  }
  void* data = ::mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_SHARED, memory->get(), 0);
  if (data == MAP_FAILED) {
    return give_back(fail(Code::kUnavailable, fmt::format("{} MiB of memory could not be mapped: {}", (rounded >> 20) + 1,
                                                          std::strerror(errno))));
  }
  return std::make_shared<MemoryBlock>(*this, *std::move(memory), static_cast<std::byte*>(data), rounded);
}

}  // namespace hearth::compute::bridge
