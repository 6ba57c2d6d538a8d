// `hearth kernel run`: a kernel, built-in or verified, on data from files, or on numbers drawn from
// a seed.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/kernels.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "hub/kernels/kernel_desk.h"

namespace hearth::cli {
namespace {

constexpr std::size_t kInputBytesMax = std::size_t{4} << 30;
constexpr std::uint64_t kTensorBytesMax = std::uint64_t{16} << 30;  // Of a run, together.
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

Result<> read_inputs(const compute::Contract& contract, const std::vector<std::string>& texts,
                     const std::vector<std::int64_t>& symbols, hub::KernelCall& call) {
  for (const std::string& text : texts) {
    HEARTH_TRY(const auto pair, pair_of(text, "input: NAME=FILE is expected"));
    const auto& parameters = contract.signature.parameters;
    const auto found = std::ranges::find_if(parameters, [&](const auto& parameter) {
      return parameter.name == pair.first && parameter.is_tensor() && parameter.is_read();
    });
    if (found == parameters.end())
      return fail(Code::kInvalidArgument,
                  fmt::format("'{}' is no input of '{}', whose signature is: {}", pair.first,
                              contract.name, contract.signature.text()));
    HEARTH_TRY(const std::string bytes, read_file(pair.second, kInputBytesMax));
    HEARTH_TRY(auto shape, shape_of(*found, symbols));
    compute::TensorData tensor = compute::make_tensor(found->type, std::move(shape));
    if (bytes.size() != tensor.bytes.size()) {
      return fail(
          Code::kInvalidArgument,
          fmt::format(
              "'{}' has {} bytes, {} are expected for {} {}: raw numbers, the last extent fastest",
              pair.second, bytes.size(), tensor.bytes.size(), pair.first,
              compute::describe(tensor.type, tensor.shape)));
    }
    std::memcpy(tensor.bytes.data(), bytes.data(), bytes.size());
    call.tensors.push_back({found->name, std::move(tensor)});
  }
  return {};
}

Result<> write_outputs(const compute::Contract& contract, const std::vector<std::string>& texts,
                       const std::vector<hub::NamedTensor>& outputs) {
  for (const std::string& text : texts) {
    HEARTH_TRY(const auto pair, pair_of(text, "output: NAME=FILE is expected"));
    const auto found = std::ranges::find(outputs, pair.first, &hub::NamedTensor::name);
    if (found == outputs.end())
      return fail(Code::kInvalidArgument,
                  fmt::format("'{}' is no output of '{}', whose signature is: {}", pair.first,
                              contract.name, contract.signature.text()));
    const std::vector<std::byte>& bytes = found->tensor.bytes;
    HEARTH_TRY_VOID(write_file_atomic(pair.second,
                                      {reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  }
  return {};
}

// Says what it does meanwhile.
Result<hub::KernelOutcome> run_shown(hub::KernelDesk& desk, const hub::RunnableKernel& kernel,
                                     hub::KernelCall call, bool wanted) {
  ProgressBar bar(wanted);
  call.on_step = [&](std::string_view what) { bar.show(what); };
  return desk.run(kernel, std::move(call), {});
}

void print_outcome(const hub::RunnableKernel& kernel, const hub::KernelOutcome& outcome,
                   bool json) {
  const std::string bits = to_hex(outcome.results);
  const compute::Speed& speed = outcome.speed;
  const std::string sizes = compute::symbols_text(kernel.contract->signature, outcome.symbols);
  if (json) {
    const nlohmann::ordered_json shown = {{"name", kernel.name()},    {"sizes", sizes},
                                          {"device", outcome.device}, {"copies", outcome.n_copies},
                                          {"run_ns", speed.run_ns},   {"gb_s", speed.gb_s},
                                          {"gflops", speed.gflops},   {"results_sha256", bits}};
    print_out(shown.dump() + "\n");
    return;
  }
  const std::string where =
      outcome.device == compute::kProcessor
          ? ""
          : fmt::format(" on {}, {} copies", outcome.device, outcome.n_copies);
  print_out(fmt::format("{} at {}{}: {:.3f} ms, {:.3g} GB/s, {:.3g} GFLOP/s; bits {}\n",
                        kernel.name(), sizes, where, static_cast<double>(speed.run_ns) / 1e6,
                        speed.gb_s, speed.gflops, bits.substr(0, 12)));
}

}  // namespace

Result<> kernel_run(const Context& context, const KernelRunOptions& options) {
  HEARTH_TRY(const std::string name, compute::name_on(options.name, options.device));
  hub::KernelDeskOptions limits = desk_options(context.config);
  limits.run_max = std::chrono::seconds(options.timeout_s);
  limits.run_max_name = "--timeout";
  limits.run_bytes_max = kTensorBytesMax;
  hub::KernelDesk desk(std::move(limits));
  HEARTH_TRY(const hub::RunnableKernel kernel, desk.find(name));
  const compute::Contract& contract = *kernel.contract;
  HEARTH_TRY(const std::vector<std::int64_t> symbols, sizes_of(contract, options.sizes));
  hub::KernelCall call{.seed = options.seed, .repeats = options.repeats};
  for (std::size_t i = 0; i < symbols.size(); ++i)
    call.sizes.emplace_back(contract.signature.symbols[i], symbols[i]);
  HEARTH_TRY_VOID(read_inputs(contract, options.inputs, symbols, call));
  HEARTH_TRY(const hub::KernelOutcome outcome,
             run_shown(desk, kernel, std::move(call), !context.json));
  HEARTH_TRY_VOID(write_outputs(contract, options.outputs, outcome.outputs));
  print_outcome(kernel, outcome, context.json);
  return {};
}

}  // namespace hearth::cli
