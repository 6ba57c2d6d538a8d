// The worker's threads for parallel_for, made before the jail closes, since nothing can make any
// later.
//
// Fork and join without a roll call: a round is done when its tasks are, not when every thread has
// looked at it, so a thread that the kernel has descheduled delays nobody unless it is in a task.
// One word holds the round's number beside the next task's, and a task is taken by exchanging the
// whole: a thread that comes late with what it read of an earlier round fails to, and looks again.
#pragma once

#include <cstdint>

#include "sandbox/kernel_abi.h"

namespace hearth::sandbox {

// MXCSR and the x87 control word as a program begins with: rounding to nearest, denormals kept,
// nothing traps.  A kernel linked with -ffast-math's start code would otherwise change them for all
// that follow.
void reset_float_state();

// How often to pause before sleeping: for about `spin_ns`.  Measured once; there is no clock in the
// jail.
void measure_spin(std::int64_t spin_ns);
std::uint32_t spin_pauses();

// Sets how many threads there are, the caller of parallel_for included.
void set_team_size(std::uint32_t n_threads);
std::uint32_t team_size();

// What a team's thread does for ever.
[[noreturn]] void help_team();

// HearthServices::parallel_for of the run that `services` belongs to.
void begin_team_run(const HearthServices* services);
void team_parallel_for(void* context, std::int64_t n_tasks, void (*task)(void*, std::int64_t));

}  // namespace hearth::sandbox
