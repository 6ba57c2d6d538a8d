// How far a kernel's bits can be relied on, proven by running it (DESIGN: levels D0 to D3).
//
//   D0  from run to run                two runs at other addresses; every verification does that
//   D1  whatever number of threads     one thread and several
//   D2  whatever instruction set       builds for all that this machine runs, from x86-64-v2 on
//   D3  whatever order of elements     inputs permuted along every extent that no output has
//
// A proof by running shows that what was tried is equal; it is no proof for all inputs.  Receipts
// say what was tried.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "compute/case.h"
#include "compute/compile.h"
#include "compute/contract.h"
#include "compute/draw.h"

namespace hearth::compute {

struct Proof {
  Determinism level = Determinism::kRuns;  // The highest that holds with all below it.
  std::vector<std::string> steps;          // "1 and 4 threads: equal bits in 9 cases".
  std::string problem;                     // Why the next level does not hold.
};

// D1 is always tried; D2 and D3, which cost builds and runs, where the contract asks for them.
Result<Proof> prove_determinism(const Contract& contract, const Unit& unit, const Image& image,
                                const std::vector<Case>& cases, std::chrono::milliseconds deadline,
                                Dice& dice);

}  // namespace hearth::compute
