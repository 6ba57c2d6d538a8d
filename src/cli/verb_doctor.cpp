// `hearth doctor`: what this machine offers, what is set up, and what could go wrong, each
// with the way to mend it.
//
// Checks are rows of one table; each looks at one thing and says "ok", "note" or "wrong".
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "advisor/provider.h"
#include "api/hearth/recommendation.h"
#include "base/thread_pool.h"
#include "cli/advisers.h"
#include "cli/api_keys.h"
#include "cli/background.h"
#include "cli/compute_bridge.h"
#include "cli/kernels.h"
#include "cli/open_catalogue.h"
#include "cli/paths.h"
#include "cli/privacy.h"
#include "cli/terminal.h"
#include "cli/upstreams.h"
#include "cli/verbs.h"
#include "compute/bridge/message_socket.h"
#include "device/cpu.h"
#include "device/roofs.h"
#include "hub/upstream/child_process.h"
#include "ledger/ledger.h"
#include "ledger/verify.h"
#include "model/model.h"
#include "net/http_server.h"
#include "sandbox/jailed_command.h"
#include "server/page.h"

namespace hearth::cli {
namespace {

enum class Verdict { kOk, kNote, kWrong };
constexpr std::array kVerdictNames = {"ok", "note", "wrong"};

struct Finding {
  Verdict verdict = Verdict::kOk;
  std::string text;
};

Finding check_processor(const Context&) {
  const device::CpuInfo cpu = device::cpu_info();
  const std::string text = fmt::format("{}, {} of {} cores usable, kernels for {}", cpu.model_name, cpu.n_cores_usable,
                                       cpu.n_cores_online, cpu.kernels);
  if (cpu.kernels != "scalar") return {Verdict::kOk, text};
  return {Verdict::kNote, text + ": without AVX2 answers come slowly"};
}

Finding check_memory(const Context&) {
  const device::MemoryInfo memory = device::memory_info();
  return {Verdict::kOk, fmt::format("{} available of {}", format_bytes(memory.available_bytes), format_bytes(memory.total_bytes))};
}

// Measured once: it takes two seconds of all cores.
const device::Roofs& roofs_now(const Context& context) {
  static const device::Roofs roofs = [&] {
    ThreadPool pool(static_cast<unsigned>(context.config.engine.threads));
    return device::measure_roofs(pool);
  }();
  return roofs;
}

Finding check_roofs(const Context& context) {
  const device::Roofs& roofs = roofs_now(context);
  return {Verdict::kOk, fmt::format("{:.1f} GB/s read, {:.0f} Gop/s int8, {:.0f} Gflop/s float with {} threads, measured "
                                    "just now: a 1 GB model decodes at most {:.0f} tokens/s",
                                    roofs.read_gb_s, roofs.int8_gop_s, roofs.f32_gop_s, roofs.n_threads, roofs.read_gb_s)};
}

Finding check_config(const Context& context) {
  std::error_code ignored;
  if (std::filesystem::exists(context.config_path, ignored)) return {Verdict::kOk, context.config_path};
  return {Verdict::kNote, fmt::format("{} is not there: all defaults; `hearth config --explain` shows what it may hold", context.config_path)};
}

Finding check_embedded_model(const Context& context) {
  const auto path = model_path(context.config, "ember");
  if (!path) return {Verdict::kWrong, path.error().message};
  const auto model = model::Model::load(*path);
  if (!model) return {Verdict::kWrong, model.error().message};
  return {Verdict::kOk, fmt::format("ember loads ({})", format_bytes((*model)->weight_bytes()))};
}

Finding check_models(const Context& context) {
  const auto catalogue = open_catalogue(context.config);
  if (!catalogue) return {Verdict::kWrong, catalogue.error().message};
  std::size_t usable = 0;
  for (const auto& entry : catalogue->entries()) usable += entry.problem.empty() && entry.source != "embedded" ? 1 : 0;
  if (usable == 0) {
    const device::KeptRoofs roofs{.roofs = roofs_now(context)};
    const api::hearth::KnownModel* const best = api::hearth::best_known_model(device::memory_info(), roofs);
    return {Verdict::kNote, fmt::format("no model besides ember: `hearth models pull {}`{}, or name a folder with *.gguf files in models.folders",
                                        best != nullptr ? best->pull : "NAME",
                                        best != nullptr ? fmt::format(" ({:.0f} GB, by estimate the best that this machine runs fast enough to read along)", best->gigabytes) : "")};
  }
  return {Verdict::kOk, fmt::format("{} usable besides ember, {} found in all", usable, catalogue->entries().size())};
}

Finding check_ledger(const Context&) {
  const auto book = ledger::Ledger::open(ledger_file(), ledger::Ledger::Mode::kReadOnly);
  if (!book && book.error().code == Code::kNotFound) return {Verdict::kNote, "none yet; it begins with the first answer"};
  if (!book) return {Verdict::kWrong, book.error().message};
  const auto report = ledger::verify(**book);
  if (!report) return {Verdict::kWrong, report.error().message};
  if (!report->problems.empty()) return {Verdict::kWrong, report->problems.front()};
  return {Verdict::kOk, fmt::format("holds: {} rows, {} charged", report->rows, format_usd(report->charged_usd_micro))};
}

Finding check_adviser(const Context& context) {
  const auto advisers = adviser_options(context.config);
  if (!advisers) return {Verdict::kWrong, advisers.error().message};
  if (advisers->empty()) return {Verdict::kNote, "none set up: nothing ever leaves this machine ([advisor] in the configuration)"};
  std::vector<std::string> names;
  for (const advisor::AdviserOptions& options : *advisers) {
    const auto provider = advisor::open_provider(options);
    if (!provider) return {Verdict::kWrong, provider.error().message};
    if (!provider->prices) {
      return {Verdict::kWrong, fmt::format("the price of {} is unknown, so it is never asked: set price_in_usd_per_mtok and "
                                           "price_out_usd_per_mtok", options.full_name())};
    }
    names.push_back(options.full_name());
  }
  return {Verdict::kOk, fmt::format("{} below confidence {}, ${} a day at most (not contacted)", fmt::join(names, ", then "),
                                    context.config.advisor.threshold, context.config.budget.usd_per_day)};
}

Finding check_upstreams(const Context& context) {
  const auto report = report_upstreams(context.config);
  if (!report) return {Verdict::kWrong, report.error().message};
  if (report->states.empty()) return {Verdict::kNote, "none set up ([[upstreams]] in the configuration)"};
  Finding finding;
  std::vector<std::string> lines;
  for (const hub::UpstreamState& state : report->states) {
    if (!state.problem.empty()) finding.verdict = Verdict::kWrong;
    const std::string found = !state.problem.empty() ? state.problem
                              : state.is_checked ? fmt::format("{}, {} models", state.kind, state.n_models)
                                                 : "counts as egress, not contacted";
    lines.push_back(fmt::format("'{}' at {}: {}", state.name, state.url, found));
  }
  finding.text = fmt::format("{}", fmt::join(lines, "; "));
  return finding;
}

Finding check_llama_server(const Context& context) {
  const std::string& name = context.config.llama_server.path;
  if (name.empty()) return {Verdict::kOk, "not used: llama_server.path is empty"};
  const std::string found = hub::find_program(name);
  if (!found.empty()) return {Verdict::kOk, fmt::format("{} runs the models that Hearth can't", found)};
  if (name.find('/') != std::string::npos) return {Verdict::kWrong, fmt::format("llama_server.path is '{}', where no program is", name)};
  return {Verdict::kNote, fmt::format("'{}' is not in the PATH: models that Hearth can't run stay unused", name)};
}

Finding check_keys(const Context& context) {
  const std::string& file = context.config.server.api_keys_file;
  if (file.empty()) return {Verdict::kOk, "none needed: the hub listens on this machine only"};
  const auto keys = load_api_keys(file);
  if (!keys) return {Verdict::kWrong, keys.error().message};
  const auto n_admins = std::ranges::count(*keys, true, &server::ApiKey::is_admin);
  return {Verdict::kOk, fmt::format("{} in {}, {} of them an admin's", keys->size(), file, n_admins)};
}

Finding check_jail(const Context&) {
  const auto works = sandbox::jail_works();
  if (works) return {Verdict::kOk, "compiled kernels run in jails of their own"};
  return {Verdict::kNote, fmt::format("no compiled kernel runs here: {}", works.error().message)};
}

// One line for all kinds: those that are here, with the kernels for them, and what the others lack.
Finding check_devices(const Context& context) {
  std::vector<std::string> here, missing;
  for (const hub::DeviceEntry& device : look_for_devices(context.config)) {
    if (device.found) {
      here.push_back(fmt::format("{} ({})", device.row->name, device.found->name));
    } else {
      missing.push_back(fmt::format("no {}: {}", device.row->name, device.found.error().message));
    }
  }
  const std::string lacks = fmt::format("{}", fmt::join(missing, "; "));
  if (here.empty()) return {Verdict::kNote, fmt::format("built-in kernels run on the processor alone; {}", lacks)};
  return {Verdict::kOk, fmt::format("{} run {} by NAME@DEVICE{}{}", fmt::join(here, ", "), fmt::join(compute::device_builtins(), ", "),
                                    missing.empty() ? "" : "; ", lacks)};
}

Finding check_bridge(const Context& context) {
  if (!context.config.compute.bridge) return {Verdict::kNote, "switched off: compute.bridge is false"};
  const std::string path = bridge_path(context.config.compute);
  const auto socket = compute::bridge::connect_to(path);
  if (socket) return {Verdict::kOk, fmt::format("programs run kernels by way of {}", path)};
  if (socket.error().code == Code::kNotFound) return {Verdict::kNote, fmt::format("not open; a running hub listens at {}", path)};
  return {Verdict::kWrong, socket.error().message};
}

// Why no hub can listen there; empty: one can.
std::string why_no_listening(const std::string& host, std::uint16_t port) {
  const auto tried = net::try_listening(host, port);
  if (!tried) return "server.host: " + tried.error().message;
  if (!*tried) return "";
  if (*tried == std::errc::address_in_use) return fmt::format("another program listens at {}:{}: end it, or choose another server.port", host, port);
  return fmt::format("nothing can listen at {}:{}: {}; choose another server.host or server.port", host, port, tried->message());
}

Finding check_hub(const Context& context) {
  const auto hub = find_running();
  if (hub) return {Verdict::kOk, fmt::format("runs at {} (process {})", hub->url, hub->pid)};
  const auto& server = context.config.server;
  const std::string problem = why_no_listening(server.host, static_cast<std::uint16_t>(server.port));
  if (!problem.empty()) return {Verdict::kWrong, problem};
  return {Verdict::kNote, fmt::format("not running; `hearth serve` starts it at {}:{}", server.host, server.port)};
}

Finding check_page(const Context&) {
  if (!server::embedded_page().files.empty()) return {Verdict::kOk, "in this program; a running hub has it at /"};
  return {Verdict::kNote, "not in this program: install Node.js 18 or later and npm, and build it again"};
}

// Of folders that are not there yet, the nearest one above counts.
Finding check_folders(const Context&) {
  constexpr std::uint64_t kRoomBytes = 4'000'000'000;
  std::vector<std::string> lines;
  std::uint64_t data_bytes = 0;
  const struct {
    const char *name, *variable;
    std::filesystem::path folder;
  } folders[] = {{"data", "XDG_DATA_HOME", data_folder()}, {"cache", "XDG_CACHE_HOME", cache_folder()}, {"state", "XDG_STATE_HOME", state_folder()}};
  for (const auto& [name, variable, folder] : folders) {
    std::error_code error;
    std::filesystem::path there = folder;
    while (!std::filesystem::exists(there, error) && there.has_relative_path()) there = there.parent_path();
    if (::access(there.c_str(), W_OK | X_OK) != 0) {
      return {Verdict::kWrong, fmt::format("{} can't be written: make it yours, or set {} to a folder that is", there.string(), variable)};
    }
    const std::uint64_t free_bytes = std::filesystem::space(there, error).available;
    if (lines.empty()) data_bytes = free_bytes;
    lines.push_back(fmt::format("{} in {} ({} free)", name, folder.string(), format_bytes(free_bytes)));
  }
  const std::string text = fmt::format("{}", fmt::join(lines, ", "));
  if (data_bytes >= kRoomBytes) return {Verdict::kOk, text};
  return {Verdict::kNote, text + ": little room for models; `hearth models gc` and `hearth snapshots drop` make some"};
}

Finding check_policy(const Context& context) {
  const auto& options = context.config.privacy;
  const auto policy = load_policy(options.policy);
  if (!policy) return {Verdict::kWrong, policy.error().message};
  const auto dictionary = load_dictionaries(options.dictionaries);
  if (!dictionary) return {Verdict::kWrong, dictionary.error().message};
  if (const auto problems = policy->check(); !problems.empty()) return {Verdict::kWrong, fmt::format("{}", fmt::join(problems, "; "))};
  if (options.policy.empty()) return {Verdict::kOk, "the standard one: everything is private, and redacted before it leaves"};
  return {Verdict::kOk, fmt::format("{}: {} rules and {} expectations hold", options.policy, policy->rules.size(), policy->expectations.size())};
}

struct Check {
  std::string_view name;
  Finding (*run)(const Context&);
};
constexpr std::array kChecks = {
    Check{"processor", check_processor}, Check{"memory", check_memory},
    Check{"roofs", check_roofs},         Check{"configuration", check_config},
    Check{"embedded model", check_embedded_model}, Check{"models", check_models},
    Check{"folders", check_folders},     Check{"ledger", check_ledger},
    Check{"policy", check_policy},       Check{"adviser", check_adviser},
    Check{"upstreams", check_upstreams}, Check{"llama-server", check_llama_server}, Check{"api keys", check_keys},
    Check{"jail", check_jail},           Check{"devices", check_devices}, Check{"bridge", check_bridge},
    Check{"page", check_page},           Check{"hub", check_hub},
};

}  // namespace

Result<> doctor(const Context& context) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  std::size_t n_wrong = 0;
  for (const Check& check : kChecks) {
    const Finding finding = check.run(context);
    const char* verdict = kVerdictNames[static_cast<std::size_t>(finding.verdict)];
    n_wrong += finding.verdict == Verdict::kWrong ? 1 : 0;
    if (context.json) {
      json.push_back({{"check", check.name}, {"verdict", verdict}, {"text", finding.text}});
    } else {
      print_out(fmt::format("{:<6} {:<15} {}\n", verdict, check.name, finding.text));
    }
  }
  if (context.json) print_out(json.dump(2) + "\n");
  if (n_wrong == 0) return {};
  return fail(Code::kInvalidArgument, fmt::format("{} of {} checks found something wrong; each line says how to mend it", n_wrong, kChecks.size()));
}

}  // namespace hearth::cli
