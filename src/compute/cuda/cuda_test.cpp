// CUDA as far as a machine without a GPU can say: NVRTC compiles every kernel, and the calls to the driver
// are held against a driver of the test's own.  On a GPU the kernels run beside the CPU's.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>

#include "compute/builtin/builtin.h"
#include "compute/cuda/cuda_device.h"
#include "compute/cuda/nvrtc.h"

namespace hearth::compute {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class NvrtcTest : public testing::TestWithParam<int> {};

TEST_P(NvrtcTest, CompilesEveryKernel) {
  const Result<const Nvrtc*> nvrtc = Nvrtc::open();
  if (!nvrtc) {
    ASSERT_EQ(nvrtc.error().code, Code::kUnavailable) << nvrtc.error().message;
    GTEST_SKIP() << nvrtc.error().message;
  }
  if (!(*nvrtc)->knows(GetParam())) {
    GTEST_SKIP() << (*nvrtc)->library() << " makes no code for sm_" << GetParam();
  }
  const Result<std::string> cubin = (*nvrtc)->compile(device_source(Dialect::kCuda), GetParam());
  ASSERT_TRUE(cubin) << cubin.error().message;
  EXPECT_THAT(*cubin, StartsWith("\177ELF"));
  for (const std::string_view name : device_builtins()) {
    EXPECT_THAT(*cubin, HasSubstr(".text." + std::string(name)));
  }
  const Result<std::string> broken = (*nvrtc)->compile("int f() { return x; }", GetParam());
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, Code::kInvalidArgument);
  EXPECT_THAT(broken.error().message, HasSubstr("\"x\" is undefined"));
}
INSTANTIATE_TEST_SUITE_P(Architectures, NvrtcTest, testing::Values(80, 90, 100),
                         [](const auto& test) { return "sm_" + std::to_string(test.param); });

TEST(NvrtcCandidatesTest, TheNamedOneThenPythonsThenTheLoaders) {
  const std::filesystem::path prefix = testing::TempDir() + "hearth-nvrtc";
  const auto folder = prefix / "lib/python3.11/site-packages/nvidia/cuda_nvrtc/lib";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "libnvrtc.so.12") << "x";
  const char* const named = std::getenv("HEARTH_NVRTC");
  const std::string before = named == nullptr ? "" : named;
  const char* const env = std::getenv("VIRTUAL_ENV");
  const std::string env_before = env == nullptr ? "" : env;
  setenv("HEARTH_NVRTC", "/named", 1);
  setenv("VIRTUAL_ENV", prefix.c_str(), 1);
  const auto candidates = nvrtc_candidates();
  before.empty() ? unsetenv("HEARTH_NVRTC") : setenv("HEARTH_NVRTC", before.c_str(), 1);
  env_before.empty() ? unsetenv("VIRTUAL_ENV") : setenv("VIRTUAL_ENV", env_before.c_str(), 1);
  ASSERT_GE(candidates.size(), 4U);
  EXPECT_EQ(candidates[0], "/named");
  EXPECT_EQ(candidates[1], (folder / "libnvrtc.so.12").string());
  EXPECT_EQ(candidates.back(), "libnvrtc.so.12");
  std::filesystem::remove_all(prefix);
}

// A driver whose device memory is the host's and whose only kernel is mul_f32.  It writes down calls.
struct FakeDriver {
  std::vector<std::string> calls;
  std::map<CudaAddress, std::unique_ptr<std::byte[]>> memory;
  int synchronize_error = 0;
  int memory_error = 0;
};
FakeDriver g_fake;

