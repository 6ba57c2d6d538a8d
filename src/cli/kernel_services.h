// The hub's kernel desk, and what the bridge wants of it: kernels found on the shelf, built from a
// contract with source, or written by the adviser; each verified before anybody runs it.
#pragma once

#include <memory>
#include <string>

#include "advisor/consent.h"
#include "cli/config.h"
#include "compute/bridge/services.h"
#include "hub/kernels/kernel_desk.h"

namespace hearth::cli {

// A desk that asks for consent at `consents`.
std::shared_ptr<hub::KernelDesk> open_kernel_desk(const Config& config,
                                                  std::shared_ptr<advisor::ConsentDesk> consents);

// Under whose name the bridge's clients ask for consent: they are this user's programs, as those
// that use the HTTP API of a hub without keys.  With keys nobody has the bridge's name, so nobody
// agrees.
std::string client_of_bridge(const Config& config);

// Fills what `services` lacks of kernels.
void add_kernel_services(const Config& config, std::shared_ptr<hub::KernelDesk> desk,
                         compute::bridge::Services& services);

}  // namespace hearth::cli
