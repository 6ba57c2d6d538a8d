#include "compute/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "compute/determinism.h"
#include "compute/mutate.h"
#include "compute/speed.h"

namespace hearth::compute {
namespace {

constexpr std::byte kPoison{0xFF};  // NaN.
// Large and negative: what reads its outputs gets other bits.
constexpr std::byte kOtherPoison{0xFE};

struct Planned {
  Sizes sizes;
  Values values;
};

std::vector<Planned> plan(int n_mixed) {
  std::vector<Planned> cases = {
      {Sizes::kOnes, Values::kEven},      {Sizes::kEmpty, Values::kEven},
      {Sizes::kPrimes, Values::kEven},    {Sizes::kPrimes, Values::kWide},
      {Sizes::kPowers, Values::kCorners}, {Sizes::kBesidePowers, Values::kWide},
      {Sizes::kHuge, Values::kEven}};
  for (int i = 0; i < n_mixed; ++i) cases.push_back({Sizes::kMixed, static_cast<Values>(i % 3)});
  return cases;
}

// Cases of a contract, drawn in one order from one seed.
Result<std::vector<Case>> draw_cases(const Contract& contract, const VerifyOptions& options,
                                     Dice& dice, std::vector<std::string>& left_out) {
  std::vector<Case> cases;
  for (const Planned& planned : plan(options.n_mixed)) {
    const auto symbols = draw_sizes(contract, planned.sizes, options.limits, dice);
    if (!symbols) {
      left_out.emplace_back(sizes_name(planned.sizes));
      continue;
    }
    HEARTH_TRY(Case drawn, draw_case(contract, *symbols, planned.values, dice));
    drawn.what = sizes_name(planned.sizes);
    cases.push_back(std::move(drawn));
  }
  if (cases.empty())
    return fail(Code::kInvalidArgument,
                "no sizes were found at which the contract's preconditions hold and its tensors "
                "are small enough to try");
  return cases;
}

std::int64_t allowed_units(const Contract& contract, const Case& of) {
  const auto value = contract.tolerance_ulps.value(of.symbols);
  return value ? std::clamp<std::int64_t>(*value, 0, kToleranceUlpsMax) : 0;
}

std::unexpected<Error> at_sizes(const Contract& contract, const Case& of,
                                std::string_view problem) {
  return fail(Code::kInvalidArgument,
              fmt::format("{} (at {})", problem, sizes_text(contract.signature, of)));
}

std::vector<const Parameter*> outputs_of(const Signature& signature) {
  std::vector<const Parameter*> outputs;
  for (const Parameter& parameter : signature.parameters) {
    if (parameter.is_written()) outputs.push_back(&parameter);
  }
  return outputs;
}

bool are_same_bits(const std::vector<TensorData>& a, const std::vector<TensorData>& b) {
  return std::ranges::equal(a, b, {}, &TensorData::bytes, &TensorData::bytes);
}

// The steps of one verification.
class Verification {
 public:
  Verification(const Contract& contract, const Unit& unit, const Image& image, Oracle& oracle,
               const VerifyOptions& options)
      : contract_(contract),
        unit_(unit),
        image_(image),
        oracle_(oracle),
        options_(options),
        dice_(options.seed) {}

  Result<VerifyReport> run() {
    report_.seed = options_.seed;
    report_.limits = options_.limits;
    report_.n_mixed = options_.n_mixed;
    HEARTH_TRY(const std::vector<Case> cases,
               draw_cases(contract_, options_, dice_, report_.left_out));
    total_ = cases.size() + 4;
    HEARTH_TRY(KernelRunner runner,
               KernelRunner::create(contract_.signature, image_.fd.get(),
                                    runner_options(contract_, options_.deadline)));
    for (const Case& each : cases) HEARTH_TRY_VOID(try_case(runner, each));
    HEARTH_TRY_VOID(change_one(runner, middle_of(cases)));
    HEARTH_TRY_VOID(mutate(runner, middle_of(cases)));
    HEARTH_TRY_VOID(prove(cases));
    if (options_.is_timed) HEARTH_TRY_VOID(time(runner, cases));
    HEARTH_TRY_VOID(runner.check_settled());
    report_.results = digest_.finish();
    return std::move(report_);
  }

 private:
  static const Case& largest_of(const std::vector<Case>& cases, bool may_be_huge) {
    const Case* best = &cases.front();
    const auto size = [](const Case& each) {
      std::int64_t n = 0;
      for (const TensorData& tensor : each.tensors) n += tensor.n_elements();
      return n;
    };
    for (const Case& each : cases) {
      const bool counts = may_be_huge || each.what != sizes_name(Sizes::kHuge);
      if (counts && size(each) > size(*best)) best = &each;
    }
    return *best;
  }
  // Of middle size: large enough to mean something.
  static const Case& middle_of(const std::vector<Case>& cases) { return largest_of(cases, false); }

