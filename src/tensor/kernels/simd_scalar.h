// Sixteen lanes of 32 bits in plain C++: the twin that the others are tested against, and what runs
// where there is no AVX2.  simd_avx2.h and simd_avx512.h have the same functions.
//
// The kernels are templates on a Simd type, so that the algorithm is written once and its
// arithmetic is the same everywhere: the same integers, and the same float operations in the same
// order.  All variants therefore give the same bits.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tensor/float_formats.h"
#include "tensor/kernels/inline.h"

namespace hearth::tensor::scalar {

struct Simd {
  static constexpr int kLanes = 16;
  struct I {
    std::uint32_t v[kLanes];
  };
  struct F {
    float v[kLanes];
  };

  // The register tile of the products: tokens by panels of 16 rows, and rows by tokens.
  static constexpr std::uint32_t kTileTokens = 1;
  static constexpr std::uint32_t kTilePanels = 1;
  static constexpr std::uint32_t kDotRows = 1;
  static constexpr std::uint32_t kDotTokens = 1;
  // Whether dot4<true> costs no more than dot4<false>.
  static constexpr bool kKeepsSums = false;  // 16 registers of sums and their operands.
  static constexpr bool kWideIsFree = false;
  static constexpr std::uint32_t kProbeChains = 2;

  // fn(), but compiled once for all who call it so: unrolled into lanes and then into weights, this
  // file would take minutes.
  template <class Fn>
  [[gnu::noinline]] static auto step(const Fn& fn) {
    return fn();
  }

  // 64 bytes from and to memory of any alignment.
  static I load(const void* p) {
    I r;
    std::memcpy(&r, p, sizeof r);
    return r;
  }
  static void store(void* p, I a) { std::memcpy(p, &a, sizeof a); }
  static I set1(std::uint32_t value) {
    return each([&](int) { return value; });
  }
  static I broadcast32(const void* p) {
    std::uint32_t value = 0;
    std::memcpy(&value, p, sizeof value);
    return set1(value);
  }
  static I bit_and(I a, I b) {
    return each([&](int i) { return a.v[i] & b.v[i]; });
  }
  static I bit_or(I a, I b) {
    return each([&](int i) { return a.v[i] | b.v[i]; });
  }
  static I bit_xor(I a, I b) {
    return each([&](int i) { return a.v[i] ^ b.v[i]; });
  }
  template <int kBits>
  static I shl(I a) {
    return each([&](int i) { return a.v[i] << kBits; });
  }
  template <int kBits>
  static I shr(I a) {
    return each([&](int i) { return a.v[i] >> kBits; });
  }
  // Arithmetic: keeps the sign.
  template <int kBits>
  static I sar(I a) {
    return each([&](int i) {
      return static_cast<std::uint32_t>(static_cast<std::int32_t>(a.v[i]) >> kBits);
    });
  }
  static I add32(I a, I b) {
    return each([&](int i) { return a.v[i] + b.v[i]; });
  }
  static I sub32(I a, I b) {
    return each([&](int i) { return a.v[i] - b.v[i]; });
  }
  // Per byte.
  static I min_u8(I a, I b) {
    return each_byte([&](int i) { return byte(a, i) < byte(b, i) ? byte(a, i) : byte(b, i); });
  }
  static I max_u32(I a, I b) {
    return each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
  }
  // The 16 bytes at p as a table for `lookup`, whose index bytes are below 16.
  static I table16(const void* p) {
    I r;
    for (int part = 0; part < 4; ++part) std::memcpy(r.v + 4 * part, p, 16);
    return r;
  }
  static I lookup(I table, I index) {
    return each_byte([&](int i) { return byte(table, byte(index, i)); });
  }
  // Lane i: table[index of lane i].
  static I pick32(const std::uint32_t* table, I index) {
    return each([&](int i) { return table[index.v[i]]; });
  }
  // Each lane's byte kByte in all four bytes of the lane.
  template <int kByte>
  static I replicate_byte(I a) {
    return each([&](int i) { return ((a.v[i] >> (8 * kByte)) & 255U) * 0x01010101U; });
  }
  // Each lane's byte kByte, widened.
  template <int kByte>
  static I pick_byte(I a) {
    return each([&](int i) { return (a.v[i] >> (8 * kByte)) & 255U; });
  }
  // sum + the four products of a lane's unsigned bytes in u and signed bytes in s.  Exact; kWide
  // says that bytes of u may exceed 127.
  template <bool kWide>
  static I dot4(I sum, I u, I s) {
    return each([&](int i) {
      std::int32_t r = static_cast<std::int32_t>(sum.v[i]);
      for (int k = 0; k < 4; ++k) {
        r += static_cast<std::int32_t>((u.v[i] >> (8 * k)) & 255U) *
             static_cast<std::int8_t>(s.v[i] >> (8 * k));
      }
      return static_cast<std::uint32_t>(r);
    });
  }

