#include "hub/kernels/kernel_desk.h"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <random>
#include <utility>

#include "base/clock.h"
#include "compute/kernel_runner.h"
#include "compute/speed.h"
#include "sandbox/jailed_command.h"
#include "sandbox/shared_mapping.h"
#include "tensor/aligned_buffer.h"

namespace hearth::hub {
namespace {

using compute::Builtin;
using compute::Parameter;
using compute::TensorData;

constexpr std::int64_t kRoofBytes = std::int64_t{64} << 20;
constexpr int kRoofProbes = 3;
constexpr std::size_t kKeyDigitsMin = 8;

std::uint64_t fresh_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

// A row as a contract: its names, shapes and costs.
RunnableKernel runnable(const Builtin& row) {
  auto contract = std::make_shared<compute::Contract>();
  contract->name = row.name;
  contract->prose = row.about;
  contract->signature = signature_of(row);
  const auto& symbols = contract->signature.symbols;
  contract->flops = *compute::Expression::parse(row.flops, symbols);  // Tests read every row.
  contract->bytes = *compute::Expression::parse(row.bytes, symbols);
  contract->tolerance_ulps = *compute::Expression::parse("0", symbols);
  contract->determinism = static_cast<compute::Determinism>(row.determinism);
  const Sha256 key = compute::contract_key(*contract);
  return {.contract = std::move(contract), .key = key, .builtin = &row, .verified = nullptr};
}

std::vector<RunnableKernel> house() {
  std::vector<RunnableKernel> all;
  for (const Builtin& row : compute::builtins()) all.push_back(runnable(row));
  return all;
}

RunnableKernel runnable(std::shared_ptr<const compute::Kernel> kernel) {
  const auto* const contract = &kernel->contract;
  return {.contract = std::shared_ptr<const compute::Contract>(kernel, contract),
          .key = kernel->key,
          .builtin = nullptr,
          .verified = std::move(kernel)};
}

// By its receipt.
std::string device_of(const compute::Kernel& kernel) {
  const auto statement = compute::read_receipt(kernel.receipt);
  return statement ? statement->device : "";
}

Sha256 digest_of(const std::vector<NamedTensor>& outputs) {
  Sha256Stream digest;
  for (const NamedTensor& output : outputs) digest.update(output.tensor.bytes);
  return digest.finish();
}

// Memory of one tensor: this process's own, or for another one, which maps it.
class TensorMemory {
 public:
  static Result<TensorMemory> make(std::size_t bytes, bool is_shared) {
    TensorMemory made;
    if (is_shared) {
      HEARTH_TRY(made.shared_,
                 sandbox::SharedMapping::create("hearth tensor", bytes, sandbox::Pages::kMapped));
    } else {
      made.own_.ensure(bytes);
    }
    return made;
  }
  std::byte* data() const { return shared_.data() != nullptr ? shared_.data() : own_.data(); }
  int descriptor() const { return shared_.fd(); }  // -1: its own.

 private:
  tensor::AlignedBuffer<std::byte> own_;
  sandbox::SharedMapping shared_;
};

// A call's tensors in memory as kernels like it: each from a line's beginning, in pages that are
// there.
class AlignedTensors {
 public:
  // Takes the bytes of what is only read: they are there once.
  static Result<AlignedTensors> make(const compute::Signature& signature, compute::Case& arguments,
                                     bool are_shared) {
    AlignedTensors made(arguments);
    for (const Parameter& parameter : signature.parameters) {
      if (!parameter.is_tensor()) continue;
      const std::size_t i = made.parameters_.size();
      made.parameters_.push_back(&parameter);
      HEARTH_TRY(auto memory, TensorMemory::make(arguments.tensors[i].bytes.size(), are_shared));
      made.memory_.push_back(std::move(memory));
      made.fill(i);
      if (parameter.direction == compute::Direction::kIn)
        std::vector<std::byte>().swap(arguments.tensors[i].bytes);  // Clearing would free nothing.
    }
    return made;
  }