CudaDriver fake_driver() {
  CudaDriver driver{};
  driver.device_get = [](int* device, int) { return *device = 0, 0; };
  driver.device_name = [](char* name, int, int) { return std::strcpy(name, "Fake"), 0; };
  driver.device_attribute = [](int* value, int attribute, int) {
    *value = attribute == kCudaComputeMajor ? 9 : 0;
    return 0;
  };
  driver.context_retain = [](CudaHandle* context, int) { return *context = &g_fake, 0; };
  driver.context_release = [](int) { return g_fake.calls.emplace_back("release"), 0; };
  driver.context_set_current = [](CudaHandle context) { return context == &g_fake ? 0 : 1; };
  driver.context_synchronize = [] { return g_fake.calls.emplace_back("synchronize"), g_fake.synchronize_error; };
  driver.module_load = [](CudaHandle* module, const void* image) {
    *module = &g_fake.calls;
    return g_fake.calls.push_back("load " + std::string(static_cast<const char*>(image))), 0;
  };
  driver.module_unload = [](CudaHandle) { return g_fake.calls.emplace_back("unload"), 0; };
  driver.module_function = [](CudaHandle* function, CudaHandle, const char* name) {
    *function = &g_fake.memory;
    return g_fake.calls.push_back(std::string("find ") + name), 0;
  };
  driver.memory_take = [](CudaAddress* address, std::size_t bytes) {
    if (g_fake.memory_error != 0) return g_fake.memory_error;
    auto taken = std::make_unique<std::byte[]>(bytes);
    *address = reinterpret_cast<CudaAddress>(taken.get());
    g_fake.memory[*address] = std::move(taken);
    return 0;
  };
  driver.memory_free = [](CudaAddress address) { return g_fake.memory.erase(address) == 1 ? 0 : 1; };
  driver.copy_to_device = [](CudaAddress to, const void* from, std::size_t bytes) {
    return std::memcpy(reinterpret_cast<void*>(to), from, bytes), 0;
  };
  driver.copy_to_host = [](void* to, CudaAddress from, std::size_t bytes) {
    return std::memcpy(to, reinterpret_cast<const void*>(from), bytes), 0;
  };
  driver.launch = [](CudaHandle, unsigned grid, unsigned, unsigned, unsigned block, unsigned, unsigned, unsigned,
                     CudaHandle, void** arguments, void**) {
    g_fake.calls.push_back("launch " + std::to_string(grid) + " x " + std::to_string(block));
    float* const out = *static_cast<float**>(arguments[0]);
    const float* const in = *static_cast<float**>(arguments[1]);
    const float* const weights = *static_cast<float**>(arguments[2]);
    const auto n = *static_cast<std::int64_t*>(arguments[3]);
    for (std::int64_t i = 0; i < n; ++i) out[i] = in[i] * weights[i];
    return 0;
  };
  driver.error_name = [](int, const char** name) { return *name = "CUDA_ERROR_OF_THE_TEST", 0; };
  return driver;
}

Tensor tensor_of(std::vector<float>& values) {
  return {ElementType::kF32, {static_cast<std::int64_t>(values.size())}, {}, reinterpret_cast<std::byte*>(values.data())};
}

Result<DevicePlan> plan_mul(std::vector<float>& out, std::vector<float>& x, std::vector<float>& y) {
  const std::vector<Argument> arguments = {tensor_of(out), tensor_of(x), tensor_of(y)};
  HEARTH_TRY(const Bindings bound, bind_arguments(signature_of(*find_builtin("mul_f32")), arguments));
  return plan_for_device("mul_f32", bound);
}

TEST(CudaDeviceTest, CallsTheDriverInOrderAndGivesAllBack) {
  g_fake = {};
  const CudaDriver driver = fake_driver();
  std::vector<float> x(300, 2), y(300, 3), out(300);
  {
    const auto device = CudaDevice::open(driver, "cubin");
    ASSERT_TRUE(device) << device.error().message;
    EXPECT_EQ((*device)->info().name, "Fake");
    EXPECT_EQ((*device)->architecture(), 90);
    const auto plan = plan_mul(out, x, y);
    ASSERT_TRUE(plan);
    ASSERT_TRUE((*device)->run(*plan, {}));
    EXPECT_TRUE(g_fake.memory.empty());
  }
  EXPECT_EQ(out, std::vector<float>(300, 6));
  EXPECT_THAT(g_fake.calls, ElementsAre("load cubin", "find mul_f32", "launch 2 x 256", "synchronize", "unload", "release"));
}

