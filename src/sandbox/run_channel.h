// The page of shared memory by which somebody asks a worker to run a kernel, and hears how it went.
//
// Why not the control socket: a run by socket costs two system calls and a wake-up on each side, 8
// us measured, and a run has to cost less than that altogether.  Here the asker writes its request,
// counts `asked` up, and both sides spin for some 40 us before they sleep on a futex; who finds the
// other awake makes no system call.
//
// The asker is whoever holds the memory: the hub, or a client process to which the hub gave the
// descriptor; one at a time.  It is sealed against shrinking, so that touching it never faults.
//
// Nothing here can be believed.  The kernel that runs shares the page with the worker's own code,
// so `answered` and `answer` are claims: read() copies them once and puts them into their ranges,
// waiting has a deadline, and what was computed is looked at only once the worker is stopped, if it
// matters.
//
// Only the standard library and Linux are needed here: the client library includes this file.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace hearth::sandbox {

inline constexpr std::uint32_t kRunBuffersMax = 16;  // Tensors of one run.
inline constexpr std::uint32_t kRunIntegersMax = 16;
inline constexpr std::uint32_t kRunRealsMax = 16;
inline constexpr std::uint32_t kRunDimensionsMax = 3;
inline constexpr std::uint32_t kWorkerKernelsMax = 256;    // That a worker holds at a time.
inline constexpr std::uint32_t kWorkerMappingsMax = 4096;  // That a worker holds at a time.
inline constexpr std::uint64_t kGuardBytes = std::uint64_t{1}
                                             << 20;  // PROT_NONE on each side of a mapping.
inline constexpr std::uint32_t kNoMapping = ~std::uint32_t{0};
inline constexpr std::uint64_t kRunChannelBytes = 4096;

// Where a buffer begins: so many bytes into a mapping (Worker::map).
struct RunBuffer {
  std::uint32_t mapping;
  std::uint32_t reserved;
  std::uint64_t offset;
};

struct RunRequest {
  std::uint32_t kernel;  // Worker::load
  std::uint32_t n_buffers;
  std::uint32_t n_integers;
  std::uint32_t n_reals;
  RunBuffer buffers[kRunBuffersMax];
  std::int64_t integers[kRunIntegersMax];
  double reals[kRunRealsMax];
  // Of a device's kernel: work items in each dimension, whole groups; 0 items: nothing is to be done.
  std::uint64_t items[kRunDimensionsMax];
};

enum class RunStatus : std::uint32_t {
  kDone,     // The kernel returned.
  kGaveUp,   // It was told to stop before it was done; outputs are unfinished.
  kRefused,  // No such kernel or mapping, an offset beyond its end, or counts above the limits.
  kFault,    // A signal ended the kernel, and the worker with it; the fields below say which.
  kFailed,   // A device could not do it; the fields below say why.
};
inline constexpr std::uint32_t kRunStatuses = 5;

struct RunAnswer {
  RunStatus status;
  // kFault: SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP or SIGSYS; kFailed: the driver's error.
  std::int32_t signal;
  std::uint32_t system_call;    // SIGSYS: the number of the call that was refused.
  std::uint32_t fault_mapping;  // SIGSEGV, SIGBUS: the one within or beside which it touched, or kNoMapping.
  std::int64_t fault_offset;    // Bytes from that mapping's first; negative before it.
  std::uint64_t fault_address;  // As the worker saw it.
};

// A futex word, on a cache line of its own, and whether somebody sleeps on it.
struct alignas(64) RunWord {
  std::atomic<std::uint32_t> value{0};
  std::atomic<std::uint32_t> sleeps{0};
};

struct RunChannel {
  RunWord asked;           // The number of the run that was asked for last; the asker counts it up.
  RunWord answered;        // The number of the run that was answered last.
  RunWord give_up_before;  // Earlier runs are wanted no more; anybody may raise it.
  // The asker's until it counts up, then the worker's until it answers.
  alignas(64) RunRequest request;
  alignas(64) RunAnswer answer;
};
static_assert(sizeof(RunChannel) <= kRunChannelBytes);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

inline std::int64_t monotonic_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

inline void spin_pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Sets `word` and wakes who sleeps on it.
inline void publish(RunWord& word, std::uint32_t value) {
  word.value.store(value, std::memory_order_seq_cst);
  // Either this sees the sleeper, or the sleeper sees the value before it sleeps: both are seq_cst.
  if (word.sleeps.load(std::memory_order_seq_cst) == 0) return;
  ::syscall(SYS_futex, &word.value, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

// Sleeps while `word` is `value`, at most `at_most_ns`; may return early.
inline void sleep_while(RunWord& word, std::uint32_t value, std::int64_t at_most_ns) {
  const timespec at_most{at_most_ns / 1'000'000'000, at_most_ns % 1'000'000'000};
  word.sleeps.store(1, std::memory_order_seq_cst);
  if (word.value.load(std::memory_order_seq_cst) == value) {
    ::syscall(SYS_futex, &word.value, FUTEX_WAIT, value, &at_most, nullptr, 0);
  }
  word.sleeps.store(0, std::memory_order_relaxed);
}

// Asks for a run.  Returns its number, with which to wait; the previous one must have been
// answered.
inline std::uint32_t ask(RunChannel& channel, const RunRequest& request) {
  channel.request = request;
  const std::uint32_t run = channel.asked.value.load(std::memory_order_relaxed) + 1;
  // Numbers wrap around: a wish to give up that is two thousand million runs old must not become
  // new.
  if (run % (1U << 24) == 0) channel.give_up_before.value.store(run, std::memory_order_relaxed);
  publish(channel.asked, run);
  return run;
}

// Whether run `run` is answered; waits for it until `until_ns` (monotonic_ns): spinning first,
// asleep afterwards.  A worker that was killed answers nothing: wait in slices of some 10 ms, and
// look in between whether it lives (poll its pidfd).
inline constexpr std::int64_t kSpinNs = 40'000;
inline bool await_answer(RunChannel& channel, std::uint32_t run, std::int64_t until_ns) {
  const std::int64_t begun_ns = monotonic_ns();
  for (std::uint32_t i = 0;; ++i) {
    const std::uint32_t answered = channel.answered.value.load(std::memory_order_acquire);
    if (answered == run) return true;
    if (i % 16 != 0) {
      spin_pause();
      continue;
    }
    const std::int64_t now_ns = monotonic_ns();
    if (now_ns >= until_ns) return false;
    if (now_ns - begun_ns >= kSpinNs) sleep_while(channel.answered, answered, until_ns - now_ns);
  }
}

// Tells the worker that run `run` and those before it are wanted no more.  The kernel may heed it.
inline void give_up(RunChannel& channel, std::uint32_t run) {
  channel.give_up_before.value.store(run + 1, std::memory_order_relaxed);
}

// A copy of the answer, with every field in its range: the kernel may have written it.
inline RunAnswer read_answer(const RunChannel& channel) {
  const volatile RunAnswer& claimed = channel.answer;
  RunAnswer answer{};
  const auto status = static_cast<std::uint32_t>(claimed.status);
  answer.status = status < kRunStatuses ? static_cast<RunStatus>(status) : RunStatus::kRefused;
  answer.signal = claimed.signal;
  answer.system_call = claimed.system_call;
  answer.fault_mapping = claimed.fault_mapping;
  answer.fault_offset = claimed.fault_offset;
  answer.fault_address = claimed.fault_address;
  return answer;
}

}  // namespace hearth::sandbox
