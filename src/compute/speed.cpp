#include "compute/speed.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/thread_pool.h"
#include "compute/builtin/elementwise.h"
#include "tensor/aligned_buffer.h"
#include "tensor/kernels/kernels.h"

namespace hearth::compute {
namespace {

constexpr int kRoundsMin = 3, kRoundsMax = 40;  // More than the least only where roofs were missed.
constexpr int kRunsOfRound = 4;
constexpr std::int64_t kTimingNsMax = 3'000'000'000;  // Then one round is enough.
constexpr std::int64_t kDrawnAnewMax = 1 << 20;       // Elements; more are drawn once.
constexpr std::int64_t kTimedNsMin = 3000;            // Shorter runs say nothing.
constexpr std::int64_t kClaimedNsMin = 100'000;       // Unless their work takes so long at best.
constexpr int kSlicesOfProbe = 4;
constexpr std::int64_t kProbeNs = 1'000'000;
constexpr std::int64_t kProbeBytesMin = std::int64_t{256} << 10;
constexpr std::int64_t kProbeBytesMax = std::int64_t{64} << 20;

// What probes compute goes here, so that it can't be left out.
std::atomic<std::uint32_t> g_sink{0};

bool has_type(const Signature& signature, ElementType type) {
  return std::ranges::find(signature.parameters, type, &Parameter::type) !=
         signature.parameters.end();
}

}  // namespace

// Probes that take a millisecond or two each.
class NearRoofs::Probes {
 public:
  Probes(std::uint32_t n_threads, std::int64_t bytes)
      : pool_(n_threads),
        bytes_(static_cast<std::size_t>(std::clamp(bytes, std::int64_t{4096}, kProbeBytesMax))),
        passes_(std::max<std::size_t>(static_cast<std::size_t>(kProbeBytesMin) / bytes_, 1)) {
    std::fill_n(memory_.ensure(bytes_), bytes_, std::byte{1});
  }

