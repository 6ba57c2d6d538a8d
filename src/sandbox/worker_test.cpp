// What a worker does for its owner when nobody means harm.
#include "sandbox/worker.h"

#include <cmath>
#include <vector>

#include "sandbox/kernel_abi.h"
#include "sandbox/test_support/jail_fixture.h"

namespace hearth::sandbox {
namespace {

using WorkerTest = JailTest;

TEST_F(WorkerTest, RunsAKernelOnSharedMemoryInPlace) {
  as_every_user([] {
    Bench bench;
    Memory input(8 * 1000), output(8 * 1000);
    for (int i = 0; i < 1000; ++i) input.as<double>()[i] = i;
    const auto in = bench.worker.map(input.fd(), 0, 8000, Access::kRead);
    const auto out = bench.worker.map(output.fd(), 0, 8000, Access::kWrite, true);
    ASSERT_TRUE(in && out);
    const RunOutcome outcome =
        bench.run(RunOf(Attempt::kScale, {999}).with(*out, 8).with(*in, 8).with_real(0.5));
    ASSERT_EQ(outcome.end, RunEnd::kDone) << outcome.sentence();
    for (int i = 0; i < 1000; ++i) ASSERT_EQ(output.as<double>()[i], i * 0.5);
    EXPECT_TRUE(outcome.worker_lives);
    EXPECT_GT(outcome.elapsed_ns, 0);
  });
}

TEST_F(WorkerTest, RunsThousandsOfTimes) {
  Bench bench;
  for (int i = 1; i <= 5000; ++i) {
    ASSERT_EQ(bench.run(RunOf(Attempt::kCount)).end, RunEnd::kDone);
    ASSERT_EQ(*bench.memory.as<std::int64_t>(), i);
  }
}

TEST_F(WorkerTest, HasTheMathLibrary) {
  Bench bench;
  ASSERT_EQ(bench.run(RunOf(Attempt::kMath).with_real(1.25)).end, RunEnd::kDone);
  EXPECT_NEAR(bench.memory.as<double>()[0], std::exp(1.25), 1e-15);
  EXPECT_NEAR(bench.memory.as<double>()[1], std::sin(1.25), 1e-7);
}

TEST_F(WorkerTest, SharesTasksAmongItsThreads) {
  for (const std::uint32_t n_threads : {1U, 2U, 5U}) {
    Bench bench({.n_threads = n_threads});
    for (const std::int64_t n : {0, 1, 2, 7, 5000}) {
      std::memset(bench.memory.as<char>(), 0, bench.memory.bytes());
      ASSERT_EQ(bench.run(RunOf(Attempt::kParallelSquares, {n})).end, RunEnd::kDone);
      for (std::int64_t i = 0; i < n; ++i)
        ASSERT_EQ(bench.memory.as<std::int64_t>()[i], i * i) << n_threads;
      ASSERT_EQ(bench.memory.as<std::int64_t>()[n], 0);
    }
    // Round after round: no task is done twice, or by a thread that is late.
    std::memset(bench.memory.as<char>(), 0, bench.memory.bytes());
    constexpr int kRounds = 2000;
    for (int round = 0; round < kRounds; ++round) {
      ASSERT_EQ(bench
                    .run(RunOf(round % 2 != 0 ? Attempt::kParallelSquares : Attempt::kNestedSquares,
                               {round % 2 != 0 ? 80 : 10}))
                    .end,
                RunEnd::kDone);
    }
    for (std::int64_t i = 0; i < 80; ++i)
      ASSERT_EQ(bench.memory.as<std::int64_t>()[i], kRounds * i * i) << n_threads;
  }
}

TEST_F(WorkerTest, MapsAndUnmapsOverAndOver) {
  Bench bench;
  for (int i = 0; i < 300; ++i) {
    const auto mapping = bench.worker.map(bench.memory.fd(), 4096, 4096, Access::kWrite);
    ASSERT_TRUE(mapping) << mapping.error().message;
    ASSERT_EQ(bench.run(RunOf(Attempt::kWriteByte, {i}).with(*mapping)).end, RunEnd::kDone);
    ASSERT_EQ(bench.memory.as<char>()[4096 + i], 42);
    ASSERT_TRUE(bench.worker.unmap(*mapping));
    ASSERT_EQ(bench.run(RunOf(Attempt::kWriteByte, {0}).with(*mapping)).end, RunEnd::kRefused);
  }
  EXPECT_EQ(bench.worker.unmap(4000).error().code, Code::kNotFound);
}

TEST_F(WorkerTest, LoadsAndDropsKernels) {
  Bench bench;
  const OwnedFd image = sealed_file(HEARTH_ATTEMPTS_PLAIN);
  std::vector<std::uint32_t> kernels;
  for (std::uint32_t i = 1; i < kWorkerKernelsMax; ++i) {
    const auto kernel = bench.worker.load(image.get());
    ASSERT_TRUE(kernel) << kernel.error().message;
    kernels.push_back(*kernel);
  }
  EXPECT_EQ(bench.worker.load(image.get()).error().code, Code::kOutOfBudget);
  for (const std::uint32_t kernel : kernels) ASSERT_TRUE(bench.worker.drop(kernel));
  RunOf run(Attempt::kCount);
  run.request.kernel = kernels[0];
  EXPECT_EQ(bench.worker.run(run.request, in_seconds(20))->end, RunEnd::kRefused);
  EXPECT_TRUE(bench.worker.load(image.get()));
}

TEST_F(WorkerTest, RefusesRunsThatNameWhatIsNotThere) {
  Bench bench;
  for (int field = 0; field < 6; ++field) {
    RunOf run(Attempt::kCount);
    run.with(bench.page);
    run.request.kernel = bench.kernel;
    switch (field) {
      case 0:
        run.request.kernel = 7;
        break;
      case 1:
        run.request.kernel = ~0U;
        break;
      case 2:
        run.request.n_buffers = 17;
        break;
      case 3:
        run.request.buffers[0].mapping = 99;
        break;
      case 4:
        run.request.buffers[0].offset = bench.memory.bytes() + 1;
        break;
      case 5:
        run.request.n_integers = ~0U;
        break;
    }
    EXPECT_EQ(bench.worker.run(run.request, in_seconds(20))->end, RunEnd::kRefused) << field;
  }
  EXPECT_EQ(bench.run(RunOf(Attempt::kNothing)).end, RunEnd::kDone);
}

TEST_F(WorkerTest, RefusesToMapWhatTheMemoryHasNot) {
  Bench bench;
  EXPECT_EQ(
      bench.worker.map(bench.memory.fd(), 0, bench.memory.bytes() + 1, Access::kRead).error().code,
      Code::kInvalidArgument);
  EXPECT_EQ(bench.worker.map(bench.memory.fd(), 1, 10, Access::kRead).error().code,
            Code::kInvalidArgument);
  EXPECT_EQ(bench.worker.map(bench.memory.fd(), 0, 0, Access::kRead).error().code,
            Code::kInvalidArgument);
  EXPECT_EQ(bench.worker.map(-1, 0, 10, Access::kRead).error().code, Code::kInvalidArgument);
  const auto beyond = [&] {
    const OwnedFd large = *make_shared_memory("large", std::uint64_t{100} << 30);
    return bench.worker.map(large.get(), 0, std::uint64_t{100} << 30, Access::kRead);
  }();
  ASSERT_FALSE(beyond);
  EXPECT_NE(beyond.error().message.find("mapped_bytes"), std::string::npos)
      << beyond.error().message;
  EXPECT_EQ(bench.run(RunOf(Attempt::kNothing)).end, RunEnd::kDone);
}

TEST_F(WorkerTest, StopsAndGoesOn) {
  Bench bench;
  ASSERT_TRUE(bench.worker.stop_process());
  ASSERT_TRUE(bench.worker.stop_process());
  EXPECT_FALSE(bench.worker.run(RunRequest{}, in_seconds(1)));
  EXPECT_FALSE(bench.worker.unmap(bench.page));
  ASSERT_TRUE(bench.worker.continue_process());
  ASSERT_TRUE(bench.worker.continue_process());
  EXPECT_EQ(bench.run(RunOf(Attempt::kCount)).end, RunEnd::kDone);
  bench.worker.kill();
  EXPECT_FALSE(bench.worker.stop_process());
}

TEST_F(WorkerTest, GivesUpInTimeAndStaysAlive) {
  Bench bench({.n_threads = 2});
  for (const Attempt attempt : {Attempt::kLoopUntilGivenUp, Attempt::kParallelLoop}) {
    RunOf run(attempt);
    run.with(bench.page);
    run.request.kernel = bench.kernel;
    const std::uint32_t number = ask(bench.worker.channel(), run.request);
    EXPECT_FALSE(await_answer(bench.worker.channel(), number, monotonic_ns() + 2'000'000));
    give_up(bench.worker.channel(), number);
    ASSERT_TRUE(await_answer(bench.worker.channel(), number, monotonic_ns() + 20'000'000'000));
    EXPECT_EQ(read_answer(bench.worker.channel()).status, RunStatus::kGaveUp);
    EXPECT_EQ(bench.run(RunOf(Attempt::kCount)).end, RunEnd::kDone);
  }
}

TEST(RunChannel, AnOldWishToGiveUpDoesNotComeBack) {
  RunChannel channel;
  give_up(channel, 5);
  const volatile auto* give_up_before =
      reinterpret_cast<const volatile std::uint32_t*>(&channel.give_up_before.value);
  for (std::uint64_t n = 1; n <= 600; ++n) {
    channel.asked.value = static_cast<std::uint32_t>(n << 24) - 1;
    const HearthServices services{HEARTH_KERNEL_ABI,          1, nullptr, give_up_before,
                                  ask(channel, RunRequest{}), 0};
    EXPECT_EQ(hearth_given_up(&services), 0) << n;
  }
}

TEST_F(WorkerTest, RefusesLimitsOutOfRange) {
  for (const WorkerLimits& limits :
       {WorkerLimits{.n_threads = 0}, WorkerLimits{.n_threads = 257},
        WorkerLimits{.stack_bytes = 1000}, WorkerLimits{.memory_bytes = ~std::uint64_t{0}}}) {
    EXPECT_EQ(Worker::start(limits).error().code, Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace hearth::sandbox
