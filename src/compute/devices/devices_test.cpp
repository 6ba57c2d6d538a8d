// Built-ins on devices, in the processes that hubs start for them: PoCL where it is installed, and
// a driver of the test's own, which fails, hangs and crashes as it is told.
#include "compute/devices/devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/thread_pool.h"

namespace hearth::compute {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const DeviceRow& row_of(std::string_view device) { return **device_for("mul_f32", device); }

// Floats in memory of this process, or in memory that others can map.
class Floats {
 public:
  Floats(std::int64_t n, float value, bool is_shared) : n_(n) {
    const std::size_t bytes = static_cast<std::size_t>(n + kOffset) * sizeof(float);
    memory_ = *sandbox::make_shared_memory("test", bytes);
    mapped_ = static_cast<float*>(
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0));
    if (!is_shared) memory_.reset();
    std::fill_n(data(), n, value);
  }
  ~Floats() { ::munmap(mapped_, static_cast<std::size_t>(n_ + kOffset) * sizeof(float)); }
  Floats(const Floats&) = delete;
  Floats& operator=(const Floats&) = delete;

  float* data() const { return mapped_ + kOffset; }
  std::vector<float> values() const { return {data(), data() + n_}; }
  Tensor tensor() const {
    return {.type = ElementType::kF32,
            .shape = {n_},
            .data = reinterpret_cast<std::byte*>(data()),
            .memory_fd = memory_.get(),
            .memory_offset = kOffset * sizeof(float)};
  }

 private:
  static constexpr std::int64_t kOffset = 16;
  std::int64_t n_;
  sandbox::OwnedFd memory_;
  float* mapped_;
};

// out = x * y for n numbers, all of them 2 and 3.
Result<DeviceRun> multiply(Devices& devices, std::string_view device, std::int64_t n,
                           bool is_shared = true, const StillWanted& still_wanted = {}) {
  const Floats out(n, -1, is_shared), x(n, 2, is_shared), y(n, 3, is_shared);
  const std::vector<Argument> arguments = {out.tensor(), x.tensor(), y.tensor()};
  const Builtin& builtin = *find_builtin("mul_f32");
  HEARTH_TRY(const Bindings bound, bind_arguments(signature_of(builtin), arguments));
  auto ran = devices.run(row_of(device), builtin, bound, still_wanted);
  if (ran) {
    EXPECT_EQ(out.values(), std::vector<float>(static_cast<std::size_t>(n), 6));
  }
  return ran;
}

TEST(DeviceNamesTest, AreTakenApartAndPutTogether) {
  EXPECT_EQ(placed_name("gemm_f32").device, "");
  EXPECT_EQ(placed_name("gemm_f32@opencl").kernel, "gemm_f32");
  EXPECT_EQ(placed_name("gemm_f32@opencl").device, "opencl");
  EXPECT_EQ(placed_name("gemm_f32@cpu").kernel, "gemm_f32");
  EXPECT_EQ(placed_name("gemm_f32@cpu").device, "");
  EXPECT_EQ(*name_on("gemm_f32", ""), "gemm_f32");
  EXPECT_EQ(*name_on("gemm_f32", "cuda"), "gemm_f32@cuda");
  EXPECT_EQ(*name_on("gemm_f32@cuda", "cuda"), "gemm_f32@cuda");
  EXPECT_THAT(name_on("gemm_f32@cuda", "opencl").error().message, HasSubstr("give one of them"));
  EXPECT_THAT(name_on("gemm_f32@cpu", "opencl").error().message, HasSubstr("give one of them"));
  EXPECT_EQ(*device_for("exp_f32", ""), nullptr);
  EXPECT_THAT(device_for("gemm_f32", "vulkan").error().message,
              HasSubstr("cpu, opencl, cuda or cublas can be named"));
  EXPECT_THAT(device_for("exp_f32", "cuda").error().message,
              AllOf(HasSubstr("exp_f32 has no kernel for devices"), HasSubstr("gemm_f32"),
                    HasSubstr("as 'exp_f32'")));
}

class PoclTest : public testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "a driver brings a compiler, whose own leaks and threads sanitizers report";
#endif
    setenv("POCL_CACHE_DIR", (testing::TempDir() + "hearth-pocl").c_str(), 0);
    const auto found = devices_.look(row_of("opencl"));
    if (!found) GTEST_SKIP() << found.error().message;
    if (!found->is_host) GTEST_SKIP() << found->name << " is no processor";
  }
  Devices devices_{{.command = {HEARTH_DEVICE_HOST}, .n_threads = 2}};
};

