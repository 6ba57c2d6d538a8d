// The pool's whole state is three counters and a job.
//
//   unclaimed  tasks of the current job that nobody has taken.  A thread takes some by
//              compare-and-swap; only after that does it read the job's fields.  This is what
//              makes them safe as plain fields: the job can't end, and so can't be replaced,
//              while a claimed task is unfinished.
//   unfinished tasks that have not ended.  `run` returns when it is 0.
//   epoch      counts jobs; the word that idle workers sleep on.
//
// `run` never waits for a worker to show up, only for tasks that a worker has taken: on a busy
// machine the caller does most of the work itself.
//
// Waiting spins for a few tens of microseconds, the distance between two products of a decode
// step, then sleeps on a futex.  Each spinner adapts: a spin that ended in sleep halves its next
// one, so an idle or overcommitted machine is left alone; where there are fewer cores than threads
// nobody spins at all.
#include "base/thread_pool.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "base/cores.h"
#include "base/result.h"

namespace hearth {
namespace {

using Word = std::atomic<std::uint32_t>;
static_assert(sizeof(Word) == 4 && Word::is_always_lock_free);

// Longest spin.  A decode step's products are 20-200 us apart; waking a sleeper costs 5-50 us.
constexpr std::uint32_t kSpinUsMax = 50;
constexpr std::uint32_t kSpinUsMin = 2;
constexpr unsigned kThreadsMax = 1024;

void sleep_while_equal(Word& word, std::uint32_t value) {
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAIT_PRIVATE, value, nullptr,
          nullptr, 0);
}

void wake(Word& word, int n_sleepers_max) {
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE_PRIVATE, n_sleepers_max,
          nullptr, nullptr, 0);
}

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");
#endif
}

// Spins until `ready()`, at most for its current budget.
class Spinner {
 public:
  explicit Spinner(bool enabled) : budget_us_(enabled ? kSpinUsMax : 0) {}

  template <class Ready>
  bool wait(Ready&& ready) {
    if (ready()) return true;
    if (budget_us_ == 0) return false;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::microseconds(budget_us_);
    do {
      for (int i = 0; i < 16; ++i) {
        relax();
        if (ready()) {
          budget_us_ = std::min(budget_us_ * 2, kSpinUsMax);
          return true;
        }
      }
    } while (std::chrono::steady_clock::now() < deadline);
    budget_us_ = std::max(budget_us_ / 2, kSpinUsMin);
    return false;
  }

 private:
  std::uint32_t budget_us_;
};

}  // namespace

struct ThreadPool::State {
  explicit State(unsigned n)
      : n_threads(n), may_spin(n <= usable_cores()), caller_spinner(may_spin) {}

  // Takes a run of tasks: a share that shrinks towards 1, so that claims are few and the end is
  // even.  Returns how many, with the first one's index in `first`; 0 when none are left.
  std::uint32_t claim(std::uint32_t& first) {
    std::uint32_t left = unclaimed.load(std::memory_order_relaxed);
    while (left != 0) {
      const std::uint32_t share = std::max(left / (n_threads * 4), 1U);
      if (unclaimed.compare_exchange_weak(left, left - share, std::memory_order_acquire,
                                          std::memory_order_relaxed)) {
        first = n_tasks - left;
        return share;
      }
    }
    return 0;
  }

  // Runs tasks until none are left to claim.
  void work() {
    std::uint32_t first = 0;
    while (const std::uint32_t share = claim(first)) {
      for (std::uint32_t i = 0; i < share; ++i) body(context, first + i);
      // The last to finish wakes the caller, if it has gone to sleep.  Beyond this point the job
      // may be gone.
      if (unfinished.fetch_sub(share, std::memory_order_seq_cst) == share &&
          caller_sleeps.load(std::memory_order_seq_cst) != 0) {
        wake(unfinished, 1);
      }
    }
  }

  void publish(std::uint32_t tasks, void* job_context, Body job_body) {
    n_tasks = tasks;
    context = job_context;
    body = job_body;
    unfinished.store(tasks, std::memory_order_relaxed);
    unclaimed.store(tasks, std::memory_order_release);
    epoch.fetch_add(1, std::memory_order_seq_cst);
    if (n_sleepers.load(std::memory_order_seq_cst) != 0) {
      wake(epoch, static_cast<int>(std::min(tasks - 1, n_threads - 1)));
    }
  }

  void wait_until_finished() {
    const auto finished = [this] { return unfinished.load(std::memory_order_acquire) == 0; };
    if (caller_spinner.wait(finished)) return;
    caller_sleeps.store(1, std::memory_order_seq_cst);
    for (std::uint32_t left; (left = unfinished.load(std::memory_order_seq_cst)) != 0;) {
      sleep_while_equal(unfinished, left);
    }
    caller_sleeps.store(0, std::memory_order_relaxed);
  }

  void worker_loop() {
    Spinner spinner(may_spin);
    while (true) {
      const std::uint32_t seen = epoch.load(std::memory_order_seq_cst);
      if (stopping.load(std::memory_order_acquire) != 0) return;
      work();
      const auto changed = [&] { return epoch.load(std::memory_order_relaxed) != seen; };
      if (spinner.wait(changed)) continue;
      n_sleepers.fetch_add(1, std::memory_order_seq_cst);
      sleep_while_equal(epoch, seen);
      n_sleepers.fetch_sub(1, std::memory_order_relaxed);
    }
  }

  const unsigned n_threads;
  const bool may_spin;
  Spinner caller_spinner;
  std::vector<std::thread> workers;

  std::uint32_t n_tasks = 0;
  void* context = nullptr;
  Body body = nullptr;
  bool running = false;  // Catches a task that calls `run`.

  // On lines of their own: workers poll `epoch` while others hammer the counters.
  alignas(64) Word epoch{0};
  Word n_sleepers{0};
  Word stopping{0};
  alignas(64) Word unclaimed{0};
  alignas(64) Word unfinished{0};
  Word caller_sleeps{0};
};

ThreadPool::ThreadPool(unsigned n_threads)
    : state_(std::make_unique<State>(
          std::min(n_threads == 0 ? usable_cores() : n_threads, kThreadsMax))) {
  for (unsigned i = 1; i < state_->n_threads; ++i) {
    state_->workers.emplace_back([state = state_.get()] { state->worker_loop(); });
  }
}

ThreadPool::~ThreadPool() {
  state_->stopping.store(1, std::memory_order_release);
  state_->epoch.fetch_add(1, std::memory_order_seq_cst);
  wake(state_->epoch, static_cast<int>(kThreadsMax));
  for (std::thread& worker : state_->workers) worker.join();
}

unsigned ThreadPool::n_threads() const { return state_->n_threads; }

void ThreadPool::run_erased(std::uint32_t n_tasks, void* context, Body body) {
  if (n_tasks == 0) return;
  HEARTH_CHECK(!state_->running);
  if (n_tasks == 1 || state_->n_threads == 1) {
    for (std::uint32_t i = 0; i < n_tasks; ++i) body(context, i);
    return;
  }
  state_->running = true;
  state_->publish(n_tasks, context, body);
  state_->work();
  state_->wait_until_finished();
  state_->running = false;
}

}  // namespace hearth