  // Two runs with nothing in common but the inputs, and the oracle.
  Result<> try_case(KernelRunner& runner, const Case& each) {
    step(fmt::format("{} ({})", each.what, sizes_text(contract_.signature, each)));
    const Placement placement = report_.n_cases % 2 == 0 ? Placement::kStart : Placement::kShifted;
    HEARTH_TRY(const Outputs first, run(runner, each, {.placement = placement, .poison = kPoison}));
    HEARTH_TRY(const Outputs second,
               run(runner, each, {.placement = Placement::kEnd, .poison = kOtherPoison}));
    HEARTH_TRY_VOID(hold_against_oracle(each, first.tensors));
    if (!are_same_bits(first.tensors, second.tensors)) {
      return at_sizes(contract_, each,
                      "two runs with the same inputs give different bits: the kernel reads what "
                      "nobody wrote, or depends on where its memory lies");
    }
    for (const TensorData& tensor : first.tensors) digest_.update(tensor.bytes);
    ++report_.n_cases;
    return {};
  }

  Result<Outputs> run(KernelRunner& runner, const Case& each, const RunSetup& setup) {
    ++report_.n_runs;
    auto outputs = runner.run(each, setup);
    if (!outputs && outputs.error().code == Code::kInvalidArgument)
      return at_sizes(contract_, each, outputs.error().message);
    return outputs;
  }

  Result<> hold_against_oracle(const Case& each, const std::vector<TensorData>& found) {
    HEARTH_TRY(Reference reference, oracle_.ask(each, dice_));
    HEARTH_TRY(const ErrorHistogram errors,
               errors_of(contract_, oracle_, each, found, reference, dice_));
    report_.errors.add(errors);
    return {};
  }

  // Same addresses, same sizes, one element another: who remembers is found out.
  Result<> change_one(KernelRunner& runner, const Case& each) {
    step("one element changed");
    HEARTH_TRY(const Outputs before,
               run(runner, each, {.placement = Placement::kEnd, .poison = kPoison}));
    for (int i = 0; i < 3; ++i) {
      Case changed = each;
      if (!change_one_element(contract_, changed, dice_)) return {};
      ++report_.n_runs;
      auto after = runner.run_in_place(changed, kPoison);
      if (!after) return at_sizes(contract_, each, after.error().message);
      HEARTH_TRY_VOID(hold_against_oracle(changed, after->tensors));
      for (const TensorData& tensor : after->tensors) digest_.update(tensor.bytes);
    }
    return {};
  }

  // The kernel with mistakes: is the check awake?
  Result<> mutate(KernelRunner& runner, const Case& each) {
    step("mutations");
    HEARTH_TRY(const Reference reference, oracle_.ask(each, dice_));
    for (const Mutation& mutation : mutations_of(contract_.signature)) {
      RunSetup setup;
      if (!mutate_setup(mutation, each, setup)) continue;
      ++report_.n_runs;
      auto outputs = runner.run(each, setup);
      MutationFinding finding{.what = mutation.what, .changes = true, .units = INFINITY};
      if (outputs) {
        mutate_results(mutation, outputs->tensors);
        finding.units = compare(outputs->tensors, reference).histogram.max_units;
        finding.changes = finding.units > 0;
      }
      report_.mutations.push_back(std::move(finding));
    }
    return {};
  }

  Result<> prove(const std::vector<Case>& cases) {
    step("determinism");
    HEARTH_TRY(Proof proof,
               prove_determinism(contract_, unit_, image_, cases, options_.deadline, dice_));
    report_.proven = proof.level;
    report_.proofs = std::move(proof.steps);
    if (proof.level >= contract_.determinism) return {};
    return fail(Code::kInvalidArgument,
                fmt::format("the contract asks for {}, and {}",
                            kDeterminismNames[static_cast<std::size_t>(contract_.determinism)],
                            proof.problem));
  }

  // At the contract's own sizes, or where its oracle takes too long for those, at the largest that
  // were tried: no speed is stated of results that nobody checked.
  Result<> time(KernelRunner& runner, const std::vector<Case>& cases) {
    step("speed");
    const auto symbols = bench_sizes(contract_, options_.bench_bytes);
    const bool are_too_large = !symbols && symbols.error().code == Code::kNotFound;
    if (!symbols && !are_too_large) return std::unexpected(symbols.error());
    HEARTH_TRY(const bool is_timed, symbols ? time_at(runner, *symbols) : false);
    if (!is_timed) HEARTH_TRY_VOID(time_at(runner, largest_of(cases, true).symbols));
    return {};
  }

  // False where the oracle does not say what is right.
  Result<bool> time_at(KernelRunner& runner, const std::vector<std::int64_t>& symbols) {
    const SpeedTrial trial{
        .contract = contract_, .image = image_, .runner = runner, .oracle = oracle_};
    auto speed = measure_speed(trial, symbols, dice_);
    if (speed) {
      report_.speed = *std::move(speed);
      return true;
    }
    if (speed.error().code == Code::kUnavailable) return false;
    if (speed.error().code != Code::kInvalidArgument)
      return std::unexpected(std::move(speed).error());
    return fail(Code::kInvalidArgument, fmt::format("{} (at {})", speed.error().message,
                                                    symbols_text(contract_.signature, symbols)));
  }

