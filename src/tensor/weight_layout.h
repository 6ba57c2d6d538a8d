// How the rows of a stored weight matrix lie in memory.
#pragma once

#include <cstdint>

namespace hearth::tensor {

enum class WeightLayout : std::uint8_t {
  kRows,    // As in a GGUF file: one row after another.
  kPacked,  // In panels of 16 rows, as the kernels read them (pack.h).
};

// Raised with every change of the packed layout: packs on disk carry it, and those of another
// version are refused instead of misread.
inline constexpr std::uint32_t kPackedLayoutVersion = 1;

}  // namespace hearth::tensor