  // 10^9 floating-point operations a second; of doubles half of it.
  double f32_gflops() {
    std::atomic<std::uint64_t> total = 0;
    return best_rate([&] {
      total = 0;
      pool_.run(pool_.n_threads() * 4, [&](std::uint32_t task) {
        std::uint64_t ops = 0;
        const float seed = 0.5F / static_cast<float>(task + 2);
        const float sum = tensor::kernels().f32_probe(4'000, seed, &ops);
        g_sink.fetch_xor(sum > 0 ? 1U : 2U, std::memory_order_relaxed);
        total.fetch_add(ops, std::memory_order_relaxed);
      });
      return static_cast<double>(total.load());
    });
  }

  // Reading as much memory as the kernel has, again and again.
  double read_gb_s() {
    const std::uint32_t n_pieces = bytes_ < std::size_t{1} << 20 ? 1 : pool_.n_threads() * 4;
    return best_rate([&] {
      for (std::size_t pass = 0; pass < passes_; ++pass) {
        pool_.run(n_pieces, [&](std::uint32_t piece) {
          const std::size_t begin = bytes_ / 64 * piece / n_pieces * 64;
          const std::size_t end = bytes_ / 64 * (piece + 1) / n_pieces * 64;
          g_sink.fetch_xor(tensor::kernels().read_probe(memory_.data() + begin, end - begin),
                           std::memory_order_relaxed);
        });
      }
      return static_cast<double>(bytes_ / 64 * 64 * passes_);
    });
  }

  // Two thirds of it read and a third written.
  double multiply_gb_s() {
    const std::size_t n = bytes_ / 192 * 16;  // Whole lines of floats, a third of the bytes.
    auto* const numbers = reinterpret_cast<float*>(memory_.data());
    const Workers workers(pool_);
    return best_rate([&] {
      for (std::size_t pass = 0; pass < passes_; ++pass) {
        elementwise(Elementwise::kMul, static_cast<std::int64_t>(n), numbers, numbers + n, 0,
                    numbers + 2 * n, workers);
      }
      return static_cast<double>(12 * n * passes_);
    });
  }

 private:
  // Of the best slice within a millisecond or so.
  template <class Slice>
  double best_rate(Slice&& slice) {
    const Clock& clock = Clock::system();
    std::int64_t now = clock.now_monotonic_ns();
    const std::int64_t end = now + kProbeNs;
    double best = 0;
    for (int i = 0; i < kSlicesOfProbe || now < end; ++i) {
      const std::int64_t begin = now;
      const double work = slice();
      now = clock.now_monotonic_ns();
      best = std::max(best, work / static_cast<double>(std::max<std::int64_t>(now - begin, 1)));
    }
    return best;
  }

  ThreadPool pool_;
  std::size_t bytes_, passes_;
  tensor::AlignedBuffer<std::byte> memory_;
};

NearRoofs::NearRoofs(const Signature& signature, std::uint32_t n_threads, std::int64_t bytes)
    : probes_(std::make_unique<Probes>(n_threads, bytes)),
      has_f32_(has_type(signature, ElementType::kF32)),
      has_floats_(has_f32_ || has_type(signature, ElementType::kF64)) {}

NearRoofs::~NearRoofs() = default;

void NearRoofs::probe(Speed& speed) {
  if (has_floats_) {
    speed.roof_gflops = std::max(speed.roof_gflops, probes_->f32_gflops() / (has_f32_ ? 1 : 2));
  }
  const double near = std::max(probes_->read_gb_s(), probes_->multiply_gb_s());
  speed.roof_gb_s = std::max(speed.roof_gb_s, near);
}

namespace {

// The time that the nearer roof allows.
double roof_ns(const Speed& speed, std::int64_t flops, std::int64_t bytes) {
  const auto by = [](std::int64_t work, double roof) {
    return roof > 0 ? static_cast<double>(work) / roof : 0;
  };
  return std::max(by(flops, speed.roof_gflops), by(bytes, speed.roof_gb_s));
}

}  // namespace

void rate(Speed& speed, std::int64_t flops, std::int64_t bytes) {
  const auto taken = static_cast<double>(std::max<std::int64_t>(speed.run_ns, 1));
  speed.gflops = static_cast<double>(flops) / taken;
  speed.gb_s = static_cast<double>(bytes) / taken;
  speed.roof_percent = 100 * roof_ns(speed, flops, bytes) / taken;
}

namespace {

bool are_same_bits(const Outputs& a, const Outputs& b) {
  return std::ranges::equal(a.tensors, b.tensors, {}, &TensorData::bytes, &TensorData::bytes);
}

// The runs of one timing.
class Timing {
 public:
  Timing(const SpeedTrial& trial, const std::vector<std::int64_t>& symbols, Dice& dice)
      : trial_(trial), symbols_(symbols), dice_(dice), asked_(dice.coin() ? 0 : 1) {}

  // Some runs on one set of values, the last one checked.
  Result<> round() {
    if (!drawn_ || n_elements() <= kDrawnAnewMax) {
      HEARTH_TRY(drawn_, draw_case(trial_.contract, symbols_, Values::kEven, dice_));
      for (auto& strides : drawn_->strides) strides.clear();
      const RunSetup setup{.placement = Placement::kStart, .is_populated = true};
      HEARTH_TRY([[maybe_unused]] const Outputs cold, trial_.runner.run(*drawn_, setup));
    }
    HEARTH_TRY(const Outputs found, trial_.runner.run_warm(*drawn_, kRunsOfRound, elapsed_));
    HEARTH_TRY_VOID(check(found));
    ++n_rounds_;
    return {};
  }

  int n_rounds() const { return n_rounds_; }

  Result<std::int64_t> run_ns() const {
    HEARTH_TRY(const std::int64_t empty_ns, trial_.runner.empty_ns());
    return std::max<std::int64_t>(lower_quartile(elapsed_) - empty_ns, 1);
  }

