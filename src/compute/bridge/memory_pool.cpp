#include "compute/bridge/memory_pool.h"

#include <fmt/format.h>

namespace hearth::compute::bridge {
namespace {

constexpr std::uint64_t kPageBytes = 4096;

}  // namespace

MemoryBlock::~MemoryBlock() {
  const std::uint64_t n_freed = n_bytes();
  memory_ = {};  // First: what the pool has is free.
  pool_.n_bytes_used_ -= n_freed;
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
  // All pages now: a fault in the middle of a run would cost it, and one that can't be served would end it.
  auto memory = sandbox::SharedMapping::create("hearth tensor", rounded, sandbox::Pages::kReserved);
  if (!memory) {
    n_bytes_used_ -= rounded;
    return std::unexpected(std::move(memory).error());
  }
  return std::make_shared<MemoryBlock>(*this, *std::move(memory));
}

}  // namespace hearth::compute::bridge
