// The bridge of `hearth serve`: what programs on this machine ask of it, put together from the hub's parts.
#pragma once

#include <memory>

#include "base/result.h"
#include "cli/config.h"
#include "compute/bridge/server.h"
#include "hub/hub.h"
#include "hub/kernels/kernel_desk.h"

namespace hearth::cli {

// Listens, with the hub's models for questions and the desk's kernels to run.  A hub that can't have a bridge
// (another one has it, say) serves without: the log says why, and the result is null.  `hub` outlives it.
std::unique_ptr<compute::bridge::Server> open_bridge(const Config& config, hub::Hub& hub,
                                                     std::shared_ptr<hub::KernelDesk> kernels);

// Where it listens, or would.
std::string bridge_path(const Config::Compute& config);

}  // namespace hearth::cli