  compute::Bindings bindings() {
    compute::Bindings bound;
    bound.n_symbols = arguments_.symbols.size();
    bound.integers = arguments_.symbols;
    bound.reals = arguments_.reals;
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      const TensorData& tensor = arguments_.tensors[i];
      compute::Tensor made{.type = tensor.type,
                           .shape = tensor.shape,
                           .strides = compute::contiguous_strides(tensor.shape),
                           .data = memory_[i].data(),
                           .memory_fd = memory_[i].descriptor()};
      if (parameters_[i]->is_strided) {
        bound.integers.insert(bound.integers.end(), made.strides.begin(), made.strides.end());
      }
      bound.tensors.push_back(std::move(made));
    }
    return bound;
  }

  // What a run has changed of its inputs, as it was.
  void restore() {
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      if (parameters_[i]->direction == compute::Direction::kInOut) fill(i);
    }
  }

  std::vector<NamedTensor> take_outputs() {
    std::vector<NamedTensor> outputs;
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      if (!parameters_[i]->is_written()) continue;
      TensorData& tensor = arguments_.tensors[i];
      std::copy_n(memory_[i].data(), tensor.bytes.size(), tensor.bytes.data());
      outputs.push_back({parameters_[i]->name, std::move(tensor)});
    }
    return outputs;
  }

 private:
  explicit AlignedTensors(compute::Case& arguments) : arguments_(arguments) {}
  void fill(std::size_t i) {
    const std::vector<std::byte>& bytes = arguments_.tensors[i].bytes;
    std::copy_n(bytes.data(), bytes.size(), memory_[i].data());
  }

  compute::Case& arguments_;
  std::vector<const Parameter*> parameters_;
  std::vector<TensorMemory> memory_;
};

// A call's runs, each by `run_once(bindings)`; `outcome` gets the best time, and what they wrote.
template <class RunOnce>
Result<> run_often(const RunnableKernel& kernel, const KernelCall& call, const RunWatch& watch,
                   compute::Case& arguments, KernelOutcome& outcome, RunOnce&& run_once) {
  call.tell("arranging the tensors in memory");
  HEARTH_TRY(auto tensors,
             AlignedTensors::make(kernel.contract->signature, arguments, kernel.device != nullptr));
  const compute::Bindings bindings = tensors.bindings();
  const Clock& clock = Clock::system();
  std::int64_t best_ns = INT64_MAX;
  for (std::uint32_t i = 0; i < call.repeats; ++i) {
    if (i > 0) tensors.restore();
    call.tell(fmt::format("run {} of {}", i + 1, call.repeats));
    const std::int64_t begin_ns = clock.now_monotonic_ns();
    const Result<> done = run_once(bindings);
    best_ns = std::min(best_ns, clock.now_monotonic_ns() - begin_ns);
    if (const auto ended = watch.ended()) return std::unexpected(*ended);
    if (!done) return done;
  }
  outcome.speed.run_ns = std::max<std::int64_t>(best_ns, 1);
  outcome.outputs = tensors.take_outputs();
  return {};
}

}  // namespace

KernelDesk::KernelDesk(KernelDeskOptions options)
    : options_(std::move(options)),
      house_(house()),
      devices_({.command = options_.device_command, .n_threads = options_.n_threads}) {}
KernelDesk::~KernelDesk() = default;

Result<compute::KernelShelf*> KernelDesk::shelf() {
  const std::lock_guard lock(opening_);
  if (shelf_ == nullptr) {
    HEARTH_TRY(shelf_, options_.open_shelf());
  }
  return shelf_.get();
}

Result<KernelAdviser*> KernelDesk::adviser() {
  const std::lock_guard lock(opening_);
  if (!adviser_) {
    adviser_.emplace();
    if (options_.open_adviser) {
      auto opened = options_.open_adviser();
      if (!opened) adviser_.reset();
      if (!opened) return std::unexpected(std::move(opened).error());
      adviser_ = *std::move(opened);
    }
  }
  return &*adviser_;
}

ThreadPool& KernelDesk::pool() {
  if (pool_ == nullptr) pool_ = std::make_unique<ThreadPool>(options_.n_threads);
  return *pool_;
}

KernelEntry KernelDesk::describe(const RunnableKernel& kernel) const {
  KernelEntry entry{.kernel = kernel, .receipt = {}, .last_run = {}};
  if (kernel.verified != nullptr) {
    if (auto statement = compute::read_receipt(kernel.verified->receipt)) {
      entry.receipt = *std::move(statement);
    }
  }
  const std::lock_guard lock(told_);
  const auto last = last_runs_.find(kernel.key);
  if (last != last_runs_.end()) entry.last_run = last->second;
  return entry;
}

