#include "compute/devices/device_process.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/fixed_text.h"
#include "sandbox/shared_mapping.h"

namespace hearth::compute {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kSliceMs = 1;  // How often somebody looks whether a run is still wanted.

std::vector<std::string> words_of(std::vector<std::string> command, const DeviceRow& row,
                                  const char* mode, unsigned n_threads) {
  command.emplace_back(row.name);
  command.emplace_back(mode);
  command.push_back(fmt::format("{}", n_threads));
  return command;
}

// A call's tensors in memory that another process can map: in place, or copied where they lie in
// this one's own, and back after the run.
class SharedArguments {
 public:
  static Result<SharedArguments> make(const Builtin& builtin, const Bindings& bound) {
    SharedArguments made;
    HEARTH_CHECK(bound.tensors.size() <= kTensorsMax && bound.integers.size() <= kIntegersMax &&
                 bound.reals.size() <= kRealsMax && builtin.name.size() < sizeof made.ask_.builtin);
    builtin.name.copy(made.ask_.builtin, builtin.name.size());
    made.ask_.n_symbols = static_cast<std::uint32_t>(bound.n_symbols);
    made.ask_.n_integers = static_cast<std::uint32_t>(bound.integers.size());
    made.ask_.n_reals = static_cast<std::uint32_t>(bound.reals.size());
    std::ranges::copy(bound.integers, made.ask_.integers);
    std::ranges::copy(bound.reals, made.ask_.reals);
    for (const Parameter& parameter : signature_of(builtin).parameters) {
      if (!parameter.is_tensor()) continue;
      HEARTH_TRY_VOID(made.add(parameter, bound.tensors[made.ask_.n_tensors]));
    }
    return made;
  }

  const DeviceAsk& ask() const { return ask_; }
  const std::vector<int>& descriptors() const { return descriptors_; }

  // What was written into copies, back to where it belongs; how many copies there were in all.
  std::uint32_t bring_back() {
    std::uint32_t n = 0;
    for (const Copy& copy : copies_) {
      if (copy.reach == 0) continue;
      n += copy.parameter->is_read() ? 1 : 0;
      if (!copy.parameter->is_written()) continue;
      std::memcpy(copy.original, copy.memory.data(), copy.reach);
      ++n;
    }
    return n;
  }

  SharedArguments(SharedArguments&&) = default;
  SharedArguments& operator=(SharedArguments&&) = delete;

 private:
  struct Copy {
    const Parameter* parameter;
    std::byte* original;
    std::size_t reach;  // In bytes; tensors that devices take are contiguous.
    sandbox::SharedMapping memory;
  };
  SharedArguments() = default;

  Result<> add(const Parameter& parameter, const Tensor& tensor) {
    DeviceTensor& wire = ask_.tensors[ask_.n_tensors++];
    wire.type = tensor.type;
    wire.rank = static_cast<std::uint32_t>(tensor.shape.size());
    std::ranges::copy(tensor.shape, wire.shape);
    std::ranges::copy(tensor.strides, wire.strides);
    int descriptor = tensor.memory_fd;
    wire.offset = tensor.memory_offset;
    if (descriptor < 0) {
      HEARTH_TRY(descriptor, copy(parameter, tensor));
      wire.offset = 0;
    }
    const auto known = std::ranges::find(descriptors_, descriptor);
    wire.memory = static_cast<std::uint32_t>(known - descriptors_.begin());
    if (known == descriptors_.end()) descriptors_.push_back(descriptor);
    return {};
  }

  Result<int> copy(const Parameter& parameter, const Tensor& tensor) {
    const auto reach = static_cast<std::size_t>(reach_of(tensor).after);
    HEARTH_TRY(auto memory,
               sandbox::SharedMapping::create("hearth device", reach, sandbox::Pages::kMapped));
    if (parameter.is_read() && reach > 0) std::memcpy(memory.data(), tensor.data, reach);
    copies_.push_back({&parameter, tensor.data, reach, std::move(memory)});
    return copies_.back().memory.fd();
  }

  DeviceAsk ask_{};
  std::vector<int> descriptors_;
  std::vector<Copy> copies_;
};

}  // namespace

DeviceProcess::DeviceProcess(const DeviceRow& row, std::vector<std::string> command,
                             const char* mode, unsigned n_threads)
    : row_(row),
      has_command_(!command.empty()),
      words_(words_of(std::move(command), row, mode, n_threads)) {}

