// The machine's roofs: how fast it can read memory and multiply, measured now.
//
// Every speed that Hearth prints stands beside one of these (DESIGN.md, "Nothing beats the roof").
// On a shared machine they change from second to second, so a benchmark interleaves single probes
// with its own runs and compares with what it got in the same breath.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/thread_pool.h"
#include "tensor/aligned_buffer.h"

namespace hearth::device {

struct Roofs {
  unsigned n_threads = 0;
  double read_gb_s = 0;   // 10^9 bytes a second, read in order by all threads together.
  double int8_gop_s = 0;  // 10^9 8-bit operations a second; a multiply-add is two.
  double f32_gop_s = 0;   // The same for floats, fused.
  double f64_gop_s = 0;   // And doubles.
  double stream_gb_s = 0;  // Read from two places and written past the caches to a third.
};

// Memory to sweep, in large pages and touched (0.1 to 4 s a GiB).
class ReadRoofMemory {
 public:
  explicit ReadRoofMemory(std::size_t bytes);
  std::span<const std::byte> bytes() const { return {memory_.data(), bytes_}; }
  std::span<std::byte> writable() { return {memory_.data(), bytes_}; }

 private:
  std::size_t bytes_;
  tensor::AlignedBuffer<std::byte> memory_;
};

// What whole passes over memory reached, in 10^9 bytes a second.  The best is what the machine can
// do; the median is what it keeps up: beside neighbours, memory comes in bursts.
struct ReadRates {
  double best = 0;
  double median = 0;
};

// Probes that can be run one at a time.  Each takes the best of some passes or slices: what
// disturbs one only ever makes it slower.
//
// Threading: as the pool.  Costs: the first `read_gb_s()` takes and touches kReadBytes of memory
// (0.1 to 2 s, not timed); each probe then runs for kProbeMs.
class RoofProbe {
 public:
  static constexpr std::size_t kReadBytes = std::size_t{512} << 20;
  static constexpr int kProbeMs = 250;

  explicit RoofProbe(ThreadPool& pool) : pool_(pool) {}

  double read_gb_s();
  // The same over memory of the caller's: the roof for a model is a sweep of as many bytes.
  double read_gb_s(std::span<const std::byte> memory);
  ReadRates read_rates(std::span<const std::byte> memory);
  double int8_gop_s();
  double f32_gop_s();
  double f64_gop_s();

  // What `out = in * weights` (two reads) or a copy (one; at most 3) could move, reads and writes
  // together, in sweeps over `bytes` (at most kReadBytes), written past the caches.
  double stream_gb_s(unsigned n_reads, std::size_t bytes = kReadBytes);

 private:
  ReadRoofMemory& memory();

  ThreadPool& pool_;
  std::optional<ReadRoofMemory> memory_;
};

// All of them, one after another.
Roofs measure_roofs(ThreadPool& pool);

}  // namespace hearth::device
