// The hub's pool of memory that clients and workers map: blocks of whole pages, each a memfd of its own.
//
// Pages are taken when a block is made, not fault by fault, and sealed: no client can shrink a block and
// so make the hub fault.  A block belongs to one client from its first byte to its last, because a
// mapping can't be taken back from a process that will not let go of it: what a client frees it recycles
// itself (libhearth keeps freed blocks mapped for tensors to come), and when it leaves they go back to
// the system, and their bytes to the pool's budget.
//
// Rejected: one large memfd with an allocator inside.  A worker would be given all of it, or no guard
// pages; and nothing of it could be read-only.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "sandbox/shared_mapping.h"

namespace hearth::compute::bridge {

class MemoryPool;

// Memory mapped here, and its descriptor.  The bytes return to the budget with it.
//
// Threading: immutable.
class MemoryBlock {
 public:
  MemoryBlock(MemoryPool& pool, sandbox::SharedMapping memory) : pool_(pool), memory_(std::move(memory)) {}
  ~MemoryBlock();
  MemoryBlock(const MemoryBlock&) = delete;
  MemoryBlock& operator=(const MemoryBlock&) = delete;

  int descriptor() const { return memory_.fd(); }
  std::byte* data() const { return memory_.data(); }
  std::uint64_t n_bytes() const { return memory_.bytes().size(); }

 private:
  MemoryPool& pool_;
  sandbox::SharedMapping memory_;
};

// Threading: any thread.  Outlives its blocks.
class MemoryPool {
 public:
  explicit MemoryPool(std::uint64_t n_bytes_max) : n_bytes_max_(n_bytes_max) {}

  // Zeros, at least `n_bytes` of them, rounded up to pages.  kOutOfBudget names the limit and what is
  // in use; kInvalidArgument for none.
  Result<std::shared_ptr<MemoryBlock>> take(std::uint64_t n_bytes);

  std::uint64_t n_bytes_max() const { return n_bytes_max_; }
  std::uint64_t n_bytes_used() const { return n_bytes_used_.load(); }

 private:
  friend class MemoryBlock;
  bool reserve(std::uint64_t n_bytes);

  const std::uint64_t n_bytes_max_;
  std::atomic<std::uint64_t> n_bytes_used_{0};
};

}  // namespace hearth::compute::bridge
