#include "compute/kernel_runner.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <climits>
#include <random>
#include <span>

#include "base/file.h"
#include "compute/device_kernel.h"
#include "sandbox/shared_mapping.h"

namespace hearth::compute {
namespace {

using sandbox::SharedMapping;

constexpr std::uint64_t kPageBytes = 4096;
constexpr int kEmptyRuns = 16;
constexpr int kWordsGlimpsed = 64;           // Of each output.
constexpr int kPokes = 4;                    // Of each tensor, before a warm run.
constexpr std::byte kWarmPoison{0xFF};       // As RunSetup has it where nobody says otherwise.
constexpr std::uint64_t kShiftElements = 5;  // Of Placement::kShifted: no vector's alignment.

// One tensor of a run.
struct Placed {
  const Parameter* parameter;
  SharedMapping memory;
  std::uint64_t origin = 0;           // Of the element at index 0.
  std::vector<std::int64_t> strides;  // In elements.
  std::uint32_t mapping = sandbox::kNoMapping;
  // All of the memory when the run had ended; of what is written.
  std::vector<std::byte> seen = {};
};

// Calls visit(memory offset, array offset) for each element, in the array's order.
template <class Visit>
void for_each_element(const TensorData& tensor, const Placed& placed, Visit&& visit) {
  const std::int64_t n = tensor.n_elements();
  const std::size_t bytes = type_info(tensor.type).bytes;
  std::vector<std::int64_t> index(tensor.shape.size(), 0);
  std::int64_t offset = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    visit(placed.origin + static_cast<std::uint64_t>(offset * static_cast<std::int64_t>(bytes)),
          static_cast<std::size_t>(i) * bytes);
    for (std::size_t d = index.size(); d-- > 0;) {
      offset += placed.strides[d];
      if (++index[d] < tensor.shape[d]) break;
      offset -= placed.strides[d] * tensor.shape[d];
      index[d] = 0;
    }
  }
}

bool is_contiguous(const TensorData& tensor, const Placed& placed) {
  return placed.strides == contiguous_strides(tensor.shape);
}

void scatter(const TensorData& tensor, const Placed& placed, std::span<std::byte> memory) {
  if (is_contiguous(tensor, placed))
    return void(std::ranges::copy(tensor.bytes,
                                  memory.begin() + static_cast<std::ptrdiff_t>(placed.origin)));
  const std::size_t bytes = type_info(tensor.type).bytes;
  for_each_element(tensor, placed, [&](std::uint64_t to, std::size_t from) {
    std::memcpy(memory.data() + to, tensor.bytes.data() + from, bytes);
  });
}

void gather(TensorData& tensor, const Placed& placed, std::span<const std::byte> memory) {
  if (is_contiguous(tensor, placed)) {
    std::ranges::copy(memory.subspan(placed.origin, tensor.bytes.size()), tensor.bytes.begin());
    return;
  }
  const std::size_t bytes = type_info(tensor.type).bytes;
  for_each_element(tensor, placed, [&](std::uint64_t from, std::size_t to) {
    std::memcpy(tensor.bytes.data() + to, memory.data() + from, bytes);
  });
}

std::uint64_t first_byte(Placement placement, std::uint64_t pages_bytes, std::uint64_t bytes,
                         std::size_t element_bytes) {
  switch (placement) {
    case Placement::kStart:
      return 0;
    case Placement::kEnd:
      return std::min(pages_bytes - bytes, pages_bytes - element_bytes);
    case Placement::kShifted:
      return kShiftElements * element_bytes;
  }
  return 0;
}

Result<Placed> place(const Parameter& parameter, const TensorData& tensor,
                     std::vector<std::int64_t> strides, Placement placement) {
  const std::size_t element_bytes = type_info(tensor.type).bytes;
  if (strides.empty()) strides = contiguous_strides(tensor.shape);
  const Reach reach = reach_of({.type = tensor.type, .shape = tensor.shape, .strides = strides});
  const auto bytes = static_cast<std::uint64_t>(reach.before + reach.after);
  const std::uint64_t needed =
      bytes + (placement == Placement::kShifted ? kShiftElements * element_bytes : 0);
  const std::uint64_t pages_bytes =
      std::max<std::uint64_t>((needed + kPageBytes - 1) / kPageBytes, 1) * kPageBytes;
  HEARTH_TRY(auto memory,
             SharedMapping::create("hearth tensor", pages_bytes, sandbox::Pages::kWhenTouched));
  const std::uint64_t origin = first_byte(placement, pages_bytes, bytes, element_bytes) +
                               static_cast<std::uint64_t>(reach.before);
  return Placed{.parameter = &parameter,
                .memory = std::move(memory),
                .origin = origin,
                .strides = std::move(strides)};
}

}  // namespace

