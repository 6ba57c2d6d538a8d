// Kernels from inside: what the hub knows them by, and the calls of theirs that are bound.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "compute/bridge/protocol.h"
#include "failure.h"
#include "hearth/hearth.h"
#include "link.h"
#include "sandbox/run_channel.h"

namespace hearth::client {

// Values that the hub has checked, and the request that runs them.
struct BoundCall {
  std::vector<WireValue> values;
  std::uint32_t generation = 0;  // Of the lane.
  compute::bridge::BindReply bound;
  sandbox::RunRequest run{};
};

// Calls that a kernel remembers; a loop over some buffers in turn meets no more.
inline constexpr std::size_t kCallsKept = 8;

}  // namespace hearth::client

struct hearth_kernel {
  std::shared_ptr<hearth::client::Link> link;
  hearth::compute::bridge::KernelReply reply;
  std::string name, key, signature, receipt;
  bool is_cached = false;

  // Generations: of the newest run that was asked for, and up to which all are cancelled.
  std::atomic<std::uint64_t> newest{0};
  std::atomic<std::uint64_t> cancelled{0};

  // Guarded by the lane's `use`; the most recently used is last.
  std::vector<std::unique_ptr<hearth::client::BoundCall>> calls;
};
