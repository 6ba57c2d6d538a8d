#include "cli/kernel_services.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "cli/kernels.h"
#include "compute/kernel.h"

namespace hearth::cli {
namespace {

using compute::Kernel;
using compute::bridge::Built;
using compute::bridge::Checked;
using compute::bridge::JailedKernel;
using compute::bridge::StillWanted;

Result<std::shared_ptr<const JailedKernel>> jailed(const std::shared_ptr<const Kernel>& kernel) {
  auto out = std::make_shared<JailedKernel>();
  out->name = kernel->contract.name;
  out->key = to_hex(kernel->key);
  out->receipt = kernel->receipt;
  out->is_verified = true;
  out->signature = kernel->contract.signature;
  out->compile_s = static_cast<double>(kernel->image.compile_us) / 1e6;
  out->image = sandbox::OwnedFd(::fcntl(kernel->image.fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!out->image) return fail(Code::kUnavailable, "no file descriptor is left for a kernel");
  out->cost = [kernel](const compute::Bindings& arguments) -> Result<compute::Cost> {
    HEARTH_TRY(const std::int64_t flops, compute::flops_of(kernel->contract, arguments.symbols()));
    HEARTH_TRY(const std::int64_t bytes, compute::bytes_of(kernel->contract, arguments.symbols()));
    return compute::Cost{.flops = flops, .bytes = bytes};
  };
  return out;
}

Built built(const hub::WrittenKernel& written) {
  return {.key = to_hex(written.kernel->key),
          .is_cached = written.was_known,
          .compile_s = static_cast<double>(written.kernel->image.compile_us) / 1e6};
}

}  // namespace

std::string client_of_bridge(const Config& config) {
  return config.server.api_keys_file.empty() ? "127.0.0.1" : "bridge";
}

std::shared_ptr<hub::KernelDesk> open_kernel_desk(const Config& config,
                                                  std::shared_ptr<advisor::ConsentDesk> consents) {
  hub::KernelDeskOptions options;
  options.open_shelf = open_kernel_shelf;
  options.open_adviser = [config, consents = std::move(consents)] {
    return open_kernel_adviser(config, consents);
  };
  options.n_threads = static_cast<unsigned>(config.compute.threads);
  options.run_max = std::chrono::seconds(config.compute.run_seconds_max);
  return std::make_shared<hub::KernelDesk>(std::move(options));
}

void add_kernel_services(const Config& config, std::shared_ptr<hub::KernelDesk> desk,
                         compute::bridge::Services& services) {
  services.find_kernel =
      [desk](std::string_view name) -> Result<std::shared_ptr<const JailedKernel>> {
    HEARTH_TRY(const hub::RunnableKernel kernel, desk->find(name));
    if (kernel.verified != nullptr) return jailed(kernel.verified);
    return fail(Code::kNotFound,
                fmt::format("no kernel named '{}' was verified on this machine", name));
  };
  services.list_kernels = [desk] {
    std::vector<std::string> lines;
    const auto kernels = desk->list();
    if (!kernels) return lines;
    for (const hub::KernelEntry& entry : *kernels) {
      if (entry.kernel.verified == nullptr)
        continue;  // The bridge has its own list of the house's.
      lines.push_back(
          fmt::format("{} {}", entry.kernel.name(), entry.kernel.contract->signature.text()));
    }
    return lines;
  };
  const std::string client = client_of_bridge(config);
  services.build = [desk, client](std::string_view text,
                                  const StillWanted& still_wanted) -> Result<Built> {
    HEARTH_TRY(compute::Contract contract, compute::parse_contract(text, "contract"));
    HEARTH_TRY(
        const auto written,
        desk->write({.prose = contract.prose, .contract = std::move(contract), .client = client},
                    hub::KernelWriterOptions{}.rounds_max, still_wanted, {}));
    return built(written);
  };
  services.write = [desk, client](std::string_view prose,
                                  const StillWanted& still_wanted) -> Result<Built> {
    HEARTH_TRY(const auto written,
               desk->write({.prose = std::string(prose), .client = client},
                           hub::KernelWriterOptions{}.rounds_max, still_wanted, {}));
    return built(written);
  };
  services.check = [desk](std::string_view key, std::uint64_t seed,
                          const StillWanted&) -> Result<Checked> {
    HEARTH_TRY(const compute::VerifyReport report, desk->check(key, seed));
    return Checked{.n_checks = report.n_runs, .error_ulps = report.errors.max_units};
  };
}

}  // namespace hearth::cli
