// Runs what the channel asks for, and tells it of faults.
#pragma once

#include <cstdint>

#include "sandbox/run_channel.h"
#include "sandbox/worker/loader.h"

namespace hearth::sandbox {

// What kernels and mappings there are: written by the control thread, read by the one that runs
// kernels.
Image* image_slot(std::uint32_t kernel);      // Null if there can be none of that number.
Region* mapping_slot(std::uint32_t mapping);  // Null if there can be none of that number.
// Makes what was written to a slot seen by runs that are asked for from now on.
void publish_slots();

// The channel to answer on; before any fault may be told.
void set_channel(RunChannel* channel);

// Has SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP and SIGSYS told on the channel, whereupon the
// process ends. Process-wide; each thread needs a signal stack of its own beside that.
bool tell_faults(Trouble& trouble);
bool use_signal_stack(Trouble& trouble);

// Answers runs for ever.
[[noreturn]] void run_kernels();

}  // namespace hearth::sandbox
