#include "hub/kernels/kernel_writer.h"

#include <fmt/format.h>

#include <chrono>
#include <future>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/digest.h"
#include "compute/code_blocks.h"
#include "compute/kernel.h"
#include "hub/chat.h"
#include "hub/kernels/kernel_brief.h"
#include "ledger/receipt_id.h"

namespace hearth::hub {
namespace {

constexpr std::chrono::milliseconds kLookAgain{50};  // While the adviser thinks.

// Hands what comes from the adviser's thread to the one that waits.
class PromisedAdvice final : public advisor::AdviceSink {
 public:
  void on_advice(const advisor::Advice& advice) override { promise_.set_value(advice); }
  void on_departure(const advisor::DeparturePtr& departure) override {
    const std::lock_guard lock(mutex_);
    departures_.push_back(departure);
  }
  bool wait_for(std::chrono::milliseconds at_most) {
    return future_.wait_for(at_most) == std::future_status::ready;
  }
  std::vector<advisor::DeparturePtr> take_departures() {
    const std::lock_guard lock(mutex_);
    return std::exchange(departures_, {});
  }
  advisor::Advice take() { return future_.get(); }

 private:
  std::promise<advisor::Advice> promise_;
  std::future<advisor::Advice> future_ = promise_.get_future();
  std::mutex mutex_;
  std::vector<advisor::DeparturePtr> departures_;
};

Code code_of(advisor::AdviceStatus status) {
  switch (status) {
    case advisor::AdviceStatus::kOverBudget:
      return Code::kOutOfBudget;
    case advisor::AdviceStatus::kUnknownPrice:
      return Code::kOutOfBudget;
    case advisor::AdviceStatus::kDenied:
      return Code::kPermissionDenied;
    case advisor::AdviceStatus::kCancelled:
      return Code::kCancelled;
    default:
      return Code::kUnavailable;
  }
}

AdviceOutcome outcome_of(const Error* error) {
  if (error == nullptr) return AdviceOutcome::kAdvised;
  if (error->code == Code::kOutOfBudget) return AdviceOutcome::kOverBudget;
  if (error->code == Code::kPermissionDenied) return AdviceOutcome::kNotAllowed;
  return AdviceOutcome::kFailed;
}

// Stands for what was asked in prose alone.
Sha256 request_key(const KernelRequest& request) {
  const std::string language = request.language == compute::Language::kCpp
                                   ? ""
                                   : std::string(compute::language_name(request.language)) + "\n";
  return sha256("hearth kernel prose 1\n" + language + request.prose);
}

}  // namespace

Result<compute::Language> language_for(const std::optional<compute::Contract>& contract,
                                       std::string_view named) {
  const compute::Language given = contract ? contract->language : compute::Language::kCpp;
  if (named.empty()) return given;
  const auto language = compute::language_from_name(named);
  if (!language) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' is no language of kernels: c++, opencl and cuda are", named));
  }
  if (!contract || *language == given) return *language;
  return fail(Code::kInvalidArgument,
              fmt::format("the contract's language is '{}', and '{}' is asked for",
                          compute::language_name(given), named));
}

// One request on its way.
struct KernelWriter::Work {
  const KernelRequest& request;
  WrittenKernel written;
  std::string id;                             // Of the receipt.
  std::optional<compute::Contract> contract;  // The request's, else the adviser's last.
  std::unique_ptr<compute::Contract> held;    // What the oracle borrows.
  std::optional<compute::Oracle> oracle;
  std::optional<KernelAttempt> last;
  std::string step = {};  // How far the round's answer has come.
};

KernelWriter::KernelWriter(compute::KernelShelf& shelf, advisor::Adviser* adviser,
                           ledger::Ledger* ledger, KernelWriterOptions options, const Clock& clock)
    : shelf_(shelf),
      adviser_(adviser),
      ledger_(ledger),
      options_(std::move(options)),
      clock_(clock) {}

Result<bool> KernelWriter::find_known(const KernelRequest& request, WrittenKernel& written) {
  std::optional<Sha256> key;
  if (request.contract) {
    key = compute::contract_key(*request.contract);
  } else {
    key = shelf_.recall(request_key(request));
  }
  if (!key) return false;
  auto found = shelf_.find(*key);
  if (!found && found.error().code == Code::kNotFound) return false;
  if (!found) return std::unexpected(std::move(found).error());
  written.kernel = *std::move(found);
  written.was_known = true;
  return true;
}

