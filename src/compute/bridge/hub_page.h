// The page by which a client asks the hub itself to run a kernel of the house: a worker's run channel,
// and beside it what only a trusted other end can say.
//
// RunRequest::kernel is the number of a bound call (BindReply::run has it filled in); the rest of a
// request is not looked at: what a call works on was agreed over the socket.  RunAnswer::signal of a
// refused run is 1 + the error's Code.
#pragma once

#include <algorithm>
#include <cstdint>

#include "sandbox/run_channel.h"

namespace hearth::compute::bridge {

struct HubPage {
  sandbox::RunChannel channel;
  alignas(64) double kernel_s;  // Of the last run that was answered.
  char sentence[512];           // Why it was refused, for RunStatus::kRefused; ends with a zero.
  std::uint32_t n_copies;       // Of the call's tensors, that a device made for that run.
  char device[64];              // Which one it was; empty: the processor.  Ends with a zero.
};
static_assert(sizeof(HubPage) <= sandbox::kRunChannelBytes);

// How long to spin for the other end before sleeping.  Where it has a core of its own it answers while
// one spins, and waking it would cost 5 to 70 us; on a busy machine spinning only keeps the core from it.
// So a spin that ended in sleep halves the next one, and each kProbeEvery-th is a long one, to see whether
// that has changed.
class AdaptiveSpin {
 public:
  // Spins until condition() holds; false if the time was up first.
  template <class Condition>
  bool spin(Condition&& condition) {
    const bool is_probe = ++n_waits_ % kProbeEvery == 0;
    const std::int64_t limit_ns = is_probe ? sandbox::kSpinNs : spin_ns_;
    const std::int64_t begun_ns = sandbox::monotonic_ns();
    for (std::uint32_t i = 1;; ++i) {
      if (condition()) {
        spin_ns_ = is_probe ? sandbox::kSpinNs : std::min(2 * spin_ns_, sandbox::kSpinNs);
        return true;
      }
      if (i % 16 != 0) {
        sandbox::spin_pause();
      } else if (sandbox::monotonic_ns() - begun_ns >= limit_ns) {
        if (!is_probe) spin_ns_ = std::max(spin_ns_ / 2, kSpinNsMin);
        return false;
      }
    }
  }

 private:
  static constexpr std::int64_t kSpinNsMin = 1'000;
  static constexpr std::uint32_t kProbeEvery = 32;
  std::int64_t spin_ns_ = sandbox::kSpinNs;
  std::uint32_t n_waits_ = 0;
};

}  // namespace hearth::compute::bridge
