#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>
#include <vector>

#include "base/cores.h"

namespace hearth {
namespace {

class ThreadPoolTest : public testing::TestWithParam<unsigned> {};

TEST_P(ThreadPoolTest, RunsEachTaskOnce) {
  ThreadPool pool(GetParam());
  EXPECT_EQ(pool.n_threads(), GetParam());
  for (std::uint32_t n_tasks : {0U, 1U, 2U, 3U, 7U, 64U, 1000U}) {
    std::vector<int> runs(n_tasks, 0);  // Unsynchronised: only one thread may touch each.
    pool.run(n_tasks, [&](std::uint32_t i) { ++runs[i]; });
    for (std::uint32_t i = 0; i < n_tasks; ++i) ASSERT_EQ(runs[i], 1) << n_tasks << " " << i;
  }
}

TEST_P(ThreadPoolTest, ResultsOfOneRunAreSeenByTheNext) {
  ThreadPool pool(GetParam());
  std::vector<std::uint64_t> values(97, 1);
  std::vector<std::uint64_t> sums(97, 0);
  for (int round = 0; round < 300; ++round) {
    pool.run(97, [&](std::uint32_t i) { sums[i] = values[i] + values[(i + 1) % 97]; });
    pool.run(97, [&](std::uint32_t i) { values[i] = sums[i] % 1000003; });
  }
  for (std::uint64_t value : values) EXPECT_EQ(value, values[0]);
}

// A worker may still look for tasks of one job when the next is handed out.
TEST_P(ThreadPoolTest, ShortJobsInARowLoseNoTask) {
  ThreadPool pool(GetParam());
  std::atomic<std::uint32_t> count = 0;
  std::uint32_t expected = 0;
  for (std::uint32_t round = 0; round < 20000; ++round) {
    const std::uint32_t n_tasks = 2 + round * 7 % 61;
    pool.run(n_tasks, [&](std::uint32_t i) {
      for (std::uint32_t spin = 0; spin < i * (round % 5) % 32; ++spin) {
        count.fetch_add(0, std::memory_order_relaxed);
      }
      count.fetch_add(1, std::memory_order_relaxed);
    });
    expected += n_tasks;
    ASSERT_EQ(count, expected);
  }
}

TEST_P(ThreadPoolTest, WakesSleepersAfterAPause) {
  ThreadPool pool(GetParam());
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));  // Beyond any spin.
    std::atomic<int> count = 0;
    pool.run(50, [&](std::uint32_t) { ++count; });
    EXPECT_EQ(count, 50);
  }
}

TEST_P(ThreadPoolTest, CallerSleepsThroughALongTask) {
  ThreadPool pool(GetParam());
  std::atomic<int> count = 0;
  pool.run(2, [&](std::uint32_t) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ++count;
  });
  EXPECT_EQ(count, 2);
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolTest, testing::Values(1U, 2U, 3U, 8U));

TEST(ThreadPoolTest, ZeroMeansOnePerUsableCore) {
  ThreadPool pool(0);
  EXPECT_EQ(pool.n_threads(), usable_cores());
}

TEST(CoresTest, QuotaRoundsUpAndMaxMeansNone) {
  const std::string path = testing::TempDir() + "cpu.max";
  const auto quota_of = [&](const char* text) {
    std::ofstream(path) << text;
    return cpu_quota_cores(path);
  };
  EXPECT_EQ(quota_of("max 100000\n"), 0U);
  EXPECT_EQ(quota_of("100000 100000\n"), 1U);
  EXPECT_EQ(quota_of("100001 100000\n"), 2U);
  EXPECT_EQ(quota_of("50000 100000\n"), 1U);
  EXPECT_EQ(quota_of("-5 100000\n"), 0U);
  EXPECT_EQ(quota_of("100000 0\n"), 0U);
  EXPECT_EQ(quota_of("nonsense"), 0U);
  EXPECT_EQ(cpu_quota_cores("/no/such/file"), 0U);
  EXPECT_GE(usable_cores(), 1U);
}

}  // namespace
}  // namespace hearth
