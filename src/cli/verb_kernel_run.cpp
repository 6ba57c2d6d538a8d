// `hearth kernel run`: a verified kernel on data from files, or on numbers drawn from a seed.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/kernels.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "compute/draw.h"
#include "compute/kernel_runner.h"

namespace hearth::cli {
namespace {

constexpr std::size_t kInputBytesMax = std::size_t{4} << 30;
constexpr std::int64_t kRunBytesDefault = std::int64_t{16} << 20;

// "NAME=VALUE", taken apart.
Result<std::pair<std::string, std::string>> pair_of(const std::string& text,
                                                    std::string_view what) {
  const std::size_t at = text.find('=');
  if (at == 0 || at == std::string::npos || at + 1 == text.size())
    return fail(Code::kInvalidArgument, fmt::format("'{}' is no {}", text, what));
  return std::pair(text.substr(0, at), text.substr(at + 1));
}

Result<std::vector<std::int64_t>> sizes_of(const compute::Contract& contract,
                                           const std::vector<std::string>& texts) {
  HEARTH_TRY(std::vector<std::int64_t> symbols, compute::bench_sizes(contract, kRunBytesDefault));
  for (const std::string& text : texts) {
    HEARTH_TRY(const auto pair, pair_of(text, "size: NAME=NUMBER is expected"));
    const auto symbol = std::ranges::find(contract.signature.symbols, pair.first);
    std::int64_t value = 0;
    const auto [stop, error] =
        std::from_chars(pair.second.data(), pair.second.data() + pair.second.size(), value);
    if (symbol == contract.signature.symbols.end() || error != std::errc{} || *stop != '\0') {
      return fail(Code::kInvalidArgument,
                  fmt::format("'{}' is no size of '{}', whose signature is: {}", text,
                              contract.name, contract.signature.text()));
    }
    symbols[static_cast<std::size_t>(symbol - contract.signature.symbols.begin())] = value;
  }
  for (const compute::Expression& precondition : contract.preconditions) {
    HEARTH_TRY(const std::int64_t holds, precondition.value(symbols));
    if (holds == 0)
      return fail(Code::kInvalidArgument,
                  fmt::format("the sizes do not keep the contract: {}", precondition.text()));
  }
  return symbols;
}

std::vector<const compute::Parameter*> tensors_of(const compute::Signature& signature) {
  std::vector<const compute::Parameter*> tensors;
  for (const compute::Parameter& parameter : signature.parameters) {
    if (parameter.is_tensor()) tensors.push_back(&parameter);
  }
  return tensors;
}

Result<> read_inputs(const compute::Contract& contract, const std::vector<std::string>& texts,
                     compute::Case& arguments) {
  const auto tensors = tensors_of(contract.signature);
  for (const std::string& text : texts) {
    HEARTH_TRY(const auto pair, pair_of(text, "input: NAME=FILE is expected"));
    const auto found = std::ranges::find_if(tensors, [&](const auto* parameter) {
      return parameter->name == pair.first && parameter->is_read();
    });
    if (found == tensors.end())
      return fail(Code::kInvalidArgument,
                  fmt::format("'{}' is no input of '{}', whose signature is: {}", pair.first,
                              contract.name, contract.signature.text()));
    HEARTH_TRY(const std::string bytes, read_file(pair.second, kInputBytesMax));
    compute::TensorData& tensor =
        arguments.tensors[static_cast<std::size_t>(found - tensors.begin())];
    if (bytes.size() != tensor.bytes.size()) {
      return fail(
          Code::kInvalidArgument,
          fmt::format(
              "'{}' has {} bytes, {} are expected for {} {}: raw numbers, the last extent fastest",
              pair.second, bytes.size(), tensor.bytes.size(), pair.first,
              compute::describe(tensor.type, tensor.shape)));
    }
    std::memcpy(tensor.bytes.data(), bytes.data(), bytes.size());
  }
  return {};
}

Result<> write_outputs(const compute::Contract& contract, const std::vector<std::string>& texts,
                       const compute::Outputs& outputs) {
  for (const std::string& text : texts) {
    HEARTH_TRY(const auto pair, pair_of(text, "output: NAME=FILE is expected"));
    std::size_t at = 0;
    bool is_found = false;
    for (const compute::Parameter* parameter : tensors_of(contract.signature)) {
      if (!parameter->is_written()) continue;
      const compute::TensorData& tensor = outputs.tensors[at++];
      if (parameter->name != pair.first) continue;
      is_found = true;
      HEARTH_TRY_VOID(write_file_atomic(
          pair.second, {reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size()}));
    }
    if (!is_found)
      return fail(Code::kInvalidArgument,
                  fmt::format("'{}' is no output of '{}', whose signature is: {}", pair.first,
                              contract.name, contract.signature.text()));
  }
  return {};
}

}  // namespace

Result<> kernel_run(const Context& context, const KernelRunOptions& options) {
  HEARTH_TRY(const auto shelf, open_kernel_shelf());
  HEARTH_TRY(const auto kernel, shelf->find_named(options.name));
  const compute::Contract& contract = kernel->contract;
  HEARTH_TRY(const std::vector<std::int64_t> symbols, sizes_of(contract, options.sizes));
  compute::Dice dice(options.seed);
  HEARTH_TRY(compute::Case arguments,
             compute::draw_case(contract, symbols, compute::Values::kEven, dice));
  for (auto& strides : arguments.strides) strides.clear();
  HEARTH_TRY_VOID(read_inputs(contract, options.inputs, arguments));
  HEARTH_TRY(compute::KernelRunner runner,
             compute::KernelRunner::create(contract.signature, kernel->image.fd.get(),
                                           compute::runner_options(
                                               contract, std::chrono::seconds(options.timeout_s))));
  HEARTH_TRY(const compute::Outputs outputs,
             runner.run_often(arguments, static_cast<int>(options.repeats)));
  const std::int64_t run_ns = outputs.elapsed_ns;
  HEARTH_TRY_VOID(write_outputs(contract, options.outputs, outputs));
  HEARTH_TRY(const std::int64_t flops, compute::flops_of(contract, symbols));
  HEARTH_TRY(const std::int64_t bytes, compute::bytes_of(contract, symbols));
  Sha256Stream digest;
  for (const compute::TensorData& tensor : outputs.tensors) digest.update(tensor.bytes);
  const std::string bits = to_hex(digest.finish());
  const double gb_s = static_cast<double>(bytes) / static_cast<double>(run_ns),
               gflops = static_cast<double>(flops) / static_cast<double>(run_ns);
  if (context.json) {
    print_out(nlohmann::ordered_json{{"name", contract.name},
                                     {"sizes", compute::sizes_text(contract.signature, arguments)},
                                     {"run_ns", run_ns},
                                     {"gb_s", gb_s},
                                     {"gflops", gflops},
                                     {"results_sha256", bits}}
                  .dump() +
              "\n");
  } else {
    print_out(fmt::format("{} at {}: {:.3f} ms, {:.3g} GB/s, {:.3g} GFLOP/s; bits {}\n",
                          contract.name, compute::sizes_text(contract.signature, arguments),
                          static_cast<double>(run_ns) / 1e6, gb_s, gflops, bits.substr(0, 12)));
  }
  return {};
}

}  // namespace hearth::cli
