// The measuring half of bench/kernels: built-in kernels, OpenBLAS and the machine's roofs in turn.
//
// Machines are shared and change their mind, so each round of a figure probes its roof, runs the
// kernel and runs OpenBLAS in the same second, and takes the best call of each: what disturbs one only
// ever makes it slower.  Prints a JSON object per figure for kernels.py, which makes medians, the
// table and the CSV of them.
//
//   kernels_bench [--rounds N] [--threads N,N] [--only PART OF A NAME]
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <memory>
#include <vector>

#include "base/cores.h"
#include "compute/builtin/builtin.h"
#include "compute/builtin/library/blas.h"
#include "device/roofs.h"
#include "tensor/isa.h"

namespace hearth {
namespace {

using compute::Argument;
using compute::ElementType;
using compute::Tensor;

constexpr int kSliceMs = 60;
// OpenBLAS's threads look for work that long after a call and would take it from who comes next.
constexpr std::chrono::milliseconds kAfterPeer{150};

struct Options {
  int rounds = 5;
  std::vector<unsigned> threads;
  std::string only;
};

// Of the time of day: a thread's own clock is wrong where a hypervisor takes time away.
double seconds_of(const std::function<void()>& call) {
  const auto begin = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// The best call of a slice; one that warms up does not count, unless it is long.
double best_seconds(const std::function<void()>& call) {
  constexpr double kLongSeconds = 0.3;
  double best = seconds_of(call);
  if (best > kLongSeconds) return std::min(best, seconds_of(call));
  best = 1e300;
  double spent = 0;
  for (int n = 0; n < 3 || spent < kSliceMs * 1e-3; ++n) {
    const double seconds = seconds_of(call);
    best = std::min(best, seconds);
    spent += seconds;
  }
  return best;
}

// Memory of a tensor, filled with numbers in [0.5, 1.5).
class Values {
 public:
  Values(ElementType type, std::vector<std::int64_t> shape) : tensor_{type, std::move(shape)} {
    const auto n = static_cast<std::size_t>(tensor_.n_elements());
    bytes_ = std::make_unique<device::ReadRoofMemory>(
        std::max<std::size_t>(n * compute::type_info(type).bytes, 64));
    tensor_.data = bytes_->writable().data();
    for (std::size_t i = 0; i < n; ++i) {
      const double value = 0.5 + static_cast<double>(i * 2654435761U % 1024) / 1024;
      if (type == ElementType::kF32) {
        reinterpret_cast<float*>(tensor_.data)[i] = static_cast<float>(value);
      } else {
        reinterpret_cast<double*>(tensor_.data)[i] = value;
      }
    }
  }
  const Tensor& tensor() const { return tensor_; }
  template <class T>
  T* data() const {
    return reinterpret_cast<T*>(tensor_.data);
  }

 private:
  Tensor tensor_;
  std::unique_ptr<device::ReadRoofMemory> bytes_;
};

struct Figure {
  std::string name;
  std::string unit;
  std::string roof;                // None: nothing bounds it that is probed.
  std::function<double()> probe;   // The roof, in the unit.
  double work = 0;                 // In 10^9 of the unit's operations or bytes.
  std::function<void()> ours;
  std::function<void()> peer;      // None: nobody to compare with.
};

void measure(const Figure& figure, const Options& options, unsigned n_threads,
             const std::string& peer_name) {
  std::vector<double> ours, peers, roofs;
  for (int round = 0; round < options.rounds; ++round) {
    if (figure.probe) roofs.push_back(figure.probe());
    ours.push_back(figure.work / best_seconds(figure.ours));
    if (!figure.peer) continue;
    peers.push_back(figure.work / best_seconds(figure.peer));
    std::this_thread::sleep_for(kAfterPeer);
  }
  fmt::print(
      R"({{"threads": {}, "figure": "{}", "unit": "{}", "values": [{}], "peer": "{}", "peer_values": [{}], "roof": "{}", "roofs": [{}]}})"
      "\n",
      n_threads, figure.name, figure.unit, fmt::join(ours, ", "), figure.peer ? peer_name : "",
      fmt::join(peers, ", "), figure.roof, fmt::join(roofs, ", "));
  std::fflush(stdout);
}

// What all figures of one number of threads share.
struct Bench {
  const Options& options;
  ThreadPool& pool;
  device::RoofProbe& probe;
  const compute::OpenBlas* blas;
  std::string peer_name;

  bool wants(std::string_view name) const { return name.find(options.only) != std::string_view::npos; }

  std::function<void()> run(std::string_view name, std::vector<Argument> arguments) const {
    const compute::Builtin& builtin = *compute::find_builtin(name);
    auto bound = compute::bind_arguments(compute::signature_of(builtin), arguments);
    if (!bound) check_failed(bound.error().message.c_str());
    return [&builtin, &pool = pool, bound = *std::move(bound)] {
      const Result<> done = compute::run_builtin(builtin, bound, compute::Workers(pool));
      if (!done) check_failed(done.error().message.c_str());
    };
  }
  void measure(const Figure& figure) const {
    hearth::measure(figure, options, pool.n_threads(), peer_name);
  }
};

void measure_gemm(const Bench& bench, ElementType type, std::int64_t n) {
  const bool is_f32 = type == ElementType::kF32;
  const std::string name = is_f32 ? "gemm_f32" : "gemm_f64";
  if (!bench.wants(fmt::format("{} n = {}", name, n))) return;
  const Values a(type, {n, n}), b(type, {n, n}), c(type, {n, n}), d(type, {n, n});
  Figure figure{fmt::format("{} n = {}", name, n), "Gflop/s", is_f32 ? "f32 FMA" : "f64 FMA"};
  figure.probe = [&] { return is_f32 ? bench.probe.f32_gop_s() : bench.probe.f64_gop_s(); };
  figure.work = 2e-9 * static_cast<double>(n * n * n);
  figure.ours = bench.run(name, {c.tensor(), a.tensor(), b.tensor()});
  const auto size = static_cast<compute::BlasInt>(n);
  if (bench.blas != nullptr) {
    figure.peer = [&] {
      if (is_f32) {
        bench.blas->sgemm(compute::kBlasRowMajor, compute::kBlasNoTranspose,
                          compute::kBlasNoTranspose, size, size, size, 1, a.data<float>(), size,
                          b.data<float>(), size, 0, d.data<float>(), size);
      } else {
        bench.blas->dgemm(compute::kBlasRowMajor, compute::kBlasNoTranspose,
                          compute::kBlasNoTranspose, size, size, size, 1, a.data<double>(), size,
                          b.data<double>(), size, 0, d.data<double>(), size);
      }
    };
  }
  bench.measure(figure);
}

// Roofs of memory hold where a sweep is larger than the caches near the cores.
constexpr std::int64_t kSweepBytes = std::int64_t{48} << 20;

Figure memory_figure(const Bench& bench, std::string name, std::int64_t bytes, unsigned n_reads,
                     bool writes) {
  Figure figure{std::move(name), "GB/s"};
  figure.work = 1e-9 * static_cast<double>(bytes);
  if (bytes < kSweepBytes) return figure;
  const auto sweep = static_cast<std::size_t>(bytes);
  figure.roof = writes ? fmt::format("stream {}:1", n_reads) : "read";
  if (writes) {
    figure.probe = [&bench, n_reads, sweep] { return bench.probe.stream_gb_s(n_reads, sweep); };
  } else {
    figure.probe = [&bench, memory = std::make_shared<device::ReadRoofMemory>(sweep)] {
      return bench.probe.read_gb_s(memory->bytes());
    };
  }
  return figure;
}

std::string megabytes(std::int64_t bytes) { return fmt::format("{:.3g} MB", static_cast<double>(bytes) * 1e-6); }

void measure_elementwise(const Bench& bench, std::string_view name, std::int64_t n_reads,
                         std::int64_t bytes) {
  if (!bench.wants(name)) return;
  const std::int64_t n = bytes / 4 / (n_reads + 1);
  const Values out(ElementType::kF32, {n}), x(ElementType::kF32, {n}),
      y(ElementType::kF32, {n_reads > 1 ? n : 1});
  Figure figure = memory_figure(bench, fmt::format("{} {}", name, megabytes(bytes)), bytes,
                                static_cast<unsigned>(n_reads), true);
  std::vector<Argument> arguments = {out.tensor(), x.tensor()};
  if (n_reads > 1) arguments.emplace_back(y.tensor());
  figure.ours = bench.run(name, std::move(arguments));
  bench.measure(figure);
}

void measure_reduction(const Bench& bench, std::string_view name, ElementType type, bool is_dot,
                       std::int64_t bytes) {
  if (!bench.wants(name)) return;
  const auto size = static_cast<std::int64_t>(compute::type_info(type).bytes);
  const std::int64_t n = bytes / size / (is_dot ? 2 : 1);
  const ElementType result = compute::signature_of(*compute::find_builtin(name)).parameters[0].type;
  const Values out(result, {1}), x(type, {n}), y(type, {is_dot ? n : 1});
  Figure figure = memory_figure(bench, fmt::format("{} {}", name, megabytes(bytes)), bytes, 1, false);
  std::vector<Argument> arguments = {out.tensor(), x.tensor()};
  if (is_dot) arguments.emplace_back(y.tensor());
  figure.ours = bench.run(name, std::move(arguments));
  bench.measure(figure);
}

void measure_gemv(const Bench& bench, std::string_view name, ElementType type, std::int64_t n) {
  if (!bench.wants(name)) return;
  const Values y(type, {n}), a(type, {n, n}), x(type, {n});
  const std::int64_t bytes = n * n * static_cast<std::int64_t>(compute::type_info(type).bytes);
  Figure figure = memory_figure(bench, fmt::format("{} n = {}", name, n), bytes, 1, false);
  figure.ours = bench.run(name, {y.tensor(), a.tensor(), x.tensor()});
  bench.measure(figure);
}

void measure_jacobi(const Bench& bench, std::int64_t n, std::int64_t sweeps) {
  if (!bench.wants("jacobi5_f64")) return;
  const Values out(ElementType::kF64, {n, n}), u(ElementType::kF64, {n, n});
  Figure figure = memory_figure(bench, fmt::format("jacobi5_f64 n = {}, {} sweep{}", n, sweeps, sweeps > 1 ? "s" : ""),
                                16 * n * n, 1, true);
  figure.work *= static_cast<double>(sweeps);
  if (sweeps > 1) {
    figure.probe = nullptr;  // Each sweep counts, and not each goes through memory.
    figure.roof = "";
  }
  figure.ours = bench.run("jacobi5_f64", {out.tensor(), u.tensor(), sweeps});
  bench.measure(figure);
}

void measure_sor(const Bench& bench, std::int64_t n) {
  if (!bench.wants("sor_red_black_f64")) return;
  const Values u(ElementType::kF64, {n, n}), rhs(ElementType::kF64, {n, n});
  Figure figure{fmt::format("sor_red_black_f64 n = {}, 1 sweep", n), "GB/s"};
  figure.work = 24e-9 * static_cast<double>(n * n);
  figure.ours = bench.run("sor_red_black_f64", {u.tensor(), rhs.tensor(), 1.5, std::int64_t{1}});
  bench.measure(figure);
}

void measure_all(const Bench& bench) {
  for (const ElementType type : {ElementType::kF32, ElementType::kF64}) {
    for (const std::int64_t n : {128, 256, 512, 1000, 1024, 2048, 4096}) {
      measure_gemm(bench, type, n);
    }
  }
  for (const std::int64_t bytes : {16'000, 768'000, 12'000'000, 192'000'000, 480'000'000}) {
    measure_elementwise(bench, "mul_f32", 2, bytes);
  }
  for (const char* const name : {"exp_f32", "tanh_f32", "gelu_f32"}) {
    measure_elementwise(bench, name, 1, 192'000'000);
  }
  measure_reduction(bench, "sum_f64", ElementType::kF64, false, 192'000'000);
  measure_reduction(bench, "dot_f64", ElementType::kF64, true, 192'000'000);
  measure_reduction(bench, "sum_f32", ElementType::kF32, false, 192'000'000);
  measure_reduction(bench, "max_f32", ElementType::kF32, false, 192'000'000);
  measure_gemv(bench, "gemv_f32", ElementType::kF32, 6000);
  measure_gemv(bench, "gemv_f64", ElementType::kF64, 4500);
  for (const std::int64_t n : {256, 1024, 4096}) {
    measure_jacobi(bench, n, 1);
    measure_jacobi(bench, n, 16);
  }
  measure_sor(bench, 4096);
}

std::vector<unsigned> numbers_of(std::string_view text) {
  std::vector<unsigned> numbers;
  for (const char* at = text.data(); at < text.data() + text.size(); ++at) {
    char* end = nullptr;
    numbers.push_back(static_cast<unsigned>(std::strtoul(at, &end, 10)));
    if (end == at) break;
    at = end;
  }
  return numbers;
}

Options options_of(int argc, char** argv) {
  Options options;
  options.threads = {1};
  if (usable_cores() > 1) options.threads.push_back(usable_cores());
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--rounds") options.rounds = std::max(1, std::atoi(argv[i + 1]));
    if (name == "--threads") options.threads = numbers_of(argv[i + 1]);
    if (name == "--only") options.only = argv[i + 1];
  }
  return options;
}

void run_bench(const Options& options) {
  const Result<const compute::OpenBlas*> blas = compute::open_blas();
  fmt::print(R"({{"kernels": "{}", "openblas": "{}", "reason": "{}"}})" "\n",
             tensor::isa_name(tensor::selected_isa()), blas ? (*blas)->core : "",
             blas ? "" : blas.error().message);
  for (const unsigned n_threads : options.threads) {
    ThreadPool pool(n_threads);
    device::RoofProbe probe(pool);
    if (blas) (*blas)->set_num_threads(static_cast<int>(pool.n_threads()));
    measure_all({options, pool, probe, blas ? *blas : nullptr,
                 blas ? "OpenBLAS " + (*blas)->core : ""});
  }
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) {
  hearth::run_bench(hearth::options_of(argc, argv));
  return 0;
}
