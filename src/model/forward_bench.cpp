// Prefill and decode through forward(), in the terms of llama-bench (pp512, tg128), to be run
// beside it on the same file: set HEARTH_BENCH_MODEL to a GGUF file, else one of the 0.5 B class
// (Q4_K_M, random weights) is written to the temporary folder and left there.  HEARTH_BENCH_KV sets
// the type of keys and values, HEARTH_BENCH_PACK=1 packs the weights.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>

#include "model/random_model.h"
#include "model/session_for_test.h"

namespace hearth::model {
namespace {

const Model& bench_model() {
  static const std::shared_ptr<const Model> model = [] {
    const char* const given = std::getenv("HEARTH_BENCH_MODEL");
    std::filesystem::path path = given != nullptr ? given : "";
    if (path.empty()) {
      path = std::filesystem::temp_directory_path() / "hearth-bench-q4_k_m.gguf";
      if (!std::filesystem::exists(path)) HEARTH_CHECK(write_random_model(path, {}));
    }
    const char* const kv = std::getenv("HEARTH_BENCH_KV");
    const auto kv_type = kv_type_from_name(kv != nullptr ? kv : "f16");
    HEARTH_CHECK(kv_type);
    auto loaded = Model::load(
        path, {.pack = std::getenv("HEARTH_BENCH_PACK") != nullptr, .kv_type = *kv_type});
    if (!loaded) std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    HEARTH_CHECK(loaded);
    return *loaded;
  }();
  return *model;
}

std::vector<text::TokenId> some_tokens(std::size_t n) {
  std::vector<text::TokenId> tokens(n);
  for (std::size_t i = 0; i < n; ++i) {
    tokens[i] = static_cast<text::TokenId>(i * 7919 % bench_model().config().n_vocab);
  }
  return tokens;
}

// One chunk of 512 tokens behind `depth` others; logits for the last.
void prefill(benchmark::State& state) {
  constexpr std::uint32_t kTokens = 512;
  const auto depth = static_cast<std::size_t>(state.range(1));
  SessionForTest session(bench_model(), static_cast<unsigned>(state.range(0)), kTokens);
  const auto tokens = some_tokens(kTokens);
  std::vector<float> logits(bench_model().config().n_vocab);
  for (std::size_t at = 0; at < depth; at += kTokens) {
    const Segment before = session.segment(tokens, 0, nullptr);
    session.forward_batch(std::span(&before, 1));
  }
  const Segment segment = session.segment(tokens, 1, logits.data());
  for (auto _ : state) session.forward_batch(std::span(&segment, 1));
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(state.iterations()) * kTokens,
                                                  benchmark::Counter::kIsRate);
}

// 128 tokens, one at a time, behind `depth` others.
void decode(benchmark::State& state) {
  constexpr std::uint32_t kTokens = 128;
  const auto depth = static_cast<std::size_t>(state.range(1));
  SessionForTest session(bench_model(), static_cast<unsigned>(state.range(0)), 512);
  const auto tokens = some_tokens(512);
  std::vector<float> logits(bench_model().config().n_vocab);
  for (std::size_t at = 0; at < depth; at += 512) {
    const Segment before = session.segment(tokens, 0, nullptr);
    session.forward_batch(std::span(&before, 1));
  }
  std::vector<Segment> steps;
  for (std::uint32_t i = 0; i < kTokens; ++i) {
    steps.push_back(session.segment(std::span(tokens).subspan(i, 1), 1, logits.data()));
  }
  for (Segment& step : steps) step.pages = steps.back().pages;
  for (auto _ : state) {
    for (const Segment& step : steps) session.forward_batch(std::span(&step, 1));
  }
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(state.iterations()) * kTokens,
                                                  benchmark::Counter::kIsRate);
}

// One step of some tokens with logits for each, behind 256 others: what checking drafts costs.
void checked_step(benchmark::State& state) {
  const auto n = static_cast<std::uint32_t>(state.range(1));
  SessionForTest session(bench_model(), static_cast<unsigned>(state.range(0)), 512);
  const auto tokens = some_tokens(512);
  std::vector<float> logits(std::size_t{n} * bench_model().config().n_vocab);
  const Segment before = session.segment(std::span(tokens).first(256), 0, nullptr);
  session.forward_batch(std::span(&before, 1));
  const Segment step = session.segment(std::span(tokens).first(n), n, logits.data());
  for (auto _ : state) session.forward_batch(std::span(&step, 1));
}

BENCHMARK(prefill)
    ->ArgNames({"threads", "depth"})
    ->Args({1, 0})
    ->Args({2, 0})
    ->Args({2, 2048})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(decode)
    ->ArgNames({"threads", "depth"})
    ->Args({1, 0})
    ->Args({2, 0})
    ->Args({2, 2048})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

BENCHMARK(checked_step)
    ->ArgNames({"threads", "tokens"})
    ->ArgsProduct({{2}, {1, 2, 3, 4, 6, 8}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace hearth::model