struct KernelRunner::State {
  const Signature* signature;
  sandbox::OwnedFd image;
  RunnerOptions options;
  std::optional<sandbox::Worker> worker;
  std::uint32_t kernel = 0;
  std::vector<Placed> current, retired;
  sandbox::RunRequest request{};
  std::mt19937_64 where{std::random_device{}()};  // Words are glimpsed at.
  struct Poke {
    std::size_t output = 0;  // Of the placed tensors.
    std::uint64_t at = 0;
    std::uint64_t word = 0;
  };
  std::vector<Poke> pokes;

  Result<> ensure_worker();
  Result<> place_all(const Case& arguments, const RunSetup& setup);
  void fill(const Case& arguments, std::byte poison);
  Result<> write_request(const Case& arguments, const RunSetup& setup);
  Result<std::int64_t> ask();
  Result<Outputs> ask_and_look(const Case& arguments, std::byte poison);
  Result<> look_at(Placed& placed, std::byte poison, TensorData& found);
  void swap_elements(TensorData& tensor, Placed& placed);
  void poke(Case& arguments);
  Result<> check_pokes() const;
  Result<> retire();
  Error failure(const sandbox::RunOutcome& outcome) const;
};

namespace {

// The signature's tensors in order.
std::vector<const Parameter*> tensors_of(const Signature& signature) {
  std::vector<const Parameter*> tensors;
  for (const Parameter& parameter : signature.parameters) {
    if (parameter.is_tensor()) tensors.push_back(&parameter);
  }
  return tensors;
}

}  // namespace

Result<> KernelRunner::State::ensure_worker() {
  if (worker && worker->is_alive()) return {};
  current.clear();
  retired.clear();
  worker.reset();
  const auto kind = options.on_device != nullptr ? worker_kind(options.on_device->language)
                                                 : sandbox::WorkerKind::kProcessor;
  HEARTH_TRY(worker,
             sandbox::Worker::start(
                 {.n_threads = options.n_threads, .kind = kind, .library = options.library}));
  const Result<std::uint32_t> loaded = worker->load(image.get());
  if (!loaded) worker.reset();  // One without the kernel is of no use to the next run.
  HEARTH_TRY(kernel, loaded);
  return {};
}

// New memory is mapped before the old is given back: an address never means two runs' data.
Result<> KernelRunner::State::place_all(const Case& arguments, const RunSetup& setup) {
  HEARTH_TRY_VOID(retire());
  retired = std::move(current);
  current.clear();
  const std::vector<const Parameter*> tensors = tensors_of(*signature);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    HEARTH_TRY(Placed placed,
               place(*tensors[i], arguments.tensors[i], arguments.strides[i], setup.placement));
    current.push_back(std::move(placed));
  }
  fill(arguments, setup.poison);
  for (Placed& placed : current) {
    const auto access =
        placed.parameter->is_written() ? sandbox::Access::kWrite : sandbox::Access::kRead;
    HEARTH_TRY(placed.mapping, worker->map(placed.memory.fd(), 0, placed.memory.bytes().size(),
                                           access, setup.is_populated));
  }
  return {};
}

void KernelRunner::State::fill(const Case& arguments, std::byte poison) {
  for (std::size_t i = 0; i < current.size(); ++i) {
    std::ranges::fill(current[i].memory.bytes(), poison);
    if (current[i].parameter->is_read())
      scatter(arguments.tensors[i], current[i], current[i].memory.bytes());
  }
}

Result<> KernelRunner::State::write_request(const Case& arguments, const RunSetup& setup) {
  request = {};
  request.kernel = kernel;
  request.n_buffers = static_cast<std::uint32_t>(current.size());
  for (std::size_t i = 0; i < current.size(); ++i) {
    const Placed& placed = current[setup.order.empty() ? i : setup.order[i]];
    request.buffers[i] = {.mapping = placed.mapping, .reserved = 0, .offset = placed.origin};
  }
  std::vector<std::int64_t> integers = setup.symbols.value_or(arguments.symbols);
  if (options.on_device != nullptr) {
    HEARTH_TRY(const auto items, items_of(*options.on_device, integers));
    std::ranges::copy(items, request.items);
  }
  for (const Placed& placed : current) {
    if (placed.parameter->is_strided)
      integers.insert(integers.end(), placed.strides.begin(), placed.strides.end());
  }
  request.n_integers = static_cast<std::uint32_t>(integers.size());
  std::ranges::copy(integers, request.integers);
  request.n_reals = static_cast<std::uint32_t>(arguments.reals.size());
  std::ranges::copy(arguments.reals, request.reals);
  return {};
}

