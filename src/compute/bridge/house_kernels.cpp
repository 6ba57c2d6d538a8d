// The built-in kernels as the bridge runs them.
#include "compute/bridge/services.h"

namespace hearth::compute::bridge {

std::vector<HubKernel> house_kernels() {
  std::vector<HubKernel> kernels;
  for (const Builtin& builtin : builtins()) {
    kernels.push_back({.name = std::string(builtin.name),
                       .signature = signature_of(builtin),
                       .cost = [&builtin](const Bindings& bound) { return cost_of(builtin, bound); },
                       .run = [&builtin](const Bindings& bound, const Workers& workers) -> Result<HubRun> {
                         HEARTH_TRY_VOID(builtin.run(bound, workers));
                         return HubRun{};
                       }});
  }
  return kernels;
}

}  // namespace hearth::compute::bridge
