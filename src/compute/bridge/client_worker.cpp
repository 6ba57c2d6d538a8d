#include "compute/bridge/client_worker.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace hearth::compute::bridge {

Result<std::uint32_t> ClientWorker::kernel(const std::shared_ptr<const JailedKernel>& kernel) {
  if (const auto at = kernels_.find(kernel); at != kernels_.end()) return at->second;
  HEARTH_TRY(const std::uint32_t number, worker_.load(kernel->image.get()));
  kernels_.emplace(kernel, number);
  return number;
}

Result<std::uint32_t> ClientWorker::mapping(std::uint64_t block, const MemoryBlock& memory, sandbox::Access access) {
  const std::pair key(block, access);
  if (const auto at = mappings_.find(key); at != mappings_.end()) return at->second;
  HEARTH_TRY(const std::uint32_t number, worker_.map(memory.descriptor(), 0, memory.n_bytes(), access, true));
  mappings_.emplace(key, number);
  return number;
}

void ClientWorker::forget_block(std::uint64_t block) {
  for (const auto access : {sandbox::Access::kRead, sandbox::Access::kWrite}) {
    const auto at = mappings_.find({block, access});
    if (at == mappings_.end()) continue;
    // A worker that fails at this is dead or about to be, and found so at the next run.
    (void)worker_.unmap(at->second);
    mappings_.erase(at);
  }
}

void ClientWorker::forget_kernel(const JailedKernel& kernel) {
  for (auto at = kernels_.begin(); at != kernels_.end(); ++at) {
    if (at->first.get() != &kernel) continue;
    (void)worker_.drop(at->second);
    kernels_.erase(at);
    return;
  }
}

bool ClientWorker::is_running() const {
  const sandbox::RunChannel& channel = const_cast<sandbox::Worker&>(worker_).channel();
  return channel.asked.value.load(std::memory_order_relaxed) != channel.answered.value.load(std::memory_order_relaxed);
}

void ClientWorker::watch(Clock::time_point now, std::chrono::nanoseconds limit) {
  if (!worker_.is_alive() || !is_running()) {
    watched_since_ = {};
    return;
  }
  const std::uint32_t run = worker_.channel().asked.value.load(std::memory_order_relaxed);
  if (watched_since_ == Clock::time_point{} || run != watched_run_) {
    watched_run_ = run;
    watched_since_ = now;
  } else if (now - watched_since_ > limit) {
    is_overdue_ = true;
    limit_ = limit;
    worker_.kill();
  }
}

void ClientWorker::condemn() {
  is_condemned_ = worker_.is_alive();
  if (is_condemned_) ::syscall(SYS_pidfd_send_signal, worker_.pidfd(), SIGKILL, nullptr, 0U);
}

ClientWorker::End ClientWorker::end() {
  if (is_overdue_) {
    return {Ending::kDeadline, fmt::format("the kernel ran for more than {:.1f} s, which is all that a run may take "
                                           "(compute.run_seconds_max)", std::chrono::duration<double>(limit_).count())};
  }
  if (is_condemned_ || worker_.is_alive()) {
    worker_.kill();
    return {Ending::kReplaced, {}};
  }
  worker_.kill();  // Reaps it.
  return {Ending::kFault, fmt::format("the kernel's worker {}", worker_.how_it_ended())};
}

}  // namespace hearth::compute::bridge
