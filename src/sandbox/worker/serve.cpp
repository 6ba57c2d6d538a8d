// Threads are made while they still can be.  Each that will run kernels then closes its own jail,
// one after another, and last the one that reads the socket; only then is the owner told that the
// worker is ready.
#include "sandbox/worker/serve.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "sandbox/protocol.h"
#include "sandbox/worker/arguments.h"
#include "sandbox/worker/control.h"
#include "sandbox/worker/lockdown.h"
#include "sandbox/worker/loader.h"
#include "sandbox/worker/runner.h"
#include "sandbox/worker/team.h"

namespace hearth::sandbox {
namespace {

struct Settings {
  std::uint64_t memory_bytes, mapped_bytes, stack_bytes, n_threads, spin_us;
};

// The thread that is being started: it says here whether its jail stands.
enum class Start : std::uint32_t { kPending, kJailed, kFailed };
std::atomic<Start> start_state{Start::kPending};
Trouble start_trouble;

// Against timing other processes' caches; kernels have no use for it.
void hide_clock() { ::prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0); }

[[noreturn]] void close_jail_and_work(bool runs_kernels) {
  Trouble trouble;
  const bool jailed = use_signal_stack(trouble) && filter_calls(kernel_thread_filter(), trouble);
  if (!jailed) start_trouble = trouble;
  start_state.store(jailed ? Start::kJailed : Start::kFailed, std::memory_order_seq_cst);
  ::syscall(SYS_futex, &start_state, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  while (!jailed) {  // The other thread says why, and ends the process.
    ::syscall(SYS_futex, &start_state, FUTEX_WAIT_PRIVATE, Start::kFailed, nullptr, nullptr, 0);
  }
  if (runs_kernels) run_kernels();
  help_team();
}

void* runner_main(void*) { close_jail_and_work(true); }
void* helper_main(void*) { close_jail_and_work(false); }

// Starts a thread and waits until it is in its jail.
bool start_thread(void* (*body)(void*), std::uint64_t stack_bytes, Trouble& trouble) {
  start_state.store(Start::kPending);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setguardsize(&attributes, 64 << 10);
  pthread_t thread;
  int failed = pthread_attr_setstacksize(&attributes, stack_bytes);
  if (failed == 0) failed = pthread_create(&thread, &attributes, body, nullptr);
  if (failed != 0)
    return refuse(trouble, "a thread was refused by the system (", std::strerror(failed), ")");
  while (start_state.load() == Start::kPending) {
    ::syscall(SYS_futex, &start_state, FUTEX_WAIT_PRIVATE, Start::kPending, nullptr, nullptr, 0);
  }
  if (start_state.load() == Start::kFailed) trouble = start_trouble;
  return start_state.load() == Start::kJailed;
}

bool start_threads(const Settings& settings, Trouble& trouble) {
  set_team_size(static_cast<std::uint32_t>(settings.n_threads));
  for (std::uint64_t i = 1; i < settings.n_threads; ++i) {
    if (!start_thread(helper_main, settings.stack_bytes, trouble)) return false;
  }
  return start_thread(runner_main, settings.stack_bytes, trouble);
}

// RLIMIT_DATA counts private memory that can be written: images; stacks and the program's own lie
// within the slack.  Shared memory is bounded by its files and, like guards, by the address space.
bool limit_memory(const Settings& settings, Trouble& trouble) {
  const std::uint64_t own =
      (std::uint64_t{16} << 20) + settings.n_threads * (settings.stack_bytes + (256 << 10));
  const Resource resources[] = {
      {RLIMIT_DATA, own + settings.memory_bytes},
      {RLIMIT_AS, own + settings.memory_bytes + settings.mapped_bytes + (std::uint64_t{64} << 20)},
      {RLIMIT_FSIZE, 0},
      {RLIMIT_NOFILE, 16},
      {RLIMIT_MEMLOCK, 0},
  };
  return limit_resources(resources, trouble);
}

bool enter_jail(const Settings& settings, Trouble& trouble) {
  if (!map_channel(trouble) || !hold_lifeline(trouble) || !tell_faults(trouble) ||
      !use_signal_stack(trouble)) {
    return false;
  }
  measure_spin(static_cast<std::int64_t>(settings.spin_us) * 1000);
  hide_clock();
  return be_expendable(trouble) && drop_privileges(trouble) && close_files({}, trouble) &&
         start_threads(settings, trouble) && limit_memory(settings, trouble) &&
         filter_calls(control_thread_filter(), trouble);
}

}  // namespace

void serve(int argc, char** argv) {
  const Settings settings{number_of(argc, argv, "memory="), number_of(argc, argv, "mapped="),
                          number_of(argc, argv, "stack="), number_of(argc, argv, "threads="),
                          number_of(argc, argv, "spin=")};
  Trouble trouble;
  const bool jailed = enter_jail(settings, trouble);
  tell_ready(jailed, trouble);
  serve_requests(load_image);
}

}  // namespace hearth::sandbox
