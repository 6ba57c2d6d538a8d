// Four floats at a time, in the compilers' own vectors: what every x86-64 and every ARM64 has, so
// one translation unit serves all machines and gives the same bits on each.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

namespace hearth::engine {

using Float4 = float __attribute__((vector_size(16)));
using UInt4 = std::uint32_t __attribute__((vector_size(16)));

inline constexpr float kNegativeInfinity = -std::numeric_limits<float>::infinity();
inline constexpr float kExpArgumentMin = -87.0F;  // exp(-87) is the last normal float.

inline Float4 splat(float x) { return Float4{x, x, x, x}; }

inline Float4 load(const float* data) {
  Float4 v;
  std::memcpy(&v, data, sizeof v);
  return v;
}

// The first n floats at `data`, n < 4; the rest -inf.
inline Float4 load_some(const float* data, std::size_t n) {
  Float4 v = splat(kNegativeInfinity);
  for (std::size_t i = 0; i < n; ++i) v[i] = data[i];
  return v;
}

// Calls visit(i, v) with v = data[i, i + 4) for i = 0, 4, 8, ...; at the end padded with -inf.
template <class Visit>
inline void for_each_float4(const float* data, std::size_t n, Visit&& visit) {
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4) visit(i, load(data + i));
  if (i < n) visit(i, load_some(data + i, n - i));
}

// Stores the first min(n, 4) lanes.
inline void store(Float4 v, float* data, std::size_t n) {
  if (n >= 4) {
    std::memcpy(data, &v, sizeof v);
  } else {
    for (std::size_t i = 0; i < n; ++i) data[i] = v[i];
  }
}

// Lane by lane; `a` where either is NaN.
inline Float4 max(Float4 a, Float4 b) { return b > a ? b : a; }

inline float max_lane(Float4 v) {
  float m = v[0];
  for (int i = 1; i < 4; ++i) m = v[i] > m ? v[i] : m;
  return m;
}

inline double sum_lanes(Float4 v) {
  return (static_cast<double>(v[0]) + static_cast<double>(v[1])) +
         (static_cast<double>(v[2]) + static_cast<double>(v[3]));
}

// exp(x) for x in [kExpArgumentMin, 0], relative error under 2e-7; NaN stays NaN.  Cody and Waite's
// reduction x = n ln 2 + r with |r| <= ln 2 / 2, and Taylor's polynomial for exp(r).
inline Float4 exp_nonpositive(Float4 x) {
  const Float4 round = splat(12582912.0F);  // 1.5 * 2^23: adding it rounds to an integer.
  const Float4 shifted = x * 1.44269504F + round;
  const Float4 n = shifted - round;
  const Float4 r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  Float4 p = splat(1.0F / 720);
  for (const float c : {1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F}) p = p * r + c;
  // The low bits of `shifted` hold n; 2^n is built in the exponent field.
  const UInt4 power = (std::bit_cast<UInt4>(shifted) - (0x4B400000U - 127U)) << 23;
  return p * std::bit_cast<Float4>(power);
}

}  // namespace hearth::engine
