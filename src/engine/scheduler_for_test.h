// A scheduler over fake models, for tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/fake_runner.h"
#include "engine/scheduler.h"

namespace hearth::engine {

inline constexpr std::size_t kFakePageBytes = 8192;  // Of FakeModel with one layer.

inline std::vector<TokenId> random_prompt(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> tokens(n);
  for (TokenId& id : tokens) id = static_cast<TokenId>(2 + random() % 38);
  return tokens;
}

// A scheduler, a pool with room for `n_pages` small pages, a clock, and sinks by job.
class Bench {
 public:
  // `desk`, if there is one, outlives it.
  explicit Bench(std::uint64_t n_pages, EngineOptions options = {}, FakeModel fake = {},
                 SnapshotDesk* desk = nullptr)
      : fake_model(fake),
        pool(make_pool(n_pages)),
        scheduler(std::make_unique<Scheduler>(options, *pool, clock, desk)),
        runner(std::make_shared<FakeRunner>(fake)) {}
  ~Bench() {
    if (scheduler != nullptr) scheduler->cancel_all();
  }

  static std::unique_ptr<KvPagePool> make_pool(std::uint64_t n_pages) {
    KvPagePoolOptions options;
    options.unit_bytes = kUnitBytesMin;
    options.bytes_max = n_pages * kFakePageBytes;
    return std::move(KvPagePool::create(options)).value();
  }

  static GenerateRequest request(std::vector<TokenId> prompt, std::uint32_t max_tokens,
                                 std::string client = "") {
    GenerateRequest r;
    r.prompt = std::move(prompt);
    r.max_tokens = max_tokens;
    r.sampling.temperature = 0;
    r.ignore_eos = true;
    r.client = std::move(client);
    return r;
  }

  RecordingSink& submit(GenerateRequest r, std::shared_ptr<StepRunner> on = nullptr,
                        std::shared_ptr<StepRunner> drafter = nullptr) {
    sinks.push_back(std::make_shared<RecordingSink>());
    Job job;
    job.runner = on != nullptr ? on : runner;
    job.drafter = std::move(drafter);
    job.n_tokens_max = check_request(r, job.runner->n_vocab(), context(*job.runner)).value();
    job.id = JobId{sinks.size()};
    job.request = std::move(r);
    job.sink = sinks.back();
    job.submitted_ns = clock.now_monotonic_ns();
    scheduler->submit(std::move(job));
    return *sinks.back();
  }

  std::uint32_t context(const StepRunner& on) const {
    const std::uint64_t n_pages = pool->capacity_pages(on.kv_layout().page_bytes());
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(on.n_context(), n_pages * model::kPageTokens));
  }

  int run_until_idle(int steps_max = 100000) {
    int n_steps = 0;
    while (step()) {
      ++n_steps;
      if (n_steps > steps_max) {
        ADD_FAILURE() << "not idle after " << steps_max << " steps";
        break;
      }
    }
    return n_steps;
  }
  bool step() {
    clock.advance(std::chrono::milliseconds(1));
    return scheduler->step();
  }

  // True if nothing but the cache holds pages.
  bool is_clean() const {
    const EngineStats stats = scheduler->stats();
    return stats.kv_pages_used == stats.kv_pages_cached && stats.jobs_running == 0 &&
           stats.jobs_waiting == 0;
  }

  FakeModel fake_model;
  FakeClock clock;
  std::unique_ptr<KvPagePool> pool;
  std::unique_ptr<Scheduler> scheduler;
  std::shared_ptr<FakeRunner> runner;
  std::vector<std::shared_ptr<RecordingSink>> sinks;
};

}  // namespace hearth::engine
