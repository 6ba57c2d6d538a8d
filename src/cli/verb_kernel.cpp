// `hearth kernel new`, `build`, `check`: kernels come to be, by an adviser or by hand, and are
// verified again.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "base/file.h"
#include "cli/consent_prompt.h"
#include "cli/kernels.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "compute/kernel.h"
#include "compute/receipt.h"
#include "hub/kernels/kernel_writer.h"

namespace hearth::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kClient = "cli";  // Who asks, and may agree.

std::uint64_t fresh_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

compute::VerifyOptions verify_options(std::uint64_t seed, ProgressBar& bar) {
  compute::VerifyOptions options;
  options.seed = seed;
  options.progress = [&bar](std::uint64_t done, std::uint64_t total, std::string_view what) {
    bar.show(done, total, what);
  };
  return options;
}

Json rounds_json(const hub::WrittenKernel& written) {
  Json rounds = Json::array();
  for (const hub::KernelRound& round : written.rounds) {
    rounds.push_back({{"adviser", round.adviser},
                      {"step", round.step},
                      {"problem", round.problem},
                      {"bytes_out", round.bytes_out},
                      {"cost_usd_micro", round.cost_usd_micro}});
  }
  return rounds;
}

void print_written(const hub::WrittenKernel& written, bool json) {
  if (json) {
    Json out = Json::parse(kernel_json(*written.kernel));
    out["was_known"] = written.was_known;
    out["rounds"] = rounds_json(written);
    out["bytes_out"] = written.bytes_out;
    out["cost_usd_micro"] = written.cost_usd_micro;
    out["ledger_receipt"] = written.receipt_id;
    print_out(out.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    return;
  }
  print_out(kernel_line(*written.kernel) + "\n");
  if (written.was_known) return print_note("it was verified before: nothing was asked");
  for (std::size_t i = 0; i < written.rounds.size(); ++i) {
    if (!written.rounds[i].problem.empty())
      print_note(fmt::format("round {}: {}", i + 1, written.rounds[i].problem));
  }
  print_note(fmt::format("{} rounds, {} sent, {}; receipt {}", written.rounds.size(),
                         format_bytes(written.bytes_out), format_usd(written.cost_usd_micro),
                         written.receipt_id));
}

}  // namespace

Result<> kernel_new(const Context& context, const KernelNewOptions& options) {
  hub::KernelRequest request{.prose = fmt::format("{}", fmt::join(options.prose, " ")),
                             .contract = {}};
  if (!options.contract.empty()) {
    HEARTH_TRY(request.contract, load_contract(options.contract));
    if (request.prose.empty()) request.prose = request.contract->prose;
    if (request.prose.empty())
      request.prose = fmt::format("what the contract '{}' says", request.contract->name);
  }
  if (request.prose.empty())
    return fail(Code::kInvalidArgument,
                "say what the kernel shall compute, or name a contract (--contract FILE)");
  HEARTH_TRY(request.language, hub::language_for(request.contract, options.language));
  HEARTH_TRY(const auto shelf, open_kernel_shelf());
  HEARTH_TRY(const hub::KernelAdviser desk, open_kernel_adviser(context.config));
  request.client = kClient;
  ProgressBar bar(!context.json);
  hub::KernelWriterOptions writer_options{
      .rounds_max = options.rounds, .verify = verify_options(fresh_seed(), bar), .progress = {}};
  writer_options.progress = writer_options.verify.progress;
  writer_options.on_departure = [&desk](const advisor::Departure& departure) {
    const ConsentReply reply = ask_for_consent(departure);
    // Nothing waits any more if that took too long: then the writer says so.
    (void)desk.consents->answer(departure.consent, kClient, reply.is_allowed, reply.is_remembered);
  };
  hub::KernelWriter writer(*shelf, desk.adviser.get(), desk.ledger.get(),
                           std::move(writer_options));
  HEARTH_TRY(const hub::WrittenKernel written, writer.write(request));
  print_written(written, context.json);
  return {};
}

Result<> kernel_build(const Context& context, const KernelBuildOptions& options) {
  HEARTH_TRY(const compute::Contract contract, load_contract(options.contract));
  HEARTH_TRY(std::string source, read_file(options.source, compute::kSourceBytesMax));
  HEARTH_TRY(const auto shelf, open_kernel_shelf());
  ProgressBar bar(!context.json);
  const compute::VerifyOptions verify = verify_options(options.seed.value_or(fresh_seed()), bar);
  HEARTH_TRY(compute::Oracle oracle, compute::Oracle::create(contract, verify.deadline));
  HEARTH_TRY([[maybe_unused]] const auto findings,
             compute::check_contract(contract, oracle, verify));
  HEARTH_TRY(const auto kernel,
             compute::make_kernel(contract, std::move(source), oracle, shelf->key(), verify));
  HEARTH_TRY_VOID(shelf->put(kernel));
  print_out((context.json ? kernel_json(*kernel) : kernel_line(*kernel)) + "\n");
  return {};
}

Result<> kernel_check(const Context& context, const KernelNameOptions& options) {
  HEARTH_TRY(const auto shelf, open_kernel_shelf());
  HEARTH_TRY(const auto kernel, shelf->find_named(options.name));
  ProgressBar bar(!context.json);
  HEARTH_TRY(const compute::Replay again, compute::replay(*kernel, verify_options(0, bar)));
  const compute::VerifyReport& report = again.report;
  if (context.json) {
    print_out(Json{{"name", kernel->contract.name},
                   {"key", to_hex(kernel->key)},
                   {"holds", true},
                   {"same_results", again.same_results},
                   {"same_build", again.same_build},
                   {"seed", report.seed},
                   {"n_cases", report.n_cases},
                   {"max_units", report.errors.max_units},
                   {"roof_percent", report.speed.roof_percent}}
                  .dump() +
              "\n");
  } else {
    print_out(
        fmt::format("{} holds: {} cases, {} runs, at most {:.3g} units in the last place off; {}\n",
                    kernel->contract.name, report.n_cases, report.n_runs, report.errors.max_units,
                    again.same_results ? "every bit is as its receipt says"
                                       : "its bits differ from its receipt's"));
  }
  if (again.same_results || !again.same_build) return {};
  return fail(
      Code::kCorrupt,
      fmt::format(
          "the same build of '{}' with the same seed gives other bits than its receipt says",
          kernel->contract.name));
}

}  // namespace hearth::cli
