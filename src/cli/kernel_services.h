// Kernels for programs that ask over the bridge: found on the shelf, built from a contract with source, or written
// by the adviser; each verified before anybody runs it.
#pragma once

#include "cli/config.h"
#include "compute/bridge/services.h"

namespace hearth::cli {

// Fills what `services` lacks of kernels.  The shelf and the adviser are opened when they are first needed,
// so that a hub whose clients want neither pays nothing.
void add_kernel_services(const Config& config, compute::bridge::Services& services);

}  // namespace hearth::cli
