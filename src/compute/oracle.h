// A contract's oracle, compiled and ready to be asked: what is right, and how much of that the
// inputs' last bits decide.
#pragma once

#include <chrono>
#include <vector>

#include "base/result.h"
#include "compute/compare.h"
#include "compute/compile.h"
#include "compute/contract.h"
#include "compute/draw.h"
#include "compute/kernel_runner.h"

namespace hearth::compute {

// Threading: externally synchronised.  Borrows the contract.
class Oracle {
 public:
  // Compiles it (some 50 ms) and starts a worker for it alone.  kInvalidArgument: it does not
  // compile.
  static Result<Oracle> create(const Contract& contract, std::chrono::milliseconds deadline);

  // The right results of a case of the kernel's types.  kInvalidArgument: the oracle faults, or
  // does not return.
  Result<Reference> ask(const Case& native, Dice& dice);
  // Looks `n_nudges` times more how far results move: their condition can only grow.
  Result<> refine(const Case& native, Reference& reference, int n_nudges, Dice& dice);
  // Without their condition, under a set-up (mutate.h).
  Result<std::vector<TensorData>> results(const Case& native, const RunSetup& setup);

  const std::vector<ElementType>& types() const { return types_; }  // Of the kernel's outputs.

 private:
  Oracle(const Contract& contract, Image image, KernelRunner runner);
  Result<> nudge_once(const Case& native, Reference& reference, bool all_up, Dice& dice);

  const Contract* contract_;
  Image image_;
  KernelRunner runner_;
  std::vector<ElementType> types_;
};

}  // namespace hearth::compute
