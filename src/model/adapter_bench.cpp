// What adapters cost: batches with and without them, in turns, so that both see the same machine.
// `ratio` is the unadapted step's time over the adapted one's (medians of pairs): 1 is free.
//
// The base is that of forward_bench.cpp: 0.5 B, Q4_K_M; adapters have rank HEARTH_BENCH_RANK (16) on
// all linear matrices.  HEARTH_BENCH_ATTENTION=1 adapts those of attention alone, HEARTH_BENCH_PACK=1
// packs the base's weights, HEARTH_BENCH_HALF=1 keeps adapters in half precision.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "model/random_adapter.h"
#include "model/random_model.h"
#include "model/session_for_test.h"

namespace hearth::model {
namespace {

constexpr std::uint32_t kAdapters = 16;

const Model& bench_model() {
  static const std::shared_ptr<const Model> model = [] {
    const char* const given = std::getenv("HEARTH_BENCH_MODEL");
    std::filesystem::path path = given != nullptr ? given : "";
    if (path.empty()) {
      path = std::filesystem::temp_directory_path() / "hearth-bench-q4_k_m.gguf";
      if (!std::filesystem::exists(path)) HEARTH_CHECK(write_random_model(path, {}));
    }
    auto loaded = Model::load(path, {.pack = std::getenv("HEARTH_BENCH_PACK") != nullptr});
    HEARTH_CHECK(loaded);
    return *loaded;
  }();
  return *model;
}

std::shared_ptr<const Adapter> make_adapter(std::uint64_t seed) {
  const char* const given = std::getenv("HEARTH_BENCH_RANK");
  const auto rank = static_cast<std::uint32_t>(given != nullptr ? std::atoi(given) : 16);
  const bool attention_only = std::getenv("HEARTH_BENCH_ATTENTION") != nullptr;
  const auto writer =
      random_adapter(bench_model(), {.rank = rank, .attention_only = attention_only, .seed = seed});
  HEARTH_CHECK(writer);
  const std::string bytes = writer->to_bytes();
  const auto file = gguf::GgufFile::parse(std::as_bytes(std::span(bytes)), "bench adapter");
  HEARTH_CHECK(file);
  const auto source = read_adapter(*file);
  HEARTH_CHECK(source);
  const bool is_half = std::getenv("HEARTH_BENCH_HALF") != nullptr;
  auto adapter = Adapter::bind(*source, bench_model(),
                               is_half ? AdapterForm::kHalf : AdapterForm::kAsBase);
  HEARTH_CHECK(adapter);
  return *std::move(adapter);
}

const std::vector<std::shared_ptr<const Adapter>>& adapters() {
  static const auto made = [] {
    std::vector<std::shared_ptr<const Adapter>> all;
    for (std::uint32_t i = 0; i < kAdapters; ++i) all.push_back(make_adapter(i + 1));
    return all;
  }();
  return made;
}

double step_ms(SessionForTest& runner, std::span<const Segment> batch) {
  const auto start = std::chrono::steady_clock::now();
  runner.forward_batch(batch);
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
  return taken.count();
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

// `n_sessions` segments of n_tokens each; session i has adapter i of n_distinct.
void compare(benchmark::State& state, std::uint32_t n_sessions, std::uint32_t n_tokens,
             std::uint32_t n_distinct) {
  const auto n_threads = static_cast<unsigned>(state.range(0));
  constexpr std::uint32_t kDepth = 64;
  const std::size_t n_vocab = bench_model().config().n_vocab;
  std::vector<text::TokenId> tokens(kDepth + n_tokens);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<text::TokenId>(i * 7919 % n_vocab);
  }
  SessionForTest runner(bench_model(), n_threads, std::max(n_sessions * n_tokens, kDepth));
  std::vector<std::unique_ptr<SessionForTest>> sessions;
  std::vector<float> logits(n_sessions * n_vocab);
  std::vector<AdapterUse> uses;
  std::vector<Segment> plain;
  for (std::uint32_t i = 0; i < n_sessions; ++i) {
    uses.push_back({adapters()[i % n_distinct].get()});
    sessions.push_back(std::make_unique<SessionForTest>(bench_model(), 1, 1));
    const Segment before = sessions[i]->segment(std::span(tokens).first(kDepth), 0, nullptr);
    runner.forward_batch(std::span(&before, 1));
    plain.push_back(sessions[i]->segment(std::span(tokens).subspan(kDepth), 1,
                                         logits.data() + i * n_vocab));
  }
  std::vector<Segment> adapted = plain;
  for (std::uint32_t i = 0; i < n_sessions; ++i) adapted[i].adapters = std::span(&uses[i], 1);
  std::vector<double> plain_ms, adapted_ms, ratios;
  for (auto _ : state) {
    plain_ms.push_back(step_ms(runner, plain));
    adapted_ms.push_back(step_ms(runner, adapted));
    ratios.push_back(plain_ms.back() / adapted_ms.back());
  }
  state.counters["plain_ms"] = median(plain_ms);
  state.counters["adapted_ms"] = median(adapted_ms);
  state.counters["ratio"] = median(ratios);
}

void mixed_decode(benchmark::State& state) { compare(state, kAdapters, 1, kAdapters); }
void shared_decode(benchmark::State& state) { compare(state, kAdapters, 1, 1); }
void single_decode(benchmark::State& state) { compare(state, 1, 1, 1); }
void prefill(benchmark::State& state) { compare(state, 1, 512, 1); }

// From a file's bytes to a resident adapter.
void load(benchmark::State& state) {
  const auto path = std::filesystem::temp_directory_path() / "hearth-bench-adapter.gguf";
  HEARTH_CHECK(write_random_adapter(path, bench_model(), {}));
  for (auto _ : state) benchmark::DoNotOptimize(Adapter::load(path, bench_model()).value());
  std::filesystem::remove(path);
  state.counters["resident_mb"] = static_cast<double>(adapters()[0]->bytes()) * 1e-6;
}

BENCHMARK(mixed_decode)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime()->MinTime(3)->Unit(
    benchmark::kMillisecond);
BENCHMARK(shared_decode)->ArgName("threads")->Arg(2)->UseRealTime()->MinTime(2)->Unit(
    benchmark::kMillisecond);
BENCHMARK(single_decode)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime()->MinTime(2)->Unit(
    benchmark::kMillisecond);
BENCHMARK(prefill)->ArgName("threads")->Arg(2)->UseRealTime()->MinTime(3)->Unit(
    benchmark::kMillisecond);
BENCHMARK(load)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace hearth::model
