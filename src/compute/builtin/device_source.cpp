// The text of the kernels for devices.  See device_plan.h.
#include "compute/builtin/device_plan.h"
#include "compute/builtin/gemm.h"

namespace hearth::compute {
namespace {

constexpr std::string_view kCudaPrelude = R"(
typedef float f32;
typedef double f64;
typedef signed char i8;
typedef short i16;
typedef int i32;
typedef long long i64;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
#define restrict __restrict__
#define KERNEL extern "C" __global__ void
#define GLOBAL
#define LOCAL __shared__
#define BARRIER() __syncthreads()
#define ITEM_0 ((i64)blockIdx.x * blockDim.x + threadIdx.x)
#define ITEM_1 ((i64)blockIdx.y * blockDim.y + threadIdx.y)
#define ITEM_2 ((i64)blockIdx.z * blockDim.z + threadIdx.z)
#define ITEM(d) ITEM_##d
#define LOCAL_X ((i64)threadIdx.x)
#define LOCAL_Y ((i64)threadIdx.y)
#define GROUP_X ((i64)blockIdx.x)
#define GROUP_Y ((i64)blockIdx.y)
#define FUSED_F32(a, b, c) __fmaf_rn(a, b, c)
#define FUSED_F64(a, b, c) __fma_rn(a, b, c)
)";

constexpr std::string_view kOpenClPrelude = R"(
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#pragma OPENCL FP_CONTRACT OFF
typedef float f32;
typedef double f64;
typedef char i8;
typedef short i16;
typedef int i32;
typedef long i64;
typedef uchar u8;
typedef ushort u16;
typedef uint u32;
typedef ulong u64;
#define KERNEL __kernel void
#define GLOBAL __global
#define LOCAL __local
#define BARRIER() barrier(CLK_LOCAL_MEM_FENCE)
#define ITEM(d) ((i64)get_global_id(d))
#define LOCAL_X ((i64)get_local_id(0))
#define LOCAL_Y ((i64)get_local_id(1))
#define GROUP_X ((i64)get_group_id(0))
#define GROUP_Y ((i64)get_group_id(1))
#define FUSED_F32(a, b, c) fma(a, b, c)
#define FUSED_F64(a, b, c) fma(a, b, c)
)";

// Item i of 256 of group x takes elements i, i + 256, ... of the group's part.
constexpr std::string_view kElementwise = R"(
#define ELEMENT (GROUP_X * 256 + LOCAL_X)

KERNEL mul_f32(GLOBAL f32* out, GLOBAL const f32* in, GLOBAL const f32* weights, i64 n) {
  if (ELEMENT < n) out[ELEMENT] = in[ELEMENT] * weights[ELEMENT];
}

KERNEL axpy_f32(GLOBAL f32* out, GLOBAL const f32* x, GLOBAL const f32* y, f32 factor, i64 n) {
  if (ELEMENT < n) out[ELEMENT] = FUSED_F32(factor, x[ELEMENT], y[ELEMENT]);
}
)";

// A group sums 16384 numbers as doubles: 64 an item, in order, and then the items as a tree.
constexpr std::string_view kSums = R"(
#define SUM_BLOCK 16384

#define SUM(NAME, TYPE)                                                                     \
  KERNEL NAME(GLOBAL f64* out, GLOBAL const TYPE* in, i64 n) {                              \
    LOCAL f64 sums[256];                                                                    \
    const i64 begin = GROUP_X * SUM_BLOCK;                                                  \
    const i64 end = begin + SUM_BLOCK < n ? begin + SUM_BLOCK : n;                          \
    f64 sum = 0;                                                                            \
    for (i64 i = begin + LOCAL_X; i < end; i += 256) sum += (f64)in[i];                     \
    sums[LOCAL_X] = sum;                                                                    \
    BARRIER();                                                                              \
    for (i64 width = 128; width > 0; width /= 2) {                                          \
      if (LOCAL_X < width) sums[LOCAL_X] += sums[LOCAL_X + width];                          \
      BARRIER();                                                                            \
    }                                                                                       \
    if (LOCAL_X == 0) out[GROUP_X] = sums[0];                                               \
  }

SUM(sum_f32, f32)
SUM(sum_f64, f64)
)";

// Tiles of 16 x 16 of a and b in local memory.  k is cut as on the CPU: blocks of DEPTH at most, one
// chain of fused multiply-adds each, added up in order.
constexpr std::string_view kGemm = R"(
#define GEMM(NAME, TYPE, FUSED)                                                             \
  KERNEL NAME(GLOBAL TYPE* out, GLOBAL const TYPE* a, GLOBAL const TYPE* b, i64 m, i64 n,   \
              i64 k) {                                                                      \
    LOCAL TYPE a_tile[16][17];                                                              \
    LOCAL TYPE b_tile[16][17];                                                              \
    const i64 row = GROUP_Y * 16 + LOCAL_Y;                                                 \
    const i64 col = GROUP_X * 16 + LOCAL_X;                                                 \
    const i64 n_blocks = (k + DEPTH - 1) / DEPTH;                                           \
    TYPE total = 0;                                                                         \
    for (i64 block = 0; block < n_blocks; ++block) {                                        \
      const i64 end = k * (block + 1) / n_blocks;                                           \
      TYPE sum = 0;                                                                         \
      for (i64 at = k * block / n_blocks; at < end; at += 16) {                             \
        const i64 count = end - at < 16 ? end - at : 16;                                    \
        const bool has_a = row < m && LOCAL_X < count;                                      \
        const bool has_b = col < n && LOCAL_Y < count;                                      \
        a_tile[LOCAL_Y][LOCAL_X] = has_a ? a[row * k + at + LOCAL_X] : (TYPE)0;             \
        b_tile[LOCAL_Y][LOCAL_X] = has_b ? b[(at + LOCAL_Y) * n + col] : (TYPE)0;           \
        BARRIER();                                                                          \
        for (i64 i = 0; i < count; ++i) sum = FUSED(a_tile[LOCAL_Y][i], b_tile[i][LOCAL_X], sum); \
        BARRIER();                                                                          \
      }                                                                                     \
      total = block == 0 ? sum : total + sum;                                               \
    }                                                                                       \
    if (row < m && col < n) out[row * n + col] = total;                                     \
  }

GEMM(gemm_f32, f32, FUSED_F32)
GEMM(gemm_f64, f64, FUSED_F64)
)";

constexpr std::string_view kStencil = R"(
KERNEL jacobi5_f64(GLOBAL f64* out, GLOBAL const f64* u, i64 n, i64 m) {
  const i64 i = GROUP_Y * 8 + LOCAL_Y;
  const i64 j = GROUP_X * 32 + LOCAL_X;
  if (i >= n || j >= m) return;
  const i64 at = i * m + j;
  if (i == 0 || i == n - 1 || j == 0 || j == m - 1) {
    out[at] = u[at];
  } else {
    out[at] = 0.25 * ((u[at - m] + u[at + m]) + (u[at - 1] + u[at + 1]));
  }
}
)";

}  // namespace

std::string_view device_prelude(Dialect dialect) {
  return dialect == Dialect::kCuda ? kCudaPrelude : kOpenClPrelude;
}

std::string device_source(Dialect dialect) {
  std::string text(device_prelude(dialect));
  text += "#define DEPTH " + std::to_string(kGemmDepth) + "\n";
  for (const std::string_view part : {kElementwise, kSums, kGemm, kStencil}) text += part;
  return text;
}

}  // namespace hearth::compute