Result<> DeviceProcess::start() {
  end();
  if (!has_command_)
    return fail(Code::kUnavailable, "nothing runs on devices here: this is no `hearth serve`");
  HEARTH_TRY(sandbox::SocketPair pair, sandbox::make_socket_pair());
  // What a driver prints belongs into the hub's log, not among its answers.
  HEARTH_TRY(process_, sandbox::Process::start_command(words_, pair.theirs.get(), STDERR_FILENO,
                                                       STDERR_FILENO));
  socket_ = std::move(pair.ours);
  started_ = Clock::now();
  return {};
}

void DeviceProcess::end() {
  process_.kill();
  socket_.reset();
  info_.reset();
}

std::unexpected<Error> DeviceProcess::ended() {
  process_.kill();
  const std::string how = process_.how_it_ended();
  end();
  return fail(
      Code::kInternal,
      fmt::format(
          "the process of device '{}' {}, its driver with it: the hub goes on, and the next run "
          "starts another; '{}' is always there",
          row_.name, how, kProcessor));
}

Result<DeviceAnswer> DeviceProcess::receive() {
  const Packet packet = receive_packet(socket_.get(), sizeof(DeviceAnswer));
  DeviceAnswer answer;
  if (packet.bytes.size() != sizeof answer) return ended();
  std::memcpy(&answer, packet.bytes.data(), sizeof answer);
  return answer;
}

Result<DeviceInfo> DeviceProcess::open(const StillWanted& still_wanted) {
  if (info_ && process_.is_alive()) return *info_;
  if (info_ || !process_.is_alive()) HEARTH_TRY_VOID(start());
  while (!sandbox::wait_readable(socket_.get(), kSliceMs)) {
    if (!is_wanted(still_wanted)) return fail(Code::kCancelled, "nobody wants the run any more");
    if (Clock::now() - started_ < kOpenMax) continue;
    end();
    return fail(
        Code::kUnavailable,
        fmt::format("the driver of device '{}' was not ready after {} s, and its process was ended",
                    row_.name, kOpenMax.count()));
  }
  HEARTH_TRY(const DeviceAnswer answer, receive());
  if (auto error = error_of(answer)) {
    end();
    return std::unexpected(*std::move(error));
  }
  info_ = DeviceInfo{.name = text_of(answer.text), .is_host = answer.is_host != 0};
  return *info_;
}

// A run that nobody wants ends between two launches, or with the process.
Result<DeviceAnswer> DeviceProcess::await_run(const StillWanted& still_wanted) {
  std::optional<Clock::time_point> given_up;
  while (!sandbox::wait_readable(socket_.get(), kSliceMs)) {
    if (!given_up && !is_wanted(still_wanted)) {
      given_up = Clock::now();
      (void)send_packet(socket_.get(), "x");
    }
    if (!given_up || Clock::now() - *given_up < kGrace) continue;
    end();
    return fail(Code::kCancelled,
                "nobody wanted the run any more, and the device's process was ended for it");
  }
  return receive();
}

Result<DeviceRun> DeviceProcess::run(const Builtin& builtin, const Bindings& arguments,
                                     const StillWanted& still_wanted) {
  HEARTH_TRY(DeviceInfo device, open(still_wanted));
  HEARTH_TRY(SharedArguments shared, SharedArguments::make(builtin, arguments));
  // One that has just ended, since nobody had asked it anything for long, is started anew.
  if (!send_packet(socket_.get(), bytes_of(shared.ask()), shared.descriptors())) {
    end();
    HEARTH_TRY_VOID(open(still_wanted));
    if (!send_packet(socket_.get(), bytes_of(shared.ask()), shared.descriptors())) return ended();
  }
  HEARTH_TRY(const DeviceAnswer answer, await_run(still_wanted));
  if (auto error = error_of(answer)) {
    // A driver that failed once may be of no more use.
    if (error->code == Code::kInternal || error->code == Code::kUnavailable) end();
    if (error->code == Code::kOutOfBudget) {
      error->message += fmt::format(
          ": these tensors are more than '{}' ({}) can hold; run it on the CPU, as '{}', or in "
          "parts",
          row_.name, device.name, builtin.name);
    }
    return std::unexpected(*std::move(error));
  }
  return DeviceRun{answer.n_copies + shared.bring_back(), std::move(device)};
}

}  // namespace hearth::compute