Result<std::vector<KernelEntry>> KernelDesk::list() {
  std::vector<KernelEntry> entries;
  for (const RunnableKernel& kernel : house_) entries.push_back(describe(kernel));
  HEARTH_TRY(compute::KernelShelf* const kernels, shelf());
  HEARTH_TRY(const auto verified, kernels->all());
  for (const auto& kernel : verified) entries.push_back(describe(runnable(kernel)));
  return entries;
}

Result<RunnableKernel> KernelDesk::find(std::string_view name) {
  const compute::PlacedName placed = compute::placed_name(name);
  HEARTH_TRY(RunnableKernel kernel, find_unplaced(placed.kernel));
  if (placed.device.empty()) return kernel;
  if (kernel.builtin == nullptr) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' was verified where its contract says ({}), and runs there alone: "
                            "leave '@{}' away, or have one written for it",
                            kernel.name(), compute::language_name(kernel.contract->language),
                            placed.device));
  }
  HEARTH_TRY(kernel.device, compute::device_for(kernel.name(), placed.device));
  return kernel;
}

Result<RunnableKernel> KernelDesk::find_unplaced(std::string_view name) {
  const auto own = std::ranges::find_if(house_, [&](const RunnableKernel& kernel) {
    const bool is_key = name.size() >= kKeyDigitsMin && to_hex(kernel.key).starts_with(name);
    return kernel.name() == name || is_key;
  });
  if (own != house_.end()) return *own;
  HEARTH_TRY(compute::KernelShelf* const kernels, shelf());
  HEARTH_TRY(auto verified, kernels->find_named(name));
  return runnable(std::move(verified));
}

Result<KernelOutcome> KernelDesk::run(const RunnableKernel& kernel, KernelCall call,
                                      const StillWanted& still_wanted) {
  call.repeats = std::clamp<std::uint32_t>(call.repeats, 1, kKernelRepeatsMax);
  KernelCall settings;  // What is left of the call once its tensors are the arguments.
  settings.repeats = call.repeats;
  settings.with_roof = call.with_roof;
  settings.on_step = call.on_step;
  HEARTH_TRY(PreparedCall prepared,
             prepare_call(*kernel.contract, std::move(call), options_.run_bytes_max));
  KernelOutcome outcome{.symbols = prepared.arguments.symbols, .drawn = std::move(prepared.drawn)};
  HEARTH_TRY(outcome.flops, compute::flops_of(*kernel.contract, outcome.symbols));
  HEARTH_TRY(outcome.bytes, compute::bytes_of(*kernel.contract, outcome.symbols));
  outcome.n_runs = settings.repeats;
  if (kernel.device != nullptr) {
    HEARTH_TRY_VOID(run_placed(kernel, settings, still_wanted, prepared.arguments, outcome));
  } else if (kernel.builtin != nullptr) {
    HEARTH_TRY_VOID(run_builtin(kernel, settings, still_wanted, prepared.arguments, outcome));
  } else {
    HEARTH_TRY_VOID(run_verified(kernel, settings, still_wanted, prepared.arguments, outcome));
  }
  outcome.results = digest_of(outcome.outputs);
  return outcome;
}

Result<> KernelDesk::run_builtin(const RunnableKernel& kernel, const KernelCall& call,
                                 const StillWanted& still_wanted, compute::Case& arguments,
                                 KernelOutcome& outcome) {
  std::atomic<std::uint32_t> given_up{0};
  RunWatch watch(still_wanted, run_limit(), [&] { given_up = 1; });
  const std::lock_guard lock(in_use_);
  const compute::Workers workers(pool(), {.before = &given_up, .number = 0});
  outcome.n_threads = workers.n_threads();
  HEARTH_TRY_VOID(run_often(kernel, call, watch, arguments, outcome, [&](const auto& bindings) {
    return kernel.builtin->run(bindings, workers);
  }));
  rate(kernel, call, outcome);
  return {};
}

