#include "compute/contract.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>

#include "compute/code_blocks.h"
#include "compute/compare.h"
#include "compute/compile.h"
#include "compute/draw.h"
#include "compute/mutate.h"
#include "compute/source_check.h"

namespace hearth::compute {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kScale =
    "name = \"scale\"\nsignature = \"out f32[n], in f32[n], w f32[n], n i64\"\n"
    "oracle = '''\nvoid scale(f64* out, const f64* in, const f64* w, i64 n) { for (i64 k = 0; k < n; ++k) out[k] = in[k] * w[k]; }\n'''\n";

Contract read(const std::string& toml) {
  auto contract = parse_contract(toml, "test");
  EXPECT_TRUE(contract) << contract.error().message;
  return contract ? *std::move(contract) : Contract{};
}

TEST(Contract, ReadsBackAsItself) {
  const Contract contract = read(kScale + "prose = \"twice \\\"as\\\" much\"\ntolerance_ulps = \"2 + log2(n)\"\ndeterminism = \"D2\"\nn_threads = 4\n"
                                          "preconditions = [\"n % 8 == 0\"]\nflops = \"2*n\"\n[ranges]\nin = [-0.5, 1e3]\nn = [8, 4096]\n[bench]\nn = 4096\n");
  EXPECT_EQ(contract.determinism, Determinism::kIsa);
  EXPECT_EQ(contract.n_threads, 4U);
  EXPECT_EQ(contract.range_of("in")->low, -0.5);
  const Contract again = read(to_toml(contract));
  EXPECT_EQ(to_toml(again), to_toml(contract));
  EXPECT_EQ(contract_key(again), contract_key(contract));
}

TEST(Contract, ItsKeyIsWhatItAsksFor) {
  const Sha256 key = contract_key(read(kScale));
  EXPECT_EQ(contract_key(read(kScale + "prose = \"other words\"\n")), key);
  EXPECT_NE(contract_key(read(kScale + "tolerance_ulps = 5\n")), key);
  EXPECT_NE(contract_key(read(kScale + "[ranges]\nin = [0, 1]\n")), key);
}

TEST(Contract, SaysWhatIsWrong) {
  const std::pair<std::string, std::string> rows[] = {
      {"name = 3\nsignature = \"out f32[1]\"\noracle = \"x\"", "name must be a text"},
      {"signature = \"out f32[1]\"\noracle = \"x\"", "there is no 'name'"},
      {"name = \"k\"\noracle = \"x\"", "there is no 'signature'"},
      {"name = \"k\"\nsignature = \"out f32[1]\"", "there is no 'oracle'"},
      {"name = \"1k\"\nsignature = \"out f32[1]\"\noracle = \"x\"", "none of a C++ function"},
      {kScale + "speed = 3", "'speed' is no key"},
      {kScale + "flops = \"n*q\"", "'q' is no symbol"},
      {kScale + "determinism = \"D9\"", "one of D0, D1, D2, D3"},
      {kScale + "n_threads = 1000", "a number from 1 to 64"},
      {kScale + "[ranges]\nout = [0, 1]", "no parameter that the kernel reads"},
      {kScale + "[ranges]\nin = [1, 0]", "the smaller one first"},
      {kScale + "[bench]\nm = 3", "a symbol of the signature"},
      {"name = ", "is no TOML: line 1"},
  };
  for (const auto& [toml, expected] : rows) {
    const auto contract = parse_contract(toml, "c.toml");
    ASSERT_FALSE(contract) << toml;
    EXPECT_THAT(contract.error().message, HasSubstr(expected));
  }
  EXPECT_FALSE(parse_contract(std::string(kContractBytesMax + 1, '#'), "large"));
}

TEST(Contract, KeepsLettersOfAnyLanguage) {
  const Contract contract = read(kScale + "prose = \"größer ~7e ~\" # é\n");
  EXPECT_EQ(contract.prose, "größer ~7e ~");
  EXPECT_EQ(read(to_toml(contract)).prose, contract.prose);
  EXPECT_FALSE(parse_contract(kScale + "é = 3\n", "test"));
}

TEST(Contract, KnowsItsCost) {
  const Contract contract = read(kScale + "flops = \"n\"\n");
  const std::vector<std::int64_t> symbols = {1000};
  EXPECT_EQ(*flops_of(contract, symbols), 1000);
  EXPECT_EQ(*bytes_of(contract, symbols), 12000);
}

TEST(Source, IsRefusedBeforeACompilerSeesIt) {
  EXPECT_EQ(*check_source("#include \"hearth.h\"\nint x;\n"), "\nint x;\n");
  EXPECT_TRUE(check_source("#define N 8\n#ifdef N\n#pragma GCC unroll 4\n#endif\n"));
  EXPECT_TRUE(check_source("#define A(x) \\\n  #x\n"));
  for (const char* const source : {"#include <vector>", "  # include \"x\"", "%:include \"x\"", "#line 3 \"/etc/passwd\"", "# 3 \"x\"", "#import <x>", "#pragma GCC system_header",
                                   "#embed \"x\"", "?\?=include <x>", "#inc\\\nlude <x>", "\\\n#include <x>", "\xFF"}) {
    EXPECT_FALSE(check_source(source)) << source;
  }
  EXPECT_FALSE(check_source(std::string(kSourceBytesMax + 1, ' ')));
}

TEST(Diagnostics, AreThoseOfItsOwnLinesAlone) {
  const std::string output =
      "In file included from kernel.cpp:1:\n/etc/passwd:1:1: error: 'root' does not name a type\nkernel.cpp:3:5: error: 'x' was not declared\n"
      "kernel.cpp:99:1: error: not a line of it\nprelude:7:1: note: here\nentry:4:3: error: too few arguments\nkernel.cpp:3\nkernel.cpp:x:1: error\n";
  EXPECT_THAT(own_diagnostics(output, 10), ElementsAre("kernel.cpp:3:5: error: 'x' was not declared"));
  EXPECT_EQ(own_diagnostics("kernel.cpp:1:1: " + std::string(1000, 'e'), 10).at(0).size(), kDiagnosticBytesMax);
}

TEST(CodeBlocks, TheLastOfEachKindCounts) {
  const CodeBlocks blocks = find_code_blocks("Here:\n```cpp\nold\n```\n```toml\nname = 1\n```\n```C++ {x}\nnew\n``\n```\n```python\nno\n```\n```cpp\nnot closed\n");
  EXPECT_EQ(blocks.source, "new\n``\n");
  EXPECT_EQ(blocks.contract_toml, "name = 1\n");
  EXPECT_EQ(find_code_blocks("no code").source, "");
}

TEST(Draw, KeepsTheContract) {
  const Contract contract = read("name = \"k\"\nsignature = \"out f32[n, m], in f32[n+2, m], index i32[n], n i64, steps i64\"\noracle = \"x\"\n"
                                 "preconditions = [\"n % 4 == 0\", \"m >= 1\"]\n[ranges]\nindex = [0, \"n-1\"]\nsteps = [2, \"m+2\"]\nin = [3, 4]\n");
  Dice dice(7);
  for (std::uint8_t kind = 0; kind < kSizeKinds; ++kind) {
    const auto sizes = static_cast<Sizes>(kind);
    const auto symbols = draw_sizes(contract, sizes, {}, dice);
    if (!symbols) {
      EXPECT_TRUE(sizes == Sizes::kOnes || sizes == Sizes::kPrimes || sizes == Sizes::kEmpty || sizes == Sizes::kBesidePowers) << sizes_name(sizes);
      continue;
    }
    const std::int64_t n = (*symbols)[0], steps = (*symbols)[1], m = (*symbols)[2];
    EXPECT_EQ(n % 4, 0);
    EXPECT_TRUE(steps >= 2 && steps <= m + 2);
    const auto drawn = draw_case(contract, *symbols, Values::kCorners, dice);
    if (n == 0) continue;
    ASSERT_TRUE(drawn) << drawn.error().message;
    for (std::int64_t i = 0; i < n; ++i) EXPECT_LT(drawn->tensors[2].number(i), static_cast<double>(n));
    for (std::int64_t i = 0; i < drawn->tensors[1].n_elements(); ++i) EXPECT_TRUE(drawn->tensors[1].number(i) >= 3 && drawn->tensors[1].number(i) <= 4);
  }
  const auto huge = draw_sizes(contract, Sizes::kHuge, {.bytes_max = 1 << 20, .work_max = 1 << 20}, dice);
  ASSERT_TRUE(huge);
  EXPECT_GT((*huge)[0] * (*huge)[2], 1 << 14);
}

TEST(Draw, TheSameSeedIsTheSameCase) {
  const Contract contract = read(kScale);
  Dice a(5), b(5), c(6);
  EXPECT_EQ(draw_case(contract, {100}, Values::kWide, a)->tensors[1].bytes, draw_case(contract, {100}, Values::kWide, b)->tensors[1].bytes);
  EXPECT_NE(draw_case(contract, {100}, Values::kWide, a)->tensors[1].bytes, draw_case(contract, {100}, Values::kWide, c)->tensors[1].bytes);
}

TensorData floats(const std::vector<float>& values) {
  TensorData tensor = make_tensor(ElementType::kF32, {static_cast<std::int64_t>(values.size())});
  for (std::size_t i = 0; i < values.size(); ++i) tensor.set_number(static_cast<std::int64_t>(i), static_cast<double>(values[i]));
  return tensor;
}

Reference reference_of(const std::vector<double>& values, double condition = 0) {
  Reference reference;
  reference.outputs.push_back(make_tensor(ElementType::kF64, {static_cast<std::int64_t>(values.size())}));
  for (std::size_t i = 0; i < values.size(); ++i) reference.outputs[0].set_number(static_cast<std::int64_t>(i), values[i]);
  reference.condition.emplace_back(values.size(), condition);
  return reference;
}

TEST(Compare, CountsInUnitsOfTheLastPlace) {
  const std::vector<TensorData> found = {floats({1.0F, std::nextafter(1.0F, 2.0F), 0.0F, 3.0F})};
  const Comparison comparison = compare(found, reference_of({1, 1, 0, 3}));
  EXPECT_EQ(comparison.histogram.n_elements, 4U);
  EXPECT_DOUBLE_EQ(comparison.histogram.max_units, 1);
  EXPECT_EQ(comparison.worst->element, 1);
  EXPECT_DOUBLE_EQ(compare(found, reference_of({1, 1, 0, 3}, 0x1p-23)).histogram.max_units, 0.5);
  EXPECT_EQ(ulp_of(ElementType::kF32, 1), 0x1p-23);
  EXPECT_EQ(ulp_of(ElementType::kF32, 0), 0x1p-149);
  EXPECT_EQ(ulp_of(ElementType::kF64, 3), 0x1p-51);
}

TEST(Compare, KnowsWhatIsNoNumber) {
  const double nan = NAN, inf = INFINITY;
  const std::tuple<float, double, bool> rows[] = {{NAN, nan, true},       {1.0F, nan, false},       {NAN, 1, false},          {INFINITY, 1e300, true},
                                                  {INFINITY, inf, true},  {-INFINITY, inf, false},  {FLT_MAX, 1e39, true},    {1.0F, inf, false},
                                                  {INFINITY, 1.0, false}, {-0.0F, 0.0, true}};
  for (const auto& [found, expected, is_fine] : rows) {
    EXPECT_EQ(compare(std::vector{floats({found})}, reference_of({expected})).histogram.max_units == 0, is_fine) << found << " for " << expected;
  }
}

TEST(Mutations, FitTheSignature) {
  const auto signature = parse_signature("out f32[n], a f32[n], b f32[n], c f64[n], n i64");
  std::vector<std::string> what;
  for (const Mutation& mutation : mutations_of(*signature)) what.push_back(mutation.what);
  EXPECT_THAT(what, ElementsAre("writes zeros", "writes each element one place too far", "computes in half of the precision", "takes n for one less than it is", "takes 'a' for 'b'"));
  std::vector<TensorData> results = {floats({1.2345678F, 2.0F})};
  mutate_results({.kind = Mutation::Kind::kLowPrecision, .what = ""}, results);
  EXPECT_NEAR(results[0].number(0), 1.2345678, 1e-3);
  EXPECT_NE(results[0].number(0), static_cast<double>(1.2345678F));
  mutate_results({.kind = Mutation::Kind::kShifted, .what = ""}, results);
  EXPECT_EQ(results[0].number(0), 2);
}

}  // namespace
}  // namespace hearth::compute
