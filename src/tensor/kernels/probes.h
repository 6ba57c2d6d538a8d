// Loops that do nothing but keep one kind of unit busy: the machine's roofs (device/roofs.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/kernels/inline.h"

namespace hearth::tensor {

template <class S>
struct Probes {
  using I = typename S::I;
  using F = typename S::F;
  // Independent chains: enough to cover the latency, few enough to stay in registers.
  static constexpr std::uint32_t kChains = S::kProbeChains;

  // Returns a value that depends on everything read, so that nothing is left out.
  static std::uint32_t read(const std::byte* p, std::size_t n) {
    constexpr std::size_t kAhead = 4096;  // Best or near it from 2 to 16 KB on all machines tried.
    I sum[4] = {S::set1(0), S::set1(0), S::set1(0), S::set1(0)};
    const auto address = reinterpret_cast<std::uintptr_t>(p);
    for (std::size_t i = 0; i + 256 <= n; i += 256) {
#pragma GCC unroll 4
      for (std::size_t k = 0; k < 4; ++k) {
        __builtin_prefetch(reinterpret_cast<const void*>(address + i + 64 * k + kAhead));
        sum[k] = S::bit_xor(sum[k], S::load(p + i + 64 * k));
      }
    }
    const I all = S::bit_xor(S::bit_xor(sum[0], sum[1]), S::bit_xor(sum[2], sum[3]));
    return static_cast<std::uint32_t>(S::sum32(all));
  }

  // `rounds` times kChains dot products of 64 bytes; the operations (a multiply-add is two) go to
  // `*ops`.
  static std::uint32_t int8(std::uint64_t rounds, std::uint32_t seed, std::uint64_t* ops) {
    const I u = S::set1(seed & 0x7F7F7F7FU);
    const I s = S::set1(seed);
    I sum[kChains];
#pragma GCC unroll 16
    for (std::uint32_t c = 0; c < kChains; ++c) sum[c] = S::set1(c);
    for (std::uint64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
      for (std::uint32_t c = 0; c < kChains; ++c) sum[c] = S::template dot4<false>(sum[c], u, s);
    }
    *ops = rounds * kChains * 128;
    I all = sum[0];
#pragma GCC unroll 16
    for (std::uint32_t c = 1; c < kChains; ++c) all = S::bit_xor(all, sum[c]);
    return static_cast<std::uint32_t>(S::sum32(all));
  }

  static float f32(std::uint64_t rounds, float seed, std::uint64_t* ops) {
    const F x = S::set1_f(seed);
    F sum[kChains];
#pragma GCC unroll 16
    for (std::uint32_t c = 0; c < kChains; ++c) sum[c] = S::set1_f(static_cast<float>(c));
    for (std::uint64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
      for (std::uint32_t c = 0; c < kChains; ++c) sum[c] = S::fma(sum[c], x, x);
    }
    *ops = rounds * kChains * 32;
    F all = sum[0];
#pragma GCC unroll 16
    for (std::uint32_t c = 1; c < kChains; ++c) all = S::add(all, sum[c]);
    return S::sum(all);
  }
};

}  // namespace hearth::tensor