TEST(CudaDeviceTest, AFailedRunFreesItsMemoryAndEndsTheDevice) {
  g_fake = {};
  const CudaDriver driver = fake_driver();
  std::vector<float> x(3, 2), y(3, 3), out(3);
  const auto device = CudaDevice::open(driver, "cubin");
  ASSERT_TRUE(device);
  const auto plan = plan_mul(out, x, y);
  g_fake.memory_error = kCudaOutOfMemory;
  const auto no_memory = (*device)->run(*plan, {});
  ASSERT_FALSE(no_memory);
  EXPECT_EQ(no_memory.error().code, Code::kOutOfBudget);
  g_fake.memory_error = 0;
  EXPECT_TRUE((*device)->run(*plan, {}));
  g_fake.synchronize_error = 700;
  const auto faulted = (*device)->run(*plan, {});
  ASSERT_FALSE(faulted);
  EXPECT_THAT(faulted.error().message, HasSubstr("CUDA_ERROR_OF_THE_TEST"));
  EXPECT_TRUE(g_fake.memory.empty());
  g_fake.synchronize_error = 0;
  const auto after = (*device)->run(*plan, {});
  ASSERT_FALSE(after);
  EXPECT_EQ(after.error().code, Code::kUnavailable);
}

// A product of `T` on the device, beside one by hand.
template <class T>
Result<> multiply_on(CudaDevice& device, std::int64_t m, std::int64_t k, std::int64_t n) {
  std::vector<T> a(static_cast<std::size_t>(m * k)), b(static_cast<std::size_t>(k * n)),
      out(static_cast<std::size_t>(m * n), T{7});
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<T>(i % 7) - 3;
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<T>(i % 5) - 1;
  constexpr bool kIsDouble = sizeof(T) == sizeof(double);
  const auto tensor = [](std::vector<T>& data, std::int64_t rows, std::int64_t cols) {
    return Tensor{kIsDouble ? ElementType::kF64 : ElementType::kF32,
                  {rows, cols}, {cols, 1}, reinterpret_cast<std::byte*>(data.data())};
  };
  const char* const name = kIsDouble ? "gemm_f64" : "gemm_f32";
  const std::vector<Argument> arguments = {tensor(out, m, n), tensor(a, m, k), tensor(b, k, n)};
  HEARTH_TRY(const Bindings bound, bind_arguments(signature_of(*find_builtin(name)), arguments));
  HEARTH_TRY(const DevicePlan plan, plan_for_device(name, bound));
  HEARTH_TRY_VOID(device.run(plan, {}));
  for (std::int64_t row = 0; row < m; ++row) {
    for (std::int64_t col = 0; col < n; ++col) {
      T sum = 0;  // Whole numbers: exact.
      for (std::int64_t i = 0; i < k; ++i)
        sum += a[static_cast<std::size_t>(row * k + i)] * b[static_cast<std::size_t>(i * n + col)];
      EXPECT_EQ(out[static_cast<std::size_t>(row * n + col)], sum) << row << ", " << col;
    }
  }
  return {};
}

class CublasTest : public testing::Test {
 protected:
  void SetUp() override { g_fake = {}; }
  const CudaDriver driver_ = fake_driver();
  const std::vector<std::string> fake_ = {"/no/such/libcublas.so.13", HEARTH_FAKE_CUBLAS};
};

TEST_F(CublasTest, MakesProductsOfRowsByColumns) {
  const auto handles = [](const std::string& path) {
    return reinterpret_cast<int (*)()>(::dlsym(::dlopen(path.c_str(), RTLD_NOW), "fake_cublas_handles"))();
  };
  {
    const auto device = CudaDevice::open(driver_, "cubin", fake_);
    ASSERT_TRUE(device) << device.error().message;
    ASSERT_NE((*device)->cublas(), nullptr);
    EXPECT_EQ((*device)->cublas()->library(), HEARTH_FAKE_CUBLAS);
    EXPECT_EQ((*device)->cublas()->version(), 120401);
    EXPECT_EQ(handles(HEARTH_FAKE_CUBLAS), 1);
    for (const auto& [m, k, n] : {std::array{1, 1, 1}, {2, 3, 5}, {5, 3, 2}, {7, 1, 4}, {1, 9, 1}}) {
      EXPECT_TRUE(multiply_on<float>(**device, m, k, n));
      EXPECT_TRUE(multiply_on<double>(**device, m, k, n));
    }
    EXPECT_TRUE(g_fake.memory.empty());
    // Other built-ins are the house's, as is a product without anything to sum up.
    std::vector<float> x(3, 2), y(3, 3), out(3);
    ASSERT_TRUE((*device)->run(*plan_mul(out, x, y), {}));
    EXPECT_EQ(out, std::vector<float>(3, 6));
    EXPECT_FALSE(Cublas::takes({{0}, {1}, {2}, 4, 4, 0, false}));
    EXPECT_FALSE(Cublas::takes({{0}, {1}, {2}, 4, std::int64_t{1} << 31, 1, false}));
  }
  EXPECT_EQ(handles(HEARTH_FAKE_CUBLAS), 0);
  EXPECT_THAT(g_fake.calls, Not(Contains("find gemm_f32")));
}

