#include "compute/bridge/spare_workers.h"

#include <algorithm>
#include <utility>

namespace hearth::compute::bridge {
namespace {

// A worker that is killed while it starts says nothing about the next one; a machine without jails does.
Result<sandbox::Worker> start_worker(const sandbox::WorkerLimits& limits) {
  constexpr int kStartsMax = 3;
  auto worker = sandbox::Worker::start(limits);
  for (int n_starts = 1; !worker && worker.error().code == Code::kUnavailable && n_starts < kStartsMax; ++n_starts) {
    worker = sandbox::Worker::start(limits);
  }
  return worker;
}

}  // namespace

SpareWorkers::SpareWorkers(const sandbox::WorkerLimits& limits, unsigned n_spares)
    : limits_(limits), n_spares_(n_spares), thread_([this] { keep(); }) {}

SpareWorkers::~SpareWorkers() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

Result<sandbox::Worker> SpareWorkers::take() {
  std::unique_lock lock(mutex_);
  is_wanted_ = true;
  ++n_waiting_;
  changed_.notify_all();
  for (;;) {
    changed_.wait(lock, [this] { return !ready_.empty() || failure_ || is_stopping_; });
    if (ready_.empty()) break;
    sandbox::Worker worker = std::move(ready_.front());
    ready_.pop_front();
    if (!worker.is_alive()) continue;  // Killed while it waited.
    --n_waiting_;
    changed_.notify_all();
    return worker;
  }
  --n_waiting_;
  if (!failure_) return fail(Code::kUnavailable, "the hub is shutting down");
  const Error error = *std::exchange(failure_, std::nullopt);
  return std::unexpected(error);
}

void SpareWorkers::keep() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] {
      return is_stopping_ || (is_wanted_ && !failure_ && ready_.size() < std::max(n_spares_, n_waiting_));
    });
    if (is_stopping_) return;
    lock.unlock();
    auto worker = start_worker(limits_);
    lock.lock();
    if (worker) {
      ready_.push_back(*std::move(worker));
    } else if (n_waiting_ > 0) {
      failure_ = std::move(worker).error();
    } else {
      is_wanted_ = false;  // Nobody waits: tried again for the next one who asks.
    }
    changed_.notify_all();
  }
}

}  // namespace hearth::compute::bridge
