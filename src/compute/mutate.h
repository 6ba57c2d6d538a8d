// Kernels that are wrong on purpose, to see whether a contract would notice.
//
// A check is worth what it finds.  So before a contract is believed, its own oracle is run with the
// mistakes that kernels make, and the results, rounded to the kernel's types, are held against the
// right ones as a kernel's would be.  A mistake that changes nothing at all is none (swapping the
// factors of a product); one that changes something and passes shows that the contract is too weak.
//
// Most mistakes need no second program: the same code is told a size that is one too small, or gets
// its inputs in another order; what is left is done to the results.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compute/case.h"
#include "compute/contract.h"
#include "compute/kernel_runner.h"

namespace hearth::compute {

struct Mutation {
  enum class Kind : std::uint8_t {
    kZeros,         // Writes zeros.
    kShifted,       // Writes each element one place too far.
    kLowPrecision,  // Rounds its results to the next shorter type.
    kOneLess,       // Takes a size for one less: leaves something out.
    kSwapped,       // Takes one input for another.
  };
  Kind kind = Kind::kZeros;
  std::size_t first = 0, second = 0;  // A symbol, or two tensors.
  std::string what;                   // "takes n for one less"
};

std::vector<Mutation> mutations_of(const Signature& signature);

// The set-up that makes a run commit the mistake; false where it does not apply to the case.
bool mutate_setup(const Mutation& mutation, const Case& of, RunSetup& setup);

// The rest of it: what becomes of results.
void mutate_results(const Mutation& mutation, std::vector<TensorData>& results);

}  // namespace hearth::compute