  void step(std::string_view what) {
    if (options_.progress) options_.progress(done_, total_, what);
    ++done_;
  }

  const Contract& contract_;
  const Unit& unit_;
  const Image& image_;
  Oracle& oracle_;
  const VerifyOptions& options_;
  Dice dice_;
  Sha256Stream digest_;
  VerifyReport report_;
  std::uint64_t done_ = 0, total_ = 0;
};

// A mistake of the oracle's own, rounded as a kernel would.
Result<> try_mutation(const Contract& contract, Oracle& oracle, const Case& each,
                      const Reference& reference, const Mutation& mutation,
                      MutationFinding& finding, bool& is_noticed) {
  RunSetup setup{.placement = Placement::kEnd};
  if (!mutate_setup(mutation, each, setup)) return {};
  const std::vector<TensorData> right = round_to(reference.outputs, oracle.types());
  auto results = oracle.results(each, setup);
  if (!results) {  // It faults: noticed.
    finding = {.what = mutation.what, .changes = true, .units = INFINITY};
    is_noticed = true;
    return {};
  }
  std::vector<TensorData> wrong = round_to(*results, oracle.types());
  mutate_results(mutation, wrong);
  const double units = compare(wrong, reference).histogram.max_units;
  if (are_same_bits(right, wrong) || units == 0) return {};
  finding.changes = true;
  finding.units = std::max(finding.units, units);
  is_noticed |= units > static_cast<double>(allowed_units(contract, each));
  return {};
}

}  // namespace

BuildFlags build_flags(const Contract& contract) {
  return {
      .march = "native", .contracts = contract.determinism < Determinism::kIsa, .is_quick = false};
}

Result<ErrorHistogram> errors_of(const Contract& contract, Oracle& oracle, const Case& of,
                                 const std::vector<TensorData>& found, Reference& reference,
                                 Dice& dice) {
  Comparison comparison = compare(found, reference);
  const std::int64_t allowed = allowed_units(contract, of);
  const auto is_too_far = [&] {
    return comparison.worst && comparison.worst->units > static_cast<double>(allowed);
  };
  // Too far off, or is the oracle's condition there known too little?
  for (const int n_nudges : {6, 30}) {
    if (!is_too_far() || std::isinf(comparison.worst->units)) break;
    HEARTH_TRY_VOID(oracle.refine(of, reference, n_nudges, dice));
    comparison = compare(found, reference);
  }
  if (!is_too_far()) return comparison.histogram;
  const Worst& worst = *comparison.worst;
  const Parameter& parameter = *outputs_of(contract.signature)[worst.output];
  return at_sizes(contract, of, sentence_of(worst, parameter, found[worst.output], allowed));
}

Result<std::vector<MutationFinding>> check_contract(const Contract& contract, Oracle& oracle,
                                                    const VerifyOptions& options) {
  Dice dice(options.seed ^ 0xC0117AC7U);
  std::vector<std::string> left_out;
  VerifyOptions small = options;
  small.n_mixed = 2;
  small.limits = {.bytes_max = std::int64_t{256} << 10, .work_max = 1'000'000};
  auto drawn = draw_cases(contract, small, dice, left_out);
  if (!drawn) drawn = draw_cases(contract, options, dice, left_out);  // It allows large ones alone.
  HEARTH_TRY(const std::vector<Case> cases, std::move(drawn));
  std::vector<Reference> references;
  bool is_anything_computed = false;
  for (const Case& each : cases) {
    HEARTH_TRY(Reference reference, oracle.ask(each, dice));
    for (const TensorData& output : reference.outputs)
      is_anything_computed |= output.n_elements() > 0;
    references.push_back(std::move(reference));
  }
  if (!is_anything_computed)
    return fail(Code::kInvalidArgument,
                "the contract writes nothing at any of the sizes that were tried");
  std::vector<MutationFinding> findings;
  for (const Mutation& mutation : mutations_of(contract.signature)) {
    MutationFinding finding{.what = mutation.what};
    bool is_noticed = false;
    for (std::size_t i = 0; i < cases.size() && !is_noticed; ++i) {
      HEARTH_TRY_VOID(
          try_mutation(contract, oracle, cases[i], references[i], mutation, finding, is_noticed));
    }
    if (finding.changes && !is_noticed) {
      return fail(
          Code::kInvalidArgument,
          fmt::format(
              "the contract is too weak: a kernel that {} would pass, {:.3g} units in the last "
              "place off: lower tolerance_ulps, or give ranges that tell its inputs apart",
              mutation.what, finding.units));
    }
    findings.push_back(std::move(finding));
  }
  const bool are_zeros_right = !findings.empty() && !findings.front().changes;
  if (are_zeros_right)
    return fail(Code::kInvalidArgument,
                "the contract is too weak: its oracle writes zeros only, which a kernel that "
                "computes nothing could as well");
  return findings;
}

Result<VerifyReport> verify(const Contract& contract, const Unit& unit, const Image& image,
                            Oracle& oracle, const VerifyOptions& options) {
  return Verification(contract, unit, image, oracle, options).run();
}

}  // namespace hearth::compute
