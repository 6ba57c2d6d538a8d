#include "sandbox/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <bitset>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>

#include "sandbox/descriptor_room.h"
#include "sandbox/private_folder.h"
#include "sandbox/program.h"
#include "sandbox/protocol.h"
#include "sandbox/shared_mapping.h"

namespace hearth::sandbox {
namespace {

constexpr int kStartMs = 20'000;  // A busy machine included.
constexpr int kReplyMs = 30'000;  // The longest: page tables for 64 GiB.
constexpr std::int64_t kLookNs =
    10'000'000;  // How often a waiting asker looks whether the worker lives.
constexpr std::uint32_t kSpinUsMax = 100'000;
constexpr std::uint64_t kStackBytesMin = 64 << 10;
constexpr std::uint64_t kLimitBytesMax = std::uint64_t{1} << 46;
constexpr std::uint64_t kPageBytes = 4096;

Result<> check_limits(const WorkerLimits& limits) {
  if (limits.n_threads < 1 || limits.n_threads > kWorkerThreadsMax) {
    return fail(Code::kInvalidArgument, fmt::format("a worker has 1 to {} threads, not {}",
                                                    kWorkerThreadsMax, limits.n_threads));
  }
  if (limits.stack_bytes < kStackBytesMin ||
      limits.stack_bytes > limits.memory_bytes + (std::uint64_t{64} << 20)) {
    return fail(Code::kInvalidArgument,
                fmt::format("a worker's stacks have at least {} bytes and at most 64 MiB more than "
                            "its memory, not {}",
                            kStackBytesMin, limits.stack_bytes));
  }
  if (limits.spin_us > kSpinUsMax) {
    return fail(Code::kInvalidArgument,
                fmt::format("a worker spins for at most {} us", kSpinUsMax));
  }
  if (limits.memory_bytes > kLimitBytesMax || limits.mapped_bytes > kLimitBytesMax) {
    return fail(Code::kInvalidArgument,
                fmt::format("a worker's memory is at most {} bytes", kLimitBytesMax));
  }
  return {};
}

// What a driver has to read, and the devices that it may use.
constexpr const char* kDriverPaths[] = {"/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/OpenCL",
                                        "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system"};
constexpr const char* kGpuPaths[] = {"/proc/driver/nvidia", "/sys/devices", "/sys/bus/pci",
                                     "/sys/class/drm", "/etc/nvidia"};
constexpr const char* kGpuDevices[] = {"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools",
                                       "/dev/dri", "/dev/kfd"};
constexpr int kGpusMax = 16;

void add_device_arguments(const WorkerLimits& limits, const std::filesystem::path& scratch,
                          std::vector<std::string>& arguments) {
  const bool is_cuda = limits.kind == WorkerKind::kCuda;
  const auto add = [&](const char* kind, const std::filesystem::path& path) {
    std::error_code error;
    if (std::filesystem::exists(path, error)) arguments.push_back(kind + path.string());
  };
  arguments.push_back(is_cuda ? "kind=cuda" : "kind=opencl");
  const char* const usual = is_cuda ? "libcuda.so.1" : "libOpenCL.so.1";
  arguments.push_back("library=" + (limits.library.empty() ? usual : limits.library));
  arguments.push_back("scratch=" + scratch.string());
  for (const char* const path : kDriverPaths) add("r=", path);
  for (const char* const path : kGpuPaths) add("r=", path);
  for (const char* const path : kGpuDevices) add("d=", path);
  for (int i = 0; i < kGpusMax; ++i) add("d=", fmt::format("/dev/nvidia{}", i));
  if (!limits.library.empty()) add("r=", limits.library);
}

bool send_request(int socket, const ControlRequest& request, int fd) {
  iovec part{const_cast<ControlRequest*>(&request), sizeof request};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  DescriptorRoom<1> beside;
  beside.attach(message, &fd, fd >= 0 ? 1 : 0);
  return ::sendmsg(socket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof request);
}

std::string fault_sentence(const RunAnswer& answer) {
  const char* name = ::sigabbrev_np(answer.signal);
  const std::string signal =
      name != nullptr ? fmt::format("SIG{}", name) : fmt::format("signal {}", answer.signal);
  if (answer.signal == SIGSYS) {
    return fmt::format("the kernel made system call {}, and kernels may make none",
                       answer.system_call);
  }
  if (answer.fault_mapping != kNoMapping) {
    return fmt::format("the kernel touched byte {} of mapping {} and was not allowed to ({})",
                       answer.fault_offset, answer.fault_mapping, signal);
  }
  if (answer.signal == SIGSEGV || answer.signal == SIGBUS) {
    return fmt::format("the kernel touched address {:#x}, which is in none of its buffers ({})",
                       answer.fault_address, signal);
  }
  return fmt::format("the kernel was ended by {}", signal);
}

// What callers and authors can do something about: OpenCL's errors are negative, CUDA's positive.
std::string device_sentence(int error) {
  static constexpr std::pair<int, const char*> kMeanings[] = {
      {-4, "its memory does not suffice for the tensors"},
      {-5, "a group of this size needs more than it has"},
      {-6, "this machine's memory does not suffice"},
      {-54, "groups of this size are none that it has"},
      {-61, "a tensor is larger than it takes"},
      {1, "it takes no such launch: too many groups, or too large ones"},
      {2, "its memory does not suffice for the tensors"},
      {700, "the kernel touched memory that is in none of its tensors"},
      {701, "a group of this size needs more than it has"},
      {702, "the kernel ran for longer than its driver lets one"},
      {716, "the kernel touched memory off its alignment"},
      {719, "the kernel ended with an error"},
  };
  const auto* const known =
      std::ranges::find(kMeanings, error, &std::pair<int, const char*>::first);
  return fmt::format("the device refuses the run with error {}{}{}", error,
                     known == std::end(kMeanings) ? "" : ": ",
                     known == std::end(kMeanings) ? "" : known->second);
}

}  // namespace

std::string RunOutcome::sentence() const {
  switch (end) {
    case RunEnd::kDone:
      return "the kernel returned";
    case RunEnd::kGaveUp:
      return "the kernel was told to stop, and did";
    case RunEnd::kRefused:
      return "the run names a kernel, a mapping or an offset that there is not";
    case RunEnd::kFault:
      return fault_sentence(answer);
    case RunEnd::kDied:
      return "the kernel's process ended without a word: it was killed, or ran out of memory";
    case RunEnd::kDeadline:
      return "the kernel did not return before its deadline";
    case RunEnd::kFailed:
      return device_sentence(answer.signal);
  }
  return {};
}

struct Worker::State {
  WorkerLimits limits;
  // Of a device's driver.  Before the process, so that it goes after it: nobody writes there then.
  std::optional<PrivateFolder> scratch;
  Process process;
  OwnedFd control;
  OwnedFd lifeline;
  SharedMapping page;  // Of the run channel.
  DeviceIdentity device{};
  bool is_stopped = false;
  std::bitset<kWorkerKernelsMax> kernels;
  std::bitset<kWorkerMappingsMax> mappings;

