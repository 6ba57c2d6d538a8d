// Looks after a run while another thread computes it: whether somebody still wants it, and its
// time.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "base/result.h"
#include "compute/still_wanted.h"

namespace hearth::hub {

// How long a run may go on, and what the setting that says so is called.
struct RunLimit {
  std::chrono::milliseconds at_most;
  std::string name = "compute.run_seconds_max";
};

// Threading: `give_up` is called on the watch's thread, at most once; the rest by the owner.
class RunWatch {
 public:
  RunWatch(compute::StillWanted still_wanted, RunLimit limit, std::function<void()> give_up);

  // Why the run was given up; nothing if it was not.
  std::optional<Error> ended() const;

 private:
  static constexpr std::chrono::milliseconds kLookAgain{10};
  void watch(const std::stop_token& stop);

  const compute::StillWanted still_wanted_;
  const RunLimit limit_;
  const std::function<void()> give_up_;
  mutable std::mutex mutex_;  // Guards what follows.
  std::condition_variable_any changed_;
  std::optional<Error> ended_;
  std::jthread thread_;  // Last: it uses the rest.
};

}  // namespace hearth::hub
