// A fork-join pool for kernels: `run` hands out task indices to the workers and to
// the caller, and returns when all are done.
//
// Each thread begins with a run of neighbouring tasks (`home_begin`) and then takes from others
// what they have not begun.  So the pool never counts on a core that it did not get: a worker that
// the kernel has descheduled delays only the task that it is in.  Waiting spins briefly and then
// sleeps on a futex.
//
// Threading: one caller at a time (the thread that owns the pool's work).
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace hearth {

class ThreadPool {
 public:
  // `n_threads` counts the caller: 1 starts no thread.  0 means one per core that this process
  // may use (usable_cores()).
  explicit ThreadPool(unsigned n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  unsigned n_threads() const;

  // The first of the tasks that `thread` (0: the caller) begins with, of `n_tasks`; those of
  // `n_threads` end them.
  static std::uint32_t home_begin(std::uint32_t n_tasks, unsigned thread, unsigned n_threads) {
    return static_cast<std::uint32_t>((std::uint64_t{n_tasks} * thread + n_threads - 1) / n_threads);
  }

  // Calls task(i) once for each i in [0, n_tasks), on any of the threads, in any order.
  template <class Task>
  void run(std::uint32_t n_tasks, Task&& task) {
    using Callable = std::remove_reference_t<Task>;
    run_erased(
        n_tasks, const_cast<void*>(static_cast<const void*>(&task)),
        [](void* context, std::uint32_t index) { (*static_cast<Callable*>(context))(index); });
  }

 private:
  using Body = void (*)(void* context, std::uint32_t index);
  void run_erased(std::uint32_t n_tasks, void* context, Body body);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hearth
