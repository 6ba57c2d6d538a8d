// A kernel that does what its first integer says: honest work and every escape that the tests try.
//
// Built as kernels are (freestanding, -nostdlib); what may not be loaded at all is built from the
// same file with a macro each.  Test code: nothing of it is installed.
#include "sandbox/test_support/attempts.h"

#include "sandbox/kernel_abi.h"

using namespace hearth::sandbox;

extern "C" {
double exp(double);
float sinf(float);
void* memset(void*, int, unsigned long);
void no_such_function(void);
}

namespace {

#if defined(HEARTH_TEST_CONSTRUCTOR)
volatile int constructed = 0;
__attribute__((constructor)) void construct() { constructed = 1; }
#elif defined(HEARTH_TEST_THREAD_LOCAL)
thread_local volatile int local = 0;
#elif defined(HEARTH_TEST_BSS)
volatile char huge[std::int64_t{1} << 30];
#endif

std::int64_t system_call(const std::int64_t* arguments) {
  register std::int64_t r10 asm("r10") = arguments[4];
  register std::int64_t r8 asm("r8") = arguments[5];
  register std::int64_t r9 asm("r9") = arguments[6];
  std::int64_t result = 0;
  asm volatile("syscall"
               : "=a"(result)
               : "0"(arguments[0]), "D"(arguments[1]), "S"(arguments[2]), "d"(arguments[3]),
                 "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

std::uint32_t read_mxcsr() {
  std::uint32_t value = 0;
  asm volatile("stmxcsr %0" : "=m"(value));
  return value;
}

// Flush to zero, denormals are zero, rounding up; and the x87 in single precision.
void poison_float_state() {
  const std::uint32_t mxcsr = 0xDFC0;
  const std::uint16_t control = 0x007F;
  asm volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(mxcsr), "m"(control));
}

std::uint16_t read_x87_control() {
  std::uint16_t value = 0;
  asm volatile("fnstcw %0" : "=m"(value));
  return value;
}

// Not a tail call, and not optimised away.
__attribute__((noinline)) std::int64_t recurse(volatile std::int64_t depth) {
  volatile std::int64_t frame[64];
  frame[0] = depth;
  return recurse(depth + 1) + frame[0];
}

std::int64_t call_count = 0;  // Lives on between runs, as a kernel's static data do.

struct Job {
  void* const* buffers;
  const std::int64_t* integers;
  const double* reals;
  const HearthServices* services;

  std::int64_t* longs() const { return static_cast<std::int64_t*>(buffers[0]); }
  double* doubles() const { return static_cast<double*>(buffers[0]); }
  volatile char* bytes(std::int64_t i = 0) const { return static_cast<volatile char*>(buffers[i]); }
};

// ---- Honest work.

void nothing(const Job&) {}

void scale(const Job& job) {
  const auto* in = static_cast<const double*>(job.buffers[1]);
  for (std::int64_t i = 0; i < job.integers[1]; ++i) job.doubles()[i] = in[i] * job.reals[0];
}

void loop_until_given_up(const Job& job) {
  while (hearth_given_up(job.services) == 0) asm volatile("");
}

void math(const Job& job) {
  job.doubles()[0] = exp(job.reals[0]);
  job.doubles()[1] = static_cast<double>(sinf(static_cast<float>(job.reals[0])));
}

void count(const Job& job) { job.longs()[0] = ++call_count; }

void square(void* context, std::int64_t i) {
  static_cast<const Job*>(context)->longs()[i] += i * i;
}

void parallel(const Job& job, std::int64_t n_tasks, void (*task)(void*, std::int64_t)) {
  job.services->parallel_for(const_cast<Job*>(&job), n_tasks, task);
}

void parallel_squares(const Job& job) { parallel(job, job.integers[1], square); }

void nested_squares(const Job& job) {
  parallel(job, job.integers[1], [](void* context, std::int64_t row) {
    struct Row {
      void* job;
      std::int64_t begin;
    } part{context, row * 8};
    static_cast<const Job*>(context)->services->parallel_for(
        &part, 8, [](void* at, std::int64_t i) {
          square(static_cast<Row*>(at)->job, static_cast<Row*>(at)->begin + i);
        });
  });
}

void parallel_loop(const Job& job) {
  parallel(job, std::int64_t{1} << 37, [](void*, std::int64_t) {});
}

// ---- Attempts.

void call_system(const Job& job) { job.longs()[0] = system_call(job.integers + 1); }
void write_byte(const Job& job) { job.bytes()[job.integers[1]] = 42; }
void read_byte(const Job& job) { job.longs()[0] = job.bytes(job.integers[2])[job.integers[1]]; }
void recurse_for_ever(const Job& job) { job.longs()[0] = recurse(0); }
void bad_instruction(const Job&) { asm volatile("ud2"); }
void breakpoint(const Job&) { asm volatile("int3"); }
void read_clock(const Job&) { asm volatile("rdtsc" ::: "eax", "edx"); }
void call_system_32(const Job&) { asm volatile("int $0x80" : : "a"(20) : "memory"); }
void leave_backwards(const Job&) { asm volatile("std"); }

void loop(const Job&) {
  for (;;) asm volatile("");
}

void divide_by_zero(const Job&) {
  asm volatile("xor %%edx, %%edx; mov $1, %%eax; xor %%ecx, %%ecx; idiv %%ecx" ::
                   : "eax", "ecx", "edx");
}

void poison_floats(const Job&) { poison_float_state(); }

void note_float_state(void* context, std::int64_t i) {
  static_cast<const Job*>(context)->longs()[i] =
      (read_mxcsr() & 0xFFC0) | std::int64_t{read_x87_control()} << 16;
  poison_float_state();
}

void note_floats(const Job& job) { note_float_state(const_cast<Job*>(&job), 0); }
void parallel_note_floats(const Job& job) { parallel(job, job.integers[1], note_float_state); }

void parallel_fault(const Job& job) {
  parallel(job, 1000, [](void*, std::int64_t i) {
    if (i == 100) *reinterpret_cast<volatile char*>(8) = 1;
  });
}

void parallel_call_system(const Job& job) {
  parallel(job, 1000, [](void* context, std::int64_t i) {
    if (i == 50) system_call(static_cast<const Job*>(context)->integers + 1);
  });
}

// The channel's page, which give_up_before points into.
std::uint32_t* channel_of(const Job& job) {
  return reinterpret_cast<std::uint32_t*>(
      reinterpret_cast<std::uintptr_t>(job.services->give_up_before) & ~std::uintptr_t{4095});
}

void fake_answer(const Job& job) {
  static_cast<volatile std::uint32_t*>(channel_of(job))[kAnsweredWord] = job.services->run;
  loop(job);
}

void scribble(const Job& job) {
  volatile std::uint32_t* page = channel_of(job);
  for (std::uint32_t seed = 1;; ++seed) {
    for (std::uint32_t i = 0; i < 1024; ++i) page[i] = seed * 2654435761U + i;
  }
}

void scribble_once(const Job& job) {
  memset(channel_of(job), static_cast<int>(job.integers[1]), 4096);
}

using Body = void (*)(const Job&);
// In the order of Attempt.
constexpr Body kBodies[] = {
    nothing,
    scale,
    call_system,
    loop,
    loop_until_given_up,
    write_byte,
    read_byte,
    poison_floats,
    note_floats,
    recurse_for_ever,
    divide_by_zero,
    bad_instruction,
    breakpoint,
    read_clock,
    call_system_32,
    leave_backwards,
    parallel_squares,
    nested_squares,
    parallel_fault,
    parallel_note_floats,
    parallel_call_system,
    parallel_loop,
    fake_answer,
    scribble,
    scribble_once,
    math,
    count,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) void hearth_entry(
    void* const* buffers, const std::int64_t* integers, const double* reals,
    const HearthServices* services) {
#if defined(HEARTH_TEST_UNDEFINED)
  no_such_function();
#elif defined(HEARTH_TEST_THREAD_LOCAL)
  local = static_cast<int>(integers[0]);
#elif defined(HEARTH_TEST_BSS)
  huge[integers[1]] = 1;
#endif
  const Job job{buffers, integers, reals, services};
  kBodies[integers[0]](job);
}
