#include "cli/kernel_services.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <chrono>
#include <mutex>
#include <random>

#include "cli/kernels.h"
#include "compute/kernel.h"
#include "compute/receipt.h"
#include "hub/kernels/kernel_writer.h"

namespace hearth::cli {
namespace {

using compute::Kernel;
using compute::bridge::Built;
using compute::bridge::Checked;
using compute::bridge::JailedKernel;
using compute::bridge::StillWanted;

std::uint64_t fresh_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

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

// What all services share.  Threading: any thread.
class KernelDesk {
 public:
  explicit KernelDesk(Config config) : config_(std::move(config)) {}

  Result<compute::KernelShelf*> shelf() {
    const std::lock_guard lock(mutex_);
    if (shelf_ == nullptr) {
      HEARTH_TRY(shelf_, open_kernel_shelf());
    }
    return shelf_.get();
  }

  Result<AdviserDesk*> adviser() {
    const std::lock_guard lock(mutex_);
    if (!adviser_) {
      HEARTH_TRY(adviser_, open_adviser_desk(config_));
    }
    return &*adviser_;
  }

  Result<Built> write(hub::KernelRequest request, const StillWanted& still_wanted) {
    HEARTH_TRY(compute::KernelShelf* const kernels, shelf());
    HEARTH_TRY(AdviserDesk* const desk, adviser());
    hub::KernelWriterOptions options;
    options.verify.seed = fresh_seed();
    options.still_wanted = still_wanted;
    hub::KernelWriter writer(*kernels, desk->adviser.get(), desk->ledger.get(), std::move(options));
    HEARTH_TRY(const hub::WrittenKernel written, writer.write(request));
    return built(*written.kernel, written.was_known);
  }

  // With its source in the contract's text it is built from that; without, it is found or asked for.
  Result<Built> build(std::string_view text, const StillWanted& still_wanted) {
    HEARTH_TRY(compute::Contract contract, compute::parse_contract(text, "contract"));
    HEARTH_TRY(compute::KernelShelf* const kernels, shelf());
    if (contract.source.empty()) {
      hub::KernelRequest request{.prose = contract.prose, .contract = std::move(contract)};
      if (request.prose.empty()) request.prose = fmt::format("what the contract '{}' says", request.contract->name);
      return write(std::move(request), still_wanted);
    }
    const auto known = kernels->find(compute::contract_key(contract));
    if (known && (*known)->source == contract.source) return built(**known, true);
    compute::VerifyOptions options;
    options.seed = fresh_seed();
    HEARTH_TRY(compute::Oracle oracle, compute::Oracle::create(contract, options.deadline));
    HEARTH_TRY([[maybe_unused]] const auto findings, compute::check_contract(contract, oracle, options));
    HEARTH_TRY(const auto kernel, compute::make_kernel(contract, contract.source, oracle, kernels->key(), options));
    HEARTH_TRY_VOID(kernels->put(kernel));
    return built(*kernel, false);
  }

  Result<Checked> check(std::string_view key, std::uint64_t seed) {
    HEARTH_TRY(compute::KernelShelf* const kernels, shelf());
    HEARTH_TRY(const auto kernel, kernels->find_named(key));
    compute::VerifyOptions options;
    options.seed = seed;
    options.is_timed = false;
    HEARTH_TRY(const compute::VerifyReport report, compute::verify_again(*kernel, options));
    return Checked{.n_checks = report.n_runs, .error_ulps = report.errors.max_units};
  }

 private:
  static Built built(const Kernel& kernel, bool is_cached) {
    return {.key = to_hex(kernel.key), .is_cached = is_cached, .compile_s = static_cast<double>(kernel.image.compile_us) / 1e6};
  }

  const Config config_;
  std::mutex mutex_;
  std::unique_ptr<compute::KernelShelf> shelf_;
  std::optional<AdviserDesk> adviser_;
};

}  // namespace

void add_kernel_services(const Config& config, compute::bridge::Services& services) {
  const auto desk = std::make_shared<KernelDesk>(config);
  services.find_kernel = [desk](std::string_view name) -> Result<std::shared_ptr<const JailedKernel>> {
    HEARTH_TRY(compute::KernelShelf* const shelf, desk->shelf());
    HEARTH_TRY(const auto kernel, shelf->find_named(name));
    return jailed(kernel);
  };
  services.list_kernels = [desk] {
    std::vector<std::string> lines;
    const auto shelf = desk->shelf();
    const auto kernels = shelf ? (*shelf)->all() : Result<std::vector<std::shared_ptr<const Kernel>>>();
    if (!kernels) return lines;
    for (const auto& kernel : *kernels) lines.push_back(fmt::format("{} {}", kernel->contract.name, kernel->contract.signature.text()));
    return lines;
  };
  services.build = [desk](std::string_view contract, const StillWanted& still_wanted) { return desk->build(contract, still_wanted); };
  services.write = [desk](std::string_view prose, const StillWanted& still_wanted) {
    return desk->write({.prose = std::string(prose), .contract = {}}, still_wanted);
  };
  services.check = [desk](std::string_view key, std::uint64_t seed, const StillWanted&) { return desk->check(key, seed); };
}

}  // namespace hearth::cli
