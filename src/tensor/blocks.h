// The quantised blocks of the GGUF ecosystem, byte for byte.
//
// Every type stores a weight as a small integer q with a scale shared by a group of 16 or 32.
// Two families:
//   symmetric   w = scale * (q - offset)    Q4_0 Q5_0 Q8_0 Q3_K Q6_K; IQ4 and MXFP4 map q by a
//   table with a min  w = scale * q - min         Q4_1 Q5_1 Q2_K Q4_K Q5_K
// The plain types have 32 weights a block and a half-precision scale.  The K types have 256: one
// half-precision scale for the block times a small integer scale per group.
//
// Halves are byte pairs in little-endian order, so that a block has alignment 1: blocks of odd
// sizes lie back to back in a file.
#pragma once

#include <cstdint>

namespace hearth::tensor {

using HalfBytes = std::uint8_t[2];

struct BlockQ4_0 {  // Weights i and i + 16 are the low and high nibble of qs[i].
  HalfBytes d;
  std::uint8_t qs[16];
};
struct BlockQ4_1 {
  HalfBytes d;
  HalfBytes m;  // Added: the negative of our min.
  std::uint8_t qs[16];
};
struct BlockQ5_0 {
  HalfBytes d;
  std::uint8_t qh[4];  // Bit i of these 32 is the fifth bit of weight i.
  std::uint8_t qs[16];
};
struct BlockQ5_1 {
  HalfBytes d;
  HalfBytes m;
  std::uint8_t qh[4];
  std::uint8_t qs[16];
};
struct BlockQ8_0 {
  HalfBytes d;
  std::int8_t qs[32];
};
struct BlockQ2_K {
  std::uint8_t scales[16];  // Per group of 16: scale in the low nibble, min in the high.
  std::uint8_t qs[64];      // Half h, plane p (2 bits each), i: weight 128 h + 32 p + i.
  HalfBytes d;
  HalfBytes dmin;
};
struct BlockQ3_K {
  std::uint8_t hmask[32];   // Bit b of hmask[i]: third bit of weight 32 b + i; clear subtracts 4.
  std::uint8_t qs[64];      // As in Q2_K.
  std::uint8_t scales[12];  // Sixteen 6-bit numbers, less 32: low nibbles, then high bit pairs.
  HalfBytes d;
};
struct BlockQ4_K {
  HalfBytes d;
  HalfBytes dmin;
  std::uint8_t scales[12];  // Eight 6-bit scales and eight 6-bit mins: see k4_scale_min.
  std::uint8_t qs[128];     // 32 bytes hold group 2 j in the low and 2 j + 1 in the high nibbles.
};
struct BlockQ5_K {
  HalfBytes d;
  HalfBytes dmin;
  std::uint8_t scales[12];
  std::uint8_t qh[32];  // Bit g of qh[i]: fifth bit of weight i of group g.
  std::uint8_t qs[128];
};
struct BlockQ6_K {
  std::uint8_t ql[128];    // Per half of 128 weights: 64 bytes of low nibbles,
  std::uint8_t qh[64];     // and 32 bytes of high bit pairs.
  std::int8_t scales[16];  // Per group of 16.
  HalfBytes d;
};
struct BlockIQ4_NL {  // As Q4_0, q mapped by kIq4Values.
  HalfBytes d;
  std::uint8_t qs[16];
};
struct BlockIQ4_XS {
  HalfBytes d;
  std::uint8_t scales_h[2];  // High bit pairs of eight 6-bit group scales, less 32,
  std::uint8_t scales_l[4];  // and their low nibbles.
  std::uint8_t qs[128];      // Eight times the 16 bytes of IQ4_NL.
};
struct BlockMXFP4 {  // OCP Microscaling: E8M0 scale, E2M1 elements, nibbles as in Q4_0.
  std::uint8_t e;
  std::uint8_t qs[16];
};
// The next five: points with signs, (2 s + 1) / 8 of d as a group's scale (/ 4 in IQ3_XXS, / 1 in
// IQ3_S).  Where a sign byte is stored as seven bits, its eighth makes the number of ones even.
struct BlockIQ2_XXS {
  HalfBytes d;
  std::uint8_t qs[64];  // Per 32: four indices; 32 bits with four times seven signs and s on top.
};
struct BlockIQ2_XS {
  HalfBytes d;
  std::uint8_t qs[64];     // Per 8 weights 16 bits: an index of nine and seven signs.
  std::uint8_t scales[8];  // s of each group of 16, low nibble first.
};
struct BlockIQ2_S {
  HalfBytes d;
  std::uint8_t qs[32];  // Low bytes of the indices,
  std::uint8_t signs[32];
  std::uint8_t qh[8];  // and their ninth and tenth bits.
  std::uint8_t scales[8];
};
struct BlockIQ3_XXS {
  HalfBytes d;
  std::uint8_t qs[64];       // Per 4 weights an index.
  std::uint8_t signs_s[32];  // Per 32: as in IQ2_XXS.
};
struct BlockIQ3_S {
  HalfBytes d;
  std::uint8_t qs[64];
  std::uint8_t qh[8];  // Bit i of byte g: ninth bit of index 8 g + i.
  std::uint8_t signs[32];
  std::uint8_t scales[4];  // s of each group of 32, low nibble first.
};
// The next two: points of -1, 0 and 1, all eight moved by an eighth, up or down.
struct BlockIQ1_S {
  HalfBytes d;
  std::uint8_t qs[32];    // Low bytes of the indices.
  std::uint8_t qh[8][2];  // Per 32: four times three bits of index, three of s, and whether down.
};
struct BlockIQ1_M {
  std::uint8_t qs[32];
  std::uint8_t qh[16];        // Per 8 a nibble: three bits of index, and whether down.
  std::uint8_t scales[4][2];  // Four times three bits of s, and from low to high a nibble of d.
};
// Ternary digits.  A byte of TQ1_0 is a fraction with five of them: of 256, times three.
struct BlockTQ1_0 {
  // Digit n of byte i: weight 32 n + i, or from byte 32 on weight 160 + 16 n + i - 32.
  std::uint8_t qs[48];
  std::uint8_t qh[4];  // Digit n of byte i: weight 240 + 4 n + i.
  HalfBytes d;
};
struct BlockTQ2_0 {
  std::uint8_t qs[64];  // As in Q2_K.
  HalfBytes d;
};

static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22);
static_assert(sizeof(BlockQ5_1) == 24 && sizeof(BlockQ8_0) == 34 && sizeof(BlockQ2_K) == 84);
static_assert(sizeof(BlockQ3_K) == 110 && sizeof(BlockQ4_K) == 144 && sizeof(BlockQ5_K) == 176);
static_assert(sizeof(BlockQ6_K) == 210 && sizeof(BlockIQ4_NL) == 18 && sizeof(BlockIQ4_XS) == 136);
static_assert(sizeof(BlockMXFP4) == 17 && sizeof(BlockIQ2_XXS) == 66 && sizeof(BlockIQ2_XS) == 74);
static_assert(sizeof(BlockIQ2_S) == 82 && sizeof(BlockIQ3_XXS) == 98 && sizeof(BlockIQ3_S) == 110);
static_assert(sizeof(BlockIQ1_S) == 50 && sizeof(BlockIQ1_M) == 56 && sizeof(BlockTQ1_0) == 54);
static_assert(sizeof(BlockTQ2_0) == 66);

inline constexpr std::int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                               1,    13,   25,  38,  53,  69,  89,  113};
// E2M1 times 2, so that they are integers; the scale is halved in return.
inline constexpr std::int8_t kFp4Values[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                               0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace hearth::tensor
