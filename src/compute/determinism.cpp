#include "compute/determinism.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "compute/kernel_runner.h"
#include "compute/verify.h"

namespace hearth::compute {
namespace {

using Results = std::vector<std::vector<TensorData>>;  // Of each case.

Result<Results> results_of(const Contract& contract, int image_fd, std::uint32_t n_threads,
                           const std::vector<Case>& cases, std::chrono::milliseconds deadline) {
  RunnerOptions options = runner_options(contract, deadline);
  options.n_threads = n_threads;
  HEARTH_TRY(KernelRunner runner, KernelRunner::create(contract.signature, image_fd, options));
  Results results;
  for (const Case& each : cases) {
    HEARTH_TRY(Outputs outputs, runner.run(each, {.placement = Placement::kEnd}));
    results.push_back(std::move(outputs.tensors));
  }
  return results;
}

// Empty: equal in all; else where they first are not.
std::string difference(const Contract& contract, const std::vector<Case>& cases, const Results& a,
                       const Results& b) {
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (!std::ranges::equal(a[i], b[i], {}, &TensorData::bytes, &TensorData::bytes))
      return sizes_text(contract.signature, cases[i]);
  }
  return "";
}

// Symbols along which nothing of the output lies: a kernel reduces over those.
std::vector<std::size_t> reduced_symbols(const Signature& signature) {
  std::vector<bool> in_output(signature.symbols.size(), false),
      in_input(signature.symbols.size(), false);
  for (const Parameter& parameter : signature.parameters) {
    for (const Expression& extent : parameter.extents) {
      for (const std::size_t symbol : extent.symbols_used()) {
        if (parameter.is_written()) in_output[symbol] = true;
        if (!parameter.is_written() && extent.bare_symbol() >= 0) in_input[symbol] = true;
      }
    }
  }
  std::vector<std::size_t> reduced;
  for (std::size_t i = 0; i < in_output.size(); ++i) {
    if (in_input[i] && !in_output[i]) reduced.push_back(i);
  }
  return reduced;
}

// The case with its inputs' elements permuted along every extent that is this symbol, all in the
// same way.
Case permuted(const Signature& signature, const Case& of, std::size_t symbol, Dice& dice) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(of.symbols[symbol]));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1],
              order[static_cast<std::size_t>(dice.between(0, static_cast<std::int64_t>(i) - 1))]);
  Case out = of;
  std::size_t at = 0;
  for (const Parameter& parameter : signature.parameters) {
    if (!parameter.is_tensor()) continue;
    const std::size_t tensor = at++;
    for (std::size_t d = 0; d < parameter.extents.size() && parameter.is_read(); ++d) {
      if (parameter.extents[d].bare_symbol() != static_cast<int>(symbol)) continue;
      const TensorData before = out.tensors[tensor];
      const auto stride = static_cast<std::size_t>(contiguous_strides(before.shape)[d]);
      const std::size_t bytes = type_info(before.type).bytes;
      for (std::size_t i = 0; i < static_cast<std::size_t>(before.n_elements()); ++i) {
        const std::size_t place = i / stride % order.size();
        const std::size_t from =
            i - place * stride + static_cast<std::size_t>(order[place]) * stride;
        std::copy_n(before.bytes.begin() + static_cast<std::ptrdiff_t>(from * bytes), bytes,
                    out.tensors[tensor].bytes.begin() + static_cast<std::ptrdiff_t>(i * bytes));
      }
    }
  }
  return out;
}

// Climbs the ladder as far as the contract asks.
class Climb {
 public:
  Climb(const Contract& contract, const Unit& unit, const Image& image,
        const std::vector<Case>& cases, std::chrono::milliseconds deadline, Dice& dice)
      : contract_(contract),
        unit_(unit),
        image_(image),
        cases_(cases),
        deadline_(deadline),
        dice_(dice) {}

