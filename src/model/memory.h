// How much memory this machine could give to a model's weights, and bringing them in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "model/model.h"

namespace hearth::model {

// Bytes that could be used without swapping: the kernel's estimate, within the limit of this
// process's control group.  0 where neither is known.
std::uint64_t available_memory_bytes();

// kOutOfBudget if `bytes` of weights exceed `bytes_max`, where 0 means what the machine has
// available; `name` stands for the file.
Result<> check_memory(std::string_view name, std::uint64_t bytes, std::uint64_t bytes_max);

// Locks a model's mapped weights in memory.  kOutOfBudget with the limit and the way out if this
// process may not.
Result<> lock_in_memory(const Model& model);
void unlock_memory(const Model& model);

// Maps a file's pages before they are needed, in large folios where the filesystem has them: a
// sweep over weights in 2 MiB pages is some 9 % faster than in 4 KiB ones, and takes no faults.
// Best effort: what the kernel does not do now happens page by page later.
void prefault(std::span<const std::byte> mapped);

}  // namespace hearth::model
