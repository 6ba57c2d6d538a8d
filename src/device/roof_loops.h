// Loops that keep one kind of unit busy, for roofs that no kernel of `tensor` needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace hearth::device {

inline constexpr unsigned kRoofReadsMax = 3;

// Writes the exclusive or of n bytes from each place, past the caches.  n is a multiple of 64; all
// places are aligned to it.
void stream_roof_loop(std::span<const std::byte* const> in, std::byte* out, std::size_t n);

// Chains of fused multiply-adds of doubles; the operations (a multiply-add is two) go to `*ops`.
// Returns what depends on all of them.
double f64_roof_loop(std::uint64_t rounds, double x, std::uint64_t* ops);

}  // namespace hearth::device
