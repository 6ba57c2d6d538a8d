// ember inside the program: its GGUF file lies in the read-only data of this binary.
#pragma once

#include <filesystem>
#include <span>

#include "base/result.h"

namespace hearth::cli {

std::span<const std::byte> embedded_model_bytes();

// The same bytes as a file in the cache folder, written there on first use, so that it is mapped and
// listed like every other model.
Result<std::filesystem::path> embedded_model_file();

}  // namespace hearth::cli