Error KernelRunner::State::failure(const sandbox::RunOutcome& outcome) const {
  const sandbox::RunAnswer& answer = outcome.answer;
  if (outcome.end == sandbox::RunEnd::kDeadline || outcome.end == sandbox::RunEnd::kGaveUp) {
    return {Code::kInvalidArgument,
            fmt::format("the kernel has not returned after {} ms", options.deadline.count())};
  }
  const bool is_memory = outcome.end == sandbox::RunEnd::kFault &&
                         (answer.signal == SIGSEGV || answer.signal == SIGBUS);
  for (const Placed& placed : current) {
    if (!is_memory || answer.fault_mapping != placed.mapping) continue;
    const std::int64_t at = answer.fault_offset - static_cast<std::int64_t>(placed.origin);
    const auto size = static_cast<std::int64_t>(placed.memory.bytes().size());
    const bool is_inside = answer.fault_offset >= 0 && answer.fault_offset < size;
    if (is_inside)
      return {Code::kInvalidArgument,
              fmt::format("the kernel writes to '{}', which is only read", placed.parameter->name)};
    return {Code::kInvalidArgument,
            fmt::format("the kernel touches memory {} '{}', at byte {} from its first element",
                        answer.fault_offset < 0 ? "before" : "behind", placed.parameter->name, at)};
  }
  return {Code::kInvalidArgument, outcome.sentence()};
}

Result<std::int64_t> KernelRunner::State::ask() {
  HEARTH_TRY(const sandbox::RunOutcome outcome,
             worker->run(request, std::chrono::steady_clock::now() + options.deadline));
  if (outcome.end != sandbox::RunEnd::kDone) return std::unexpected(failure(outcome));
  return outcome.elapsed_ns;
}

namespace {

// Words of an output as they are the moment that the kernel answers: one that answers early, to be
// timed so, would still have to write them.
struct Glimpse {
  std::size_t output = 0;  // Of the placed tensors.
  std::uint64_t at = 0;
  std::uint64_t word = 0;
};

std::vector<Glimpse> glimpse_at(std::span<const Placed> placed, std::mt19937_64& where) {
  std::vector<Glimpse> glimpses;
  for (std::size_t i = 0; i < placed.size(); ++i) {
    if (!placed[i].parameter->is_written()) continue;
    const std::span<const std::byte> memory = placed[i].memory.bytes();
    for (int n = 0; n < kWordsGlimpsed; ++n) {
      Glimpse glimpse{
          .output = i,
          .at = where() % (memory.size() / sizeof(std::uint64_t)) * sizeof(std::uint64_t)};
      std::memcpy(&glimpse.word, memory.data() + glimpse.at, sizeof glimpse.word);
      glimpses.push_back(glimpse);
    }
  }
  return glimpses;
}

}  // namespace

// Copies what the tensor holds; all memory that it does not cover must be poison still.
Result<> KernelRunner::State::look_at(Placed& placed, std::byte poison, TensorData& found) {
  placed.seen.assign(placed.memory.bytes().begin(), placed.memory.bytes().end());
  gather(found, placed, placed.seen);
  std::vector<std::byte> expected(placed.seen.size(), poison);
  scatter(found, placed, expected);
  const auto [at, unused] = std::ranges::mismatch(placed.seen, expected);
  if (at == placed.seen.end()) return {};
  const std::int64_t byte = (at - placed.seen.begin()) - static_cast<std::int64_t>(placed.origin);
  return fail(Code::kInvalidArgument,
              fmt::format("the kernel writes beside '{}', at byte {} from its first element",
                          placed.parameter->name, byte));
}