  RunChannel& channel() const { return *reinterpret_cast<RunChannel*>(page.data()); }
  Result<> await_reply(std::uint32_t op, std::uint32_t number, int timeout_ms);
  Result<> ask(const ControlRequest& request, int fd);
  std::unexpected<Error> has_ended() {
    process.kill();
    return fail(Code::kUnavailable, fmt::format("the worker {}", process.how_it_ended()));
  }
  void read_identity(const ControlReply& reply);
  RunOutcome outcome_of(std::uint32_t run, bool was_given_up);
  bool await(std::uint32_t run, std::int64_t until_ns);
};

// A worker that answers out of turn, or not at all, is beyond trust.
Result<> Worker::State::await_reply(std::uint32_t op, std::uint32_t number, int timeout_ms) {
  ControlReply reply{};
  if (!wait_readable(control.get(), timeout_ms)) {
    process.kill();
    return fail(Code::kUnavailable,
                fmt::format("the worker did not answer within {} ms and was killed", timeout_ms));
  }
  if (::recv(control.get(), &reply, sizeof reply, MSG_DONTWAIT) !=
      static_cast<ssize_t>(sizeof reply))
    return has_ended();
  if (reply.op != op || reply.number != number) {
    process.kill();
    return fail(Code::kUnavailable, "the worker broke the protocol and was killed");
  }
  if (reply.is_ok != 0 && op == 0) read_identity(reply);
  if (reply.is_ok != 0) return {};
  return fail(Code::kInvalidArgument, clean_sentence(reply.sentence));
}

// What a device calls itself: printable, and ended.
void Worker::State::read_identity(const ControlReply& reply) {
  std::memcpy(&device, reply.sentence, sizeof device);
  for (const std::span<char> text :
       {std::span<char>(device.device), std::span<char>(device.driver), std::span<char>(device.target)}) {
    text.back() = '\0';
    const std::string clean = clean_sentence(text);
    std::ranges::copy(clean, text.begin());
  }
}

Result<> Worker::State::ask(const ControlRequest& request, int fd) {
  if (is_stopped) return fail(Code::kInvalidArgument, "the worker is stopped: continue it first");
  if (!process.is_alive() || !send_request(control.get(), request, fd)) return has_ended();
  return await_reply(static_cast<std::uint32_t>(request.op), request.number, kReplyMs);
}

Worker::Worker(std::unique_ptr<State> state) : state_(std::move(state)) {}
Worker::Worker(Worker&&) noexcept = default;
Worker& Worker::operator=(Worker&&) noexcept = default;
Worker::~Worker() = default;

Result<Worker> Worker::start(const WorkerLimits& limits) {
  HEARTH_TRY_VOID(check_limits(limits));
  auto state = std::make_unique<State>();
  state->limits = limits;
  HEARTH_TRY(state->page,
             SharedMapping::create("hearth_channel", kRunChannelBytes, Pages::kWhenTouched));
  HEARTH_TRY(SocketPair lifeline, make_socket_pair());
  HEARTH_TRY(SocketPair control, make_socket_pair());
  std::vector<std::string> arguments{
      fmt::format("memory={}", limits.memory_bytes), fmt::format("mapped={}", limits.mapped_bytes),
      fmt::format("stack={}", limits.stack_bytes), fmt::format("threads={}", limits.n_threads),
      fmt::format("spin={}", limits.spin_us)};
  const bool is_device = limits.kind != WorkerKind::kProcessor;
  if (is_device) {
    HEARTH_TRY(PrivateFolder scratch, PrivateFolder::create());
    state->scratch.emplace(std::move(scratch));
    add_device_arguments(limits, state->scratch->path(), arguments);
  }
  HEARTH_TRY(state->process, Process::start(is_device ? Program::kDevice : Program::kJail, "worker",
                                            std::move(arguments), control.theirs.get(),
                                            lifeline.theirs.get(), state->page.fd()));
  control.theirs.reset();
  lifeline.theirs.reset();
  state->control = std::move(control.ours);
  state->lifeline = std::move(lifeline.ours);
  if (Result<> ready = state->await_reply(0, 0, kStartMs); !ready) {
    if (ready.error().code != Code::kInvalidArgument)
      return std::unexpected(std::move(ready).error());
    return fail(Code::kUnsupported,
                (is_device ? "no device can run kernels: " : "no jail can be built for kernels: ") +
                    ready.error().message);
  }
  return Worker(std::move(state));
}

Result<std::uint32_t> Worker::load(int image_fd) {
  struct stat status {};
  if (::fstat(image_fd, &status) != 0 || status.st_size <= 0 ||
      static_cast<std::uint64_t>(status.st_size) > kImageBytesMax) {
    return fail(Code::kInvalidArgument,
                fmt::format("a kernel's image has 1 to {} bytes, this one has {}", kImageBytesMax,
                            static_cast<std::int64_t>(status.st_size)));
  }
  constexpr int kWanted = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
  if (const int seals = ::fcntl(image_fd, F_GET_SEALS); seals < 0 || (seals & kWanted) != kWanted) {
    return fail(Code::kInvalidArgument,
                "a kernel's image has to be sealed against changes (make_sealed_memory)");
  }
  std::uint32_t kernel = 0;
  while (kernel < kWorkerKernelsMax && state_->kernels[kernel]) ++kernel;
  if (kernel == kWorkerKernelsMax) {
    return fail(Code::kOutOfBudget,
                fmt::format("a worker holds {} kernels: drop one first", kWorkerKernelsMax));
  }
  HEARTH_TRY(const OwnedFd image, reopen_read_only(image_fd));
  Result<> loaded = state_->ask(
      {ControlOp::kLoad, kernel, 0, static_cast<std::uint64_t>(status.st_size), 0, 0}, image.get());
  if (!loaded && loaded.error().code == Code::kInvalidArgument) {
    return fail(Code::kInvalidArgument, "the kernel's image is refused: " + loaded.error().message);
  }
  HEARTH_TRY_VOID(std::move(loaded));
  state_->kernels.set(kernel);
  return kernel;
}

Result<> Worker::drop(std::uint32_t kernel) {
  if (kernel >= kWorkerKernelsMax || !state_->kernels[kernel]) {
    return fail(Code::kNotFound, fmt::format("the worker has no kernel {}", kernel));
  }
  HEARTH_TRY_VOID(state_->ask({ControlOp::kDrop, kernel, 0, 0, 0, 0}, -1));
  state_->kernels.reset(kernel);
  return {};
}

Result<std::uint32_t> Worker::map(int memory_fd, std::uint64_t offset, std::uint64_t bytes,
                                  Access access, bool populate) {
  struct stat status {};
  if (::fstat(memory_fd, &status) != 0)
    return fail(Code::kInvalidArgument, "the memory to map is no open descriptor");
  const auto file_bytes = static_cast<std::uint64_t>(status.st_size);
  if (bytes == 0 || offset % kPageBytes != 0 || offset > file_bytes ||
      bytes > file_bytes - offset) {
    return fail(Code::kInvalidArgument,
                fmt::format("{} bytes from {} can't be mapped: they begin at a multiple of {}, and "
                            "the memory has {}",
                            bytes, offset, kPageBytes, file_bytes));
  }
  std::uint32_t mapping = 0;
  while (mapping < kWorkerMappingsMax && state_->mappings[mapping]) ++mapping;
  if (mapping == kWorkerMappingsMax) {
    return fail(Code::kOutOfBudget,
                fmt::format("a worker holds {} mappings: unmap one first", kWorkerMappingsMax));
  }
  OwnedFd read_only;
  if (access == Access::kRead) {
    HEARTH_TRY(read_only, reopen_read_only(memory_fd));
  }
  const ControlRequest request{
      ControlOp::kMap,   mapping, offset, bytes, access == Access::kWrite ? 1U : 0U,
      populate ? 1U : 0U};
  HEARTH_TRY_VOID(state_->ask(request, read_only ? read_only.get() : memory_fd));
  state_->mappings.set(mapping);
  return mapping;
}

Result<> Worker::unmap(std::uint32_t mapping) {
  if (mapping >= kWorkerMappingsMax || !state_->mappings[mapping]) {
    return fail(Code::kNotFound, fmt::format("the worker has no mapping {}", mapping));
  }
  HEARTH_TRY_VOID(state_->ask({ControlOp::kUnmap, mapping, 0, 0, 0, 0}, -1));
  state_->mappings.reset(mapping);
  return {};
}

// Waits for the answer, and looks now and then whether there is still somebody to give it.
bool Worker::State::await(std::uint32_t run, std::int64_t until_ns) {
  for (;;) {
    const std::int64_t now_ns = monotonic_ns();
    if (await_answer(channel(), run, std::min(until_ns, now_ns + kLookNs))) return true;
    if (now_ns >= until_ns || !process.is_alive()) return false;
  }
}

// What the answer to `run` claims, or that there is none: then the worker is killed.
RunOutcome Worker::State::outcome_of(std::uint32_t run, bool was_given_up) {
  RunOutcome outcome;
  // A worker that died of a fault has told it before.
  const bool is_answered = channel().answered.value.load(std::memory_order_acquire) == run;
  if (!is_answered) {
    outcome.end = process.is_alive() && was_given_up ? RunEnd::kDeadline : RunEnd::kDied;
    process.kill();
    return outcome;
  }
  constexpr RunEnd kEnds[kRunStatuses] = {RunEnd::kDone, RunEnd::kGaveUp, RunEnd::kRefused,
                                          RunEnd::kFault, RunEnd::kFailed};
  outcome.answer = read_answer(channel());
  outcome.end = kEnds[static_cast<std::uint32_t>(outcome.answer.status)];
  // It is ending; a faked fault ends it, too.  A device that failed may fail ever after.
  if (outcome.end == RunEnd::kFault || outcome.end == RunEnd::kFailed) process.kill();
  outcome.worker_lives = process.is_alive();
  return outcome;
}

Result<RunOutcome> Worker::run(const RunRequest& request, Deadline deadline) {
  if (!state_->process.is_alive()) return state_->has_ended();
  if (state_->is_stopped) {
    return fail(Code::kInvalidArgument, "the worker is stopped: continue it first");
  }
  const std::int64_t begun_ns = monotonic_ns();
  const auto left =
      std::chrono::duration_cast<std::chrono::nanoseconds>(deadline - Deadline::clock::now());
  const std::uint32_t run = ask(state_->channel(), request);
  bool was_given_up = false;
  if (!state_->await(run, begun_ns + std::max<std::int64_t>(left.count(), 0)) &&
      state_->process.is_alive()) {
    was_given_up = true;
    give_up(state_->channel(), run);
    state_->await(run, monotonic_ns() + std::int64_t{kGraceMs} * 1'000'000);
  }
  const std::int64_t ended_ns = monotonic_ns();
  RunOutcome outcome = state_->outcome_of(run, was_given_up);
  outcome.elapsed_ns = ended_ns - begun_ns;
  return outcome;
}

Result<> Worker::stop_process() {
  if (state_->is_stopped) return {};
  HEARTH_TRY_VOID(state_->process.signal(SIGSTOP));
  state_->is_stopped = true;
  return {};
}

Result<> Worker::continue_process() {
  if (!state_->is_stopped) return {};
  state_->is_stopped = false;
  return state_->process.signal(SIGCONT);
}

void Worker::kill() { state_->process.kill(); }
bool Worker::is_alive() const { return state_->process.is_alive(); }
std::string Worker::how_it_ended() const { return state_->process.how_it_ended(); }
const DeviceIdentity& Worker::device() const { return state_->device; }
int Worker::channel_fd() const { return state_->page.fd(); }
int Worker::pidfd() const { return state_->process.pidfd(); }
pid_t Worker::pid() const { return state_->process.pid(); }
RunChannel& Worker::channel() { return state_->channel(); }
const WorkerLimits& Worker::limits() const { return state_->limits; }

}  // namespace hearth::sandbox
