// What an adviser is asked when it shall write a kernel.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "compute/contract.h"

namespace hearth::hub {

// What the adviser is told once and for all: the form of its answer, what a kernel in this language
// may use, the prelude.
std::string kernel_instruction(compute::Language language);

// The word behind the fence of a kernel's block: "cpp", "opencl", "cuda".
std::string_view fence_of(compute::Language language);

// The last attempt, and what was wrong with it.
struct KernelAttempt {
  std::string source;         // Empty: there was none.
  std::string contract_toml;  // As the adviser wrote it; empty: the contract is not its own.
  std::string problem;
};

// The question of one round.  Without a contract, the adviser writes that as well, in `language`.
std::string kernel_question(std::string_view prose,
                            const std::optional<compute::Contract>& contract,
                            compute::Language language, const std::optional<KernelAttempt>& last);

}  // namespace hearth::hub
