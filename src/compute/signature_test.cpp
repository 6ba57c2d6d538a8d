#include "compute/signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace hearth::compute {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Signature parsed(std::string_view text) {
  auto signature = parse_signature(text);
  EXPECT_TRUE(signature) << signature.error().message;
  return signature ? *signature : Signature{};
}

std::string problem_of(std::string_view text) {
  const auto signature = parse_signature(text);
  return signature ? "" : signature.error().message;
}

Tensor tensor(ElementType type, std::vector<std::int64_t> shape, void* data = nullptr) {
  return {.type = type, .shape = std::move(shape), .data = static_cast<std::byte*>(data)};
}

std::string bind_problem(const Signature& signature, const std::vector<Argument>& arguments) {
  const auto bound = bind_arguments(signature, arguments);
  return bound ? "" : bound.error().message;
}

TEST(Expression, ComputesLikeC) {
  const Symbols symbols = {"n", "m"};
  const std::array<std::int64_t, 2> values = {7, 3};
  const std::pair<std::string_view, std::int64_t> rows[] = {
      {"n", 7},         {"n*m+1", 22},        {"n+m*2", 13},       {"(n+m)*2", 20},       {"n/m", 2},
      {"n%m", 1},       {"-n+m", -4},         {"n-m-1", 3},        {"log2(n)", 3},        {"log2(8)", 3},
      {"log2(0)", 0},   {"min(n, m)", 3},     {"max(n,m*3)", 9},   {"n>=7 && m==3", 1},   {"n<m || n!=7", 0},
      {"2 * n * m", 42}, {"n > m == 1", 1}};
  for (const auto& [text, expected] : rows) {
    const auto expression = Expression::parse(text, symbols);
    ASSERT_TRUE(expression) << text << ": " << expression.error().message;
    EXPECT_EQ(expression->value(values).value_or(-999), expected) << text;
  }
}

TEST(Expression, RefusesWhatItCantRead) {
  const Symbols symbols = {"n"};
  for (const std::string_view text : {"", "n+", "(n", "n)", "n m", "2n", "*n", "log2(n", "min(n)", "x", "99999999999999999999", "n@1", "1 = 1"}) {
    EXPECT_FALSE(Expression::parse(text, symbols)) << text;
  }
  EXPECT_FALSE(Expression::parse(std::string(100, '('), symbols));
  EXPECT_FALSE(Expression::parse(std::string(200, '-') + "n", symbols));
  EXPECT_FALSE(Expression::parse(std::string(kExpressionBytesMax + 1, '1'), symbols));
  std::string many = "n";
  for (int i = 0; i < 40; ++i) many += "+n";
  EXPECT_FALSE(Expression::parse(many, symbols));
}

TEST(Expression, NeverGivesAWrongNumber) {
  const Symbols symbols = {"n"};
  const std::array<std::int64_t, 1> huge = {INT64_MAX}, zero = {0}, least = {INT64_MIN};
  EXPECT_FALSE(Expression::parse("n+1", symbols)->value(huge));
  EXPECT_FALSE(Expression::parse("n*n", symbols)->value(huge));
  EXPECT_FALSE(Expression::parse("1/n", symbols)->value(zero));
  EXPECT_FALSE(Expression::parse("1%n", symbols)->value(zero));
  EXPECT_FALSE(Expression::parse("-n", symbols)->value(least));
  EXPECT_FALSE(Expression::parse("n/-1", symbols)->value(least));
}

TEST(Signature, ReadsItsForms) {
  const Signature s = parsed("out f32[n],in f32[n+2, m] strided,  scale f32, n i64");
  ASSERT_EQ(s.parameters.size(), 4U);
  EXPECT_EQ(s.parameters[0].direction, Direction::kOut);
  EXPECT_TRUE(s.parameters[1].is_strided);
  EXPECT_TRUE(s.parameters[2].is_scalar);
  EXPECT_THAT(s.symbols, ElementsAre("n", "m"));
  EXPECT_EQ(s.n_scalar_symbols, 1U);
  EXPECT_EQ(s.text(), "out f32[n], in f32[n+2, m] strided, scale f32, n i64");
  EXPECT_EQ(parsed(s.text()).text(), s.text());
  EXPECT_EQ(parsed("inout_grid f64[n]").parameters[0].direction, Direction::kInOut);
  EXPECT_EQ(parsed("out f64[n], outer f64[n]").parameters[1].direction, Direction::kIn);
}

TEST(Signature, SaysWhatIsWrong) {
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"", "is no parameter"},
      {"out", "is no parameter"},
      {"out f32[n", "is no parameter"},
      {"out f32[n] twice", "is no parameter"},
      {"out f16[n]", "there are f32 f64"},
      {"out f32[]", "write [1]"},
      {"out f32", "must be a tensor"},
      {"out f32[n], k u8", "scalars are i32"},
      {"out f32[n*m], in f32[n]", "what 'm' is"},
      {"in f32[n]", "writes nothing"},
      {"out f32[n], out f32[n]", "two parameters"},
      {"out f32[n], for f32[n]", "word of C++"},
      {"out f32[n], f32 f32[n]", "word of C++"},
      {"out f32[n], hearth_x f32[n]", "no name"},
      {"out f32[n], 9x f32[n]", "no name"},
      {"out f32[n], n f32[n]", "must be an i32 or i64 scalar"},
      {"out f32[a,b,c,d,e,f,g,h,i]", "at most 8"},
  };
  for (const auto& [text, expected] : rows) EXPECT_THAT(problem_of(text), HasSubstr(expected)) << text;
  std::string many = "out f32[1]";
  for (int i = 0; i < 16; ++i) many += ", a" + std::to_string(i) + " f32[1]";
  EXPECT_THAT(problem_of(many), HasSubstr("at most 16"));
}

