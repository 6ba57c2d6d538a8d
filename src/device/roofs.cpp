#include "device/roofs.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/clock.h"
#include "tensor/kernels/kernels.h"

namespace hearth::device {
namespace {

// What probes compute goes here, so that computing it can't be left out.
std::atomic<std::uint32_t> g_sink{0};

// Work per second of the best slice within RoofProbe::kProbeMs.  `slice` returns how much it did.
template <class Slice>
double best_rate(Slice&& slice) {
  const Clock& clock = Clock::system();
  const std::int64_t end = clock.now_monotonic_ns() + std::int64_t{RoofProbe::kProbeMs} * 1'000'000;
  double best = 0;
  std::int64_t now = clock.now_monotonic_ns();
  do {
    const std::int64_t begin = now;
    const double work = slice();
    now = clock.now_monotonic_ns();
    best = std::max(best, work / static_cast<double>(std::max<std::int64_t>(now - begin, 1)));
  } while (now < end);
  return best;  // Per nanosecond: 10^9 a second.
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

double RoofProbe::read_gb_s(std::span<const std::byte> memory) {
  if (memory.empty()) return 0;
  // A slice is short, so that some escape the neighbours, and starts where the last one ended, so
  // that no cache helps.
  constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
  constexpr std::size_t kPiecesPerThread = 16;
  const std::size_t slice_bytes =
      std::min(kPiecesPerThread * kPieceBytes * pool_.n_threads(), memory.size());
  const auto n_pieces = static_cast<std::uint32_t>((slice_bytes - 1) / kPieceBytes + 1);
  std::size_t begin = 0;
  return best_rate([&] {
    if (begin + slice_bytes > memory.size()) begin = 0;
    const auto slice = memory.subspan(begin, slice_bytes);
    pool_.run(n_pieces, [&](std::uint32_t piece) {
      const auto part = slice.subspan(piece * kPieceBytes)
                            .first(std::min(kPieceBytes, slice_bytes - piece * kPieceBytes));
      g_sink.fetch_xor(tensor::kernels().read_probe(part.data(), part.size()),
                       std::memory_order_relaxed);
    });
    begin += slice_bytes;
    return static_cast<double>(slice_bytes);
  });
}

double RoofProbe::read_gb_s() {
  if (memory_.data() == nullptr) {
    // Zero pages would all be one page in the cache: write something.
    std::byte* memory = memory_.ensure(kReadBytes);
    constexpr std::size_t kHuge = std::size_t{2} << 20;
    const auto address = reinterpret_cast<std::uintptr_t>(memory);
    const std::size_t skip = (kHuge - address % kHuge) % kHuge;
    madvise(memory + skip, kReadBytes - kHuge, MADV_HUGEPAGE);  // Only a wish.
    std::memset(memory, 1, kReadBytes);
  }
  return read_gb_s({memory_.data(), kReadBytes});
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

Roofs measure_roofs(ThreadPool& pool) {
  RoofProbe probe(pool);
  Roofs roofs;
  roofs.n_threads = pool.n_threads();
  roofs.read_gb_s = probe.read_gb_s();
  roofs.int8_gop_s = probe.int8_gop_s();
  roofs.f32_gop_s = probe.f32_gop_s();
  return roofs;
}

}  // namespace hearth::device
