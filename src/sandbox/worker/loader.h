// Images and memory in the worker's address space, always between guards of PROT_NONE.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sandbox/kernel_abi.h"
#include "sandbox/run_channel.h"
#include "sandbox/worker/trouble.h"

namespace hearth::sandbox {

// Addresses that were reserved, guards included, and the part of them that is of use.
struct Region {
  std::byte* reserved = nullptr;
  std::uint64_t reserved_bytes = 0;
  std::byte* memory = nullptr;
  std::uint64_t bytes = 0;
};

struct Image {
  Region region;
  HearthEntry entry = nullptr;
  // Instead of `entry`, of a kernel that a device runs: does that, or puts the driver's error into
  // the answer.
  RunStatus (*run_on_device)(const RunRequest& request, RunAnswer& answer) = nullptr;

  bool is_loaded() const { return entry != nullptr || run_on_device != nullptr; }
};

// Loads the kernel's image that `fd` has, of `file_bytes`; closes nothing.  Runs none of it.
bool load_image(int fd, std::uint64_t file_bytes, Image& image, Trouble& trouble);

// Maps `bytes` of `fd` from `offset`.  Large ones begin at 2 MiB, so that huge pages fit.
bool map_memory(int fd, std::uint64_t offset, std::uint64_t bytes, bool writable, bool populate,
                Region& region, Trouble& trouble);

void release(Region& region);

}  // namespace hearth::sandbox