TEST_F(PoclTest, WorksOnSharedTensorsInPlaceAndCopiesOthers) {
  for (const std::int64_t n : {1, 255, 70001}) {
    const auto in_place = multiply(devices_, "opencl", n);
    ASSERT_TRUE(in_place) << in_place.error().message;
    EXPECT_EQ(in_place->n_copies, 0U);
    EXPECT_TRUE(in_place->device.is_host);
    const auto copied = multiply(devices_, "opencl", n, false);
    ASSERT_TRUE(copied) << copied.error().message;
    EXPECT_EQ(copied->n_copies, 3U);
  }
  EXPECT_TRUE(multiply(devices_, "opencl", 0)) << "nothing to do is done";
}

TEST_F(PoclTest, RunsOneAfterAnotherForAll) {
  std::vector<std::thread> clients;
  std::atomic<int> n_done{0};
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      for (int run = 0; run < 10; ++run) n_done += multiply(devices_, "opencl", 5000 + run) ? 1 : 0;
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(n_done, 40);
}

// A hundred thousand launches, of which nobody wants more than some.
TEST_F(PoclTest, EndsBetweenLaunches) {
  std::vector<double> u(64 * 64, 1), out(64 * 64);
  const auto tensor = [](std::vector<double>& of) {
    return Tensor{ElementType::kF64, {64, 64}, {}, reinterpret_cast<std::byte*>(of.data())};
  };
  const Builtin& jacobi = *find_builtin("jacobi5_f64");
  const std::vector<Argument> arguments = {tensor(out), tensor(u), std::int64_t{100'000}};
  const auto bound = bind_arguments(signature_of(jacobi), arguments);
  ASSERT_TRUE(bound) << bound.error().message;
  ASSERT_TRUE(devices_.open(row_of("opencl"), {}));
  const auto begun = std::chrono::steady_clock::now();
  const auto ran = devices_.run(row_of("opencl"), jacobi, *bound, [&] {
    return std::chrono::steady_clock::now() - begun < std::chrono::milliseconds(50);
  });
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().code, Code::kCancelled);
  EXPECT_THAT(ran.error().message, testing::Not(HasSubstr("was ended for it")));
  EXPECT_TRUE(multiply(devices_, "opencl", 100));
}

// A driver of the test's own (sandbox/test_support/fake_cuda.cpp), whose GPU has a megabyte.
class FakeGpuTest : public testing::Test {
 protected:
  void SetUp() override {
#if !defined(HEARTH_FAKE_CUDA)
    GTEST_SKIP() << "this build has no driver of the test's own";
#else
    setenv("HEARTH_CUDA", HEARTH_FAKE_CUDA, 1);
    setenv("HEARTH_NVRTC", HEARTH_FAKE_CUDA, 1);
#endif
  }
  void TearDown() override {
    unsetenv("HEARTH_CUDA");
    unsetenv("HEARTH_NVRTC");
  }
  Devices devices_{{.command = {HEARTH_DEVICE_HOST}}};
};

TEST_F(FakeGpuTest, CountsCopiesThereAndBack) {
  const auto found = devices_.look(row_of("cuda"));
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->name, "Fake GPU");
  const auto ran = multiply(devices_, "cuda", 300);
  ASSERT_TRUE(ran) << ran.error().message;
  EXPECT_EQ(ran->device.name, "Fake GPU");
  EXPECT_EQ(ran->n_copies, 3U) << "two in, one out";
  const auto copied = multiply(devices_, "cuda", 300, false);
  ASSERT_TRUE(copied) << copied.error().message;
  EXPECT_EQ(copied->n_copies, 6U) << "and as many into shared memory and back";
}

TEST(CountCopiesTest, CountsEachWay) {
  std::byte memory{};
  DevicePlan plan;
  plan.buffers = {{.bytes = 1, .in = &memory},
                  {.bytes = 1, .out = &memory},
                  {.bytes = 1, .in = &memory, .out = &memory},
                  {.bytes = 1},
                  {.bytes = 0, .in = &memory}};
  EXPECT_EQ(count_copies(plan), 4U);
}