Result<WrittenKernel> KernelWriter::write(const KernelRequest& request) {
  Work work{.request = request,
            .written = {},
            .id = {},
            .contract = request.contract,
            .held = nullptr,
            .oracle = {},
            .last = {},
            .step = {}};
  // What was verified before costs nothing.
  HEARTH_TRY(const bool is_known, find_known(request, work.written));
  if (is_known) return std::move(work.written);
  if (adviser_ == nullptr || ledger_ == nullptr) {
    return fail(Code::kNotFound,
                "no kernel was verified for this, and there is no adviser to write one: configure "
                "[advisor], or write it yourself (`hearth kernel build`)");
  }
  // A contract that notices nothing is refused before it costs anything.
  if (work.contract) {
    work.held = std::make_unique<compute::Contract>(*work.contract);
    HEARTH_TRY(work.oracle, compute::Oracle::create(*work.held, options_.verify.deadline));
    HEARTH_TRY([[maybe_unused]] const auto findings,
               compute::check_contract(*work.held, *work.oracle, options_.verify));
  }
  work.id = work.written.receipt_id = ledger::make_receipt_id(clock_.now_unix_us());
  while (work.written.kernel == nullptr) {
    const Result<> round = ask(work);
    if (!round) {
      (void)record(work, &round.error());
      return fail(round.error().code,
                  fmt::format("{} (spent: ${:.6f} in {} rounds)", round.error().message,
                              static_cast<double>(work.written.cost_usd_micro) / 1e6,
                              work.written.rounds.size()));
    }
  }
  HEARTH_TRY_VOID(shelf_.put(work.written.kernel));
  if (!request.contract)
    HEARTH_TRY_VOID(shelf_.remember(request_key(request), work.written.kernel->key));
  HEARTH_TRY_VOID(record(work, nullptr));
  return std::move(work.written);
}

// One round: a question, and its answer tried.  An error ends the request.
Result<> KernelWriter::ask(Work& work) {
  const std::uint32_t n = static_cast<std::uint32_t>(work.written.rounds.size()) + 1;
  if (!is_wanted()) return fail(Code::kCancelled, "nobody wants the kernel any more");
  if (n > options_.rounds_max) {
    return fail(Code::kUnavailable, fmt::format("no kernel passed in {} rounds; the last one: {}",
                                                options_.rounds_max, work.last->problem));
  }
  if (options_.progress)
    options_.progress(n - 1, options_.rounds_max,
                      fmt::format("asking {} (round {} of {})", adviser_->options().full_name(), n,
                                  options_.rounds_max));
  const advisor::Advice advice = put_question(work, n);
  KernelRound round{.adviser = advice.adviser,
                    .problem = {},
                    .bytes_out = advice.bytes_out,
                    .cost_usd_micro = advice.cost_usd_micro};
  work.written.bytes_out += round.bytes_out;
  work.written.cost_usd_micro += round.cost_usd_micro;
  Result<> taken;
  if (advice.status != advisor::AdviceStatus::kAnswered) {
    taken = fail(code_of(advice.status), advice.detail);
  } else {
    taken = take_answer(work, advice.text);
    round.step = taken ? "passed" : work.step;
  }
  if (!taken) round.problem = taken.error().message;
  if (options_.on_round) options_.on_round(round);
  work.written.rounds.push_back(std::move(round));
  // What is wrong with the answer goes back; all else ends the request.
  const bool goes_back = !taken && advice.status == advisor::AdviceStatus::kAnswered &&
                         taken.error().code == Code::kInvalidArgument;
  if (!goes_back) return taken;
  work.last->problem = taken.error().message;
  return {};
}

// Waits for the answer; meanwhile somebody may be asked whether the question may leave.
advisor::Advice KernelWriter::put_question(const Work& work, std::uint32_t n_round) {
  const auto sink = std::make_shared<PromisedAdvice>();
  const compute::Language language =
      work.request.contract ? work.request.contract->language : work.request.language;
  const std::string question =
      kernel_question(work.request.prose, work.request.contract, language, work.last);
  const advisor::AdviceId id =
      adviser_->ask({.request_id = work.id,
                     .conversation = {{.is_user = true, .text = question}},
                     .draft = {},
                     .instruction = kernel_instruction(language),
                     .rule = fmt::format("kernel round {}", n_round),
                     .sources = {{.role = "user", .tool = {}, .paths = {}}},
                     .client = work.request.client},
                    sink);
  while (!sink->wait_for(kLookAgain)) {
    if (!is_wanted()) adviser_->cancel(id);
    for (const advisor::DeparturePtr& departure : sink->take_departures()) {
      if (options_.on_departure) options_.on_departure(*departure);
    }
  }
  return sink->take();
}

