// What the engine adds to the forward pass: one scheduler step, and one token's sampling.
#include <benchmark/benchmark.h>

#include <random>

#include "engine/fake_runner.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"

namespace hearth::engine {
namespace {

// Computes nothing: the logits keep whatever was there.
class IdleRunner final : public StepRunner {
 public:
  std::uint64_t identity() const override { return 1; }
  model::KvLayout kv_layout() const override { return {1, 1, 64, model::KvType::kF16}; }
  std::uint32_t n_vocab() const override { return 32; }
  std::uint32_t n_context() const override { return UINT32_MAX; }
  std::optional<TokenId> unsure_token() const override { return std::nullopt; }
  bool is_end_of_generation(TokenId) const override { return false; }
  std::string token_bytes(TokenId) const override { return "x"; }
  std::unique_ptr<TextStream> text_after(std::span<const TokenId>,
                                         std::span<const TokenId>) const override {
    return std::make_unique<FakeText>();
  }
  Result<> reserve(std::uint32_t) override { return {}; }
  Result<> run(std::span<const model::Segment>) override { return {}; }
};

class CountingSink final : public GenerateSink {
 public:
  void on_token(JobId, const TokenEvent&) override { ++n_tokens; }
  void on_finish(JobId, const FinishEvent&) override {}
  std::uint64_t n_tokens = 0;
};

// All sessions decode; each step samples one token of each (of 32) and grows and publishes pages.
void BM_SchedulerStep(benchmark::State& state) {
  const auto n_sessions = static_cast<std::uint64_t>(state.range(0));
  KvPagePoolOptions pool_options;
  pool_options.bytes_max = std::uint64_t{8} << 30;  // Address space; pages are never touched.
  const auto pool = std::move(KvPagePool::create(pool_options)).value();
  Scheduler scheduler(EngineOptions{}, *pool, Clock::system());
  const auto runner = std::make_shared<IdleRunner>();
  const auto sink = std::make_shared<CountingSink>();
  for (std::uint64_t i = 0; i < n_sessions; ++i) {
    Job job;
    job.id = JobId{i + 1};
    job.request.prompt.assign(100, static_cast<TokenId>(i));
    job.request.sampling.temperature = 0;
    job.request.client = std::to_string(i % 4);
    job.runner = runner;
    job.sink = sink;
    job.n_tokens_max = UINT32_MAX;
    scheduler.submit(std::move(job));
  }
  for (int i = 0; i < 64; ++i) scheduler.step();
  const std::uint64_t before = sink->n_tokens;
  for (auto _ : state) scheduler.step();
  HEARTH_CHECK(sink->n_tokens - before == n_sessions * static_cast<std::uint64_t>(state.iterations()));
  scheduler.cancel_all();
}
BENCHMARK(BM_SchedulerStep)->Arg(1)->Arg(16)->Arg(64)->Iterations(20000)->Unit(benchmark::kMicrosecond);

// A few likely tokens over a broad floor; `flat`: the floor alone, the worst case of every stage.
std::vector<float> typical_logits(std::size_t n_vocab, bool flat = false) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0F, 3.0F);
  std::vector<float> logits(n_vocab);
  for (float& x : logits) x = normal(random);
  for (std::size_t i = 0; i < 20 && !flat; ++i) logits[i * 97] += 20.0F;
  return logits;
}

void BM_MeasureLogits(benchmark::State& state) {
  const std::vector<float> logits = typical_logits(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(measure_logits(logits));
}
BENCHMARK(BM_MeasureLogits)->Arg(32000)->Arg(151936)->Unit(benchmark::kMicrosecond);

void sample(benchmark::State& state, const SamplingOptions& options, bool flat = false) {
  std::vector<float> logits = typical_logits(151936, flat);
  Sampler sampler(options);
  SamplerScratch scratch;
  std::uint64_t i = 0;
  for (auto _ : state) {
    const TokenId id = sampler.choose(logits, i++, scratch);
    sampler.accept(id);
  }
}

SamplingOptions options_with(auto change) {
  SamplingOptions options;
  change(options);
  return options;
}

BENCHMARK_CAPTURE(sample, greedy, options_with([](auto& o) { o.temperature = 0; }))
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(sample, temperature, options_with([](auto&) {}))->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(sample, top_k_40, options_with([](auto& o) { o.top_k = 40; }))
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(sample, top_p, options_with([](auto& o) { o.top_p = 0.95F; }))
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(sample, flat_top_p, options_with([](auto& o) { o.top_p = 0.95F; }), true)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(sample, typical, options_with([](auto& o) { o.typical_p = 0.95F; }))
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(sample, flat_typical, options_with([](auto& o) { o.typical_p = 0.95F; }), true)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(sample, chat_defaults, options_with([](auto& o) {
                    o.temperature = 0.7F;
                    o.top_k = 40;
                    o.top_p = 0.95F;
                    o.min_p = 0.05F;
                    o.repetition_penalty = 1.1F;
                  }))
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace hearth::engine
