// Whether a kernel does what its contract asks, found out by running it.
//
// The kernel is a stranger that would like to pass.  So it gets nothing to pass by but computing:
// inputs that it can't write, outputs full of poison, addresses that are never the same, sizes that
// it did not expect, one element changed where it saw the rest before; no clock, no oracle, no
// threads but those that it was granted.  What it cost is measured from outside and held against
// what the machine can do at all.
//
// And the contract is a suspect too: check_contract asks whether it would notice kernels that are
// wrong.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "compute/compare.h"
#include "compute/compile.h"
#include "compute/contract.h"
#include "compute/draw.h"
#include "compute/oracle.h"

namespace hearth::compute {

using Progress =
    std::function<void(std::uint64_t done, std::uint64_t total, std::string_view what)>;

struct VerifyOptions {
  std::uint64_t seed = 1;
  std::chrono::milliseconds deadline{2000};  // Of each run.
  DrawLimits limits;
  int n_mixed = 4;  // Cases of mixed sizes besides one of each other kind.
  bool is_timed = true;
  // Of all tensors, where the contract has no bench.
  std::int64_t bench_bytes = std::int64_t{4} << 20;
  Progress progress = {};
};

// A mistake, and by how many units it was noticed.
struct MutationFinding {
  std::string what;
  bool changes = false;  // Something, in some case: else it is no mistake here.
  double units = 0;      // The largest error; infinite where it faulted, or an integer was wrong.
};

struct Speed {
  std::string sizes;        // "n = 1048576"
  std::int64_t run_ns = 0;  // Lower quartile of runs that were each checked; 0: not measured.
  double gflops = 0, gb_s = 0;
  double roof_gflops = 0, roof_gb_s = 0;  // Probed between its runs, over as many bytes.
  double roof_percent = 0;                // Of the time that the nearer roof allows.
};

struct VerifyReport {
  std::uint64_t seed = 0;
  DrawLimits limits;
  int n_mixed = 0;
  std::uint32_t n_cases = 0, n_runs = 0;
  std::vector<std::string> left_out;  // Kinds of sizes that the contract does not allow.
  ErrorHistogram errors;
  std::vector<MutationFinding> mutations;  // Of the kernel.
  Determinism proven = Determinism::kRuns;
  std::vector<std::string> proofs;  // What was run for it.
  Speed speed;
  Sha256 results{};  // Of all results, in order: equal seeds give equal bits.
};

// Holds results at a case's sizes against what the oracle says; `reference` may be looked at more
// closely.  The histogram of errors, or kInvalidArgument: which element is too far off.
Result<ErrorHistogram> errors_of(const Contract& contract, Oracle& oracle, const Case& of,
                                 const std::vector<TensorData>& found, Reference& reference,
                                 Dice& dice);

// kInvalidArgument: the contract can't be kept, its oracle fails, or it is too weak, in one
// sentence.
Result<std::vector<MutationFinding>> check_contract(const Contract& contract, Oracle& oracle,
                                                    const VerifyOptions& options);

// kInvalidArgument: what the kernel does wrong, in one sentence with the sizes at which it does.
// `unit` is built again where a level of determinism asks for other builds.
Result<VerifyReport> verify(const Contract& contract, const Unit& unit, const Image& image,
                            Oracle& oracle, const VerifyOptions& options);

// The flags that a contract's kernels are built with.
BuildFlags build_flags(const Contract& contract);

}  // namespace hearth::compute
