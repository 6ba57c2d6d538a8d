#include "device/roofs.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "device/roof_loops.h"
#include "tensor/kernels/kernels.h"

namespace hearth::device {
namespace {

// What probes compute goes here, so that computing it can't be left out.
std::atomic<std::uint32_t> g_sink{0};

// Work per nanosecond, 10^9 a second, of each slice within RoofProbe::kProbeMs.  `slice` returns how
// much it did.
template <class Slice>
std::vector<double> rates(Slice&& slice) {
  const Clock& clock = Clock::system();
  const std::int64_t end = clock.now_monotonic_ns() + std::int64_t{RoofProbe::kProbeMs} * 1'000'000;
  std::vector<double> found;
  std::int64_t now = clock.now_monotonic_ns();
  do {
    const std::int64_t begin = now;
    const double work = slice();
    now = clock.now_monotonic_ns();
    found.push_back(work / static_cast<double>(std::max<std::int64_t>(now - begin, 1)));
  } while (now < end);
  return found;
}

template <class Slice>
double best_rate(Slice&& slice) {
  return std::ranges::max(rates(std::forward<Slice>(slice)));
}

// Runs an arithmetic probe on all threads: a slice is a few milliseconds, so that fork and join do
// not count, and short enough that some escape the neighbours.
template <class Probe>
double arithmetic_rate(ThreadPool& pool, Probe&& probe) {
  constexpr std::uint32_t kTasksPerThread = 8;
  constexpr std::uint64_t kRounds = 50'000;
  return best_rate([&] {
    std::atomic<std::uint64_t> total = 0;
    pool.run(pool.n_threads() * kTasksPerThread, [&](std::uint32_t task) {
      std::uint64_t ops = 0;
      g_sink.fetch_xor(probe(kRounds, task, &ops), std::memory_order_relaxed);
      total.fetch_add(ops, std::memory_order_relaxed);
    });
    return static_cast<double>(total.load());
  });
}

}  // namespace

ReadRates RoofProbe::read_rates(std::span<const std::byte> memory) {
  if (memory.empty()) return {};
  // Whole passes, as a decode step makes them over a model: part of it may lie in a large cache,
  // and a short slice that does would be a roof that no sweep can reach.
  constexpr std::size_t kPieceBytes = std::size_t{256} << 10;
  const auto n_pieces = static_cast<std::uint32_t>((memory.size() - 1) / kPieceBytes + 1);
  std::vector<double> found = rates([&] {
    pool_.run(n_pieces, [&](std::uint32_t piece) {
      const std::size_t at = piece * kPieceBytes;
      const auto part = memory.subspan(at, std::min(kPieceBytes, memory.size() - at));
      g_sink.fetch_xor(tensor::kernels().read_probe(part.data(), part.size()),
                       std::memory_order_relaxed);
    });
    return static_cast<double>(memory.size());
  });
  std::ranges::sort(found);
  return {.best = found.back(), .median = found[found.size() / 2]};
}

ReadRoofMemory::ReadRoofMemory(std::size_t bytes) : bytes_(bytes) {
  // Zero pages would all be one page in the cache: write something.
  std::byte* const memory = memory_.ensure(bytes);
  constexpr std::size_t kHuge = std::size_t{2} << 20;
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  const std::size_t skip = (kHuge - address % kHuge) % kHuge;
  if (bytes > kHuge) madvise(memory + skip, bytes - kHuge, MADV_HUGEPAGE);  // Only a wish.
  std::memset(memory, 1, bytes);
}

ReadRoofMemory& RoofProbe::memory() {
  if (!memory_) memory_.emplace(kReadBytes);
  return *memory_;
}

double RoofProbe::read_gb_s(std::span<const std::byte> memory) { return read_rates(memory).best; }

double RoofProbe::read_gb_s() { return read_gb_s(memory().bytes()); }

double RoofProbe::stream_gb_s(unsigned n_reads, std::size_t bytes) {
  HEARTH_CHECK(n_reads >= 1 && n_reads <= kRoofReadsMax);
  constexpr std::size_t kPieceBytes = std::size_t{64} << 10;
  const auto sweep = memory().writable().first(std::min(bytes, kReadBytes));
  const std::size_t n_pieces = sweep.size() / kPieceBytes / (n_reads + 1);
  if (n_pieces == 0) return 0;
  // The places lie one after another; a piece is as far into each of them.
  const std::size_t place = n_pieces * kPieceBytes;
  return best_rate([&] {
    pool_.run(static_cast<std::uint32_t>(n_pieces), [&](std::uint32_t piece) {
      const std::byte* in[kRoofReadsMax] = {};
      for (unsigned i = 0; i < n_reads; ++i) {
        in[i] = sweep.data() + (i + 1) * place + piece * kPieceBytes;
      }
      stream_roof_loop({in, n_reads}, sweep.data() + piece * kPieceBytes, kPieceBytes);
    });
    return static_cast<double>(place * (n_reads + 1));
  });
}

double RoofProbe::int8_gop_s() {
  return arithmetic_rate(pool_, [](std::uint64_t rounds, std::uint32_t seed, std::uint64_t* ops) {
    return tensor::kernels().int8_probe(rounds, seed, ops);
  });
}

double RoofProbe::f32_gop_s() {
  return arithmetic_rate(pool_, [](std::uint64_t rounds, std::uint32_t seed, std::uint64_t* ops) {
    // The chains converge to a number near 0.
    const float x = 0.5F / static_cast<float>(seed + 2);
    return tensor::kernels().f32_probe(rounds, x, ops) > 0 ? 1U : 2U;
  });
}

double RoofProbe::f64_gop_s() {
  return arithmetic_rate(pool_, [](std::uint64_t rounds, std::uint32_t seed, std::uint64_t* ops) {
    return f64_roof_loop(rounds, 0.5 / (seed + 2), ops) > 0 ? 1U : 2U;
  });
}

Roofs measure_roofs(ThreadPool& pool) {
  RoofProbe probe(pool);
  Roofs roofs;
  roofs.n_threads = pool.n_threads();
  roofs.read_gb_s = probe.read_gb_s();
  roofs.int8_gop_s = probe.int8_gop_s();
  roofs.f32_gop_s = probe.f32_gop_s();
  roofs.f64_gop_s = probe.f64_gop_s();
  roofs.stream_gb_s = probe.stream_gb_s(2);
  return roofs;
}

}  // namespace hearth::device
