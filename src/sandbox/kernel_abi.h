// What a compiled kernel and the worker that runs it say to one another: plain C, so that a
// kernel's prelude can repeat it in a unit that includes nothing.
//
// A kernel is a freestanding shared object that exports
//
//   extern "C" void hearth_entry(void* const* buffers, const int64_t* integers, const double*
//   reals,
//                                const HearthServices* services);
//
// `buffers`, `integers` and `reals` are the run's, in the order in which the request has them;
// nobody says how long they are but the kernel's contract.  Rounding is to nearest, denormals are
// kept and no floating-point exception traps, whatever an earlier kernel left: MXCSR and the x87
// control word are set before each call, on each thread.  There is no clock, no system call, and no
// memory but the buffers, the image's own and the stack (WorkerLimits::stack_bytes).
#ifndef HEARTH_SANDBOX_KERNEL_ABI_H
#define HEARTH_SANDBOX_KERNEL_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Raised when this file changes what older images rely on.
#define HEARTH_KERNEL_ABI 1U
#define HEARTH_KERNEL_ENTRY "hearth_entry"

typedef struct HearthServices {
  uint32_t abi;        // HEARTH_KERNEL_ABI
  uint32_t n_threads;  // Threads that parallel_for has, the caller's included; at least 1.

  // Calls task(context, i) once for each i in [0, n_tasks), in any order, on any of the threads,
  // and returns when all are done.  Within a task it calls them one after another.  Tasks that have
  // not begun when the run is given up are left out.
  void (*parallel_for)(void* context, int64_t n_tasks, void (*task)(void* context, int64_t index));

  // Runs with a number before this one are wanted no more (hearth_given_up).
  const volatile uint32_t* give_up_before;
  uint32_t run;  // This run's number.
  uint32_t reserved;
} HearthServices;

typedef void (*HearthEntry)(void* const* buffers, const int64_t* integers, const double* reals,
                            const HearthServices* services);

// Whether a kernel may return at once, leaving its outputs unfinished.  A long loop asks now and
// then: one that does not is killed, and its worker with it.  Numbers wrap around.
static inline int hearth_given_up(const HearthServices* services) {
  return (int32_t)(*services->give_up_before - services->run) > 0;
}

#ifdef __cplusplus
}
static_assert(sizeof(HearthServices) == 32, "a kernel's prelude repeats this layout");
#endif

#endif
