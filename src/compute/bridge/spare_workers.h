// Workers that wait, jailed already, for a client that needs one: starting one takes a millisecond or
// two, and a superseded run has five altogether.
//
// A thread of its own starts them all, and outlives them: whatever ties a worker's life to its starter's
// must not tie it to a client's session.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "base/result.h"
#include "sandbox/worker.h"

namespace hearth::compute::bridge {

// Threading: any thread.
class SpareWorkers {
 public:
  // Keeps `n_spares` ready, but only once somebody has asked for one: a hub that runs no compiled kernel
  // has no worker.
  SpareWorkers(const sandbox::WorkerLimits& limits, unsigned n_spares);
  ~SpareWorkers();

  // Waits for one if need be.  The error is that of starting it; the next call tries again.
  Result<sandbox::Worker> take();

 private:
  void keep();

  const sandbox::WorkerLimits limits_;
  const unsigned n_spares_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<sandbox::Worker> ready_;
  std::optional<Error> failure_;  // Of the last start; cleared by who is told.
  unsigned n_waiting_ = 0;
  bool is_wanted_ = false;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace hearth::compute::bridge
