// Each thread has a home: a run of the job's task indices, next to one another, that it takes one by
// one from the front.  Who is done takes, one by one from the back, what another has left.  So a
// thread mostly walks through memory in one direction, which is what products bound by memory live
// on, and who was late or interrupted loses its work to the others.
//
//   home       a thread's tasks that nobody has taken, as (begin, end) in one word that is changed by
//              compare-and-swap.  Only after taking a task does a thread read the job's fields.
//              This is what makes them safe as plain fields: the job can't end, and so can't be
//              replaced, while a taken task is unfinished.  Only `run` fills homes: a thread that
//              is late may be between two jobs and take from one what it looked for in the other.
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

// Task indices [begin, end).
struct Range {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;

  bool empty() const { return begin >= end; }
};

// On a line of its own: its owner changes it at every task.
struct alignas(64) Home {
  std::atomic<Range> left{Range{}};

  // Takes the first task.
  bool take_first(std::uint32_t& task) {
    Range range = left.load(std::memory_order_relaxed);
    while (!range.empty()) {
      if (left.compare_exchange_weak(range, {range.begin + 1, range.end}, std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
        task = range.begin;
        return true;
      }
    }
    return false;
  }

  // Takes the last task.
  bool take_last(std::uint32_t& task) {
    Range range = left.load(std::memory_order_relaxed);
    while (!range.empty()) {
      if (left.compare_exchange_weak(range, {range.begin, range.end - 1}, std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
        task = range.end - 1;
        return true;
      }
    }
    return false;
  }
};
static_assert(std::atomic<Range>::is_always_lock_free);

}  // namespace

struct ThreadPool::State {
  explicit State(unsigned n)
      : n_threads(n),
        may_spin(n <= usable_cores()),
        caller_spinner(may_spin),
        homes(std::make_unique<Home[]>(n)) {}

  // Takes a task of the thread's own, or of another's, its neighbours first.
  bool take(unsigned thread, std::uint32_t& task) {
    if (homes[thread].take_first(task)) return true;
    for (unsigned i = 1; i < n_threads; ++i) {
      if (homes[(thread + i) % n_threads].take_last(task)) return true;
    }
    return false;
  }

  void work(unsigned thread) {
    std::uint32_t n_done = 0;
    for (std::uint32_t task = 0; take(thread, task); ++n_done) body(context, task);
    // The last to finish wakes the caller, if it has gone to sleep.  Beyond this point the job may
    // be gone.
    if (n_done > 0 && unfinished.fetch_sub(n_done, std::memory_order_seq_cst) == n_done &&
        caller_sleeps.load(std::memory_order_seq_cst) != 0) {
      wake(unfinished, 1);
    }
  }

  void publish(std::uint32_t tasks, void* job_context, Body job_body) {
    context = job_context;
    body = job_body;
    unfinished.store(tasks, std::memory_order_relaxed);
    for (unsigned thread = 0; thread < n_threads; ++thread) {
      homes[thread].left.store({home_begin(tasks, thread, n_threads),
                                home_begin(tasks, thread + 1, n_threads)},
                               std::memory_order_release);
    }
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

  void worker_loop(unsigned thread) {
    Spinner spinner(may_spin);
    while (true) {
      const std::uint32_t seen = epoch.load(std::memory_order_seq_cst);
      if (stopping.load(std::memory_order_acquire) != 0) return;
      work(thread);
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
  const std::unique_ptr<Home[]> homes;  // [n_threads], the caller's first.

  void* context = nullptr;
  Body body = nullptr;
  bool running = false;  // Catches a task that calls `run`.

  // On lines of their own: workers poll `epoch` while others hammer the counters.
  alignas(64) Word epoch{0};
  Word n_sleepers{0};
  Word stopping{0};
  alignas(64) Word unfinished{0};
  Word caller_sleeps{0};
};

ThreadPool::ThreadPool(unsigned n_threads)
    : state_(std::make_unique<State>(
          std::min(n_threads == 0 ? usable_cores() : n_threads, kThreadsMax))) {
  for (unsigned i = 1; i < state_->n_threads; ++i) {
    state_->workers.emplace_back([state = state_.get(), i] { state->worker_loop(i); });
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
  state_->work(0);
  state_->wait_until_finished();
  state_->running = false;
}

}  // namespace hearth