Result<> KernelDesk::run_placed(const RunnableKernel& kernel, const KernelCall& call,
                                const StillWanted& still_wanted, compute::Case& arguments,
                                KernelOutcome& outcome) {
  std::atomic<bool> given_up{false};
  RunWatch watch(still_wanted, run_limit(), [&] { given_up = true; });
  compute::DeviceRun ran;
  const auto run_once = [&](const compute::Bindings& bindings) -> Result<> {
    HEARTH_TRY(ran,
               devices_.run(*kernel.device, *kernel.builtin, bindings, [&] { return !given_up; }));
    return {};
  };
  HEARTH_TRY_VOID(run_often(kernel, call, watch, arguments, outcome, run_once));
  outcome.n_copies = ran.n_copies;
  outcome.device = ran.device.name;
  const std::lock_guard lock(in_use_);
  if (ran.device.is_host) outcome.n_threads = pool().n_threads();
  rate(kernel, call, outcome);
  return {};
}

Result<compute::DeviceRun> KernelDesk::run_on_device(const RunnableKernel& kernel,
                                                     const compute::Bindings& arguments,
                                                     const StillWanted& still_wanted) {
  std::atomic<bool> given_up{false};
  RunWatch watch(still_wanted, run_limit(), [&] { given_up = true; });
  auto ran = devices_.run(*kernel.device, *kernel.builtin, arguments, [&] { return !given_up; });
  if (const auto ended = watch.ended()) return std::unexpected(*ended);
  return ran;
}

Result<compute::DeviceInfo> KernelDesk::open_device(const RunnableKernel& kernel,
                                                    const StillWanted& still_wanted) {
  return devices_.open(*kernel.device, still_wanted);
}

std::vector<DeviceEntry> KernelDesk::look_for_devices() {
  std::vector<DeviceEntry> entries;
  for (const compute::DeviceRow& row : compute::device_rows()) {
    entries.push_back({.row = &row, .found = devices_.look(row)});
  }
  return entries;
}

Result<> KernelDesk::run_verified(const RunnableKernel& kernel, const KernelCall& call,
                                  const StillWanted& still_wanted, const compute::Case& arguments,
                                  KernelOutcome& outcome) {
  HEARTH_TRY_VOID(jail());
  const compute::Contract& contract = *kernel.contract;
  HEARTH_TRY(compute::KernelRunner runner,
             compute::KernelRunner::create(contract.signature, kernel.verified->image.fd.get(),
                                           compute::runner_options(contract, options_.run_max)));
  HEARTH_TRY(const sandbox::OwnedFd process, runner.process_descriptor());
  RunWatch watch(still_wanted, run_limit(),
                 [&] { ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0U); });
  auto outputs = runner.run_often(arguments, static_cast<int>(call.repeats));
  if (const auto ended = watch.ended()) return std::unexpected(*ended);
  if (!outputs) return std::unexpected(std::move(outputs).error());
  outcome.n_threads = contract.n_threads;
  if (compute::is_for_device(contract.language)) outcome.device = device_of(*kernel.verified);
  outcome.speed.run_ns = outputs->elapsed_ns;
  std::size_t at = 0;
  for (const Parameter& parameter : contract.signature.parameters) {
    if (!parameter.is_tensor() || !parameter.is_written()) continue;
    outcome.outputs.push_back({parameter.name, std::move(outputs->tensors[at++])});
  }
  const std::lock_guard lock(in_use_);
  rate(kernel, call, outcome);
  return {};
}

// With in_use_ held: probes and kernels would take the machine from one another.
void KernelDesk::rate(const RunnableKernel& kernel, const KernelCall& call,
                      KernelOutcome& outcome) {
  compute::Speed& speed = outcome.speed;
  const compute::Signature& signature = kernel.contract->signature;
  speed.sizes = compute::symbols_text(signature, outcome.symbols);
  const bool is_elsewhere =
      kernel.verified != nullptr ? kernel.verified->image.is_elsewhere() : outcome.n_threads == 0;
  if (call.with_roof && !is_elsewhere) {
    compute::NearRoofs probes(signature, outcome.n_threads, outcome.bytes);
    for (int i = 0; i < kRoofProbes; ++i) probes.probe(speed);
  }
  compute::rate(speed, outcome.flops, outcome.bytes);
  if (!call.with_roof || kernel.device != nullptr) return;  // The list has the processor's.
  const std::lock_guard lock(told_);
  last_runs_.insert_or_assign(kernel.key, speed);
}

