// The worker that one client has, with what was loaded into it.
//
// A worker is disposable: it dies of a fault, of a deadline, or because a run that nobody wants any more
// did not end.  Its successor has another generation and is empty; kernels and memory are brought in again
// as calls are bound.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/result.h"
#include "compute/bridge/memory_pool.h"
#include "compute/bridge/protocol.h"
#include "compute/bridge/services.h"
#include "sandbox/worker.h"

namespace hearth::compute::bridge {

// Threading: one thread at a time.
class ClientWorker {
 public:
  ClientWorker(sandbox::Worker worker, std::uint32_t generation) : worker_(std::move(worker)), generation_(generation) {}

  std::uint32_t generation() const { return generation_; }
  int channel_descriptor() const { return worker_.channel_fd(); }
  int process_descriptor() const { return worker_.pidfd(); }
  bool is_alive() const { return worker_.is_alive(); }

  // The number of a kernel in there; loads it first if need be.
  Result<std::uint32_t> kernel(const std::shared_ptr<const JailedKernel>& kernel);
  // The number of a mapping of the whole block in there; maps it first if need be.
  Result<std::uint32_t> mapping(std::uint64_t block, const MemoryBlock& memory, sandbox::Access access);
  void forget_block(std::uint64_t block);
  void forget_kernel(const JailedKernel& kernel);

  // Looks whether a run goes on for longer than `limit`, and kills it if so.  Called now and then: a run
  // is first seen at one call and ended at a later one.
  void watch(std::chrono::steady_clock::time_point now, std::chrono::nanoseconds limit);
  bool is_running() const;

  // Has the kernel kill it, without waiting for that.
  void condemn();
  // Kills it, if it lives, waits until it is gone, and says how it ended.
  struct End {
    Ending ending = Ending::kNone;
    std::string reason;  // A sentence; empty for kReplaced.
  };
  End end();

 private:
  using Clock = std::chrono::steady_clock;

  sandbox::Worker worker_;
  std::uint32_t generation_;
  std::map<std::shared_ptr<const JailedKernel>, std::uint32_t> kernels_;
  std::map<std::pair<std::uint64_t, sandbox::Access>, std::uint32_t> mappings_;
  std::uint32_t watched_run_ = 0;
  Clock::time_point watched_since_{};
  bool is_overdue_ = false;
  bool is_condemned_ = false;
  std::chrono::nanoseconds limit_{};
};

}  // namespace hearth::compute::bridge
