#include "cli/kernel_services.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <utility>

#include "cli/kernels.h"
#include "compute/kernel.h"
#include "compute/kernel_runner.h"
#include "compute/receipt.h"
#include "hub/kernels/run_watch.h"

namespace hearth::cli {
namespace {

using compute::Kernel;
using compute::bridge::Built;
using compute::bridge::Checked;
using compute::bridge::HubKernel;
using compute::bridge::HubRun;
using compute::bridge::JailedKernel;
using compute::StillWanted;

// Runs a verified kernel on its device: a worker that stays while somebody has the kernel open, and
// copies of the tensors, since a device's worker maps no client's memory.
//
// Threading: any thread, one run at a time.
class DeviceRuns {
 public:
  DeviceRuns(std::shared_ptr<const Kernel> kernel, std::chrono::milliseconds run_max)
      : kernel_(std::move(kernel)), run_max_(run_max) {
    if (const auto statement = compute::read_receipt(kernel_->receipt)) device_ = statement->device;
  }

  Result<HubRun> run(const compute::Bindings& bindings, const compute::Workers& workers) {
    const std::lock_guard lock(mutex_);
    const compute::Contract& contract = kernel_->contract;
    if (!runner_) {
      HEARTH_TRY(compute::KernelRunner made,
                 compute::KernelRunner::create(contract.signature, kernel_->image.fd.get(),
                                               compute::runner_options(contract, run_max_)));
      runner_.emplace(std::move(made));
    }
    HEARTH_TRY(const sandbox::OwnedFd process, runner_->process_descriptor());
    hub::RunWatch watch(
        [&] { return !workers.gave_up(); }, {run_max_},
        [&] { ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0U); });
    auto outputs = runner_->run(case_of(bindings), {});
    if (const auto ended = watch.ended()) return std::unexpected(*ended);
    if (!outputs) return std::unexpected(std::move(outputs).error());
    std::size_t written = 0, tensor = 0;
    HubRun made{.n_copies = static_cast<std::uint32_t>(bindings.tensors.size()), .device = device_};
    for (const compute::Parameter& parameter : contract.signature.parameters) {
      if (!parameter.is_tensor()) continue;
      std::byte* const to = bindings.tensors[tensor++].data;
      if (!parameter.is_written()) continue;
      std::ranges::copy(outputs->tensors[written++].bytes, to);
      ++made.n_copies;
    }
    return made;
  }

 private:
  // Contracts for devices have contiguous tensors alone (contract.h).
  static compute::Case case_of(const compute::Bindings& bindings) {
    compute::Case arguments;
    arguments.symbols.assign(bindings.symbols().begin(), bindings.symbols().end());
    arguments.reals = bindings.reals;
    for (const compute::Tensor& tensor : bindings.tensors) {
      compute::TensorData data = compute::make_tensor(tensor.type, tensor.shape);
      std::copy_n(tensor.data, data.bytes.size(), data.bytes.begin());
      arguments.tensors.push_back(std::move(data));
      arguments.strides.emplace_back();
    }
    return arguments;
  }

  const std::shared_ptr<const Kernel> kernel_;
  const std::chrono::milliseconds run_max_;
  std::string device_;
  std::mutex mutex_;
  std::optional<compute::KernelRunner> runner_;
};

std::shared_ptr<const HubKernel> on_device(const std::shared_ptr<const Kernel>& kernel,
                                           std::chrono::milliseconds run_max) {
  auto runs = std::make_shared<DeviceRuns>(kernel, run_max);
  auto out = std::make_shared<HubKernel>();
  out->name = kernel->contract.name;
  out->signature = kernel->contract.signature;
  out->is_elsewhere = true;
  out->run = [runs](const compute::Bindings& bindings, const compute::Workers& workers) {
    return runs->run(bindings, workers);
  };
  return out;
}

Result<std::shared_ptr<const JailedKernel>> jailed(const std::shared_ptr<const Kernel>& kernel,
                                                   std::chrono::milliseconds run_max) {
  auto out = std::make_shared<JailedKernel>();
  if (compute::is_for_device(kernel->contract.language))
    out->on_device = on_device(kernel, run_max);
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

// A built-in on a device, which is made ready now: who opens the kernel hears what is missing.
Result<std::shared_ptr<const JailedKernel>> placed(const std::shared_ptr<hub::KernelDesk>& desk,
                                                   const hub::RunnableKernel& kernel) {
  HEARTH_TRY_VOID(desk->open_device(kernel, {}));
  auto run = std::make_shared<HubKernel>();
  run->is_elsewhere = true;
  run->run = [desk, kernel](const compute::Bindings& bindings,
                            const compute::Workers& workers) -> Result<HubRun> {
    HEARTH_TRY(compute::DeviceRun ran,
               desk->run_on_device(kernel, bindings, [&] { return !workers.gave_up(); }));
    return HubRun{.n_copies = ran.n_copies, .device = std::move(ran.device.name)};
  };
  auto out = std::make_shared<JailedKernel>();
  out->name = kernel.name();
  out->is_verified = true;
  out->signature = kernel.contract->signature;
  out->cost = [&builtin = *kernel.builtin](const compute::Bindings& bound) {
    return cost_of(builtin, bound);
  };
  out->on_device = std::move(run);
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
  hub::KernelDeskOptions options = desk_options(config);
  options.open_adviser = [config, consents = std::move(consents)] {
    return open_kernel_adviser(config, consents);
  };
  return std::make_shared<hub::KernelDesk>(std::move(options));
}

void add_kernel_services(const Config& config, std::shared_ptr<hub::KernelDesk> desk,
                         compute::bridge::Services& services) {
  services.find_kernel =
      [desk](std::string_view name) -> Result<std::shared_ptr<const JailedKernel>> {
    HEARTH_TRY(const hub::RunnableKernel kernel, desk->find(name));
    if (kernel.device != nullptr) return placed(desk, kernel);
    if (kernel.verified != nullptr) return jailed(kernel.verified, desk->options().run_max);
    return fail(Code::kNotFound,
                fmt::format("no kernel named '{}' was verified on this machine", name));
  };
  services.list_kernels = [desk] {
    std::vector<std::string> lines;
    const auto kernels = desk->list();
    if (!kernels) return lines;
    const auto add = [&](const hub::RunnableKernel& kernel) {
      lines.push_back(fmt::format("{} {}", kernel.name(), kernel.contract->signature.text()));
    };
    const auto devices = desk->look_for_devices();
    for (const hub::KernelEntry& entry : *kernels) {
      hub::RunnableKernel kernel = entry.kernel;
      if (kernel.verified != nullptr) add(kernel);
      // The bridge has its own list of the house's on the processor.
      if (kernel.verified != nullptr || !compute::runs_on_devices(kernel.name())) continue;
      for (const hub::DeviceEntry& device : devices) {
        kernel.device = device.row;
        if (device.found) add(kernel);
      }
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