 private:
  std::int64_t n_elements() const {
    std::int64_t n = 0;
    for (const TensorData& tensor : drawn_->tensors) n += tensor.n_elements();
    return n;
  }

  Result<> check(const Outputs& found) {
    const RunnerOptions options = trial_.runner.options();
    HEARTH_TRY(KernelRunner fresh,
               KernelRunner::create(trial_.contract.signature, trial_.image.fd.get(), options));
    HEARTH_TRY(const Outputs expected, fresh.run(*drawn_, {.placement = Placement::kEnd}));
    if (!are_same_bits(expected, found)) {
      return fail(Code::kInvalidArgument,
                  "when it is timed the kernel gives other bits than in a process of its own: it "
                  "remembers what it was asked before");
    }
    // Where one round is all there may be, it is the first that the oracle sees.
    if (n_rounds_ != (n_elements() <= kDrawnAnewMax ? asked_ : 0)) return {};
    auto reference = trial_.oracle.ask(*drawn_, dice_);
    if (!reference) return fail(Code::kUnavailable, reference.error().message);
    const auto errors =
        errors_of(trial_.contract, trial_.oracle, *drawn_, found.tensors, *reference, dice_);
    if (!errors) return std::unexpected(errors.error());
    return {};
  }

  const SpeedTrial& trial_;
  const std::vector<std::int64_t>& symbols_;
  Dice& dice_;
  const int asked_;  // The round that the oracle sees.
  std::optional<Case> drawn_;
  std::vector<std::int64_t> elapsed_;
  int n_rounds_ = 0;
};

}  // namespace

Result<Speed> measure_speed(const SpeedTrial& trial, const std::vector<std::int64_t>& symbols,
                            Dice& dice) {
  HEARTH_TRY(const std::int64_t flops, flops_of(trial.contract, symbols));
  HEARTH_TRY(const std::int64_t bytes, bytes_of(trial.contract, symbols));
  Speed speed{.sizes = symbols_text(trial.contract.signature, symbols)};
  // What a GPU could do at best is not known here: a speed without a roof.
  std::optional<NearRoofs> roofs;
  if (!trial.image.is_elsewhere())
    roofs.emplace(trial.contract.signature, trial.contract.n_threads, bytes);
  Timing timing(trial, symbols, dice);
  const std::int64_t end = Clock::system().now_monotonic_ns() + kTimingNsMax;
  while (timing.n_rounds() < kRoundsMax) {
    if (roofs) roofs->probe(speed);
    HEARTH_TRY_VOID(timing.round());
    const bool is_late = Clock::system().now_monotonic_ns() > end;
    if (timing.n_rounds() < kRoundsMin && !is_late) continue;
    HEARTH_TRY(speed.run_ns, timing.run_ns());
    rate(speed, flops, bytes);
    // Beyond the roof: perhaps a neighbour disturbed the probes.  Look again.
    if (speed.roof_percent <= 100 || (is_late && timing.n_rounds() >= kRoundsMin)) break;
  }
  const double allowed_ns = roof_ns(speed, flops, bytes);
  if (speed.run_ns < kTimedNsMin && allowed_ns < static_cast<double>(kClaimedNsMin)) {
    speed.roof_percent = 0;  // Too short to say.
  } else if (speed.roof_percent > 100 * kRoofSlack) {
    return fail(
        Code::kInvalidArgument,
        fmt::format(
            "the kernel takes {:.3g} us for what takes this machine {:.3g} us at best: its cost "
            "({} flops, {} bytes) is claimed wrong, or it is not done",
            static_cast<double>(speed.run_ns) / 1e3, allowed_ns / 1e3, flops, bytes));
  }
  speed.roof_percent = std::min(speed.roof_percent, 100.0);  // What was seen is possible.
  return speed;
}

}  // namespace hearth::compute
