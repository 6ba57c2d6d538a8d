// Kernels for devices: honest ones and cheats on PoCL, CUDA as far as a machine without a GPU can say.
#include "compute/device_kernel.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "compute/cuda/nvrtc.h"
#include "compute/named_kernels_for_test.h"
#include "compute/receipt.h"
#include "compute/shelf.h"

#ifndef HEARTH_FAKE_CUDA  // A build without the jailed programs.
#define HEARTH_FAKE_CUDA ""
#endif

namespace hearth::compute {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::StartsWith;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HEARTH_SKIP_WITHOUT_OPENCL() \
  GTEST_SKIP() << "the driver and its compiler run elsewhere: a sanitizer sees nothing of them"
#else
#define HEARTH_SKIP_WITHOUT_OPENCL()                                        \
  HEARTH_SKIP_WITHOUT_JAIL();                                               \
  if (const auto device = device_here(Language::kOpenCl); !device)          \
    GTEST_SKIP() << device.error().message;                                 \
  else if (device->is_host == 0)                                            \
  GTEST_SKIP() << "what is caught here is caught on processors"
#endif

const char* const kScale = "out f32[n], in f32[n], w f32[n], n i64";
const char* const kOracle = "for (i64 i = 0; i < n; ++i) out[i] = in[i] * w[i];";
const char* const kTerms =
    "tolerance_ulps = 1\nflops = \"n\"\nlanguage = \"opencl\"\nrange = [\"n\"]\n";
const char* const kHonest = "const i64 i = ITEM(0);\nif (i < n) out[i] = in[i] * w[i];";

// As build_for_test(), with the oracle in C++ and the kernel's body in the contract's language.
Result<Contract> device_contract(const TestKernel& test) {
  Contract shape;
  shape.name = "k";
  HEARTH_TRY(shape.signature, parse_signature(test.signature));
  return contract_of(test, parameters_of(oracle_declaration(shape)));
}

std::string source_of(const TestKernel& test, const Contract& contract) {
  return test.helpers + device_declaration(contract) + " {\n" + test.body + "\n}\n";
}

Result<std::shared_ptr<const Kernel>> build_on_device(const TestKernel& test) {
  HEARTH_TRY(const Contract contract, device_contract(test));
  VerifyOptions options;
  options.deadline = std::chrono::milliseconds(500);
  options.limits = {.bytes_max = std::int64_t{1} << 18, .work_max = 500'000};
  options.bench_bytes = std::int64_t{1} << 20;
  options.n_mixed = 2;
  options.is_timed = test.is_timed;
  HEARTH_TRY(Oracle oracle, Oracle::create(contract, options.deadline));
  return make_kernel(contract, source_of(test, contract), oracle, test_key(), options);
}

TEST(DeviceKernel, IsVerifiedTimedAndKept) {
  HEARTH_SKIP_WITHOUT_OPENCL();
  const auto kernel = build_on_device({kScale, kHonest, kOracle, kTerms, "", true});
  ASSERT_TRUE(kernel) << kernel.error().message;
  const auto statement = read_receipt((*kernel)->receipt);
  ASSERT_TRUE(statement) << statement.error().message;
  const auto device = device_here(Language::kOpenCl);
  EXPECT_EQ(statement->device, device->device);
  EXPECT_EQ(statement->driver, device->driver);
  EXPECT_EQ(statement->target, device->target);
  EXPECT_EQ(statement->compiler, device->driver);
  EXPECT_EQ(statement->determinism, "D1");
  EXPECT_GT(statement->speed.run_ns, 0);
  EXPECT_GT(statement->speed.roof_gb_s, 0);
  EXPECT_THAT(statement->json, HasSubstr("\"language\":\"opencl\""));

  const TestFolder folder;
  const auto key = MachineKey::open(folder.path() / "kernel.key");
  ASSERT_TRUE(KernelShelf(folder.path() / "kernels", *key).put(*kernel));
  KernelShelf shelf(folder.path() / "kernels", *key);
  const auto found = shelf.find_named("k");
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ((*found)->image.bytes, (*kernel)->image.bytes);
  // What came from the shelf runs without a compiler.
  const Contract& contract = (*found)->contract;
  auto runner = KernelRunner::create(contract.signature, (*found)->image.fd.get(),
                                     runner_options(contract, std::chrono::milliseconds(500)));
  ASSERT_TRUE(runner) << runner.error().message;
  Dice dice(1);
  const auto drawn = draw_case(contract, {1000}, Values::kEven, dice);
  ASSERT_TRUE(drawn);
  const auto outputs = runner->run_often(*drawn, 2);
  ASSERT_TRUE(outputs) << outputs.error().message;
  EXPECT_EQ(outputs->tensors[0].number(999),
            static_cast<float>(drawn->tensors[1].number(999) * drawn->tensors[2].number(999)));
  ASSERT_TRUE(shelf.drop((*found)->key));
  EXPECT_FALSE(KernelShelf(folder.path() / "kernels", *key).find((*found)->key));
}

TEST(DeviceKernel, HasGroupsAndTheirMemory) {
  HEARTH_SKIP_WITHOUT_OPENCL();
  const auto kernel = build_on_device(
      {"out f32[m, n], a f32[m, k], b f32[k, n], factor f32",
       "LOCAL f32 tile[8][8];\n"
       "const i64 row = ITEM(1), col = ITEM(0);\n"
       "f32 sum = 0;\n"
       "for (i64 at = 0; at < k; at += 8) {\n"
       "  tile[LOCAL_Y][LOCAL_X] = row < m && at + LOCAL_X < k ? a[row * k + at + LOCAL_X] : 0.0f;\n"
       "  BARRIER();\n"
       "  for (i64 i = 0; i < 8 && at + i < k; ++i)\n"
       "    if (col < n) sum += tile[LOCAL_Y][i] * b[(at + i) * n + col];\n"
       "  BARRIER();\n"
       "}\n"
       "if (row < m && col < n) out[row * n + col] = factor * sum;",
       "for (i64 i = 0; i < m; ++i) for (i64 j = 0; j < n; ++j) { Sum s; for (i64 l = 0; l < k; ++l) "
       "s.add(a[i * k + l] * b[l * n + j]); out[i * n + j] = factor * s.value(); }",
       "tolerance_ulps = \"8 + k\"\nlanguage = \"opencl\"\nrange = [\"n\", \"m\"]\ngroup = [8, 8]\n"});
  ASSERT_TRUE(kernel) << kernel.error().message;
}

class CheatOnDevice : public testing::TestWithParam<NamedKernel> {};

TEST_P(CheatOnDevice, IsCaught) {
  HEARTH_SKIP_WITHOUT_OPENCL();
  expect_caught(GetParam(), build_on_device(GetParam().kernel));
}

const char* const kCall =
    "long call(long number, long a, long b, long c) { long r; __asm__ volatile(\"syscall\" : \"=a\"(r) "
    ": \"a\"(number), \"D\"(a), \"S\"(b), \"d\"(c) : \"rcx\", \"r11\", \"memory\"); return r; }\n";

const NamedKernel kCheats[] = {
    {"wrong", {kScale, "const i64 i = ITEM(0);\nif (i < n) out[i] = in[i] + w[i];", kOracle, kTerms}, "where the oracle says"},
    {"writes_past_the_end", {kScale, "const i64 i = ITEM(0);\nout[i] = i < n ? in[i] * w[i] : 0.0f;", kOracle, kTerms}, "'out'"},
    {"writes_its_inputs", {kScale, "const i64 i = ITEM(0);\nif (i < n) { ((GLOBAL f32*)in)[i] = 0; out[i] = 0; }", kOracle, kTerms}, "which is only read"},
    {"stale_output", {kScale, "const i64 i = ITEM(0);\nif (i < n) out[i] = in[i] * w[i] + (out[i] < -1e30f ? 1.0f : 0.0f);", kOracle, kTerms}, "two runs with the same inputs give different bits"},
    {"two_runs_differ", {kScale, "const i64 i = ITEM(0);\nif (i < n) out[i] = in[i] * w[i] * (((ulong)out & 4095) == 0 ? 1.0f : 1.0000001f);", kOracle, kTerms}, "at n ="},
    {"endless", {kScale, "while (((volatile GLOBAL f32*)in)[0] == in[0]) {}\nout[ITEM(0)] = 1;", kOracle, kTerms}, "has not returned"},
    {"starts_a_process", {kScale, "call(57, 0, 0, 0);\nconst i64 i = ITEM(0);\nif (i < n) out[i] = in[i] * w[i];", kOracle, kTerms, kCall}, "system call 57"},
    {"does_not_compile", {kScale, "out[0] = inn[0];", kOracle, kTerms}, "does not compile: kernel.cl:2:10: use of undeclared identifier 'inn'"},
    {"reads_a_file", {kScale, kHonest, kOracle, kTerms, "#include \"/etc/passwd\"\n"}, "kernel.cl:1: a kernel includes nothing"},
    {"reads_a_file_behind_a_comment", {kScale, kHonest, kOracle, kTerms, "/**/ # /**/ inc\\\nlude \"/etc/passwd\"\n"}, "a kernel includes nothing"},
    {"says_that_there_is_no_device", {kScale, kHonest, kOracle, kTerms, "hearth: no device: none\n"}, "does not compile: kernel.cl:1"},
    {"reads_a_file_by_a_trigraph", {kScale, kHonest, kOracle, kTerms, "\n?\?=include \"/etc/passwd\"\n"}, "trigraphs, which are no part of"},
    {"asks_what_there_is", {kScale, kHonest, kOracle, kTerms, "#if __has_include(\"/etc/passwd\")\n#endif\n"}, "poisoned"},
};
INSTANTIATE_TEST_SUITE_P(All, CheatOnDevice, testing::ValuesIn(kCheats), name_of);

TEST(DeviceKernel, HasToDefineItsFunction) {
  HEARTH_SKIP_WITHOUT_OPENCL();
  const auto contract = device_contract({kScale, kHonest, kOracle, kTerms});
  ASSERT_TRUE(contract);
  const auto unit = device_unit(*contract, "void other(void) {}");
  ASSERT_TRUE(unit);
  const auto image = compile_for_device(*contract, *unit, *device_here(Language::kOpenCl));
  ASSERT_FALSE(image);
  EXPECT_THAT(image.error().message, HasSubstr("it does not define KERNEL k(GLOBAL f32* restrict out"));
}

// The compiler's jail bounds what a source can make it do.
TEST(DeviceKernel, CompilesWithinLimits) {
  HEARTH_SKIP_WITHOUT_OPENCL();
  std::string bomb = "#define B0 + in[0] * w[0]\n";
  for (int i = 1; i < 12; ++i)
    bomb += fmt::format("#define B{} B{} B{} B{} B{}\n", i, i - 1, i - 1, i - 1, i - 1);
  const auto contract = device_contract({kScale, "out[0] = 0 B11;", kOracle, kTerms, bomb});
  ASSERT_TRUE(contract);
  const auto unit =
      device_unit(*contract, source_of({kScale, "out[0] = 0 B11;", kOracle, kTerms, bomb}, *contract));
  ASSERT_TRUE(unit) << unit.error().message;
  sandbox::JailLimits limits = device_compile_limits();
  limits.cpu_s = 1;
  const auto image =
      compile_for_device(*contract, *unit, *device_here(Language::kOpenCl), limits);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, Code::kInvalidArgument);
  EXPECT_THAT(image.error().message, HasSubstr("takes longer than 1 s"));
}

// A kernel that makes calls of its own finds no files but public ones, and no way to write.
TEST(DeviceKernel, OpensNothingOfTheUsers) {
  HEARTH_SKIP_WITHOUT_OPENCL();
  const TestFolder folder;
  const std::string secret = (folder.path() / "secret").string();
  ASSERT_TRUE(write_file_atomic(secret, "x"));
  const std::vector<std::string> paths = {secret, "/etc/passwd", "/proc/self/environ", "/proc/1/maps"};
  std::string body = "if (ITEM(0) > 0) return;\n";
  for (std::size_t i = 0; i < paths.size(); ++i) {
    body += fmt::format("{{ char path[] = \"{}\"; out[{}] = call(2, (long)path, 0, 0); }}\n", paths[i], i);
  }
  body += fmt::format("{{ char path[] = \"{}\"; out[4] = call(2, (long)path, 0x241, 0600); }}", secret + "2");
  const TestKernel test{"out i64[5]", body, "for (i64 i = 0; i < 5; ++i) out[i] = i;",
                        "language = \"opencl\"\nrange = [\"1\"]\n", kCall};
  const auto contract = device_contract(test);
  ASSERT_TRUE(contract) << contract.error().message;
  const auto unit = device_unit(*contract, source_of(test, *contract));
  ASSERT_TRUE(unit) << unit.error().message;
  const auto image = compile_for_device(*contract, *unit, *device_here(Language::kOpenCl));
  ASSERT_TRUE(image) << image.error().message;
  auto runner = KernelRunner::create(contract->signature, image->fd.get(),
                                     runner_options(*contract, std::chrono::milliseconds(500)));
  ASSERT_TRUE(runner) << runner.error().message;
  Case arguments;
  arguments.tensors = {make_tensor(ElementType::kI64, {5})};
  arguments.strides.resize(1);
  const auto outputs = runner->run(arguments, {});
  ASSERT_TRUE(outputs) << outputs.error().message;
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(outputs->tensors[0].number(i), -EACCES) << "path " << i;
  EXPECT_FALSE(std::filesystem::exists(secret + "2"));
}

TEST(DeviceContract, SaysHowItIsLaunched) {
  const auto contract =
      device_contract({kScale, "", kOracle, "language = \"cuda\"\nrange = [\"n\", 3]\ngroup = [32, 2]\n"});
  ASSERT_TRUE(contract) << contract.error().message;
  EXPECT_EQ(device_declaration(*contract),
            "KERNEL k(GLOBAL f32* restrict out, GLOBAL const f32* restrict in, "
            "GLOBAL const f32* restrict w, i64 n)");
  const std::vector<std::int64_t> sizes = {33};
  EXPECT_EQ(*items_of(*contract, sizes), (std::array<std::uint64_t, 3>{64, 4, 0}));
  const auto again = parse_contract(to_toml(*contract), "again");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(contract_key(*again), contract_key(*contract));
  Contract other = *contract;
  other.group = {64, 1};
  EXPECT_NE(contract_key(other), contract_key(*contract));
  const std::vector<std::int64_t> negative = {-1};
  EXPECT_THAT(items_of(*contract, negative).error().message, HasSubstr("which no device counts"));
}

TEST(DeviceContract, RefusesWhatNoDeviceLaunches) {
  const auto problem = [](const std::string& settings, const char* signature = kScale) {
    const auto contract = device_contract({signature, "", kOracle, settings});
    return contract ? std::string("none") : contract.error().message;
  };
  EXPECT_THAT(problem("language = \"opencl\"\n"), HasSubstr("needs 'range'"));
  EXPECT_THAT(problem("range = [\"n\"]\n"), HasSubstr("'range' and 'group' are for kernels on devices"));
  EXPECT_THAT(problem("language = \"opencl\"\nrange = [\"n\"]\ngroup = [8, 8]\n"),
              HasSubstr("'group' has 2 sizes, and 'range' 1"));
  EXPECT_THAT(problem("language = \"opencl\"\nrange = [\"n\"]\ngroup = [512]\n"), HasSubstr("256 together at most"));
  EXPECT_THAT(problem("language = \"opencl\"\nrange = [\"n\", 1, 1, 1]\n"), HasSubstr("1 to 3 expressions"));
  EXPECT_THAT(problem("language = \"opencl\"\nrange = [\"n\"]\n", "out f32[n], in f32[n] strided, w f32[n], n i64"),
              HasSubstr("'in' is strided"));
}

class CudaKernel : public testing::TestWithParam<int> {};

// NVRTC in the compiler's jail; no GPU is needed.
TEST_P(CudaKernel, Compiles) {
  HEARTH_SKIP_WITHOUT_JAIL();
  const Result<const Nvrtc*> nvrtc = Nvrtc::open();
  if (!nvrtc) GTEST_SKIP() << nvrtc.error().message;
  if (!(*nvrtc)->knows(GetParam())) GTEST_SKIP() << (*nvrtc)->library() << " makes no such code";
  const TestKernel test{kScale, kHonest, kOracle, "language = \"cuda\"\nrange = [\"n\"]\n"};
  const auto contract = device_contract(test);
  ASSERT_TRUE(contract) << contract.error().message;
  sandbox::DeviceIdentity device{};
  fmt::format_to_n(device.target, sizeof device.target - 1, "sm_{}", GetParam());
  const auto compile = [&](const std::string& source) -> Result<Image> {
    HEARTH_TRY(const Unit unit, device_unit(*contract, source));
    return compile_for_device(*contract, unit, device);
  };
  const auto image = compile(source_of(test, *contract));
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_THAT(image->bytes.substr(sizeof(sandbox::DeviceImageHeader)), StartsWith("\177ELF"));
  EXPECT_THAT(image->compiler, StartsWith("NVRTC 1"));
  const auto broken = compile(device_declaration(*contract) + " { out[0] = inn[0]; }");
  ASSERT_FALSE(broken);
  EXPECT_THAT(broken.error().message, HasSubstr("kernel.cu(1): error: identifier \"inn\" is undefined"));
}
INSTANTIATE_TEST_SUITE_P(Architectures, CudaKernel, testing::Values(80, 90, 100),
                         [](const auto& test) { return "sm_" + std::to_string(test.param); });

// The worker with a driver of the test's own, whose only kernel multiplies.
TEST(CudaKernel, RunsInItsWorkerByTheDriversCalls) {
  HEARTH_SKIP_WITHOUT_JAIL();
  const auto contract =
      device_contract({kScale, "", kOracle, "language = \"cuda\"\nrange = [\"n\"]\ngroup = [32]\n"});
  ASSERT_TRUE(contract) << contract.error().message;
  sandbox::DeviceImageHeader header = device_header(*contract, {});
  const std::string target = "sm_90";
  target.copy(header.made_for.target, target.size());
  const auto image = image_from(std::string(reinterpret_cast<const char*>(&header), sizeof header) + "cubin");
  ASSERT_TRUE(image);
  RunnerOptions options = runner_options(*contract, std::chrono::milliseconds(500));
  options.library = HEARTH_FAKE_CUDA;
  auto runner = KernelRunner::create(contract->signature, image->fd.get(), options);
  ASSERT_TRUE(runner) << runner.error().message;
  Dice dice(1);
  const auto drawn = draw_case(*contract, {1000}, Values::kEven, dice);
  ASSERT_TRUE(drawn);
  const auto outputs = runner->run(*drawn, {.placement = Placement::kShifted});
  ASSERT_TRUE(outputs) << outputs.error().message;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(outputs->tensors[0].number(i),
              static_cast<float>(drawn->tensors[1].number(i) * drawn->tensors[2].number(i)));
  }
  // 7 is the size at which this driver fails: the worker goes, and another comes.
  const auto failing = draw_case(*contract, {7}, Values::kEven, dice);
  const auto failed = runner->run(*failing, {});
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("the device refuses the run with error 700: the kernel touched"));
  const auto process = runner->process_descriptor();  // Of the next one, which whoever gives up can end.
  ASSERT_TRUE(process) << process.error().message;
  EXPECT_EQ(::syscall(SYS_pidfd_send_signal, process->get(), 0, nullptr, 0U), 0);
  EXPECT_TRUE(runner->run(*drawn, {}));
  // Another device's image is none for this one.
  header.made_for.target[3] = '8';
  const auto other = image_from(std::string(reinterpret_cast<const char*>(&header), sizeof header) + "cubin");
  const auto refused = KernelRunner::create(contract->signature, other->fd.get(), options);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("it was built for sm_80, and here is sm_90"));
}

}  // namespace
}  // namespace hearth::compute
