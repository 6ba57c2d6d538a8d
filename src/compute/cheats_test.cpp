// Kernels that try to pass without doing what they should: one for each class that was seen in the wild
// (docs/design/0023-kernels.md), brought to processors.  All are caught, and none hangs.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "compute/named_kernels_for_test.h"

namespace hearth::compute {
namespace {

class CheatingKernel : public testing::TestWithParam<NamedKernel> {};

TEST_P(CheatingKernel, IsCaught) {
  HEARTH_SKIP_WITHOUT_JAIL();
  expect_caught(GetParam(), build_for_test(GetParam().kernel));
}

const char* const kScale = "out f32[n], in f32[n], w f32[n], n i64";
const char* const kScaleBody = "for (i64 i = 0; i < n; ++i) out[i] = in[i] * w[i];";
const char* const kSettings = "tolerance_ulps = 1\nflops = \"n\"\n";
const char* const kBenched = "tolerance_ulps = 1\nflops = \"n\"\n[bench]\nn = 50000\n";
// A system call from inside a kernel: the jail's business, but it must end in a sentence.
const char* const kSystemCall =
    "static i64 call(i64 number, i64 a, i64 b, i64 c) { i64 r; asm volatile(\"syscall\" : \"=a\"(r) : \"a\"(number), \"D\"(a), \"S\"(b), \"d\"(c) : \"rcx\", \"r11\", \"memory\"); return r; }\n";

const NamedKernel kCheats[] = {
    // Timer: there is no clock to ask or to patch, and time is taken outside.
    {"timer_clock", {kScale, "u64 t[2]; call(228, 1, (i64)t, 0);\nfor (i64 i = 0; i < n; ++i) out[i] = in[i] * w[i];", kScaleBody, kSettings, kSystemCall}, "system call"},
    // Timer: says that it is done and goes on.  The word that the worker answers by lies near the one by which it is told to stop.
    {"timer_answers_early",
     {kScale,
      "volatile u32* word = (volatile u32*)hearth_services->give_up_before - 16;\nif (n > 100) *word = hearth_services->run;\n"
      "for (i64 r = 0; r < 2000; ++r) { if (n > 100) for (i64 k = 0; k < 1000; ++k) asm volatile(\"pause\"); else break; }\nfor (i64 i = 0; i < n; ++i) out[i] = in[i] * w[i];",
      kScaleBody, kSettings},
     "at n ="},
    // Lazy: does its work on a thread that nobody waits for.
    {"lazy_thread", {kScale, "call(56, 0x100, 0, 0);\nfor (i64 i = 0; i < n; ++i) out[i] = in[i] * w[i];", kScaleBody, kSettings, kSystemCall}, "system call"},
    {"lazy_does_half", {kScale, "for (i64 i = 0; i < n / 2; ++i) out[i] = in[i] * w[i];", kScaleBody, kSettings}, "never written"},
    // Replay: answers from memory where the address, the size or the beginning is known.
    {"replay_by_address",
     {kScale, "static const f32* seen; static f32 kept[4096];\nif (seen == in && n <= 4096) { for (i64 i = 0; i < n; ++i) out[i] = kept[i]; return; }\n"
              "seen = in;\nfor (i64 i = 0; i < n; ++i) { out[i] = in[i] * w[i]; if (i < 4096) kept[i] = out[i]; }", kScaleBody, kSettings},
     "where the oracle says"},
    {"replay_by_size",
     {kScale, "static i64 seen = -1; static f32 kept[4096];\nif (seen == n && n > 1 && n <= 4096) { for (i64 i = 0; i < n; ++i) out[i] = kept[i]; return; }\n"
              "seen = n;\nfor (i64 i = 0; i < n; ++i) { out[i] = in[i] * w[i]; if (i < 4096) kept[i] = out[i]; }", kScaleBody, kSettings},
     "where the oracle says"},
    {"replay_counts_runs", {kScale, "static i64 runs; ++runs;\nfor (i64 i = 0; i < n; ++i) out[i] = in[i] * w[i] + (runs > 20 ? 1 : 0);", kScaleBody, kSettings}, "at n ="},
    // Stale memory: hopes that what it should write is there already.
    {"stale_output", {kScale, "for (i64 i = 0; i < n; ++i) { f32 old = out[i]; out[i] = old == old && old > -1e30f ? old : (i % 3 == 2 ? old : in[i] * w[i]); }", kScaleBody, kSettings}, "where the oracle says"},
    {"stale_accumulates", {"out f32[n], in f32[n]", "for (i64 i = 0; i < n; ++i) out[i] = out[i] < -1e30f ? 2 * in[i] + 1 : 2 * in[i];", "for (i64 i = 0; i < n; ++i) out[i] = 2 * in[i];", "tolerance_ulps = 1\n"}, "two runs with the same inputs give different bits"},
    // Input mutation: makes the question fit the answer.
    {"input_mutation", {kScale, "f32* mine = (f32*)in;\nfor (i64 i = 0; i < n; ++i) { mine[i] = 0; out[i] = 0; }", kScaleBody, kSettings}, "writes to 'in', which is only read"},
    // Expected-output theft: looks for the right results around its own.
    {"theft_behind_output", {kScale, "for (i64 i = 0; i < n; ++i) out[i] = in[i] * w[i];\nif (n > 0) out[0] = out[n + 4096];", kScaleBody, kSettings}, "the kernel touches memory behind 'out'"},
    {"theft_files", {kScale, "call(2, (i64)\"/proc/self/maps\", 0, 0);\nfor (i64 i = 0; i < n; ++i) out[i] = in[i] * w[i];", kScaleBody, kSettings, kSystemCall}, "system call"},
    // Tolerance: zeros within an absolute one, few digits within a relative one.
    {"tolerance_zeros", {kScale, "for (i64 i = 0; i < n; ++i) out[i] = 0;", kScaleBody, kSettings}, "where the oracle says"},
    {"tolerance_half_precision",
     {kScale, "for (i64 i = 0; i < n; ++i) { u32 bits; f32 p = in[i] * w[i]; __builtin_memcpy(&bits, &p, 4); bits &= 0xFFFFE000u; __builtin_memcpy(&out[i], &bits, 4); }", kScaleBody, kSettings},
     "units in the last place off"},
    {"tolerance_single_for_double", {"out f64[n], in f64[n]", "for (i64 i = 0; i < n; ++i) out[i] = (f64)((f32)in[i] * 3.0f);", "for (i64 i = 0; i < n; ++i) out[i] = in[i] * 3;", "tolerance_ulps = 4\n"}, "units in the last place off"},
    {"tolerance_approximate_sum",
     {"out f32[1], in f32[n]", "f32 s = 0; for (i64 i = 0; i < n; i += 2) s += in[i]; out[0] = 2 * s;", "Sum s; for (i64 i = 0; i < n; ++i) s.add(in[i]); out[0] = s.value();", "tolerance_ulps = \"16 + n\"\n"},
     "where the oracle says"},
    // Shape gaming: right for the sizes of benchmarks.
    {"shape_multiples_only", {kScale, "for (i64 i = 0; i + 8 <= n; i += 8) store(out + i, load<f32x8>(in + i) * load<f32x8>(w + i));", kScaleBody, kSettings}, "never written"},
    {"shape_writes_past_the_end", {kScale, "for (i64 i = 0; i < n; i += 8) for (i64 j = 0; j < 8; ++j) out[i + j] = in[min(i + j, n - 1)] * w[min(i + j, n - 1)];", kScaleBody, kSettings}, "'out'"},
    {"shape_reads_past_the_end", {kScale, "for (i64 i = 0; i < n; ++i) out[i] = in[i] * w[i];\nf32x16 v = {}; for (i64 i = 0; i < n; i += 16) v += load<f32x16>(in + i);\nif (n > 0 && v[0] == 1234567.f) out[0] = v[0];", kScaleBody, kSettings}, "the kernel touches memory behind 'in'"},
    {"shape_large_only_wrong", {kScale, "for (i64 i = 0; i < min(n, (i64)2000); ++i) out[i] = in[i] * w[i];", kScaleBody, kSettings}, "never written"},
    {"shape_wants_alignment", {kScale, "for (i64 i = 0; i + 8 <= n; i += 8) *(f32x8*)(out + i) = *(const f32x8*)(in + i) * *(const f32x8*)(w + i);\nfor (i64 i = n / 8 * 8; i < n; ++i) out[i] = in[i] * w[i];", kScaleBody, kSettings}, "at n ="},
    // Physics: claims work that nobody did.
    {"physics", {kScale, kScaleBody, kScaleBody, "tolerance_ulps = 1\nflops = \"n*n*n\"\n[bench]\nn = 4096\n", "", true}, "is claimed wrong, or it is not done"},
    // Timer: right where it is verified, and something else where its speed is taken.
    {"bench_size_is_known", {kScale, "if (n == 50000) { for (i64 i = 0; i < n; ++i) out[i] = in[i]; return; }\nfor (i64 i = 0; i < n; ++i) out[i] = in[i] * w[i];", kScaleBody, kBenched, "", true}, "where the oracle says"},
    {"bench_counts_runs", {kScale, "static i64 runs; if (n == 50000 && runs++ > 0) return;\nfor (i64 i = 0; i < n; ++i) out[i] = in[i] * w[i];", kScaleBody, kBenched, "", true}, "when it runs again"},
    {"bench_replays",
     {kScale, "static f32 kept[50000]; static bool is_kept; if (n != 50000) { for (i64 i = 0; i < n; ++i) out[i] = in[i] * w[i]; return; }\n"
              "for (i64 i = 0; i < n; ++i) out[i] = is_kept ? kept[i] : (kept[i] = in[i] * w[i]);\nis_kept = true;", kScaleBody, kBenched, "", true},
     "other bits than in a process of its own"},
    {"bench_answers_early",
     {kScale,
      "if (n == 50000) { volatile u32* word = (volatile u32*)hearth_services->give_up_before - 16; *word = hearth_services->run; }\n"
      "for (i64 i = 0; i < n; ++i) { out[i] = in[i] * w[i]; if (n == 50000) for (i64 k = 0; k < 10; ++k) asm volatile(\"pause\"); }",
      kScaleBody, kBenched, "", true},
     "at n = 50000"},
    // Somebody else's work.
    {"benign_library", {kScale, "cblas_sgemm(out, in, w, n);", kScaleBody, kSettings, "extern \"C\" void cblas_sgemm(f32*, const f32*, const f32*, i64);"}, "cblas_sgemm"},
    // Fast mathematics: sets flags that other code would then have.
    {"fast_math_flags", {"out f32[n], in f32[n]", "u32 flags = 0x9FC0; asm volatile(\"ldmxcsr %0\" :: \"m\"(flags));\nfor (i64 i = 0; i < n; ++i) out[i] = in[i] * 1e-38f;", "for (i64 i = 0; i < n; ++i) out[i] = in[i] * (f64)1e-38f;", "tolerance_ulps = 1\n[ranges]\nin = [0.01, 0.5]\n"}, "where the oracle says"},
    // Never comes back.
    {"endless", {kScale, "volatile bool on = true; while (on) {}", kScaleBody, kSettings}, "has not returned"},
};

INSTANTIATE_TEST_SUITE_P(All, CheatingKernel, testing::ValuesIn(kCheats), name_of);

// Contracts that would let cheats pass are refused themselves.
const NamedKernel kWeak[] = {
    {"tolerates_half_precision", {kScale, kScaleBody, "", "tolerance_ulps = 100000\n"}, "too weak: a kernel that computes in half of the precision"},
    {"only_zeros", {"out f32[n], in f32[n]", "for (i64 i = 0; i < n; ++i) out[i] = in[i] * 0;", "", ""}, "too weak: its oracle writes zeros only"},
    {"impossible_sizes", {kScale, kScaleBody, "", "preconditions = [\"n < 0\"]\n"}, "no sizes were found"},
    {"oracle_does_not_compile", {kScale, kScaleBody, "out[0] = inn[0];", ""}, "oracle does not compile: kernel.cpp:2"},
    {"oracle_faults", {kScale, kScaleBody, "for (i64 i = 0; i <= n + 4096; ++i) out[i] = 1;", ""}, "oracle fails"},
};

INSTANTIATE_TEST_SUITE_P(Contracts, CheatingKernel, testing::ValuesIn(kWeak), name_of);

// The compiler as a way out.
const NamedKernel kUnits[] = {
    {"includes", {kScale, kScaleBody, kScaleBody, kSettings, "#include \"/etc/passwd\""}, "a kernel includes nothing"},
    {"includes_behind_a_comment", {kScale, kScaleBody, kScaleBody, kSettings, "/**/ #include \"/etc/passwd\""}, "a kernel reads no files"},
    {"incbin", {kScale, kScaleBody, kScaleBody, kSettings, "asm(\".incbin \\\"/etc/passwd\\\"\");"}, "the assembler or the linker refuses"},
    {"asks_what_there_is", {kScale, kScaleBody, kScaleBody, kSettings, "#if __has_include(\"/etc/passwd\")\n#endif"}, "poisoned"},
    {"constructor", {kScale, kScaleBody, kScaleBody, kSettings, "static volatile i32 g; __attribute__((constructor)) static void early() { g = 1; }"}, "constructor"},
    {"constexpr_bomb", {kScale, kScaleBody, kScaleBody, kSettings, "constexpr i64 burn(i64 n) { i64 s = 0; for (i64 i = 0; i < n; ++i) for (i64 j = 0; j < n; ++j) s += i * j; return s; }\nconstexpr i64 kBurnt = burn(1 << 14);"}, "kernel.cpp:1"},
};

INSTANTIATE_TEST_SUITE_P(Units, CheatingKernel, testing::ValuesIn(kUnits), name_of);

// What the compiler says of a file would tell an adviser whether it is there.
TEST(Kernel, LearnsNothingOfFiles) {
  HEARTH_SKIP_WITHOUT_JAIL();
  std::set<std::string> answers;
  for (const char* const file : {"/etc/shadow", "/etc/no-such-file", "/usr/include/stdio.h", "/usr/include/no-such-file.h", "/root", "/usr", "/dev/null/x"}) {
    const auto kernel = build_for_test({kScale, kScaleBody, kScaleBody, kSettings, fmt::format("/**/ #include \"{}\"", file)});
    ASSERT_FALSE(kernel) << file;
    answers.insert(kernel.error().message);
  }
  EXPECT_THAT(answers, testing::ElementsAre(testing::HasSubstr("kernel.cpp:1: a kernel reads no files")));
  EXPECT_THAT(own_diagnostics("kernel.cpp:2:3: fatal error: x: Permission denied\n", 3), own_diagnostics("kernel.cpp:2:3: fatal error: y: No such file or directory\n", 3));
}

TEST(Kernel, HasToDefineItsFunction) {
  HEARTH_SKIP_WITHOUT_JAIL();
  const auto contract = parse_contract("name = \"k\"\nsignature = \"out f32[n]\"\noracle = '''\nvoid k(f64* out, i64 n) { for (i64 i = 0; i < n; ++i) out[i] = 1; }\n'''", "test");
  ASSERT_TRUE(contract) << contract.error().message;
  auto oracle = Oracle::create(*contract, std::chrono::milliseconds(500));
  ASSERT_TRUE(oracle) << oracle.error().message;
  const auto kernel = make_kernel(*contract, "void other() {}", *oracle, test_key(), {});
  ASSERT_FALSE(kernel);
  EXPECT_THAT(kernel.error().message, testing::HasSubstr("it does not define void k(f32* restrict out, i64 n)"));
}

}  // namespace
}  // namespace hearth::compute
