#include "hub/kernels/run_watch.h"

#include <fmt/format.h>

#include <utility>

namespace hearth::hub {

RunWatch::RunWatch(compute::StillWanted still_wanted, RunLimit limit,
                   std::function<void()> give_up)
    : still_wanted_(std::move(still_wanted)),
      limit_(std::move(limit)),
      give_up_(std::move(give_up)),
      thread_([this](const std::stop_token& stop) { watch(stop); }) {}

std::optional<Error> RunWatch::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

void RunWatch::watch(const std::stop_token& stop) {
  const auto end = std::chrono::steady_clock::now() + limit_.at_most;
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    changed_.wait_for(lock, stop, kLookAgain, [] { return false; });
    const bool is_late = std::chrono::steady_clock::now() >= end;
    const bool is_wanted = compute::is_wanted(still_wanted_);
    if (stop.stop_requested() || (is_wanted && !is_late)) continue;
    ended_ = is_wanted ? Error{Code::kUnavailable,
                               fmt::format("the run was ended after {} s, which is the limit ({})",
                                           limit_.at_most.count() / 1000, limit_.name)}
                       : Error{Code::kCancelled, "nobody wants the run any more"};
    return give_up_();
  }
}

}  // namespace hearth::hub
