// The devices of this machine, for all that one hub runs on them: each opened at its first run, in
// a process of its own, and used by one run at a time, in the order in which they were asked for.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "compute/devices/device_process.h"
#include "compute/devices/device_table.h"

namespace hearth::compute {

struct DevicesOptions {
  // A program, and the arguments after which it is a device's host: {"/proc/self/exe",
  // kDeviceHostVerb}.
  std::vector<std::string> command;
  unsigned n_threads = 0;  // Of a device that is the processor; 0: all.
};

// Threading: any thread.
class Devices {
 public:
  explicit Devices(DevicesOptions options);
  ~Devices();

  // Which device that is here, or why there is none: found out once, in a process that ends with
  // it.
  Result<DeviceInfo> look(const DeviceRow& row);
  // Opens it, if it is not open: up to seconds.  Errors as run().
  Result<DeviceInfo> open(const DeviceRow& row, const StillWanted& still_wanted);

  // kUnavailable: no such device here, and what is missing
  // kOutOfBudget: tensors that its memory can't hold
  // kUnsupported: tensors that its kernel can't read, or more than its grid counts
  // kCancelled:   nobody wants it any more, while it waits or runs
  // kInternal:    its driver failed; the next run starts it anew
  Result<DeviceRun> run(const DeviceRow& row, const Builtin& builtin, const Bindings& arguments,
                        const StillWanted& still_wanted);

 private:
  struct Owner;
  class Turn;
  Owner& owner(const DeviceRow& row);

  const DevicesOptions options_;
  std::map<const DeviceRow*, std::unique_ptr<Owner>> owners_;  // Of every row, from the beginning.
};

}  // namespace hearth::compute
