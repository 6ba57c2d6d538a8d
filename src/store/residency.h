// How much of a model is in memory, as the kernel's page cache has it.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/result.h"

namespace hearth::store {

struct Residency {
  std::uint64_t bytes = 0;         // Of the file, or of a stored model's tensors.
  std::uint64_t cached_bytes = 0;  // Of these, what a reader would not wait for.
};

// Of a model file or a stored model's manifest; reads none of it.  The errors of opening.
Result<Residency> residency_of(const std::filesystem::path& path);

}  // namespace hearth::store
