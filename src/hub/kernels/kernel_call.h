// A call of a kernel by name: what was given, and how the rest comes to be.
//
// Who asks over HTTP names tensors, numbers and sizes.  Symbols take their values from all of
// these; what a kernel reads and nobody gave is drawn from a seed, so that a kernel can be tried,
// and timed, without sending anything.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "compute/case.h"
#include "compute/contract.h"

namespace hearth::hub {

inline constexpr std::uint32_t kKernelRepeatsMax = 1000;

struct NamedTensor {
  std::string name;  // Of the parameter.
  compute::TensorData tensor;
};

struct KernelCall {
  std::vector<NamedTensor> tensors;
  std::vector<std::pair<std::string, double>> reals;  // Of real scalars.
  // Of symbols, integer scalars among them.
  std::vector<std::pair<std::string, std::int64_t>> sizes;
  std::uint64_t seed = 1;     // Of what is not given.
  std::uint32_t repeats = 1;  // Runs; at most kKernelRepeatsMax.
  bool with_roof = false;     // Probe the machine's roofs for so many bytes, some 10 ms.
  // What is being done, for who waits, on the caller's thread: "drawing 'in'".
  std::function<void(std::string_view what)> on_step = {};

  void tell(std::string_view what) const {
    if (on_step) on_step(what);
  }
};

// A call's arguments, and which of them were drawn.
struct PreparedCall {
  compute::Case arguments;
  std::vector<std::string> drawn;
};

// kInvalidArgument names what is missing, does not fit or does not keep the contract.
// kOutOfBudget for tensors of more than `bytes_max` together.
Result<PreparedCall> prepare_call(const compute::Contract& contract, KernelCall call,
                                  std::uint64_t bytes_max);

}  // namespace hearth::hub
