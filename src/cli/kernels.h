// What the verbs of `hearth kernel` share: the shelf, the way to an adviser, and how a kernel is
// described.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "advisor/consent.h"
#include "base/result.h"
#include "cli/config.h"
#include "compute/shelf.h"
#include "hub/kernels/kernel_adviser.h"
#include "hub/kernels/kernel_desk.h"

namespace hearth::cli {

// The shelf in the cache folder, sealed with the key in the data folder.
Result<std::unique_ptr<compute::KernelShelf>> open_kernel_shelf();

// An adviser behind the privacy policy; without one where none is configured.  What needs consent
// is asked about at `consents`; null: at a desk of its own.
Result<hub::KernelAdviser> open_kernel_adviser(
    const Config& config, std::shared_ptr<advisor::ConsentDesk> consents = nullptr);
// How somebody is asked for consent, and where answers are remembered.
advisor::ConsentOptions consent_options(const Config::Privacy& config);

// A desk with the shelf, this configuration's threads and limits, and devices.
hub::KernelDeskOptions desk_options(const Config& config);

// The devices that built-ins could run on, each looked for in a process of its own.
std::vector<hub::DeviceEntry> look_for_devices(const Config& config);

Result<compute::Contract> load_contract(const std::string& file);

// "scale  1f2e3d4c5b6a: 11 cases ..., D1, 21.3 GB/s, 61 % of the roof".
std::string kernel_line(const compute::Kernel& kernel);
// The same for a program.
std::string kernel_json(const compute::Kernel& kernel);

}  // namespace hearth::cli
