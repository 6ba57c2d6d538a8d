#include "sandbox/worker/team.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "sandbox/run_channel.h"

namespace hearth::sandbox {
namespace {

// A position is a round's number in the high bits and an index of a task in the low ones.
constexpr std::uint64_t kIndexBits = 40;
constexpr std::uint64_t kIndexMask = (std::uint64_t{1} << kIndexBits) - 1;
constexpr std::int64_t kTasksMax = std::int64_t{1} << 38;  // Beyond, one thread does them all.

using Task = void (*)(void*, std::int64_t);

struct Round {
  std::atomic<void*> context{nullptr};
  std::atomic<Task> task{nullptr};
  std::atomic<std::uint64_t> n_tasks{0};
};

struct alignas(64) Team {
  alignas(64) std::atomic<std::uint64_t> position{0};
  alignas(64) std::atomic<std::uint64_t> n_done{0};
  alignas(64) std::atomic<std::uint32_t> round{0};  // Futex word: counts rounds up.
  std::atomic<std::uint32_t> n_sleepers{0};
  alignas(64) RunWord finished;  // The last round whose tasks are all done.
  Round now;
  std::uint32_t n_threads = 1;
  std::atomic<const HearthServices*> services{nullptr};
};

Team team;
std::uint32_t pauses = 400;
thread_local bool within_task = false;

bool is_given_up() {
  const HearthServices* services = team.services.load(std::memory_order_relaxed);
  return services != nullptr && hearth_given_up(services) != 0;
}

// The protocol of publish() in run_channel.h, with futexes of this process alone: the two kinds do
// not meet.
void publish_finished(std::uint32_t round) {
  team.finished.value.store(round, std::memory_order_seq_cst);
  if (team.finished.sleeps.load(std::memory_order_seq_cst) == 0) return;
  ::syscall(SYS_futex, &team.finished.value, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

// Takes tasks of the round that is on, until none is left.
void work() {
  reset_float_state();
  std::uint64_t position = team.position.load(std::memory_order_acquire);
  for (;;) {
    const std::uint64_t n_tasks = team.now.n_tasks.load(std::memory_order_acquire);
    void* context = team.now.context.load(std::memory_order_relaxed);
    const Task task = team.now.task.load(std::memory_order_relaxed);
    const std::uint64_t index = position & kIndexMask;
    if (index >= n_tasks) {
      const std::uint64_t again = team.position.load(std::memory_order_acquire);
      if (again == position) return;
      position = again;
      continue;
    }
    // All that is left at once if nobody wants it any more.
    const std::uint64_t taken = is_given_up() ? n_tasks - index : 1;
    if (!team.position.compare_exchange_weak(position, position + taken, std::memory_order_acq_rel))
      continue;
    const auto round = static_cast<std::uint32_t>(position >> kIndexBits);
    if (taken == 1 && !is_given_up()) {
      within_task = true;
      task(context, static_cast<std::int64_t>(index));
      within_task = false;
    }
    position += taken;
    if (team.n_done.fetch_add(taken, std::memory_order_acq_rel) + taken == n_tasks)
      publish_finished(round);
  }
}

void wait_until_finished(std::uint32_t round) {
  for (std::uint32_t spins = 0;;) {
    const std::uint32_t finished = team.finished.value.load(std::memory_order_acquire);
    if (finished == round) return;
    if (spins++ < pauses) {
      spin_pause();
      continue;
    }
    team.finished.sleeps.store(1, std::memory_order_seq_cst);
    if (team.finished.value.load(std::memory_order_seq_cst) == finished) {
      ::syscall(SYS_futex, &team.finished.value, FUTEX_WAIT_PRIVATE, finished, nullptr, nullptr, 0);
    }
    team.finished.sleeps.store(0, std::memory_order_relaxed);
  }
}

}  // namespace

void reset_float_state() {
  const std::uint32_t mxcsr = 0x1F80;
  asm volatile("ldmxcsr %0\n\tfninit\n\tcld" : : "m"(mxcsr));
}

void measure_spin(std::int64_t spin_ns) {
  constexpr std::uint32_t kSample = 200;
  std::int64_t best_ns = INT64_MAX;
  for (int i = 0; i < 3; ++i) {
    const std::int64_t begun_ns = monotonic_ns();
    for (std::uint32_t k = 0; k < kSample; ++k) spin_pause();
    const std::int64_t took_ns = monotonic_ns() - begun_ns;
    if (took_ns < best_ns) best_ns = took_ns;
  }
  pauses = static_cast<std::uint32_t>(spin_ns * kSample / (best_ns < 200 ? 200 : best_ns));
}

std::uint32_t spin_pauses() { return pauses; }
void set_team_size(std::uint32_t n_threads) { team.n_threads = n_threads; }
std::uint32_t team_size() { return team.n_threads; }

void help_team() {
  std::uint32_t seen = 0;
  for (std::uint32_t spins = 0;;) {
    const std::uint32_t round = team.round.load(std::memory_order_acquire);
    if (round != seen) {
      seen = round;
      spins = 0;
      work();
      continue;
    }
    if (spins++ < pauses) {
      spin_pause();
      continue;
    }
    team.n_sleepers.fetch_add(1, std::memory_order_seq_cst);
    if (team.round.load(std::memory_order_seq_cst) == seen) {
      ::syscall(SYS_futex, &team.round, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
    }
    team.n_sleepers.fetch_sub(1, std::memory_order_relaxed);
  }
}

void begin_team_run(const HearthServices* services) {
  team.services.store(services, std::memory_order_relaxed);
}

void team_parallel_for(void* context, std::int64_t n_tasks, Task task) {
  if (n_tasks <= 0) return;
  if (team.n_threads == 1 || n_tasks == 1 || n_tasks > kTasksMax || within_task) {
    for (std::int64_t i = 0; i < n_tasks && !is_given_up(); ++i) task(context, i);
    return;
  }
  const std::uint32_t round = (team.round.load(std::memory_order_relaxed) + 1) & 0xFFFFFF;
  // First a position from which no task can be taken: a late thread of the round before would else
  // take one by the new number of tasks.
  team.position.store((std::uint64_t{round} << kIndexBits) | kIndexMask, std::memory_order_seq_cst);
  team.now.context.store(context, std::memory_order_relaxed);
  team.now.task.store(task, std::memory_order_relaxed);
  team.n_done.store(0, std::memory_order_relaxed);
  team.now.n_tasks.store(static_cast<std::uint64_t>(n_tasks), std::memory_order_release);
  team.position.store(std::uint64_t{round} << kIndexBits, std::memory_order_release);
  team.round.store(round, std::memory_order_seq_cst);
  if (team.n_sleepers.load(std::memory_order_seq_cst) != 0) {
    ::syscall(SYS_futex, &team.round, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
  }
  work();
  wait_until_finished(round);
}

}  // namespace hearth::sandbox
