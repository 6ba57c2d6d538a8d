#include "compute/speed.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "base/clock.h"
#include "base/thread_pool.h"
#include "tensor/aligned_buffer.h"
#include "tensor/kernels/kernels.h"

namespace hearth::compute {
namespace {

constexpr int kRoundsMin = 3, kRoundsMax = 12;
constexpr int kRunsOfRound = 4;
constexpr std::int64_t kTimedNsMin = 3000;           // Shorter runs say nothing.
constexpr std::int64_t kClaimedNsMin = 100'000;      // Unless they claim work that takes so long at best.
constexpr std::int64_t kProbeNs = 1'000'000;
constexpr std::int64_t kProbeBytesMin = std::int64_t{256} << 10;
constexpr std::int64_t kProbeBytesMax = std::int64_t{64} << 20;

std::atomic<std::uint32_t> g_sink{0};  // What probes compute goes here, so that it can't be left out.

// Probes that take a millisecond or two each.
class ShortProbes {
 public:
  ShortProbes(std::uint32_t n_threads, std::int64_t bytes) : pool_(n_threads), bytes_(static_cast<std::size_t>(std::clamp(bytes, std::int64_t{4096}, kProbeBytesMax))) {
    std::fill_n(memory_.ensure(bytes_), bytes_, std::byte{1});
  }

  // 10^9 floating-point operations a second; of doubles half of it.
  double f32_gflops() {
    std::atomic<std::uint64_t> total = 0;
    return rate([&] {
      total = 0;
      pool_.run(pool_.n_threads() * 4, [&](std::uint32_t task) {
        std::uint64_t ops = 0;
        g_sink.fetch_xor(tensor::kernels().f32_probe(4'000, 0.5F / static_cast<float>(task + 2), &ops) > 0 ? 1U : 2U, std::memory_order_relaxed);
        total.fetch_add(ops, std::memory_order_relaxed);
      });
      return static_cast<double>(total.load());
    });
  }

  // Reading as much memory as the kernel has, again and again.
  double read_gb_s() {
    const std::size_t passes = std::max<std::size_t>(static_cast<std::size_t>(kProbeBytesMin) / bytes_, 1);
    return rate([&] {
      const std::uint32_t n_pieces = bytes_ < std::size_t{1} << 20 ? 1 : pool_.n_threads() * 4;
      for (std::size_t pass = 0; pass < passes; ++pass) {
        pool_.run(n_pieces, [&](std::uint32_t piece) {
          const std::size_t begin = bytes_ / 64 * piece / n_pieces * 64, end = bytes_ / 64 * (piece + 1) / n_pieces * 64;
          g_sink.fetch_xor(tensor::kernels().read_probe(memory_.data() + begin, end - begin), std::memory_order_relaxed);
        });
      }
      return static_cast<double>(bytes_ / 64 * 64 * passes);
    });
  }

 private:
  // Of the best slice within a millisecond or so, and of as many slices as the kernel has runs.
  template <class Slice>
  double rate(Slice&& slice) {
    const Clock& clock = Clock::system();
    const std::int64_t end = clock.now_monotonic_ns() + kProbeNs;
    double best = 0;
    std::int64_t now = clock.now_monotonic_ns();
    for (int i = 0; i < kRunsOfRound || now < end; ++i) {
      const std::int64_t begin = now;
      const double work = slice();
      now = clock.now_monotonic_ns();
      best = std::max(best, work / static_cast<double>(std::max<std::int64_t>(now - begin, 1)));
    }
    return best;
  }

  ThreadPool pool_;
  std::size_t bytes_;
  tensor::AlignedBuffer<std::byte> memory_;
};

bool has_type(const Signature& signature, ElementType type) { return std::ranges::find(signature.parameters, type, &Parameter::type) != signature.parameters.end(); }

// The time that the nearer roof allows.
double roof_ns(const Speed& speed, double flops, double bytes) {
  const double by_flops = speed.roof_gflops > 0 ? flops / speed.roof_gflops : 0;
  return std::max(by_flops, speed.roof_gb_s > 0 ? bytes / speed.roof_gb_s : 0);
}

}  // namespace

Result<Speed> measure_speed(const Contract& contract, KernelRunner& runner, const Case& of) {
  HEARTH_TRY(const std::int64_t flops, flops_of(contract, of.symbols));
  HEARTH_TRY(const std::int64_t bytes, bytes_of(contract, of.symbols));
  Speed speed{.sizes = sizes_text(contract.signature, of), .best_ns = INT64_MAX};
  ShortProbes probes(contract.n_threads, bytes);
  const bool has_f32 = has_type(contract.signature, ElementType::kF32);
  const bool has_floats = has_f32 || has_type(contract.signature, ElementType::kF64);
  for (int round = 0; round < kRoundsMax; ++round) {
    if (has_floats) speed.roof_gflops = std::max(speed.roof_gflops, probes.f32_gflops() / (has_f32 ? 1 : 2));
    speed.roof_gb_s = std::max(speed.roof_gb_s, probes.read_gb_s());
    HEARTH_TRY(const std::int64_t best, runner.best_ns(of, kRunsOfRound));
    speed.best_ns = std::min(speed.best_ns, best);
    const double allowed = roof_ns(speed, static_cast<double>(flops), static_cast<double>(bytes));
    const auto taken = static_cast<double>(speed.best_ns);
    speed.roof_percent = 100 * allowed / taken;
    // Beyond the roof: perhaps a neighbour disturbed the probes.  Look again.
    if (round + 1 >= kRoundsMin && speed.roof_percent <= 100) break;
  }
  const double allowed = roof_ns(speed, static_cast<double>(flops), static_cast<double>(bytes));
  speed.gflops = static_cast<double>(flops) / static_cast<double>(speed.best_ns);
  speed.gb_s = static_cast<double>(bytes) / static_cast<double>(speed.best_ns);
  const bool is_too_short = speed.best_ns < kTimedNsMin && allowed < static_cast<double>(kClaimedNsMin);
  if (is_too_short) {
    speed.roof_percent = 0;
  } else if (speed.roof_percent > 100 * kRoofSlack) {
    return fail(Code::kInvalidArgument, fmt::format("the kernel takes {:.3g} us for what takes this machine {:.3g} us at best: its cost ({} flops, {} bytes) is claimed wrong, or it is not done",
                                                    static_cast<double>(speed.best_ns) / 1e3, allowed / 1e3, flops, bytes));
  }
  return speed;
}

}  // namespace hearth::compute
