// What an adviser is asked when it shall write a kernel.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "compute/contract.h"

namespace hearth::hub {

// What the adviser is told once and for all: the form of its answer, what a kernel may use, the
// prelude.
std::string kernel_instruction();

// The last attempt, and what was wrong with it.
struct KernelAttempt {
  std::string source;         // Empty: there was none.
  std::string contract_toml;  // As the adviser wrote it; empty: the contract is not its own.
  std::string problem;
};

// The question of one round.  Without a contract, the adviser writes that as well.
std::string kernel_question(std::string_view prose,
                            const std::optional<compute::Contract>& contract,
                            const std::optional<KernelAttempt>& last);

}  // namespace hearth::hub
