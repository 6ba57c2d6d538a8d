// A hub's end of the process that has a device's driver in it (device_host.h).
//
// The process is started when it is first needed, and again whenever it has ended.  A driver that
// crashes costs the run that it was in; one that hangs, or does not look up from a kernel that
// nobody wants any more, is killed with its process.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "compute/devices/device_message.h"
#include "compute/devices/device_table.h"
#include "sandbox/program.h"

namespace hearth::compute {

struct DeviceRun {
  std::uint32_t n_copies = 0;  // Made by the device, and of tensors that lie in no shared memory.
  DeviceInfo device;
};

// Threading: one caller at a time.
class DeviceProcess {
 public:
  // How long a driver may take to open its device and compile; and how long a run that is given up
  // may go on, in launches that nobody can stop, until the process is killed.
  static constexpr std::chrono::seconds kOpenMax{60};
  static constexpr std::chrono::milliseconds kGrace{250};

  // `command`: this program's path and what makes it a device's host, or nothing: then there is
  // none; `mode`: "serve" or "look".
  DeviceProcess(const DeviceRow& row, std::vector<std::string> command, const char* mode,
                unsigned n_threads);

  // Which device it is, once it has been opened: up to seconds at the first call.  kUnavailable
  // says what is missing; kCancelled: nobody wants it, and the next caller goes on waiting.
  Result<DeviceInfo> open(const StillWanted& still_wanted);

  // Opens the device where it is not, and runs.
  Result<DeviceRun> run(const Builtin& builtin, const Bindings& arguments,
                        const StillWanted& still_wanted);

 private:
  Result<> start();
  Result<DeviceAnswer> receive();
  Result<DeviceAnswer> await_run(const StillWanted& still_wanted);
  // Takes its end, and says what that means.
  std::unexpected<Error> ended();
  void end();

  const DeviceRow& row_;
  const bool has_command_;
  const std::vector<std::string> words_;
  sandbox::Process process_;
  sandbox::OwnedFd socket_;
  std::chrono::steady_clock::time_point started_{};
  std::optional<DeviceInfo> info_;  // Of a process that has opened its device.
};

}  // namespace hearth::compute