  Result<Proof> run() {
    proof_.steps.emplace_back("two runs of each case at other addresses: equal bits");
    HEARTH_TRY_VOID(threads());
    if (holds() && contract_.determinism >= Determinism::kIsa) HEARTH_TRY_VOID(builds());
    if (holds() && contract_.determinism >= Determinism::kOrder) HEARTH_TRY_VOID(orders());
    return std::move(proof_);
  }

 private:
  bool holds() const { return proof_.problem.empty(); }

  Result<> threads() {
    const std::uint32_t several = std::max(contract_.n_threads, 3U);
    HEARTH_TRY(alone_, results_of(contract_, image_.fd.get(), 1, cases_, deadline_));
    HEARTH_TRY(const Results together,
               results_of(contract_, image_.fd.get(), several, cases_, deadline_));
    const std::string where = difference(contract_, cases_, alone_, together);
    if (!where.empty())
      return unproven(fmt::format("1 and {} threads give different bits at {}", several, where));
    // A device beside this machine's processor has as many threads as it has.
    const std::string what =
        image_.is_elsewhere() ? "two processes" : fmt::format("1 and {} threads", several);
    return proven(Determinism::kThreads,
                  fmt::format("{}: equal bits in {} cases", what, cases_.size()));
  }

  Result<> builds() {
    if (image_.device) return unproven("there is one device here, so that D2 can't be tried");
    const std::vector<std::string> marches = marches_here();
    for (const std::string& march : marches) {
      BuildFlags flags = build_flags(contract_);
      flags.march = march;
      auto built = compile_unit(unit_, flags);
      if (!built && built.error().code == Code::kInvalidArgument)
        return unproven(
            fmt::format("the kernel can't be built for {}: {}", march, built.error().message));
      if (!built) return std::unexpected(std::move(built).error());
      HEARTH_TRY(const Results other, results_of(contract_, built->fd.get(), 1, cases_, deadline_));
      const std::string where = difference(contract_, cases_, alone_, other);
      if (!where.empty())
        return unproven(fmt::format("its build for {} gives other bits at {}", march, where));
    }
    return proven(Determinism::kIsa, fmt::format("builds for {}: equal bits in {} cases",
                                                 fmt::join(marches, ", "), cases_.size()));
  }

  Result<> orders() {
    const std::vector<std::size_t> reduced = reduced_symbols(contract_.signature);
    if (reduced.empty())
      return unproven(
          "there is nothing that it reduces over: every extent of its inputs is one of its "
          "outputs, so that D2 says all");
    for (const std::size_t symbol : reduced) {
      std::vector<Case> others;
      for (const Case& each : cases_)
        others.push_back(permuted(contract_.signature, each, symbol, dice_));
      HEARTH_TRY(const Results other, results_of(contract_, image_.fd.get(), 1, others, deadline_));
      const std::string where = difference(contract_, cases_, alone_, other);
      if (!where.empty())
        return unproven(fmt::format("another order along {} gives other bits at {}",
                                    contract_.signature.symbols[symbol], where));
    }
    return proven(Determinism::kOrder,
                  fmt::format("inputs in another order: equal bits in {} cases", cases_.size()));
  }

  Result<> proven(Determinism level, std::string step) {
    proof_.level = level;
    proof_.steps.push_back(std::move(step));
    return {};
  }
  Result<> unproven(std::string problem) {
    proof_.problem = std::move(problem);
    return {};
  }

  const Contract& contract_;
  const Unit& unit_;
  const Image& image_;
  const std::vector<Case>& cases_;
  const std::chrono::milliseconds deadline_;
  Dice& dice_;
  Results alone_;
  Proof proof_;
};

}  // namespace

Result<Proof> prove_determinism(const Contract& contract, const Unit& unit, const Image& image,
                                const std::vector<Case>& cases, std::chrono::milliseconds deadline,
                                Dice& dice) {
  return Climb(contract, unit, image, cases, deadline, dice).run();
}

}  // namespace hearth::compute
