#include "sandbox/worker/filters.h"

#include <asm/ioctls.h>
#include <asm/sockios.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "sandbox/protocol.h"

namespace hearth::sandbox {
namespace {

constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr std::uint32_t kTell = SECCOMP_RET_TRAP;
constexpr std::uint32_t kAsk = SECCOMP_RET_USER_NOTIF;
constexpr std::uint32_t kX32Bit =
    0x40000000;  // Set in the numbers of the x32 ABI, which shares the architecture.

constexpr std::uint32_t refusal(int error_number) {
  return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error_number);
}

// One rule for each value that an argument may have.
#define HEARTH_IF(call, index, mask, value) \
  {                                         \
    call, kAllow, 1, {                      \
      { index, false, mask, value }         \
    }                                       \
  }
#define HEARTH_MMAP(kind)                                                                   \
  {                                                                                         \
    SYS_mmap, kAllow, 1, {                                                                  \
      { 3, true, ~std::uint32_t{MAP_FIXED_NOREPLACE | MAP_POPULATE | MAP_NORESERVE}, kind } \
    }                                                                                       \
  }

// Priority inheritance and requeueing have been the kernel's weak spots: only waiting and waking.
constexpr FilterRule kKernelThread[] = {
    HEARTH_IF(SYS_futex, 1, ~std::uint32_t{FUTEX_PRIVATE_FLAG}, FUTEX_WAIT),
    HEARTH_IF(SYS_futex, 1, ~std::uint32_t{FUTEX_PRIVATE_FLAG}, FUTEX_WAKE),
    {SYS_rt_sigreturn, kAllow},
    {SYS_restart_syscall, kAllow},
    {SYS_exit_group, kAllow},
};

// Beside a kernel's.
constexpr FilterRule kControlThread[] = {
    HEARTH_IF(SYS_recvmsg, 0, ~0U, kControlFd),
    HEARTH_IF(SYS_write, 0, ~0U, kControlFd),
    // Shared memory without a descriptor is missing: RLIMIT_DATA would not count it.  So is
    // MAP_FIXED, by which private memory that replaces something is not counted either.
    HEARTH_MMAP(MAP_SHARED),
    HEARTH_MMAP(MAP_PRIVATE),
    HEARTH_MMAP(MAP_PRIVATE | MAP_ANONYMOUS),
    {SYS_munmap, kAllow},
    // Rights may be taken away only; a mapping of a read-only descriptor can't gain them anyway.
    HEARTH_IF(SYS_mprotect, 2, ~0U, PROT_READ),
    // The lifeline must stay: it ends the worker with its owner.
    {SYS_close, kTell, 1, {{0, false, ~0U, kControlFd}}},
    {SYS_close, kTell, 1, {{0, false, ~0U, kLifelineFd}}},
    {SYS_close, kAllow},
};

// Files by their names; Landlock says which.  Before its third version it does not know O_TRUNC,
// which without a right to write (access modes 0 and 3) would empty any file of this user.
constexpr FilterRule kFiles[] = {
    {SYS_open, refusal(EACCES), 1, {{1, false, O_ACCMODE | O_TRUNC, O_RDONLY | O_TRUNC}}},
    {SYS_open, refusal(EACCES), 1, {{1, false, O_ACCMODE | O_TRUNC, O_ACCMODE | O_TRUNC}}},
    {SYS_open, kAllow},
    {SYS_openat, refusal(EACCES), 1, {{2, false, O_ACCMODE | O_TRUNC, O_RDONLY | O_TRUNC}}},
    {SYS_openat, refusal(EACCES), 1, {{2, false, O_ACCMODE | O_TRUNC, O_ACCMODE | O_TRUNC}}},
    {SYS_openat, kAllow},
    {SYS_stat, kAllow},
    {SYS_newfstatat, kAllow},
    {SYS_access, kAllow},
    {SYS_faccessat, kAllow},
    {SYS_readlink, kAllow},
    {SYS_getdents64, kAllow},
    {SYS_unlink, kAllow},
    {SYS_rename, kAllow},
    {SYS_mkdir, kAllow},
};

// Memory: private and shared, of files and of none.
constexpr FilterRule kMemory[] = {
    {SYS_mmap, kAllow},   {SYS_munmap, kAllow},  {SYS_mprotect, kAllow},
    {SYS_mremap, kAllow}, {SYS_madvise, kAllow}, {SYS_brk, kAllow},
};

// By F_SETOWN and F_SETSIG a pipe can send any signal to any process of this user, so not every
// command.
constexpr FilterRule kDescriptors[] = {
    HEARTH_IF(SYS_fcntl, 1, ~0U, F_DUPFD), HEARTH_IF(SYS_fcntl, 1, ~0U, F_DUPFD_CLOEXEC),
    HEARTH_IF(SYS_fcntl, 1, ~0U, F_GETFD), HEARTH_IF(SYS_fcntl, 1, ~0U, F_SETFD),
    HEARTH_IF(SYS_fcntl, 1, ~0U, F_GETFL), HEARTH_IF(SYS_fcntl, 1, ~0U, F_SETFL),
};

// Beside files, memory, and a kernel's.
constexpr FilterRule kDevice[] = {
    HEARTH_IF(SYS_futex, 1, ~std::uint32_t{FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME},
              FUTEX_WAIT_BITSET),
    HEARTH_IF(SYS_recvmsg, 0, ~0U, kControlFd),
    // What a kernel prints goes nowhere.
    {SYS_write, refusal(EBADF), 1, {{0, false, ~0U, kLifelineFd}}},
    {SYS_writev, refusal(EBADF), 1, {{0, false, ~0U, kLifelineFd}}},
    {SYS_write, kAllow},
    {SYS_writev, kAllow},
    {SYS_read, kAllow},
    {SYS_pread64, kAllow},
    {SYS_lseek, kAllow},
    {SYS_fstat, kAllow},
    {SYS_ftruncate, kAllow},
    {SYS_fdatasync, kAllow},
    {SYS_fsync, kAllow},
    {SYS_close, kTell, 1, {{0, false, ~0U, kControlFd}}},
    {SYS_close, kTell, 1, {{0, false, ~0U, kLifelineFd}}},
    {SYS_close, kAllow},
    // Itself.  A thread that has just begun has these to make before it is one, or ends the
    // process.
    {SYS_rseq, kAllow},
    {SYS_set_robust_list, kAllow},
    {SYS_sigaltstack, kAllow},
    {SYS_rt_sigprocmask, kAllow},
    {SYS_sched_yield, kAllow},
    {SYS_sched_getaffinity, kAllow},
    {SYS_getpid, kAllow},
    {SYS_gettid, kAllow},
    {SYS_getrandom, kAllow},
    {SYS_sysinfo, kAllow},
    {SYS_clock_gettime, kAllow},
    {SYS_gettimeofday, kAllow},
    {SYS_exit, kAllow},
    // What nobody but a kernel would ask for.
    {SYS_execve, kTell},
    {SYS_execveat, kTell},
    {SYS_fork, kTell},
    {SYS_vfork, kTell},
    {SYS_socket, kTell},
    {SYS_connect, kTell},
    {SYS_ptrace, kTell},
    {SYS_kill, kTell},
    {SYS_process_vm_readv, kTell},
    {SYS_process_vm_writev, kTell},
    {SYS_pidfd_open, kTell},
    {SYS_bpf, kTell},
    {SYS_io_uring_setup, kTell},
    {SYS_userfaultfd, kTell},
    {SYS_keyctl, kTell},
    {SYS_mount, kTell},
    {SYS_unshare, kTell},
    {SYS_setns, kTell},
};

// Of a GPU's driver beside those, and before kDescriptors.  What its devices are asked for, nobody
// here knows; but the lifeline must stay armed, under any number, and signals are nobody's to have
// sent.
constexpr FilterRule kGpu[] = {
    {SYS_fcntl, refusal(EBADF), 1, {{0, false, ~0U, kLifelineFd}}},
    {SYS_dup, refusal(EBADF), 1, {{0, false, ~0U, kLifelineFd}}},
    {SYS_ioctl, refusal(EBADF), 1, {{0, false, ~0U, kLifelineFd}}},
    {SYS_ioctl, refusal(EPERM), 1, {{1, false, ~0U, FIOASYNC}}},
    {SYS_ioctl, refusal(EPERM), 1, {{1, false, ~0U, FIOSETOWN}}},
    {SYS_ioctl, refusal(EPERM), 1, {{1, false, ~0U, SIOCSPGRP}}},
    {SYS_ioctl, refusal(EPERM), 1, {{1, false, ~0U, TIOCSTI}}},
    {SYS_ioctl, kAllow},
    {SYS_poll, kAllow},
    {SYS_ppoll, kAllow},
    {SYS_eventfd2, kAllow},
    {SYS_pipe2, kAllow},
    {SYS_dup, kAllow},
    {SYS_nanosleep, kAllow},
    {SYS_clock_nanosleep, kAllow},
    {SYS_mlock, kAllow},
    {SYS_munlock, kAllow},
    {SYS_sched_setaffinity, kAllow},
    {SYS_rt_sigaction, kAllow},
    // Threads, of this process alone; clone3 hides its flags, and libc then uses clone.
    HEARTH_IF(SYS_clone, 0, CLONE_THREAD, CLONE_THREAD),
};

constexpr std::uint32_t kNewNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                         CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

constexpr FilterRule kCommand[] = {
    // Bytes of what is open.
    {SYS_read, kAllow},
    {SYS_write, kAllow},
    {SYS_readv, kAllow},
    {SYS_writev, kAllow},
    {SYS_pread64, kAllow},
    {SYS_pwrite64, kAllow},
    {SYS_lseek, kAllow},
    {SYS_close, kAllow},
    {SYS_dup, kAllow},
    {SYS_dup2, kAllow},
    {SYS_dup3, kAllow},
    {SYS_pipe, kAllow},
    {SYS_pipe2, kAllow},
    {SYS_fstat, kAllow},
    {SYS_ftruncate, kAllow},
    {SYS_fdatasync, kAllow},
    {SYS_fallocate, kAllow},
    {SYS_fadvise64, kAllow},
    {SYS_poll, kAllow},
    {SYS_ppoll, kAllow},
    {SYS_select, kAllow},
    {SYS_pselect6, kAllow},
    {SYS_copy_file_range, kAllow},
    // As with F_SETOWN, so with FIOSETOWN; TIOCSTI would type into a terminal.
    HEARTH_IF(SYS_ioctl, 1, ~0U, TCGETS),
    HEARTH_IF(SYS_ioctl, 1, ~0U, TIOCGWINSZ),
    // Names beside those of files.
    {SYS_creat, kAllow},
    {SYS_lstat, kAllow},
    {SYS_statx, kAllow},
    {SYS_faccessat2, kAllow},
    {SYS_readlinkat, kAllow},
    {SYS_getcwd, kAllow},
    {SYS_unlinkat, kAllow},
    {SYS_renameat, kAllow},
    {SYS_renameat2, kAllow},
    {SYS_umask, kAllow},
    {SYS_futex, kAllow},
    // Its own process.  kill and tgkill are missing, setsid and setpgid, too: the supervisor ends
    // them all by their group.
    {SYS_rt_sigaction, kAllow},
    {SYS_rt_sigprocmask, kAllow},
    {SYS_rt_sigreturn, kAllow},
    {SYS_restart_syscall, kAllow},
    {SYS_sigaltstack, kAllow},
    {SYS_exit, kAllow},
    {SYS_exit_group, kAllow},
    {SYS_wait4, kAllow},
    {SYS_waitid, kAllow},
    {SYS_execve, kAllow},
    {SYS_arch_prctl, kAllow},
    {SYS_set_tid_address, kAllow},
    {SYS_set_robust_list, kAllow},
    {SYS_rseq, kAllow},
    {SYS_getpid, kAllow},
    {SYS_getppid, kAllow},
    {SYS_gettid, kAllow},
    {SYS_getpgrp, kAllow},
    {SYS_getuid, kAllow},
    {SYS_geteuid, kAllow},
    {SYS_getgid, kAllow},
    {SYS_getegid, kAllow},
    {SYS_getrlimit, kAllow},
    {SYS_setrlimit, kAllow},
    {SYS_getrusage, kAllow},
    {SYS_sched_getaffinity, kAllow},
    {SYS_sched_yield, kAllow},
    HEARTH_IF(SYS_prlimit64, 0, ~0U, 0),
    // The machine.
    {SYS_uname, kAllow},
    {SYS_sysinfo, kAllow},
    {SYS_getrandom, kAllow},
    {SYS_times, kAllow},
    {SYS_time, kAllow},
    {SYS_gettimeofday, kAllow},
    {SYS_clock_gettime, kAllow},
    {SYS_clock_getres, kAllow},
    {SYS_nanosleep, kAllow},
    {SYS_clock_nanosleep, kAllow},
    // Children: counted by the supervisor.  clone3 hides its flags behind a pointer; libc then uses
    // clone.
    {SYS_fork, kAsk},
    {SYS_vfork, kAsk},
    {SYS_clone, kAsk, 1, {{0, true, kNewNamespaces | CLONE_PARENT, 0}}},
    // Hands the supervisor its descriptor; no socket is left once the program runs.
    {SYS_sendmsg, kAllow},
};

#undef HEARTH_IF
#undef HEARTH_MMAP

}  // namespace

