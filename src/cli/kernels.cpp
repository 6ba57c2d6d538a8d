#include "cli/kernels.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/file.h"
#include "cli/advisers.h"
#include "cli/open_hub.h"
#include "cli/paths.h"
#include "compute/devices/device_host.h"
#include "compute/receipt.h"
#include "hub/private_adviser.h"

namespace hearth::cli {
namespace {

// A kernel and its contract are longer than advice, and take a model longer to think about.
constexpr std::uint32_t kKernelTokensMin = 6144;
constexpr std::chrono::seconds kKernelDeadlineMin{300};
constexpr std::uint64_t kKernelBriefBytesMin = std::uint64_t{64} << 10;

}  // namespace

Result<std::unique_ptr<compute::KernelShelf>> open_kernel_shelf() {
  HEARTH_TRY(auto key, compute::MachineKey::open(data_folder() / "kernel.key"));
  return std::make_unique<compute::KernelShelf>(cache_folder() / "kernels", std::move(key));
}

advisor::ConsentOptions consent_options(const Config::Privacy& config) {
  return {.wait = std::chrono::seconds(config.consent_timeout_s), .remembered = consents_file()};
}

Result<hub::KernelAdviser> open_kernel_adviser(const Config& config,
                                               std::shared_ptr<advisor::ConsentDesk> consents) {
  hub::KernelAdviser desk;
  HEARTH_TRY(std::vector<advisor::AdviserOptions> advisers, adviser_options(config));
  if (advisers.empty()) return desk;
  HEARTH_TRY(hub::PrivacyOptions privacy, privacy_options(config.privacy));
  desk.privacy = std::make_unique<hub::PrivacyGate>(std::move(privacy));
  std::vector<std::string> providers;
  for (advisor::AdviserOptions& adviser : advisers) {
    adviser.max_output_tokens = std::max(adviser.max_output_tokens, kKernelTokensMin);
    adviser.deadline = std::max<std::chrono::milliseconds>(adviser.deadline, kKernelDeadlineMin);
    adviser.brief_bytes_max = std::max(adviser.brief_bytes_max, kKernelBriefBytesMin);
    providers.push_back(adviser.provider);
  }
  HEARTH_TRY(desk.ledger, ledger::Ledger::open(ledger_file(), ledger::Ledger::Mode::kReadWrite));
  desk.writer = std::make_unique<ledger::LedgerWriter>(*desk.ledger);
  HEARTH_TRY(desk.http, net::HttpClient::create());
  desk.consents = std::move(consents);
  if (desk.consents == nullptr) {
    desk.consents = std::make_shared<advisor::ConsentDesk>(consent_options(config.privacy));
  }
  HEARTH_TRY(auto adviser, advisor::Adviser::create(std::move(advisers), *desk.http, *desk.writer,
                                                    Clock::system(), desk.consents.get()));
  desk.adviser = hub::make_private(std::move(adviser), *desk.privacy, std::move(providers));
  return desk;
}

hub::KernelDeskOptions desk_options(const Config& config) {
  hub::KernelDeskOptions options;
  options.open_shelf = open_kernel_shelf;
  options.n_threads = static_cast<unsigned>(config.compute.threads);
  options.run_max = std::chrono::seconds(config.compute.run_seconds_max);
  options.device_command = {"/proc/self/exe", std::string(compute::kDeviceHostVerb)};
  return options;
}

std::vector<hub::DeviceEntry> look_for_devices(const Config& config) {
  return hub::KernelDesk(desk_options(config)).look_for_devices();
}

Result<compute::Contract> load_contract(const std::string& file) {
  HEARTH_TRY(const std::string text, read_file(file, compute::kContractBytesMax));
  return compute::parse_contract(text, file);
}

std::string kernel_line(const compute::Kernel& kernel) {
  const auto statement = compute::read_receipt(kernel.receipt);
  if (!statement) return fmt::format("{}: {}", kernel.contract.name, statement.error().message);
  std::string line = fmt::format(
      "{} ({}): verified, at most {:.3g} units in the last place off, {}", kernel.contract.name,
      to_hex(kernel.key).substr(0, 12), statement->max_units, statement->determinism);
  if (statement->speed.run_ns > 0)
    line += fmt::format(", {:.3g} GB/s, {:.3g} GFLOP/s", statement->speed.gb_s,
                        statement->speed.gflops);
  if (statement->speed.roof_percent > 0)
    line += fmt::format(", {:.0f} % of the roof", statement->speed.roof_percent);
  return line;
}

std::string kernel_json(const compute::Kernel& kernel) {
  using Json = nlohmann::ordered_json;
  const Json receipt = Json::parse(kernel.receipt, nullptr, /*allow_exceptions=*/false);
  return Json{{"name", kernel.contract.name},
              {"key", to_hex(kernel.key)},
              {"signature", kernel.contract.signature.text()},
              {"prose", kernel.contract.prose},
              {"receipt", receipt.is_discarded() ? Json() : receipt}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace hearth::cli