  static F load_f(const float* p) { return load_f_part(p, kLanes); }
  static void store_f(float* p, F a) { store_f_part(p, kLanes, a); }
  // The first n of 16 lanes; the others are 0, and their memory is not touched.
  static F load_f_part(const float* p, std::size_t n) {
    F r{};
    std::memcpy(&r, p, n * sizeof(float));
    return r;
  }
  static void store_f_part(float* p, std::size_t n, F a) { std::memcpy(p, &a, n * sizeof(float)); }
  static F set1_f(float value) {
    return each_f([&](int) { return value; });
  }
  // p[i * stride] in each lane of the i-th of kParts equal runs of lanes.
  template <int kParts>
  static F set_parts_f(const float* p, std::size_t stride) {
    return each_f(
        [&](int i) { return p[static_cast<std::size_t>(i / (kLanes / kParts)) * stride]; });
  }
  static F add(F a, F b) {
    return each_f([&](int i) { return a.v[i] + b.v[i]; });
  }
  static F sub(F a, F b) {
    return each_f([&](int i) { return a.v[i] - b.v[i]; });
  }
  static F mul(F a, F b) {
    return each_f([&](int i) { return a.v[i] * b.v[i]; });
  }
  static F div(F a, F b) {
    return each_f([&](int i) { return a.v[i] / b.v[i]; });
  }
  // a * b + c, rounded once.
  static F fma(F a, F b, F c) {
    return each_f([&](int i) { return std::fma(a.v[i], b.v[i], c.v[i]); });
  }
  // c - a * b, rounded once.
  static F fnma(F a, F b, F c) {
    return each_f([&](int i) { return std::fma(-a.v[i], b.v[i], c.v[i]); });
  }
  // b where either is NaN, as the x86 instructions have it.
  static F max(F a, F b) {
    return each_f([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
  }
  static F min(F a, F b) {
    return each_f([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
  }
  // 0 where a < b, else v.
  static F zero_if_less(F v, F a, F b) {
    return each_f([&](int i) { return a.v[i] < b.v[i] ? 0.0F : v.v[i]; });
  }
  static F as_float(I a) { return std::bit_cast<F>(a); }
  static I as_bits(F a) { return std::bit_cast<I>(a); }
  static F to_float(I a) {
    return each_f([&](int i) { return static_cast<float>(static_cast<std::int32_t>(a.v[i])); });
  }
  // To nearest, ties to even; what does not fit becomes the smallest integer.
  static I to_int(F a) {
    return each([&](int i) {
      const bool fits = a.v[i] >= -0x1p31F && a.v[i] < 0x1p31F;
      return fits ? static_cast<std::uint32_t>(static_cast<std::int32_t>(std::nearbyint(a.v[i])))
                  : 0x80000000U;
    });
  }
  // 16 bytes: the lanes, saturated.
  static void store_i8(std::int8_t* p, I a) {
    for (int i = 0; i < kLanes; ++i) {
      const auto value = static_cast<std::int32_t>(a.v[i]);
      p[i] = static_cast<std::int8_t>(value > 127 ? 127 : value < -128 ? -128 : value);
    }
  }
  // The half in the low or high 16 bits of each lane.
  static F half_low(I a) {
    return each_f([&](int i) { return f32_from_f16(static_cast<F16>(a.v[i] & 0xFFFFU)); });
  }
  static F half_high(I a) { return half_low(shr<16>(a)); }
  // 16 bytes, one to a lane.
  static I load_u8(const void* p) {
    std::uint8_t bytes[kLanes];
    std::memcpy(bytes, p, sizeof bytes);
    return each([&](int i) { return std::uint32_t{bytes[i]}; });
  }
  static I load_i8(const void* p) {
    std::int8_t bytes[kLanes];
    std::memcpy(bytes, p, sizeof bytes);
    return each([&](int i) { return static_cast<std::uint32_t>(std::int32_t{bytes[i]}); });
  }
  static F load_f16(const void* p) {
    F16 bits[kLanes];
    std::memcpy(bits, p, sizeof bits);
    return each_f([&](int i) { return f32_from_f16(bits[i]); });
  }
  static void store_f16(void* p, F a) {
    F16 bits[kLanes];
    for (int i = 0; i < kLanes; ++i) bits[i] = f16_from_f32(a.v[i]);
    std::memcpy(p, bits, sizeof bits);
  }
  static F load_bf16(const void* p) {
    BF16 bits[kLanes];
    std::memcpy(bits, p, sizeof bits);
    return each_f([&](int i) { return f32_from_bf16(bits[i]); });
  }
  // Adds lane i + 8 to i, then i + 4, i + 2, i + 1: the one order of all variants.
  static float sum(F a) {
    for (int half = kLanes / 2; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) a.v[i] += a.v[i + half];
    }
    return a.v[0];
  }
  // Lane i: the sum of the 16 floats at p + 16 i.
  static F sum16(const float* p) {
    return each_f([&](int i) { return sum(load_f(p + 16 * i)); });
  }
  static float max_lane(F a) {
    for (int half = kLanes / 2; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) a.v[i] = a.v[i] > a.v[i + half] ? a.v[i] : a.v[i + half];
    }
    return a.v[0];
  }
  static std::uint32_t max_u32_lane(I a) {
    std::uint32_t r = 0;
    for (std::uint32_t value : a.v) r = value > r ? value : r;
    return r;
  }
  static std::int32_t sum32(I a) {
    std::uint32_t r = 0;
    for (std::uint32_t value : a.v) r += value;
    return static_cast<std::int32_t>(r);
  }

  // Lane r: the four bytes at base + r * stride.
  static I gather32(const std::byte* base, std::size_t stride) {
    I r;
    for (std::size_t row = 0; row < kLanes; ++row) std::memcpy(&r.v[row], base + row * stride, 4);
    return r;
  }
  // out[q], lane r: bytes 4 q to 4 q + 3 of the 16 or 32 bytes at base + r * stride.
  static void load_rows_16(const std::byte* base, std::size_t stride, I* out) {
    for (std::size_t q = 0; q < 4; ++q) out[q] = gather32(base + 4 * q, stride);
  }
  static void load_rows_32(const std::byte* base, std::size_t stride, I* out) {
    for (std::size_t q = 0; q < 8; ++q) out[q] = gather32(base + 4 * q, stride);
  }

 private:
  template <class Fn>
  static I each(Fn&& fn) {
    I r;
    for (int i = 0; i < kLanes; ++i) r.v[i] = fn(i);
    return r;
  }
  template <class Fn>
  static F each_f(Fn&& fn) {
    F r;
    for (int i = 0; i < kLanes; ++i) r.v[i] = fn(i);
    return r;
  }
  template <class Fn>
  static I each_byte(Fn&& fn) {
    I r{};
    for (int i = 0; i < 4 * kLanes; ++i) {
      r.v[i / 4] |= static_cast<std::uint32_t>(fn(i)) << (8 * (i % 4));
    }
    return r;
  }
  static std::uint8_t byte(const I& a, int i) {
    return static_cast<std::uint8_t>(a.v[i / 4] >> (8 * (i % 4)));
  }
};

}  // namespace hearth::tensor::scalar
