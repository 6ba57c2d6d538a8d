// How fast a kernel is, beside what the machine can do in the same breath.
//
// A shared machine's roofs change from second to second, so each round probes both (device/roofs.h says
// why) between the kernel's runs, and the best of all rounds counts on both sides.  The time that the nearer
// roof allows, over the time it took, is its share of the roof.  More than all of it is no speed but a
// mistake or a cheat: work that is claimed and not done.  Probes are no perfect roof, and a neighbour may have had
// the memory whenever they ran, so that share may be up to kRoofSlack before a kernel is refused.
#pragma once

#include "base/result.h"
#include "compute/case.h"
#include "compute/contract.h"
#include "compute/kernel_runner.h"
#include "compute/verify.h"

namespace hearth::compute {

inline constexpr double kRoofSlack = 1.5;

// kInvalidArgument: it is faster than the machine.
Result<Speed> measure_speed(const Contract& contract, KernelRunner& runner, const Case& of);

}  // namespace hearth::compute