// A look at a driver that takes its time keeps no run from another client waiting.
TEST_F(FakeGpuTest, RunsWhileSomebodyLooks) {
  ASSERT_TRUE(multiply(devices_, "cuda", 300));
  setenv("HEARTH_FAKE_CUDA_OPENS_MS", "3000", 1);
  std::thread looking([&] { EXPECT_TRUE(devices_.look(row_of("cuda"))); });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_TRUE(multiply(devices_, "cuda", 300));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(2));
  looking.join();
  unsetenv("HEARTH_FAKE_CUDA_OPENS_MS");
}

TEST_F(FakeGpuTest, SaysWhatIsTooLarge) {
  const auto large = multiply(devices_, "cuda", 1 << 20);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, Code::kOutOfBudget);
  EXPECT_THAT(
      large.error().message,
      HasSubstr(
          "more than 'cuda' (Fake GPU) can hold; run it on the CPU, as 'mul_f32', or in parts"));
  EXPECT_TRUE(multiply(devices_, "cuda", 300));
}

TEST_F(FakeGpuTest, AFailedRunCostsTheProcessAndNoMore) {
  const auto failed = multiply(devices_, "cuda", 7);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("CUDA_ERROR_OF_THE_TEST"));
  const auto after = multiply(devices_, "cuda", 300);
  EXPECT_TRUE(after) << after.error().message;
}

TEST_F(FakeGpuTest, ACrashOfTheDriverIsTold) {
  ASSERT_TRUE(multiply(devices_, "cuda", 300));
  const auto crashed = multiply(devices_, "cuda", 13);
  ASSERT_FALSE(crashed);
  EXPECT_EQ(crashed.error().code, Code::kInternal);
  EXPECT_THAT(crashed.error().message,
              AllOf(HasSubstr("the process of device 'cuda'"), HasSubstr("the hub goes on")));
  const auto after = multiply(devices_, "cuda", 300);
  EXPECT_TRUE(after) << after.error().message;
}

TEST_F(FakeGpuTest, OneThatHangsIsEndedAndKeepsNobodyWaiting) {
  std::atomic<bool> is_wanted{true};
  std::thread hanging([&] {
    const auto hung = multiply(devices_, "cuda", 11, true, [&] { return is_wanted.load(); });
    ASSERT_FALSE(hung);
    EXPECT_EQ(hung.error().code, Code::kCancelled);
    EXPECT_THAT(hung.error().message, HasSubstr("the device's process was ended"));
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const auto given_up = multiply(devices_, "cuda", 300, true, [] { return false; });
  ASSERT_FALSE(given_up) << "who waits in the line may leave it";
  EXPECT_EQ(given_up.error().code, Code::kCancelled);
  is_wanted = false;
  const auto after = multiply(devices_, "cuda", 300);
  EXPECT_TRUE(after) << after.error().message;
  hanging.join();
}

TEST(DevicesTest, WhatIsNoHostIsTold) {
  Devices none({.command = {"/no/such/program"}});
  EXPECT_THAT(multiply(none, "opencl", 3).error().message, HasSubstr("could not be started"));
  Devices dead({.command = {"/bin/sh", "-c", "kill -SEGV $$"}});
  EXPECT_THAT(multiply(dead, "opencl", 3).error().message, HasSubstr("was killed by signal 11"));
  Devices mute({.command = {"/bin/sh", "-c", "sleep 60"}});
  const auto begun = std::chrono::steady_clock::now();
  const auto waited = multiply(mute, "opencl", 3, true, [&] {
    return std::chrono::steady_clock::now() - begun < std::chrono::milliseconds(20);
  });
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().code, Code::kCancelled);
}

TEST(DeviceAnswerTest, IsHeldAgainstItsRanges) {
  DeviceAnswer answer{};
  EXPECT_FALSE(error_of(answer));
  answer.status = 77;
  std::fill(std::begin(answer.text), std::end(answer.text), 'x');
  EXPECT_EQ(error_of(answer)->code, Code::kInternal);
  EXPECT_EQ(error_of(answer)->message.size(), sizeof answer.text);
  const DeviceAnswer told = answer_of({Code::kOutOfBudget, std::string(5000, 'y')});
  EXPECT_EQ(error_of(told)->code, Code::kOutOfBudget);
  EXPECT_EQ(error_of(told)->message.size(), sizeof told.text - 1);
}

}  // namespace
}  // namespace hearth::compute
