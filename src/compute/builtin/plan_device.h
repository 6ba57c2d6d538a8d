// A device as plans see it: what OpenCL's and NVIDIA's have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "compute/builtin/device_plan.h"
#include "compute/still_wanted.h"

namespace hearth::compute {

struct DeviceInfo {
  std::string name;      // As its driver has it: "NVIDIA H100".
  bool is_host = false;  // This machine's own processor, by way of a driver.
};

// Threading: one caller at a time.
class PlanDevice {
 public:
  virtual ~PlanDevice() = default;
  virtual const DeviceInfo& info() const = 0;

  // Brings inputs there, launches, waits, and brings outputs back; how many copies that took.  A
  // device that is the host works on the tensors where they lie, and copies none.  kOutOfBudget
  // where its memory does not suffice; kCancelled, between two launches, once nobody wants the run.
  virtual Result<std::uint32_t> run(const DevicePlan& plan, const StillWanted& still_wanted) = 0;
};

// How many launches are on their way before the device is waited for: whoever gives a run up waits
// for so many.
inline constexpr std::size_t kLaunchesAhead = 8;

// A plan's launches, in order: `launch_one` begins one, `wait` returns once those before have
// ended.
template <class LaunchOne, class Wait>
Result<> launch_all(const DevicePlan& plan, const StillWanted& still_wanted, LaunchOne&& launch_one,
                    Wait&& wait) {
  for (std::size_t i = 0; i < plan.launches.size(); ++i) {
    if (i > 0 && i % kLaunchesAhead == 0) HEARTH_TRY_VOID(wait());
    if (!is_wanted(still_wanted)) {
      HEARTH_TRY_VOID(wait());
      return fail(Code::kCancelled, "nobody wants the run any more");
    }
    if (Result<> begun = launch_one(plan.launches[i]); !begun) {
      (void)wait();  // What runs still uses the buffers.
      return begun;
    }
  }
  return wait();
}

// Of what a run brings there, and of what it brings back.
inline std::uint32_t count_copies(const DevicePlan& plan) {
  std::uint32_t n = 0;
  for (const DeviceBuffer& buffer : plan.buffers) {
    if (buffer.bytes == 0) continue;
    n += (buffer.in != nullptr ? 1 : 0) + (buffer.out != nullptr ? 1 : 0);
  }
  return n;
}

}  // namespace hearth::compute
