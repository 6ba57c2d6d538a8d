// Products of single matrices as a decode step (1 token, GB/s of weights) and as a prefill
// (512 tokens, Gop/s, a multiply-add counting two).  Compare with the roofs that `device/`
// measures.
//
//   tensor_bench --benchmark_filter='decode/Q4_K.*/threads:2'
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <memory>
#include <string>

#include "base/cores.h"
#include "tensor/aligned_buffer.h"
#include "tensor/kernels/kernels.h"
#include "tensor/matmul.h"
#include "tensor/pack.h"
#include "tensor/testing.h"

namespace hearth::tensor {
namespace {

constexpr std::uint32_t kRows = 3072;
constexpr std::uint32_t kCols = 1024;
// Decode walks through matrices that together exceed the caches, as a model's layers do.
constexpr std::size_t kSweepBytes = std::size_t{400} << 20;

// As the mapped weights of a model have them; small pages cost a third of the speed.
void advise_huge_pages(std::byte* data, std::size_t bytes) {
  constexpr std::uintptr_t kPage = 4096;
  const auto start = reinterpret_cast<std::uintptr_t>(data) / kPage * kPage + kPage;
  if (bytes > kPage) (void)::madvise(reinterpret_cast<void*>(start), bytes - kPage, MADV_HUGEPAGE);
}

void decode(benchmark::State& state, DType type, std::uint32_t rows, std::uint32_t cols,
            std::size_t sweep_bytes = kSweepBytes, bool is_packed = false) {
  ThreadPool pool(static_cast<unsigned>(state.range(0)));
  const RandomMatrix one(type, rows, cols);
  const std::size_t matrix_bytes = (one.view().bytes() + 63) / 64 * 64;
  const std::size_t n = std::max(sweep_bytes / matrix_bytes, std::size_t{1});
  AlignedBuffer<std::byte> sweep;
  sweep.ensure(n * matrix_bytes);
  advise_huge_pages(sweep.data(), n * matrix_bytes);
  for (std::size_t i = 0; i < n; ++i) {
    std::byte* const at = sweep.data() + i * matrix_bytes;
    if (is_packed) {
      pack(one.view(), at, pool);
    } else {
      std::memcpy(at, one.view().data, one.view().bytes());
    }
  }
  const auto x = random_floats(cols);
  std::vector<float> y(rows);
  Activations activations;
  const DType types[] = {type};
  std::size_t next = 0;
  for (auto _ : state) {
    const MatView w{type, rows, cols, sweep.data() + (next++ % n) * matrix_bytes,
                    is_packed ? WeightLayout::kPacked : WeightLayout::kRows};
    activations.assign(x.data(), cols, 1, cols, types, pool);
    matmul(w, activations, y.data(), rows, pool);
  }
  state.counters["GB/s"] = benchmark::Counter(static_cast<double>(one.view().bytes()) * 1e-9,
                                              benchmark::Counter::kIsIterationInvariantRate);
}

void prefill(benchmark::State& state, DType type, std::uint32_t rows, std::uint32_t cols,
             std::uint32_t n_tokens) {
  ThreadPool pool(static_cast<unsigned>(state.range(0)));
  const RandomMatrix w(type, rows, cols);
  const auto x = random_floats(std::size_t{n_tokens} * cols);
  std::vector<float> y(std::size_t{n_tokens} * rows);
  Activations activations;
  const DType types[] = {type};
  for (auto _ : state) {
    activations.assign(x.data(), cols, n_tokens, cols, types, pool);
    matmul(w.view(), activations, y.data(), rows, pool);
  }
  state.counters["Gop/s"] = benchmark::Counter(2e-9 * rows * cols * n_tokens,
                                               benchmark::Counter::kIsIterationInvariantRate);
}

// Reads the sweep in calls as long as a matrix, cut into tasks of `task_bytes`, and computes next to
// nothing: what decode could reach at most.
void read_only(benchmark::State& state, std::size_t task_bytes, std::size_t sweep_bytes = kSweepBytes) {
  ThreadPool pool(static_cast<unsigned>(state.range(0)));
  constexpr std::size_t kCallBytes = std::size_t{3} << 20;
  AlignedBuffer<std::byte> sweep;
  sweep.ensure(sweep_bytes);
  advise_huge_pages(sweep.data(), sweep_bytes);
  std::memset(sweep.data(), 1, sweep_bytes);
  const std::size_t n = sweep_bytes / kCallBytes;
  std::size_t next = 0;
  for (auto _ : state) {
    const std::byte* const at = sweep.data() + (next++ % n) * kCallBytes;
    pool.run(static_cast<std::uint32_t>(kCallBytes / task_bytes), [&](std::uint32_t task) {
      benchmark::DoNotOptimize(kernels().read_probe(at + task * task_bytes, task_bytes));
    });
  }
  state.counters["GB/s"] = benchmark::Counter(static_cast<double>(kCallBytes) * 1e-9,
                                              benchmark::Counter::kIsIterationInvariantRate);
}

void fork_join(benchmark::State& state) {
  ThreadPool pool(static_cast<unsigned>(state.range(0)));
  for (auto _ : state) pool.run(2 * pool.n_threads(), [](std::uint32_t) {});
}

template <class Body>
void add(const std::string& name, Body body) {
  auto* bench = benchmark::RegisterBenchmark(name.c_str(), body);
  bench->ArgName("threads")->UseRealTime()->Arg(1);
  if (usable_cores() > 1) bench->Arg(usable_cores());
}

const bool kRegistered = [] {
  std::vector<DType> types(std::begin(kQuantTypes), std::end(kQuantTypes));
  types.insert(types.end(), std::begin(kFloatTypes), std::end(kFloatTypes));
  for (const DType type : types) {
    const std::string name(dtype_info(type).name);
    add("decode/" + name, [type](benchmark::State& s) { decode(s, type, kRows, kCols); });
    if (can_pack(RandomMatrix(type, 16, 256).view())) {
      add("decode_packed/" + name,
          [type](benchmark::State& s) { decode(s, type, kRows, kCols, kSweepBytes, true); });
      add("decode_packed_220M/" + name, [type](benchmark::State& s) {
        decode(s, type, kRows, kCols, std::size_t{220} << 20, true);
      });
      add("decode_packed_cached/" + name,
          [type](benchmark::State& s) { decode(s, type, kCols, kCols, 0, true); });
    }
    // One matrix that stays in the caches: what the arithmetic alone would allow.
    add("decode_cached/" + name, [type](benchmark::State& s) { decode(s, type, kCols, kCols, 0); });
    add("decode_long/" + name, [type](benchmark::State& s) { decode(s, type, kCols, kRows); });
    add("prefill/" + name, [type](benchmark::State& s) { prefill(s, type, kRows, kCols, 512); });
    add("prefill_long/" + name,
        [type](benchmark::State& s) { prefill(s, type, kCols, kRows, 512); });
    add("batch4/" + name, [type](benchmark::State& s) { prefill(s, type, kRows, kCols, 4); });
  }
  add("sweep/32K", [](benchmark::State& s) { read_only(s, std::size_t{32} << 10); });
  add("sweep220/32K", [](benchmark::State& s) {
    read_only(s, std::size_t{32} << 10, std::size_t{220} << 20);
  });
  add("sweep/1M", [](benchmark::State& s) { read_only(s, std::size_t{1} << 20); });
  add("fork_join", fork_join);
  return true;
}();

}  // namespace
}  // namespace hearth::tensor