TEST_F(CublasTest, TellsWhatFailed) {
  const auto device = CudaDevice::open(driver_, "cubin", fake_);
  ASSERT_TRUE(device);
  const Result<> failed = multiply_on<float>(**device, 2, 77, 2);  // The depth at which this one fails.
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Code::kInternal);
  EXPECT_THAT(failed.error().message, HasSubstr("a product failed: CUBLAS_STATUS_EXECUTION_FAILED"));
  const Result<> no_memory = multiply_on<double>(**device, 2, 78, 2);
  ASSERT_FALSE(no_memory);
  EXPECT_EQ(no_memory.error().code, Code::kOutOfBudget);
  EXPECT_TRUE(g_fake.memory.empty());
  g_fake.synchronize_error = 700;
  EXPECT_THAT(multiply_on<float>(**device, 2, 2, 2).error().message, HasSubstr("CUDA_ERROR_OF_THE_TEST"));
}

TEST_F(CublasTest, IsAskedOnlyWhereItIsWantedAndThere) {
  const auto without = CudaDevice::open(driver_, "cubin");
  ASSERT_TRUE(without);
  EXPECT_EQ((*without)->cublas(), nullptr);
  const std::vector<std::string> nowhere = {"/no/such/libcublas.so.13"};
  const auto unfound = CudaDevice::open(driver_, "cubin", nowhere);
  ASSERT_TRUE(unfound) << "a device without cuBLAS makes its own products";
  EXPECT_EQ((*unfound)->cublas(), nullptr);
  const auto why = Cublas::open(nowhere);
  ASSERT_FALSE(why);
  EXPECT_THAT(why.error().message, HasSubstr("install pip's nvidia-cublas-cu12"));
  ::setenv("HEARTH_FAKE_CUBLAS_HAS_NO_GPU", "1", 1);
  const auto no_gpu = Cublas::open(fake_);
  ::unsetenv("HEARTH_FAKE_CUBLAS_HAS_NO_GPU");
  ASSERT_FALSE(no_gpu);
  EXPECT_EQ(no_gpu.error().code, Code::kUnavailable);
  EXPECT_THAT(no_gpu.error().message, HasSubstr("can't use the GPU: CUBLAS_STATUS_NOT_INITIALIZED"));
  const std::vector<std::string> other = {"libm.so.6"};
  EXPECT_THAT(Cublas::open(other).error().message, HasSubstr("libm.so.6 has no function 'cublasCreate_v2'"));
}

// NVIDIA's own, where pip has installed it: it has every function, whether or not there is a GPU.
TEST_F(CublasTest, FindsTheFunctionsOfTheRealOne) {
  const auto opened = Cublas::open(cublas_candidates());
  if (opened) return;
  EXPECT_EQ(opened.error().code, Code::kUnavailable);
  EXPECT_THAT(opened.error().message, Not(HasSubstr("has no function")));
  if (opened.error().message.find("can't use the GPU") == std::string::npos)
    GTEST_SKIP() << opened.error().message;
}

TEST(CudaDeviceTest, RunsOnAGpuWhereThereIsOne) {
  const auto device = CudaDevice::open();
  if (!device) {
    ASSERT_EQ(device.error().code, Code::kUnavailable) << device.error().message;
    GTEST_SKIP() << device.error().message;
  }
  std::vector<float> x(70001, 2), y(70001, 3), out(70001);
  const auto plan = plan_mul(out, x, y);
  ASSERT_TRUE(plan);
  const auto done = (*device)->run(*plan, {});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(out, std::vector<float>(out.size(), 6));
  const auto fastest = CudaDevice::open(Products::kFastest);
  ASSERT_TRUE(fastest) << fastest.error().message;
  for (CudaDevice* const each : {device->get(), fastest->get()}) {
    EXPECT_TRUE(multiply_on<float>(*each, 130, 517, 70));
    EXPECT_TRUE(multiply_on<double>(*each, 130, 517, 70));
  }
}

}  // namespace
}  // namespace hearth::compute
