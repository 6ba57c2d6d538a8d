#include "compute/oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace hearth::compute {
namespace {

// How often inputs are nudged at first.  By chance an element may move little each time; so whoever
// finds one too far off asks for more (refine) before he believes it.
constexpr int kNudges = 3;

Error of_oracle(const Error& error) {
  return {error.code, fmt::format("the contract's oracle fails: {}", error.message)};
}

}  // namespace

Oracle::Oracle(const Contract& contract, Image image, KernelRunner runner)
    : contract_(&contract), image_(std::move(image)), runner_(std::move(runner)) {
  for (const Parameter& parameter : contract.signature.parameters) {
    if (parameter.is_written()) types_.push_back(parameter.type);
  }
}

Result<Oracle> Oracle::create(const Contract& contract, std::chrono::milliseconds deadline) {
  auto unit = oracle_unit(contract);
  if (!unit) return std::unexpected(of_oracle(unit.error()));
  auto image = compile_unit(*unit, {.march = "native", .contracts = false, .is_quick = true});
  if (!image && image.error().code == Code::kInvalidArgument) {
    return fail(Code::kInvalidArgument,
                fmt::format("the contract's oracle does not compile: {}", image.error().message));
  }
  if (!image) return std::unexpected(std::move(image).error());
  auto runner = KernelRunner::create(contract.signature, image->fd.get(),
                                     {.n_threads = 1, .deadline = deadline});
  if (!runner && runner.error().code == Code::kInvalidArgument)
    return std::unexpected(of_oracle(runner.error()));
  if (!runner) return std::unexpected(std::move(runner).error());
  return Oracle(contract, *std::move(image), *std::move(runner));
}

Result<std::vector<TensorData>> Oracle::results(const Case& native, const RunSetup& setup) {
  auto outputs = runner_.run(for_oracle(native), setup);
  if (!outputs) return std::unexpected(of_oracle(outputs.error()));
  return std::move(outputs->tensors);
}

Result<Reference> Oracle::ask(const Case& native, Dice& dice) {
  Reference reference;
  HEARTH_TRY(reference.outputs, results(native, {.placement = Placement::kEnd}));
  for (const TensorData& output : reference.outputs) {
    const bool is_float = type_info(output.type).is_float;
    reference.condition.emplace_back(is_float ? static_cast<std::size_t>(output.n_elements()) : 0,
                                     0.0);
  }
  HEARTH_TRY_VOID(nudge_once(native, reference, /*all_up=*/true, dice));
  HEARTH_TRY_VOID(refine(native, reference, kNudges, dice));
  return reference;
}

Result<> Oracle::refine(const Case& native, Reference& reference, int n_nudges, Dice& dice) {
  for (int i = 0; i < n_nudges; ++i)
    HEARTH_TRY_VOID(nudge_once(native, reference, /*all_up=*/false, dice));
  return {};
}

// An element's condition is the furthest that it has moved.
Result<> Oracle::nudge_once(const Case& native, Reference& reference, bool all_up, Dice& dice) {
  const bool has_floats = std::ranges::any_of(
      reference.condition, [](const auto& condition) { return !condition.empty(); });
  if (!has_floats) return {};
  Case moved = for_oracle(native);
  nudge(native, moved, contract_->signature, all_up, dice);
  auto outputs = runner_.run(moved, {.placement = Placement::kEnd});
  if (!outputs) return std::unexpected(of_oracle(outputs.error()));
  for (std::size_t output = 0; output < reference.outputs.size(); ++output) {
    std::vector<double>& condition = reference.condition[output];
    for (std::size_t k = 0; k < condition.size(); ++k) {
      const auto at = static_cast<std::int64_t>(k);
      const double by =
          std::abs(outputs->tensors[output].number(at) - reference.outputs[output].number(at));
      // Where a value comes or goes, anything may.
      condition[k] = std::isnan(by) ? INFINITY : std::max(condition[k], by);
    }
  }
  return {};
}

}  // namespace hearth::compute
