// What the engine takes from the heap: no answer breaks when the N-th allocation fails, and decoding
// takes next to none.
//
// Replaces operator new for this test program; it counts, and fails once where a test says so, only
// inside an AllocationWindow of the same thread.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "engine/fake_runner.h"
#include "engine/scheduler.h"

namespace {

thread_local bool is_window_open = false;
thread_local std::uint64_t n_allocations = 0;
thread_local std::uint64_t failing_allocation = 0;  // 0: none.

void* allocate(std::size_t n_bytes) {
  if (is_window_open && ++n_allocations == failing_allocation) throw std::bad_alloc();
  void* const memory = std::malloc(n_bytes == 0 ? 1 : n_bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// Not inlined: g++ would see free() meet operator new and warn of a mismatch.
[[gnu::noinline]] void* operator new(std::size_t n_bytes) { return allocate(n_bytes); }
[[gnu::noinline]] void* operator new[](std::size_t n_bytes) { return allocate(n_bytes); }
// Sorts take their buffer by this one; all forms must agree, since a sanitizer has its own of each.
[[gnu::noinline]] void* operator new(std::size_t n_bytes, const std::nothrow_t&) noexcept {
  try {
    return allocate(n_bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace hearth::engine {
namespace {

class AllocationWindow {
 public:
  AllocationWindow() { is_window_open = true; }
  ~AllocationWindow() { is_window_open = false; }
};

class CountingSink final : public GenerateSink {
 public:
  explicit CountingSink(std::size_t n_tokens_max) { ids.reserve(n_tokens_max); }
  void on_token(JobId, const TokenEvent& event) override { ids.push_back(event.token.id); }
  void on_finish(JobId, const FinishEvent& event) override {
    ++n_finished;
    reason = event.reason;
    code = event.error.code;
  }
  std::vector<TokenId> ids;
  int n_finished = 0;
  FinishReason reason{};
  Code code{};
};

std::vector<TokenId> prompt_of(std::size_t n_tokens, std::size_t i) {
  std::vector<TokenId> prompt(n_tokens);
  for (std::size_t j = 0; j < n_tokens; ++j) prompt[j] = static_cast<TokenId>(2 + (j * (i + 3)) % 38);
  return prompt;
}

Job make_job(std::size_t i, const std::shared_ptr<StepRunner>& runner,
             const std::shared_ptr<GenerateSink>& sink, std::uint32_t n_answer) {
  Job job;
  job.id = JobId{i + 1};
  job.request.prompt = prompt_of(70, i % 2);
  job.request.sampling.temperature = 0;
  job.request.sampling.repetition_penalty = 1.0001F;
  job.request.ignore_eos = true;
  job.request.stop = {"never this"};
  job.request.n_top_logprobs = 2;
  job.request.client = std::to_string(i % 3);
  job.runner = runner;
  job.sink = sink;
  job.n_tokens_max = 70 + n_answer;
  return job;
}

std::unique_ptr<KvPagePool> make_pool(std::uint64_t n_units) {
  KvPagePoolOptions options;
  options.unit_bytes = kUnitBytesMin;
  options.bytes_max = n_units * kUnitBytesMin;
  return std::move(KvPagePool::create(options)).value();
}

std::uint64_t n_failed_jobs = 0;

// A small crowd in an arena that is too small for it, so that eviction and preemption are among the
// paths.  Returns the allocations of the scheduler's calls.
std::uint64_t serve_crowd(std::uint64_t failing) {
  const FakeModel fake;
  const auto runner = std::make_shared<FakeRunner>(fake);
  const auto pool = make_pool(1);
  const FakeClock clock;
  auto scheduler = std::make_unique<Scheduler>(EngineOptions{}, *pool, clock);
  std::vector<std::shared_ptr<CountingSink>> sinks;
  n_allocations = 0;
  failing_allocation = failing;
  for (std::size_t i = 0; i < 6; ++i) {
    sinks.push_back(std::make_shared<CountingSink>(200));
    Job job = make_job(i, runner, sinks.back(), 150);
    const AllocationWindow window;
    scheduler->submit(std::move(job));
  }
  for (bool is_busy = true; is_busy;) {
    const AllocationWindow window;
    is_busy = scheduler->step();
  }
  failing_allocation = 0;

  for (std::size_t i = 0; i < sinks.size(); ++i) {
    const CountingSink& sink = *sinks[i];
    EXPECT_EQ(sink.n_finished, 1) << "job " << i << ", allocation " << failing;
    const auto expected = FakeRunner::expected_answer(fake, prompt_of(70, i % 2), 150, true);
    EXPECT_TRUE(std::equal(sink.ids.begin(), sink.ids.end(), expected.begin()));
    if (sink.reason == FinishReason::kError) {
      EXPECT_EQ(sink.code, Code::kOutOfBudget);
      ++n_failed_jobs;
    } else {
      EXPECT_EQ(sink.ids.size(), expected.size());
    }
  }
  const EngineStats stats = scheduler->stats();
  EXPECT_EQ(stats.kv_pages_used, stats.kv_pages_cached);
  EXPECT_EQ(stats.jobs_finished, sinks.size());
  scheduler.reset();
  EXPECT_EQ(pool->pages_used(), 0U);
  return n_allocations;
}

TEST(Allocation, AnyOneMayFail) {
  const std::uint64_t n_all = serve_crowd(0);
  ASSERT_GT(n_all, 100U);
  n_failed_jobs = 0;
  for (std::uint64_t n = 1; n <= n_all && !HasFailure(); ++n) serve_crowd(n);
  EXPECT_GT(n_failed_jobs, n_all / 10) << "failures do reach jobs";
}

// Once warm, 16 sessions decode with fewer than one allocation per page of 32 tokens and session: the
// prefix cache's entry for it and the page table's growth.
TEST(Allocation, DecodingTakesAlmostNone) {
  FakeModel fake;
  fake.n_context = 4096;
  const auto runner = std::make_shared<FakeRunner>(fake);
  const auto pool = make_pool(64);
  const FakeClock clock;
  Scheduler scheduler(EngineOptions{}, *pool, clock);
  for (std::size_t i = 0; i < 16; ++i) {
    Job job = make_job(i, runner, std::make_shared<CountingSink>(4096), 3000);
    job.request.prompt = prompt_of(70, i);
    scheduler.submit(std::move(job));
  }
  for (int i = 0; i < 100; ++i) scheduler.step();
  n_allocations = 0;
  constexpr int kSteps = 640;
  {
    const AllocationWindow window;
    for (int i = 0; i < kSteps; ++i) scheduler.step();
  }
  RecordProperty("allocations", static_cast<int>(n_allocations));
  EXPECT_LT(n_allocations, 16U * kSteps / model::kPageTokens * 3 / 2);
  scheduler.cancel_all();
}

}  // namespace
}  // namespace hearth::engine
