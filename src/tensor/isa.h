// Which instruction set the kernels use.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"

namespace hearth::tensor {

enum class Isa : std::uint8_t {
  kScalar,  // What the compiler makes of plain C++ for the baseline of the architecture.
  kAvx2,    // AVX2, FMA, F16C.
  kAvx512,  // AVX-512 F, BW, DQ, VL and VNNI.
};

// "scalar", "avx2", "avx512".
std::string_view isa_name(Isa isa);
std::optional<Isa> isa_from_name(std::string_view name);

// Those that this build and this machine have, from the plainest to the best.
std::span<const Isa> available_isas();

// The one in use: the best available, or what the environment variable HEARTH_ISA names if it is
// available, or the last `select_isa`.
Isa selected_isa();

// kUnsupported if the machine does not have it.  Results do not change with the instruction set,
// only speed does.
// Threading: call while no kernel runs.
Result<> select_isa(Isa isa);

}  // namespace hearth::tensor
