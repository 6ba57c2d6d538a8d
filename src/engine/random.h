// Random numbers that belong to a place, not to a moment.
//
// A generator with a state would have to be saved when a session is preempted and
// could be disturbed by anything that draws out of turn.  Here the i-th number of a
// seed is a pure function of (seed, i): the finaliser of SplitMix64 (Steele, Lea and
// Flood, "Fast splittable pseudorandom number generators", 2014) over both.  So a
// session's k-th token sees the same number whatever else was in its batch.
#pragma once

#include <cstdint>

namespace hearth::engine {

// A bijection of 64-bit words in which every input bit flips each output bit half the time.
constexpr std::uint64_t mix64(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

// The `index`-th number of `seed`'s sequence, uniform in [0, 1) with 53 bits.
constexpr double uniform01(std::uint64_t seed, std::uint64_t index) {
  constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15ULL;  // 2^64 / golden ratio.
  const std::uint64_t bits = mix64(mix64(seed + kGolden) + (index + 1) * kGolden);
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace hearth::engine
