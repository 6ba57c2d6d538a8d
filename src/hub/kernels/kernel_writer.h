// Kernels that an adviser writes: asked once, verified here, run as often as one likes.
//
//   a contract that the shelf has            no call
//   else, round by round:                    one question through policy, budget and ledger
//     the contract is weak or does not hold  its problem goes back
//     the kernel does not compile            its own lines' messages go back
//     the kernel is wrong                    one sentence goes back: where, found, expected
//   verified                                 kept, and a receipt of the whole is written
//
// What goes back holds nothing of this machine but the kernel's own text and numbers that were
// drawn at random.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "advisor/adviser.h"
#include "base/clock.h"
#include "base/result.h"
#include "compute/contract.h"
#include "compute/shelf.h"
#include "compute/still_wanted.h"
#include "ledger/ledger.h"

namespace hearth::hub {

struct KernelRequest {
  std::string prose;
  std::optional<compute::Contract> contract = {};  // Empty: the adviser writes it, too.
  compute::Language language = compute::Language::kCpp;  // That it writes in; a contract says itself.
  std::string client = {};  // Who asks, and alone may agree where the policy wants consent.
};

// The language of a request: the contract's, else the one that is named; "" names none.
// kInvalidArgument: there is no such language, or the contract has another.
Result<compute::Language> language_for(const std::optional<compute::Contract>& contract,
                                       std::string_view named);

// One question and what came of it.
struct KernelRound {
  std::string adviser;
  // How far its answer came: "asked", "contract", "source", "compile", "verify" or "passed".
  std::string step = "asked";
  std::string problem;  // Why it was not the last; empty for the one that passed.
  std::uint64_t bytes_out = 0;
  std::int64_t cost_usd_micro = 0;
};

struct KernelWriterOptions {
  std::uint32_t rounds_max = 4;
  compute::VerifyOptions verify;
  // What is being done, for who waits: "asking openai/gpt-5 (round 2 of 4)".
  compute::Progress progress = {};
  compute::StillWanted still_wanted = {};  // Looked at while the adviser thinks, and between rounds.
  // All on the caller's thread, and may take their time: a round has ended; a question waits for
  // somebody's consent (advisor/consent.h), to be answered at the desk that the adviser was given.
  std::function<void(const KernelRound& round)> on_round = {};
  std::function<void(const advisor::Departure& departure)> on_departure = {};
};

struct WrittenKernel {
  std::shared_ptr<const compute::Kernel> kernel;
  bool was_known = false;  // It was on the shelf: nothing was asked.
  std::vector<KernelRound> rounds;
  std::uint64_t bytes_out = 0;
  std::int64_t cost_usd_micro = 0;
  std::string receipt_id;  // In the ledger; empty where nothing was asked.
};

// Threading: one call at a time; it waits for the adviser, the compiler and the kernel's trials.
class KernelWriter {
 public:
  // Borrows all; `adviser` stands behind the privacy policy (private_adviser.h) and may be null:
  // then only what the shelf has is found.
  KernelWriter(compute::KernelShelf& shelf, advisor::Adviser* adviser, ledger::Ledger* ledger,
               KernelWriterOptions options, const Clock& clock = Clock::system());

  // kInvalidArgument:   the contract does not hold together or is too weak
  // kOutOfBudget:       the budget says no
  // kPermissionDenied:  the policy says no
  // kNotFound:          no adviser, and nothing on the shelf
  // kUnavailable:       the adviser fails, or no kernel passed within the rounds
  // kCancelled:         nobody wants it any more
  // Each says what it has cost.
  Result<WrittenKernel> write(const KernelRequest& request);

 private:
  struct Work;

  Result<bool> find_known(const KernelRequest& request, WrittenKernel& written);
  bool is_wanted() const { return compute::is_wanted(options_.still_wanted); }
  Result<> ask(Work& work);
  advisor::Advice put_question(const Work& work, std::uint32_t n_round);
  Result<> take_answer(Work& work, std::string_view text);
  Result<> record(const Work& work, const Error* error);

  compute::KernelShelf& shelf_;
  advisor::Adviser* const adviser_;
  ledger::Ledger* const ledger_;
  const KernelWriterOptions options_;
  const Clock& clock_;
};

}  // namespace hearth::hub