// What counts is read once the worker stands still.
Result<Outputs> KernelRunner::State::ask_and_look(const Case& arguments, std::byte poison) {
  Outputs outputs;
  HEARTH_TRY(outputs.elapsed_ns, ask());
  const std::vector<Glimpse> glimpses = glimpse_at(current, where);
  HEARTH_TRY_VOID(worker->stop_process());
  Result<> looked;
  for (std::size_t i = 0; i < current.size() && looked; ++i) {
    if (!current[i].parameter->is_written()) continue;
    TensorData found = make_tensor(arguments.tensors[i].type, arguments.tensors[i].shape);
    looked = look_at(current[i], poison, found);
    outputs.tensors.push_back(std::move(found));
  }
  HEARTH_TRY_VOID(worker->continue_process());
  if (!looked) return std::unexpected(std::move(looked).error());
  for (const Glimpse& glimpse : glimpses) {
    const Placed& placed = current[glimpse.output];
    if (std::memcmp(placed.seen.data() + glimpse.at, &glimpse.word, sizeof glimpse.word) == 0)
      continue;
    return fail(Code::kInvalidArgument,
                fmt::format("the kernel says that it is done and goes on writing to '{}'",
                            placed.parameter->name));
  }
  return outputs;
}

void KernelRunner::State::swap_elements(TensorData& tensor, Placed& placed) {
  const std::size_t bytes = type_info(tensor.type).bytes;
  const std::uint64_t n = tensor.bytes.size() / bytes;
  for (int i = 0; i < kPokes && n > 1; ++i) {
    const std::uint64_t a = where() % n * bytes, b = where() % n * bytes;
    std::swap_ranges(&tensor.bytes[a], &tensor.bytes[a] + (a == b ? 0 : bytes), &tensor.bytes[b]);
    for (const std::uint64_t at : {a, b}) {
      std::memcpy(placed.memory.bytes().data() + placed.origin + at, &tensor.bytes[at], bytes);
    }
  }
}

void KernelRunner::State::poke(Case& arguments) {
  pokes.clear();
  for (std::size_t i = 0; i < current.size(); ++i) {
    TensorData& tensor = arguments.tensors[i];
    Placed& placed = current[i];
    if (!placed.parameter->is_written()) {
      swap_elements(tensor, placed);
    } else if (placed.parameter->is_read()) {
      scatter(tensor, placed, placed.memory.bytes());
    } else {
      const std::uint64_t n_words = tensor.bytes.size() / sizeof(std::uint64_t);
      for (int n = 0; n < kPokes && n_words > 0; ++n) {
        const Poke made{.output = i,
                        .at = placed.origin + where() % n_words * sizeof(std::uint64_t),
                        .word = where()};
        std::memcpy(placed.memory.bytes().data() + made.at, &made.word, sizeof made.word);
        pokes.push_back(made);
      }
    }
  }
}

Result<> KernelRunner::State::check_pokes() const {
  for (const Poke& made : pokes) {
    const Placed& placed = current[made.output];
    const std::byte* const at = placed.memory.bytes().data() + made.at;
    // Two pokes may have met in one place: then only the later one is there.
    if (std::memcmp(at, &made.word, sizeof made.word) != 0) continue;
    return fail(Code::kInvalidArgument,
                fmt::format("the kernel leaves some of '{}' as it was when it runs again",
                            placed.parameter->name));
  }
  return {};
}

// Gives the memory of the run before the last back, and looks whether any run's outputs have
// changed since.
Result<> KernelRunner::State::retire() {
  std::string changed;
  for (std::vector<Placed>* const runs : {&retired, &current}) {
    for (const Placed& placed : *runs) {
      const bool is_same =
          placed.seen.empty() || std::ranges::equal(placed.seen, placed.memory.bytes());
      if (!is_same && changed.empty()) changed = placed.parameter->name;
    }
  }
  for (const Placed& placed : retired) {
    if (placed.mapping != sandbox::kNoMapping && worker->is_alive())
      HEARTH_TRY_VOID(worker->unmap(placed.mapping));
  }
  retired.clear();
  if (!changed.empty())
    return fail(Code::kInvalidArgument,
                fmt::format("the kernel goes on writing to '{}' after it has returned", changed));
  return {};
}

std::int64_t lower_quartile(std::vector<std::int64_t> elapsed_ns) {
  const auto quartile = elapsed_ns.begin() + static_cast<std::ptrdiff_t>(elapsed_ns.size() / 4);
  std::ranges::nth_element(elapsed_ns, quartile);
  return *quartile;
}

RunnerOptions runner_options(const Contract& contract, std::chrono::milliseconds deadline) {
  return {.n_threads = contract.n_threads,
          .deadline = deadline,
          .on_device = is_for_device(contract.language) ? &contract : nullptr};
}

KernelRunner::KernelRunner(std::unique_ptr<State> state) : state_(std::move(state)) {}
KernelRunner::KernelRunner(KernelRunner&&) noexcept = default;
KernelRunner& KernelRunner::operator=(KernelRunner&&) noexcept = default;
KernelRunner::~KernelRunner() = default;

