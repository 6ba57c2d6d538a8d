// Which system calls the jailed may make: tables of rules, and the BPF programs that they become.
//
// Each list says what is allowed; the rest does not happen.  Arguments are compared only where they
// are values: a filter can't see what a pointer points at.  See docs/design/0022-jails.md for what
// each row is against.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <initializer_list>
#include <span>

namespace hearth::sandbox {

// (argument & mask) == value, on its low 32 bits; `is_wide` wants the high ones to be zero, too.
struct ArgumentCheck {
  std::uint8_t index;
  bool is_wide;
  std::uint32_t mask;
  std::uint32_t value;
};

// What happens to system call `number` if its arguments pass the checks; the first rule that fits
// decides.
struct FilterRule {
  std::uint32_t number;
  std::uint32_t action;  // SECCOMP_RET_...
  std::uint32_t n_checks = 0;
  ArgumentCheck checks[2] = {};
};

// A BPF program over rules.  Another machine's or x32's system calls end the process.
class Filter {
 public:
  static constexpr std::uint32_t kCodeMax = 1024;

  // The rules of all `parts`, in their order; `otherwise` is what happens to the rest.
  Filter(std::initializer_list<std::span<const FilterRule>> parts, std::uint32_t otherwise);
  sock_fprog program() { return {static_cast<unsigned short>(n_), code_}; }

 private:
  void put(std::uint16_t code, std::uint32_t operand, std::uint8_t if_true = 0,
           std::uint8_t if_false = 0);
  void put_rule(const FilterRule& rule);

  sock_filter code_[kCodeMax];
  std::uint32_t n_ = 0;
};

// Threads that run kernels: sleep, wake, end.  Anything else is a SIGSYS that tells which it was.
Filter kernel_thread_filter();

// The thread that reads the control socket, beside that: recvmsg and write on it, mmap of received
// descriptors and of private memory, munmap, close of what is not the socket or the lifeline.
Filter control_thread_filter();

// A driver that runs kernels for devices, all of its threads: files as far as Landlock lets it, memory
// and sleeping; of what starts programs, reaches others or opens sockets nothing.  A GPU's driver may
// also ask its devices and start threads.  What a kernel would try first is told, the rest fails with
// ENOSYS: drivers take their next best way.
Filter device_filter(bool is_gpu);

// Compilers: files, memory, and children, each of which the supervisor is asked for
// (SECCOMP_RET_USER_NOTIF). Anything else fails with ENOSYS, which makes programs take their next
// best way.
Filter command_filter();

}  // namespace hearth::sandbox
