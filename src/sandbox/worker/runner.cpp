#include "sandbox/worker/runner.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "sandbox/worker/team.h"

namespace hearth::sandbox {
namespace {

constexpr std::size_t kSignalStackBytes =
    64 << 10;  // AVX-512 and AMX state alone take 11 KiB of a frame.
constexpr int kFaultSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};

RunChannel* channel = nullptr;
std::uint32_t current_run = 0;
Image images[kWorkerKernelsMax];
Region mappings[kWorkerMappingsMax];
std::atomic_flag fault_told = ATOMIC_FLAG_INIT;

// Finds the mapping that `address` lies in or nearest to, guards included.
void place_fault(std::uintptr_t address, RunAnswer& answer) {
  answer.fault_address = address;
  answer.fault_mapping = kNoMapping;
  for (std::uint32_t i = 0; i < kWorkerMappingsMax; ++i) {
    const auto reserved = reinterpret_cast<std::uintptr_t>(mappings[i].reserved);
    if (reserved == 0 || address - reserved >= mappings[i].reserved_bytes) continue;
    answer.fault_mapping = i;
    answer.fault_offset =
        static_cast<std::int64_t>(address - reinterpret_cast<std::uintptr_t>(mappings[i].memory));
    return;
  }
}

// Runs on the thread's signal stack; uses neither thread-local storage nor anything that locks,
// since the kernel may have left both in any state.
void on_fault(int signal, siginfo_t* info, void*) {
  if (fault_told.test_and_set()) {
    for (;;) spin_pause();  // Another thread's fault is being told, and ends this one.
  }
  RunAnswer answer{};
  answer.status = RunStatus::kFault;
  answer.signal = signal;
  answer.fault_mapping = kNoMapping;
  if (signal == SIGSYS) answer.system_call = static_cast<std::uint32_t>(info->si_syscall);
  if (signal == SIGSEGV || signal == SIGBUS) {
    place_fault(reinterpret_cast<std::uintptr_t>(info->si_addr), answer);
  }
  channel->answer = answer;
  publish(channel->answered, current_run);
  ::syscall(SYS_exit_group, 128 + signal);
}

std::uint32_t wait_for_run(std::uint32_t last) {
  for (std::uint32_t spins = 0;;) {
    const std::uint32_t run = channel->asked.value.load(std::memory_order_acquire);
    if (run != last) return run;
    if (spins++ < spin_pauses()) {
      spin_pause();
      continue;
    }
    channel->asked.sleeps.store(1, std::memory_order_seq_cst);
    if (channel->asked.value.load(std::memory_order_seq_cst) == last) {
      ::syscall(SYS_futex, &channel->asked.value, FUTEX_WAIT, last, nullptr, nullptr, 0);
    }
    channel->asked.sleeps.store(0, std::memory_order_relaxed);
  }
}

// The addresses of a request's buffers; false if it asks for what there is not.
bool find_buffers(const RunRequest& request, void** buffers) {
  if (request.n_buffers > kRunBuffersMax || request.n_integers > kRunIntegersMax ||
      request.n_reals > kRunRealsMax) {
    return false;
  }
  for (std::uint32_t i = 0; i < request.n_buffers; ++i) {
    const Region* region = mapping_slot(request.buffers[i].mapping);
    if (region == nullptr || region->memory == nullptr || request.buffers[i].offset > region->bytes)
      return false;
    buffers[i] = region->memory + request.buffers[i].offset;
  }
  return true;
}

RunStatus run_once(std::uint32_t run, RunAnswer& answer) {
  const RunRequest request = channel->request;  // A copy: the asker may write on.
  const Image* image = image_slot(request.kernel);
  void* buffers[kRunBuffersMax] = {};
  if (image == nullptr || !image->is_loaded() || !find_buffers(request, buffers))
    return RunStatus::kRefused;
  if (image->run_on_device != nullptr) return image->run_on_device(request, answer);

  const volatile auto* give_up_before =
      reinterpret_cast<const volatile std::uint32_t*>(&channel->give_up_before.value);
  const HearthServices services{HEARTH_KERNEL_ABI, team_size(), team_parallel_for,
                                give_up_before,    run,         0};
  if (hearth_given_up(&services) != 0) return RunStatus::kGaveUp;
  begin_team_run(&services);
  reset_float_state();
  image->entry(buffers, request.integers, request.reals, &services);
  reset_float_state();
  return hearth_given_up(&services) != 0 ? RunStatus::kGaveUp : RunStatus::kDone;
}

}  // namespace

Image* image_slot(std::uint32_t kernel) {
  return kernel < kWorkerKernelsMax ? &images[kernel] : nullptr;
}
Region* mapping_slot(std::uint32_t mapping) {
  return mapping < kWorkerMappingsMax ? &mappings[mapping] : nullptr;
}
void publish_slots() { std::atomic_thread_fence(std::memory_order_seq_cst); }
void set_channel(RunChannel* at) { channel = at; }

bool tell_faults(Trouble& trouble) {
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (const int signal : kFaultSignals) {
    if (::sigaction(signal, &action, nullptr) != 0)
      return refuse(trouble, "a signal handler was refused by the system");
  }
  return true;
}

bool use_signal_stack(Trouble& trouble) {
  void* memory = ::mmap(nullptr, kSignalStackBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const stack_t stack{memory, 0, kSignalStackBytes};
  if (memory == MAP_FAILED || ::sigaltstack(&stack, nullptr) != 0) {
    return refuse(trouble, "a stack for signals was refused by the system (", std::strerror(errno),
                  ")");
  }
  return true;
}

void run_kernels() {
  for (std::uint32_t last = 0;;) {
    current_run = wait_for_run(last);
    RunAnswer answer{};
    answer.fault_mapping = kNoMapping;
    answer.status = run_once(current_run, answer);
    channel->answer = answer;
    last = current_run;
    publish(channel->answered, last);
  }
}

}  // namespace hearth::sandbox