Result<KernelRunner> KernelRunner::create(const Signature& signature, int image_fd,
                                          const RunnerOptions& options) {
  auto state = std::make_unique<State>();
  state->signature = &signature;
  state->image = sandbox::OwnedFd(::dup(image_fd));
  if (!state->image) return fail(Code::kUnavailable, "no file descriptor is left for a kernel");
  state->options = options;
  HEARTH_TRY_VOID(state->ensure_worker());
  return KernelRunner(std::move(state));
}

Result<Outputs> KernelRunner::run(const Case& arguments, const RunSetup& setup) {
  HEARTH_TRY_VOID(state_->ensure_worker());
  HEARTH_TRY_VOID(state_->place_all(arguments, setup));
  HEARTH_TRY_VOID(state_->write_request(arguments, setup));
  return state_->ask_and_look(arguments, setup.poison);
}

Result<Outputs> KernelRunner::run_in_place(const Case& arguments, std::byte poison) {
  if (!state_->worker || !state_->worker->is_alive() ||
      state_->current.size() != arguments.tensors.size()) {
    return fail(Code::kUnavailable, "there was no run whose memory could be used again");
  }
  HEARTH_TRY_VOID(state_->retire());
  state_->fill(arguments, poison);
  return state_->ask_and_look(arguments, poison);
}

Result<Outputs> KernelRunner::run_warm(Case& arguments, int n_runs,
                                       std::vector<std::int64_t>& elapsed_ns) {
  if (!state_->worker || !state_->worker->is_alive() ||
      state_->current.size() != arguments.tensors.size()) {
    return fail(Code::kUnavailable, "there was no run whose memory could be used again");
  }
  HEARTH_TRY_VOID(state_->retire());
  for (Placed& placed : state_->current) placed.seen.clear();
  for (int i = 1; i < n_runs; ++i) {
    state_->poke(arguments);
    HEARTH_TRY(const std::int64_t elapsed, state_->ask());
    HEARTH_TRY_VOID(state_->check_pokes());
    elapsed_ns.push_back(elapsed);
  }
  state_->poke(arguments);
  HEARTH_TRY(Outputs last, state_->ask_and_look(arguments, kWarmPoison));
  elapsed_ns.push_back(last.elapsed_ns);
  return last;
}

Result<Outputs> KernelRunner::run_often(const Case& arguments, int n_runs) {
  std::vector<std::int64_t> elapsed;
  Outputs last;
  for (int i = 0; i < std::max(n_runs, 1); ++i) {
    HEARTH_TRY(Outputs outputs,
               run(arguments, {.placement = Placement::kStart, .is_populated = true}));
    if (i > 0 && !std::ranges::equal(outputs.tensors, last.tensors, {}, &TensorData::bytes,
                                     &TensorData::bytes)) {
      return fail(Code::kInvalidArgument, "two runs with the same inputs give different bits");
    }
    elapsed.push_back(outputs.elapsed_ns);
    last = std::move(outputs);
  }
  HEARTH_TRY(const std::int64_t empty, empty_ns());
  last.elapsed_ns = std::max<std::int64_t>(lower_quartile(std::move(elapsed)) - empty, 1);
  return last;
}

// A request for a kernel that there is not is answered at once.
Result<std::int64_t> KernelRunner::empty_ns() {
  HEARTH_TRY_VOID(state_->ensure_worker());
  sandbox::RunRequest nothing = state_->request;
  nothing.kernel = UINT32_MAX;
  std::vector<std::int64_t> elapsed;
  for (int i = 0; i < kEmptyRuns; ++i) {
    const auto deadline = std::chrono::steady_clock::now() + state_->options.deadline;
    HEARTH_TRY(const sandbox::RunOutcome outcome, state_->worker->run(nothing, deadline));
    elapsed.push_back(outcome.elapsed_ns);
  }
  return lower_quartile(std::move(elapsed));
}

const RunnerOptions& KernelRunner::options() const { return state_->options; }

Result<sandbox::OwnedFd> KernelRunner::process_descriptor() {
  HEARTH_TRY_VOID(state_->ensure_worker());
  return sandbox::OwnedFd(::fcntl(state_->worker->pidfd(), F_DUPFD_CLOEXEC, 0));
}

Result<> KernelRunner::check_settled() {
  return state_->worker && state_->worker->is_alive() ? state_->retire() : Result<>();
}

}  // namespace hearth::compute