Result<> KernelWriter::take_answer(Work& work, std::string_view text) {
  const compute::CodeBlocks answer = compute::find_code_blocks(text);
  const std::string contract_toml = answer.contract_toml.empty() && work.contract
                                        ? compute::to_toml(*work.contract)
                                        : answer.contract_toml;
  work.last = KernelAttempt{.source = answer.source, .contract_toml = contract_toml, .problem = {}};
  work.step = "contract";
  if (!work.request.contract && !answer.contract_toml.empty()) {
    HEARTH_TRY(compute::Contract contract,
               compute::parse_contract(answer.contract_toml, "contract"));
    contract.prose = work.request.prose;
    if (contract.language != work.request.language) {
      return fail(Code::kInvalidArgument,
                  fmt::format("the contract's language is '{}', and '{}' was asked for",
                              compute::language_name(contract.language),
                              compute::language_name(work.request.language)));
    }
    work.oracle.reset();
    work.held = std::make_unique<compute::Contract>(std::move(contract));
    HEARTH_TRY(work.oracle, compute::Oracle::create(*work.held, options_.verify.deadline));
    HEARTH_TRY([[maybe_unused]] const auto findings,
               compute::check_contract(*work.held, *work.oracle, options_.verify));
    work.contract = *work.held;
  }
  if (!work.contract)
    return fail(Code::kInvalidArgument, "the answer has no ```toml block with a contract");
  work.step = "source";
  if (answer.source.empty())
    return fail(Code::kInvalidArgument,
                fmt::format("the answer has no ```{} block with a kernel",
                            fence_of(work.contract->language)));
  compute::VerifyOptions verify = options_.verify;
  verify.progress = [&](std::uint64_t done, std::uint64_t total, std::string_view what) {
    work.step = what == compute::kCompilingStep ? "compile" : "verify";
    if (options_.progress) options_.progress(done, total, what);
  };
  HEARTH_TRY(work.written.kernel,
             compute::make_kernel(*work.held, answer.source, *work.oracle, shelf_.key(), verify));
  return {};
}

// The receipt of the whole: rounds, cost, and what came of it.
Result<> KernelWriter::record(const Work& work, const Error* error) {
  nlohmann::ordered_json rounds = nlohmann::ordered_json::array();
  for (const KernelRound& round : work.written.rounds) {
    rounds.push_back({{"adviser", round.adviser},
                      {"step", round.step},
                      {"problem", round.problem},
                      {"bytes_out", round.bytes_out},
                      {"cost_usd_micro", round.cost_usd_micro}});
  }
  const std::int64_t now = clock_.now_unix_us();
  const std::string outcome = advice_outcome_name(outcome_of(error));
  const std::string name = work.contract ? work.contract->name : "";
  nlohmann::ordered_json json = {
      {"id", work.id},
      {"at_unix_us", now},
      {"model", "kernel " + name},
      {"end", error == nullptr ? "verified" : "failed"},
      {"advice", outcome},
      {"advice_detail", error == nullptr ? "" : error->message},
      {"adviser", work.written.rounds.empty() ? "" : work.written.rounds.back().adviser},
      {"bytes_out", work.written.bytes_out},
      {"cost_usd_micro", work.written.cost_usd_micro},
      {"contract", work.contract ? to_hex(compute::contract_key(*work.contract)) : ""},
      {"rounds", rounds}};
  const std::string text =
      json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  return ledger_->put_receipt({.id = work.id,
                               .at_unix_us = now,
                               .model = "kernel " + name,
                               .advice = outcome,
                               .bytes_out = static_cast<std::int64_t>(work.written.bytes_out),
                               .cost_usd_micro = work.written.cost_usd_micro,
                               .json = text,
                               .client = work.request.client});
}

}  // namespace hearth::hub
