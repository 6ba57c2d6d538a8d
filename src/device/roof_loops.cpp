#include "device/roof_loops.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "tensor/isa.h"

// Three short loops: each carries its instruction set as an attribute, which spares files and flags.
namespace hearth::device {
namespace {

// Independent chains: more than latency times units on all processors so far, fewer than registers.
constexpr int kChains = 12;

double f64_chains(std::uint64_t rounds, double x) {
  double sum[kChains];
  for (int c = 0; c < kChains; ++c) sum[c] = c;
  for (std::uint64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (double& s : sum) s = s * x + x;
  }
  double all = 0;
  for (const double s : sum) all += s;
  return all;
}

void stream_plain(std::span<const std::byte* const> in, std::byte* out, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    std::byte all = in[0][i];
    for (std::size_t k = 1; k < in.size(); ++k) all ^= in[k][i];
    out[i] = all;
  }
}

#if defined(__x86_64__)
[[gnu::target("avx512f")]] double f64_chains_avx512(std::uint64_t rounds, double x) {
  const __m512d factor = _mm512_set1_pd(x);
  __m512d sum[kChains];
  // Different beginnings: equal chains would be computed once.
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) sum[c] = _mm512_set1_pd(c);
  for (std::uint64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (auto& s : sum) s = _mm512_fmadd_pd(s, factor, factor);
  }
  double all = 0;
#pragma GCC unroll 12
  for (auto& s : sum) all += _mm512_cvtsd_f64(s);
  return all;
}

[[gnu::target("avx2,fma")]] double f64_chains_avx2(std::uint64_t rounds, double x) {
  const __m256d factor = _mm256_set1_pd(x);
  __m256d sum[kChains];
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) sum[c] = _mm256_set1_pd(c);
  for (std::uint64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (auto& s : sum) s = _mm256_fmadd_pd(s, factor, factor);
  }
  double all = 0;
#pragma GCC unroll 12
  for (auto& s : sum) all += _mm256_cvtsd_f64(s);
  return all;
}

// Ahead of the processor's own prefetching, which stops at the ends of pages.
constexpr std::uintptr_t kAhead = 4096;

[[gnu::always_inline]] inline void fetch_ahead(const std::byte* p) {
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(p) + kAhead));
}

template <int kReads>
[[gnu::target("avx512f")]] void stream_avx512(const std::byte* const* in, std::byte* out,
                                              std::size_t n) {
  for (std::size_t i = 0; i < n; i += 64) {
#pragma GCC unroll 3
    for (int k = 0; k < kReads; ++k) fetch_ahead(in[k] + i);
    __m512i all = _mm512_load_si512(in[0] + i);
#pragma GCC unroll 3
    for (int k = 1; k < kReads; ++k) {
      all = _mm512_xor_si512(all, _mm512_load_si512(in[k] + i));
    }
    _mm512_stream_si512(reinterpret_cast<__m512i*>(out + i), all);
  }
  _mm_sfence();
}

template <int kReads>
[[gnu::target("avx2")]] void stream_avx2(const std::byte* const* in, std::byte* out,
                                         std::size_t n) {
  for (std::size_t i = 0; i < n; i += 32) {
#pragma GCC unroll 3
    for (int k = 0; k < kReads; ++k) fetch_ahead(in[k] + i);
    __m256i all = _mm256_load_si256(reinterpret_cast<const __m256i*>(in[0] + i));
#pragma GCC unroll 3
    for (int k = 1; k < kReads; ++k) {
      all = _mm256_xor_si256(all,
                             _mm256_load_si256(reinterpret_cast<const __m256i*>(in[k] + i)));
    }
    _mm256_stream_si256(reinterpret_cast<__m256i*>(out + i), all);
  }
  _mm_sfence();
}
#endif

}  // namespace

double f64_roof_loop(std::uint64_t rounds, double x, std::uint64_t* ops) {
#if defined(__x86_64__)
  const tensor::Isa isa = tensor::selected_isa();
  *ops = rounds * kChains * (isa == tensor::Isa::kAvx512 ? 16 : 8);
  if (isa == tensor::Isa::kAvx512) return f64_chains_avx512(rounds, x);
  if (isa == tensor::Isa::kAvx2) return f64_chains_avx2(rounds, x);
#endif
  *ops = rounds * kChains * 2;
  return f64_chains(rounds, x);
}

void stream_roof_loop(std::span<const std::byte* const> in, std::byte* out, std::size_t n) {
#if defined(__x86_64__)
  using Loop = void (*)(const std::byte* const*, std::byte*, std::size_t);
  static constexpr Loop kAvx512[] = {stream_avx512<1>, stream_avx512<2>, stream_avx512<3>};
  static constexpr Loop kAvx2[] = {stream_avx2<1>, stream_avx2<2>, stream_avx2<3>};
  const tensor::Isa isa = tensor::selected_isa();
  if (isa == tensor::Isa::kAvx512) return kAvx512[in.size() - 1](in.data(), out, n);
  if (isa == tensor::Isa::kAvx2) return kAvx2[in.size() - 1](in.data(), out, n);
#endif
  stream_plain(in, out, n);
}

}  // namespace hearth::device
