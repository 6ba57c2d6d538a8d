// What a jail costs: to start a worker, to run a kernel that does nothing, to share its work among
// threads, to hand it memory, and to run a program in a compiler's jail.
//
// Runs are timed one by one, since the slow ones matter: p50 and p99 in microseconds stand beside
// the mean.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <vector>

#include "sandbox/test_support/jail_fixture.h"

namespace hearth::sandbox {
namespace {

void report(benchmark::State& state, std::vector<std::int64_t>& ns) {
  if (ns.empty()) return;
  std::ranges::sort(ns);
  state.counters["p50_us"] = static_cast<double>(ns[ns.size() / 2]) / 1000;
  state.counters["p99_us"] = static_cast<double>(ns[ns.size() * 99 / 100]) / 1000;
}

template <class Body>
void time_each(benchmark::State& state, Body body) {
  std::vector<std::int64_t> ns;
  for (auto _ : state) {
    const std::int64_t begun_ns = monotonic_ns();
    body();
    ns.push_back(monotonic_ns() - begun_ns);
  }
  report(state, ns);
}

void bench_start(benchmark::State& state) {
  time_each(state, [&] {
    const Worker worker =
        must(Worker::start({.n_threads = static_cast<std::uint32_t>(state.range(0))}));
    benchmark::DoNotOptimize(worker.pid());
  });
}
BENCHMARK(bench_start)->Arg(1)->Arg(4)->Unit(benchmark::kMicrosecond)->UseRealTime();

// Arg: microseconds between runs, which decide whether both sides still spin or sleep.
void bench_empty_run(benchmark::State& state) {
  Bench bench;
  std::vector<std::int64_t> ns;
  for (auto _ : state) {
    const RunOutcome outcome = bench.run(RunOf(Attempt::kNothing));
    HEARTH_CHECK(outcome.end == RunEnd::kDone);
    ns.push_back(outcome.elapsed_ns);
    const std::int64_t until_ns = monotonic_ns() + state.range(0) * 1000;
    if (state.range(0) >= 1000) ::usleep(static_cast<useconds_t>(state.range(0)));
    while (monotonic_ns() < until_ns) spin_pause();
  }
  report(state, ns);
}
BENCHMARK(bench_empty_run)
    ->Arg(0)
    ->Arg(20)
    ->Arg(200)
    ->Arg(2000)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

void bench_parallel_for(benchmark::State& state) {
  Bench bench({.n_threads = static_cast<std::uint32_t>(state.range(0))});
  time_each(state, [&] { (void)bench.run(RunOf(Attempt::kParallelSquares, {64})); });
}
BENCHMARK(bench_parallel_for)->Arg(1)->Arg(2)->Unit(benchmark::kMicrosecond)->UseRealTime();

// Arg: KiB.  Flat: page tables are filled by the first run, or where `populate` asks for it.
void bench_map_and_unmap(benchmark::State& state) {
  Bench bench;
  Memory memory(static_cast<std::size_t>(state.range(0)) << 10);
  time_each(state, [&] {
    const auto mapping = must(bench.worker.map(memory.fd(), 0, memory.bytes(), Access::kRead));
    HEARTH_CHECK(bench.worker.unmap(mapping).has_value());
  });
}
BENCHMARK(bench_map_and_unmap)
    ->Arg(4)
    ->Arg(1 << 10)
    ->Arg(1 << 20)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

void bench_load_and_drop(benchmark::State& state) {
  Bench bench;
  const OwnedFd image = sealed_file(HEARTH_ATTEMPTS_PLAIN);
  time_each(state, [&] {
    HEARTH_CHECK(bench.worker.drop(must(bench.worker.load(image.get()))).has_value());
  });
}
BENCHMARK(bench_load_and_drop)->Unit(benchmark::kMicrosecond)->UseRealTime();

void bench_stop_and_continue(benchmark::State& state) {
  Bench bench;
  time_each(state, [&] {
    HEARTH_CHECK(bench.worker.stop_process().has_value());
    HEARTH_CHECK(bench.worker.continue_process().has_value());
  });
}
BENCHMARK(bench_stop_and_continue)->Unit(benchmark::kMicrosecond)->UseRealTime();

void bench_jailed_true(benchmark::State& state) {
  JailedCommand command;
  command.program = "/bin/true";
  command.readable = toolchain_paths();
  time_each(state, [&] { HEARTH_CHECK(must(run_jailed(command)).succeeded()); });
}
BENCHMARK(bench_jailed_true)->Unit(benchmark::kMicrosecond)->UseRealTime();

}  // namespace
}  // namespace hearth::sandbox