TEST(Bind, GivesAKernelItsNumbers) {
  std::array<float, 6> out{}, in{};
  const Signature s = parsed("out f32[n, m], in f32[n, m] strided, scale f64, k i64");
  Tensor transposed = tensor(ElementType::kF32, {2, 3}, in.data());
  transposed.strides = {1, 2};
  const auto bound = bind_arguments(s, std::vector<Argument>{tensor(ElementType::kF32, {2, 3}, out.data()), transposed, 2.5, std::int64_t{9}});
  ASSERT_TRUE(bound) << bound.error().message;
  EXPECT_THAT(bound->integers, ElementsAre(9, 2, 3, 1, 2));  // k, n, m, then the strides of `in`.
  EXPECT_THAT(bound->symbols(), ElementsAre(9, 2, 3));
  EXPECT_THAT(bound->reals, ElementsAre(2.5));
  EXPECT_THAT(bound->tensors[0].strides, ElementsAre(3, 1));
}

TEST(Bind, NamesTheArgumentThatDoesNotFit) {
  std::array<double, 8> memory{};
  const Signature s = parsed("out f32[n], in f32[n], n i64");
  const auto f32 = [&](std::int64_t n, std::size_t at = 0) { return tensor(ElementType::kF32, {n}, memory.data() + at); };
  EXPECT_EQ(bind_problem(s, {f32(4), f32(3, 4), std::int64_t{4}}), "argument 'in': f32[n] with n = 4 expected, f32[3] found");
  EXPECT_EQ(bind_problem(s, {f32(4), tensor(ElementType::kF64, {4}, memory.data()), std::int64_t{4}}), "argument 'in': f32[n] expected, f64[4] found");
  EXPECT_EQ(bind_problem(s, {f32(4), f32(4, 4), 4.0}), "argument 'n': i64 expected, the number 4 found");
  EXPECT_THAT(bind_problem(s, {f32(4), f32(4, 4)}), HasSubstr("2 arguments are given, the kernel takes 3"));
  EXPECT_THAT(bind_problem(s, {f32(4), f32(4), std::int64_t{4}}), HasSubstr("'out' and 'in' overlap"));
  EXPECT_THAT(bind_problem(s, {f32(4), tensor(ElementType::kF32, {4}), std::int64_t{4}}), HasSubstr("has no memory"));
  EXPECT_THAT(bind_problem(s, {f32(4), tensor(ElementType::kF32, {4}, reinterpret_cast<char*>(memory.data()) + 33), std::int64_t{4}}), HasSubstr("no multiple of 4"));
  EXPECT_EQ(bind_problem(s, {f32(0), f32(0), std::int64_t{0}}), "");
  EXPECT_THAT(bind_problem(s, {f32(4), f32(4, 4), std::int64_t{-1}}), HasSubstr("can't be below 0"));
}

TEST(Bind, HoldsStridesToWhatTheSignatureSays) {
  std::array<double, 64> memory{};
  Tensor transposed = tensor(ElementType::kF64, {3, 4}, memory.data() + 20);
  transposed.strides = {1, 3};
  const Tensor out = tensor(ElementType::kF64, {3, 4}, memory.data());
  EXPECT_THAT(bind_problem(parsed("out f64[n, m], in f64[n, m]"), {out, transposed}), HasSubstr("does not say 'strided'"));
  EXPECT_EQ(bind_problem(parsed("out f64[n, m], in f64[n, m] strided"), {out, transposed}), "");
  Tensor repeated = out;
  repeated.strides = {0, 1};
  EXPECT_THAT(bind_problem(parsed("out f64[n, m] strided, in f64[n, m]"), {repeated, tensor(ElementType::kF64, {3, 4}, memory.data() + 40)}), HasSubstr("twice"));
  EXPECT_EQ(bind_problem(parsed("out f64[n, m], in f64[n, m] strided"), {tensor(ElementType::kF64, {3, 4}, memory.data() + 40), repeated}), "");
  Tensor far = transposed;
  far.strides = {INT64_MAX / 2, 1};
  EXPECT_THAT(bind_problem(parsed("out f64[n, m], in f64[n, m] strided"), {out, far}), HasSubstr("too far"));
  Tensor backwards = tensor(ElementType::kF64, {4}, memory.data() + 3);
  backwards.strides = {-1};
  EXPECT_EQ(reach_of(backwards).before, 24);
  EXPECT_THAT(bind_problem(parsed("out f64[n], in f64[n] strided"), {tensor(ElementType::kF64, {4}, memory.data()), backwards}), HasSubstr("overlap"));
}

TEST(Bind, FindsWhatIsMissing) {
  const Signature s = parsed("out f32[n, k], a f32[n, m], b f32[m, k], n i64");
  std::vector<std::optional<Argument>> known(4);
  known[1] = tensor(ElementType::kF32, {2, 3});
  known[2] = tensor(ElementType::kF32, {3, 5});
  const auto symbols = solve_symbols(s, known);
  ASSERT_TRUE(symbols) << symbols.error().message;
  EXPECT_THAT(*symbols, ElementsAre(2, 5, 3));  // n, k, m: in order of appearance.
  EXPECT_THAT(*shape_of(s.parameters[0], *symbols), ElementsAre(2, 5));
  known[2] = std::nullopt;
  EXPECT_THAT(solve_symbols(s, known).error().message, HasSubstr("what 'k' is"));
}

}  // namespace
}  // namespace hearth::compute
