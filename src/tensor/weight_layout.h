// How the rows of a stored weight matrix lie in memory.
#pragma once

#include <cstdint>

namespace hearth::tensor {

enum class WeightLayout : std::uint8_t {
  kRows,    // As in a GGUF file: one row after another.
  kPacked,  // In panels of 16 rows, as the kernels read them (pack.h).
};

}  // namespace hearth::tensor