Filter::Filter(std::initializer_list<std::span<const FilterRule>> parts, std::uint32_t otherwise) {
  put(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch));
  put(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
  put(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  put(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  put(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 0, 1);
  put(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  for (const std::span<const FilterRule> part : parts) {
    for (const FilterRule& rule : part) put_rule(rule);
  }
  put(BPF_RET | BPF_K, otherwise);
}

void Filter::put(std::uint16_t code, std::uint32_t operand, std::uint8_t if_true,
                 std::uint8_t if_false) {
  if (n_ < kCodeMax) code_[n_++] = {code, if_true, if_false, operand};
}

// Loads the number anew: the checks of the rule before may have left something else.
void Filter::put_rule(const FilterRule& rule) {
  std::uint8_t to_end = 1;  // Instructions of this rule behind the one that jumps over the rest.
  for (std::uint32_t i = 0; i < rule.n_checks; ++i) {
    to_end = static_cast<std::uint8_t>(to_end + (rule.checks[i].is_wide ? 5 : 3));
  }
  put(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  put(BPF_JMP | BPF_JEQ | BPF_K, rule.number, 0, to_end);
  for (std::uint32_t i = 0; i < rule.n_checks; ++i) {
    const ArgumentCheck& check = rule.checks[i];
    const std::uint32_t low = offsetof(seccomp_data, args) + std::uint32_t{check.index} * 8;
    if (check.is_wide) {
      put(BPF_LD | BPF_W | BPF_ABS, low + 4);
      to_end = static_cast<std::uint8_t>(to_end - 2);
      put(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, to_end);
    }
    put(BPF_LD | BPF_W | BPF_ABS, low);
    put(BPF_ALU | BPF_AND | BPF_K, check.mask);
    to_end = static_cast<std::uint8_t>(to_end - 3);
    put(BPF_JMP | BPF_JEQ | BPF_K, check.value, 0, to_end);
  }
  put(BPF_RET | BPF_K, rule.action);
}

Filter kernel_thread_filter() { return Filter({kKernelThread}, kTell); }
Filter control_thread_filter() { return Filter({kKernelThread, kControlThread}, kTell); }
Filter device_filter(bool is_gpu) {
  if (!is_gpu) return Filter({kKernelThread, kFiles, kMemory, kDevice}, refusal(ENOSYS));
  return Filter({kKernelThread, kFiles, kMemory, kDevice, kGpu, kDescriptors}, refusal(ENOSYS));
}
Filter command_filter() {
  return Filter({kFiles, kMemory, kDescriptors, kCommand}, refusal(ENOSYS));
}

}  // namespace hearth::sandbox
