// The threads of a pool, for one run that somebody may give up.
//
// Who waits for a run may stop wanting its result (a slider has moved on).  Tasks that have not begun
// are then skipped, and what the run has written is of no use.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "base/thread_pool.h"

namespace hearth::compute {

// Runs whose number is below `before` are given up; numbers wrap.
struct GiveUp {
  const std::atomic<std::uint32_t>* before = nullptr;  // None: the run goes to its end.
  std::uint32_t number = 0;
};

// Threading: as the pool.
class Workers {
 public:
  explicit Workers(ThreadPool& pool, GiveUp give_up = {}) : pool_(pool), give_up_(give_up) {}

  unsigned n_threads() const { return pool_.n_threads(); }

  bool gave_up() const {
    if (give_up_.before == nullptr) return false;
    const std::uint32_t before = give_up_.before->load(std::memory_order_relaxed);
    return static_cast<std::int32_t>(before - give_up_.number) > 0;
  }

  // task(i) for each i below n_tasks, on any thread, in any order; none once the run is given up.
  template <class Task>
  void run(std::uint32_t n_tasks, Task&& task) const {
    pool_.run(n_tasks, [&](std::uint32_t i) {
      if (!gave_up()) task(i);
    });
  }

 private:
  ThreadPool& pool_;
  const GiveUp give_up_;
};

}  // namespace hearth::compute
