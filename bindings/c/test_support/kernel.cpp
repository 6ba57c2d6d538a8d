// A compiled kernel of the signatures in jailed_kernel.h that does what its integer says: work,
// or what kernels should not do.  Built freestanding, as kernels are.
#include "sandbox/kernel_abi.h"

extern "C" __attribute__((visibility("default"))) void hearth_entry(void* const* buffers, const int64_t* integers, const double*,
                                                                    const HearthServices* services) {
  auto* const out = static_cast<volatile double*>(buffers[0]);
  auto* const in = static_cast<volatile double*>(buffers[1]);
  const int64_t what = integers[0], n = integers[1];
  switch (what) {
    case 1:  // Deaf: never ends, and says that it has begun.
      for (out[0] = 1;;) {
      }
    case 2:  // The same, but listens.
      for (out[0] = 1; !hearth_given_up(services);) {
      }
      return;
    case 3: out[int64_t{1} << 14] = 1; return;  // Behind its end, in the guard pages.
    case 4: in[0] = 1; return;                  // What it may only read.
    case 5: out[0] = in[0] + in[n - 1]; return;  // As little as a run can do.
    default: break;
  }
  for (int64_t i = 0; i < n; ++i) out[i] = 2 * in[i];
}