Result<WrittenKernel> KernelDesk::write(KernelRequest request, std::uint32_t rounds_max,
                                        const StillWanted& still_wanted,
                                        const WritingEvents& events) {
  if (request.contract && !request.contract->source.empty()) return build(request, events);
  if (request.contract && request.prose.empty()) {
    request.prose = !request.contract->prose.empty()
                        ? request.contract->prose
                        : fmt::format("what the contract '{}' says", request.contract->name);
  }
  HEARTH_TRY(compute::KernelShelf* const kernels, shelf());
  HEARTH_TRY(KernelAdviser* const desk, adviser());
  KernelWriterOptions options{.rounds_max = rounds_max};
  options.verify.seed = fresh_seed();
  options.verify.progress = events.progress;
  options.progress = events.progress;
  options.on_round = events.on_round;
  options.on_departure = events.on_departure;
  options.still_wanted = still_wanted;
  return KernelWriter(*kernels, desk->adviser.get(), desk->ledger.get(), std::move(options))
      .write(request);
}

// From the source that came along.
Result<WrittenKernel> KernelDesk::build(const KernelRequest& request, const WritingEvents& events) {
  const compute::Contract& contract = *request.contract;
  HEARTH_TRY(compute::KernelShelf* const kernels, shelf());
  WrittenKernel written;
  const auto known = kernels->find(compute::contract_key(contract));
  if (known && (*known)->source == contract.source) {
    written.kernel = *known;
    written.was_known = true;
    return written;
  }
  compute::VerifyOptions options;
  options.seed = fresh_seed();
  options.progress = events.progress;
  HEARTH_TRY(compute::Oracle oracle, compute::Oracle::create(contract, options.deadline));
  HEARTH_TRY([[maybe_unused]] const auto findings,
             compute::check_contract(contract, oracle, options));
  HEARTH_TRY(written.kernel,
             compute::make_kernel(contract, contract.source, oracle, kernels->key(), options));
  HEARTH_TRY_VOID(kernels->put(written.kernel));
  return written;
}

Result<compute::VerifyReport> KernelDesk::check(std::string_view name, std::uint64_t seed) {
  HEARTH_TRY(compute::KernelShelf* const kernels, shelf());
  HEARTH_TRY(const auto kernel, kernels->find_named(name));
  compute::VerifyOptions options;
  options.seed = seed;
  options.is_timed = false;
  return compute::verify_again(*kernel, options);
}

Result<Sha256> KernelDesk::drop(std::string_view name) {
  HEARTH_TRY(const RunnableKernel kernel, find(name));
  if (kernel.builtin != nullptr) {
    return fail(Code::kPermissionDenied,
                fmt::format("'{}' is a built-in kernel: it can't be dropped", kernel.name()));
  }
  HEARTH_TRY(compute::KernelShelf* const kernels, shelf());
  HEARTH_TRY_VOID(kernels->drop(kernel.key));
  return kernel.key;
}

Result<> KernelDesk::jail() const { return sandbox::jail_works(); }

MachineRoofs KernelDesk::roofs() {
  const auto known = [this] {
    const std::lock_guard lock(told_);
    return roofs_;
  };
  if (const auto roofs = known()) return *roofs;
  const std::lock_guard lock(in_use_);
  if (const auto roofs = known()) return *roofs;  // Somebody else was here first.
  static const compute::Signature kFloats = *compute::parse_signature("out f32[n], in f32[n]");
  compute::Speed speed;
  const unsigned n_threads = pool().n_threads();
  compute::NearRoofs probes(kFloats, n_threads, kRoofBytes);
  for (int i = 0; i < kRoofProbes; ++i) probes.probe(speed);
  const MachineRoofs roofs{.n_threads = n_threads,
                           .gflops_f32 = speed.roof_gflops,
                           .gflops_f64 = speed.roof_gflops / 2,
                           .gb_s = speed.roof_gb_s};
  const std::lock_guard telling(told_);
  roofs_ = roofs;
  return roofs;
}

}  // namespace hearth::hub
