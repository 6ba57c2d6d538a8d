// What it costs to answer with another adapter than before: 64 adapters of one base, all resident,
// a request at a time, each for one of them at random.
//
// `ready` is the time from the parsed request (Hub::chat is called) until the engine begins to
// compute on its first token, when the first matrix product may start: naming, leases, the prompt's
// layout and tokens, admission.  `same` asks for the same adapter each time, `none` for the base
// alone.  Loading is not part of it: the first round, which loads, is counted apart.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "base/temp_folder_for_test.h"
#include "hub/fakes_for_test.h"
#include "model/random_adapter.h"
#include "model/random_model.h"

namespace hearth::hub {
namespace {

namespace fs = std::filesystem;
constexpr std::uint32_t kAdapters = 64;

// Passes everything on, and notes when a job begins to compute.
class TimedEngine final : public engine::Engine {
 public:
  TimedEngine() : inner_(std::move(engine::Engine::create({.n_threads = 2})).value()) {}

  Result<engine::JobId> submit(engine::GenerateRequest request,
                               std::shared_ptr<engine::GenerateSink> sink) override {
    return inner_->submit(std::move(request), std::make_shared<Sink>(*this, std::move(sink)));
  }
  void cancel(engine::JobId job) override { inner_->cancel(job); }
  std::uint32_t context_tokens(const model::Model& m) const override {
    return inner_->context_tokens(m);
  }
  engine::EngineStats stats() const override { return inner_->stats(); }

  std::atomic<std::int64_t> started_ns = 0;  // Of the last job.

 private:
  class Sink final : public engine::GenerateSink {
   public:
    Sink(TimedEngine& owner, std::shared_ptr<engine::GenerateSink> inner)
        : owner_(owner), inner_(std::move(inner)), submitted_ns_(Clock::system().now_monotonic_ns()) {}
    void on_token(engine::JobId job, const engine::TokenEvent& event) override {
      inner_->on_token(job, event);
    }
    void on_finish(engine::JobId job, const engine::FinishEvent& event) override {
      owner_.started_ns = submitted_ns_ + static_cast<std::int64_t>(event.queue_ms * 1e6);
      inner_->on_finish(job, event);
    }

   private:
    TimedEngine& owner_;
    std::shared_ptr<engine::GenerateSink> inner_;
    std::int64_t submitted_ns_;
  };

  std::unique_ptr<engine::Engine> inner_;
};

// A hub over a folder with one base and its adapters.
class Bench {
 public:
  Bench() {
    const fs::path path = folder_ / "base.gguf";
    HEARTH_CHECK(model::write_random_model(path, {.n_layers = 4,
                                                  .d_model = 512,
                                                  .d_ff = 1536,
                                                  .n_heads = 8,
                                                  .n_kv_heads = 4,
                                                  .n_vocab = 8192}));
    const auto base = model::Model::load(path);
    HEARTH_CHECK(base);
    for (std::uint32_t i = 0; i < kAdapters; ++i) {
      const auto file = folder_ / fmt::format("a{}.gguf", i);
      HEARTH_CHECK(model::write_random_adapter(file, **base, {.seed = i + 1}));
    }
    ConductorParts parts;
    parts.ledger =
        std::move(*ledger::Ledger::open(folder_ / "ledger.db", ledger::Ledger::Mode::kReadWrite));
    parts.writer = std::make_unique<ledger::LedgerWriter>(*parts.ledger);
    auto engine = std::make_unique<TimedEngine>();
    engine_ = engine.get();
    parts.engine = std::move(engine);
    parts.shelf = std::make_unique<ModelShelf>(
        make_catalogue_source({.folders = {folder_.path()}, .scan_other_programs = false}),
        ShelfOptions{});
    hub_ = std::make_unique<Conductor>(std::move(parts), ConductorOptions{});
  }
  ~Bench() {
    hub_.reset();
  }

  double ready_us(const std::string& name) {
    const auto sink = std::make_shared<CollectingSink>();
    ChatRequest request{.model = name, .messages = {{.content = "Which one is it?"}}, .max_tokens = 1};
    const std::int64_t asked_ns = Clock::system().now_monotonic_ns();
    HEARTH_CHECK(hub_->chat(std::move(request), sink));
    HEARTH_CHECK(sink->wait() && !sink->error());
    return static_cast<double>(engine_->started_ns - asked_ns) * 1e-3;
  }

 private:
  TempFolder folder_;
  TimedEngine* engine_ = nullptr;
  std::unique_ptr<Conductor> hub_;
};

double quantile(std::vector<double>& values, double q) {
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
}

enum Choice { kRandom, kSame, kNone };

void adapter_switch(benchmark::State& state) {
  Bench bench;
  double first_us = 0;
  for (std::uint32_t i = 0; i < kAdapters; ++i) {
    first_us += bench.ready_us(fmt::format("base@a{}", i)) / kAdapters;
  }
  std::mt19937 random(7);
  std::vector<double> ready;
  for (auto _ : state) {
    const Choice choice = static_cast<Choice>(state.range(0));
    const std::uint32_t i = choice == kRandom ? static_cast<std::uint32_t>(random()) % kAdapters : 0;
    ready.push_back(bench.ready_us(choice == kNone ? "base" : fmt::format("base@a{}", i)));
  }
  state.counters["ready_p50_us"] = quantile(ready, 0.5);
  state.counters["ready_p99_us"] = quantile(ready, 0.99);
  state.counters["first_us"] = first_us;
}
BENCHMARK(adapter_switch)
    ->ArgName("random0_same1_none2")
    ->DenseRange(0, 2)
    ->Iterations(1000)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace hearth::hub
