// Twenty kernels that do what they should, each in a way in which kernels are really written: all pass.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "compute/named_kernels_for_test.h"
#include "compute/receipt.h"

namespace hearth::compute {
namespace {

class HonestKernel : public testing::TestWithParam<NamedKernel> {};

TEST_P(HonestKernel, Passes) {
  HEARTH_SKIP_WITHOUT_JAIL();
  const auto kernel = build_for_test(GetParam().kernel);
  ASSERT_TRUE(kernel) << kernel.error().message;
  const auto statement = read_receipt((*kernel)->receipt);
  ASSERT_TRUE(statement) << statement.error().message;
  EXPECT_EQ(statement->contract_key, to_hex((*kernel)->key));
}

const NamedKernel kHonest[] = {
    {"scale", {"out f32[n], in f32[n], w f32[n], n i64", "for (i64 i = 0; i < n; ++i) out[i] = in[i] * w[i];", "", "tolerance_ulps = 1\ndeterminism = \"D2\"\nflops = \"n\"\n"}},
    {"scale_vectors",
     {"out f32[n], in f32[n], w f32[n], n i64",
      "i64 i = 0;\nfor (; i + 16 <= n; i += 16) store(out + i, load<f32x16>(in + i) * load<f32x16>(w + i));\nfor (; i < n; ++i) out[i] = in[i] * w[i];",
      "for (i64 i = 0; i < n; ++i) out[i] = in[i] * w[i];", "tolerance_ulps = 1\n"}},
    {"axpy", {"inout_y f64[n], x f64[n], a f64, n i64", "for (i64 i = 0; i < n; ++i) inout_y[i] += a * x[i];", "", "tolerance_ulps = 2\nflops = \"2*n\"\n"}},
    {"dot_pairwise",
     {"out f32[1], a f32[n], b f32[n]",
      "f32 lanes[16] = {};\nfor (i64 i = 0; i < n; ++i) lanes[i % 16] += a[i] * b[i];\nf64 sum = 0;\nfor (i64 l = 0; l < 16; ++l) sum += (f64)lanes[l];\nout[0] = (f32)sum;",
      "Sum s; for (i64 i = 0; i < n; ++i) s.add(a[i] * b[i]); out[0] = s.value();", "tolerance_ulps = \"16 + n/64\"\nflops = \"2*n\"\n"}},
    {"sum_compensated",
     {"out f64[1], in f64[n]", "Sum s; for (i64 i = 0; i < n; ++i) s.add(in[i]); out[0] = s.value();", "", "tolerance_ulps = 4\n"}},
    {"gemm",
     {"out f32[n, m], a f32[n, k], b f32[k, m]",
      "for (i64 i = 0; i < n; ++i) {\n  for (i64 j = 0; j < m; ++j) out[i * m + j] = 0;\n  for (i64 l = 0; l < k; ++l) for (i64 j = 0; j < m; ++j) out[i * m + j] += a[i * k + l] * b[l * m + j];\n}",
      "for (i64 i = 0; i < n; ++i) for (i64 j = 0; j < m; ++j) { Sum s; for (i64 l = 0; l < k; ++l) s.add(a[i * k + l] * b[l * m + j]); out[i * m + j] = s.value(); }",
      "tolerance_ulps = \"8 + k\"\nflops = \"2*n*m*k\"\n"}},
    {"gemv_strided",
     {"out f64[n], a f64[n, m] strided, x f64[m]",
      "for (i64 i = 0; i < n; ++i) { f64 s = 0; for (i64 j = 0; j < m; ++j) s += a[i * a_stride0 + j * a_stride1] * x[j]; out[i] = s; }", "",
      "tolerance_ulps = \"8 + m\"\n"}},
    {"jacobi",
     {"out f64[n, m], u f64[n+2, m+2]",
      "const i64 w = m + 2;\nfor (i64 i = 0; i < n; ++i) for (i64 j = 0; j < m; ++j) {\n  const f64* c = u + (i + 1) * w + j + 1;\n  out[i * m + j] = 0.25 * ((c[-w] + c[w]) + (c[-1] + c[1]));\n}",
      "", "tolerance_ulps = 4\ndeterminism = \"D2\"\n"}},
    {"softmax",
     {"out f32[n, m], in f32[n, m]",
      "for (i64 i = 0; i < n; ++i) {\n  const f32* x = in + i * m;\n  f32 top = x[0];\n  for (i64 j = 1; j < m; ++j) top = max(top, x[j]);\n  f32 sum = 0;\n"
      "  for (i64 j = 0; j < m; ++j) sum += out[i * m + j] = exp(x[j] - top);\n  for (i64 j = 0; j < m; ++j) out[i * m + j] /= sum;\n}",
      "for (i64 i = 0; i < n; ++i) {\n  f64 top = in[i * m];\n  for (i64 j = 1; j < m; ++j) top = max(top, in[i * m + j]);\n  f64 sum = 0;\n"
      "  for (i64 j = 0; j < m; ++j) sum += exp(in[i * m + j] - top);\n  for (i64 j = 0; j < m; ++j) out[i * m + j] = exp(in[i * m + j] - top) / sum;\n}",
      "tolerance_ulps = \"16 + m\"\npreconditions = [\"m >= 1\"]\n[ranges]\nin = [-8, 8]\n"}},
    {"gelu",
     {"out f32[n], in f32[n]", "for (i64 i = 0; i < n; ++i) out[i] = 0.5f * in[i] * erfc(-0.70710678f * in[i]);",
      "for (i64 i = 0; i < n; ++i) out[i] = 0.5 * in[i] * erfc(-0.7071067811865476 * in[i]);", "tolerance_ulps = 64\n[ranges]\nin = [-4, 4]\n"}},
    {"argmax",
     {"out i64[n], in f32[n, m]", "for (i64 i = 0; i < n; ++i) { i64 best = 0; for (i64 j = 1; j < m; ++j) if (in[i * m + j] > in[i * m + best]) best = j; out[i] = best; }", "",
      "preconditions = [\"m >= 1\"]\n"}},
    {"histogram",
     {"out i32[64], in u8[n]", "for (i64 i = 0; i < 64; ++i) out[i] = 0;\nfor (i64 i = 0; i < n; ++i) ++out[in[i]];", "", "[ranges]\nin = [0, 63]\n"}},
    {"gather",
     {"out f32[n], table f32[m], index i32[n]", "for (i64 i = 0; i < n; ++i) out[i] = table[index[i]];", "",
      "tolerance_ulps = 0\npreconditions = [\"m >= 1\"]\n[ranges]\nindex = [0, \"m-1\"]\n"}},
    {"transpose",
     {"out u16[m, n], in u16[n, m]",
      "for (i64 b = 0; b < n; b += 8) for (i64 j = 0; j < m; ++j) for (i64 i = b; i < min(b + 8, n); ++i) out[j * n + i] = in[i * m + j];",
      "for (i64 i = 0; i < n; ++i) for (i64 j = 0; j < m; ++j) out[j * n + i] = in[i * m + j];", ""}},
    {"prefix_sum", {"out i64[n], in i32[n]", "i64 s = 0; for (i64 i = 0; i < n; ++i) out[i] = s += in[i];", "", ""}},
    {"threads",
     {"out f32[n], in f32[n]",
      "const i64 n_tasks = (n + 255) / 256;\npar_for(n_tasks, [&](i64 t) { for (i64 i = t * 256; i < min(t * 256 + 256, n); ++i) out[i] = sqrt(in[i]); });",
      "for (i64 i = 0; i < n; ++i) out[i] = sqrt(in[i]);", "tolerance_ulps = 1\nn_threads = 2\ndeterminism = \"D1\"\n[ranges]\nin = [0, 100]\n"}},
    {"order_free_sum",
     {"out i64[1], in i32[n]", "i64 s = 0; for (i64 i = 0; i < n; ++i) s += in[i]; out[0] = s;", "", "determinism = \"D3\"\n"}},
    {"polynomial",
     {"out f64[n], x f64[n], c f64[d]", "for (i64 i = 0; i < n; ++i) { f64 y = 0; for (i64 j = d; j-- > 0;) y = y * x[i] + c[j]; out[i] = y; }", "",
      "tolerance_ulps = \"16 + 4*d\"\npreconditions = [\"d <= 40\"]\n[ranges]\nx = [-1, 1]\nc = [-2, 2]\n"}},
    {"multiples_of_eight",
     {"out f32[n], in f32[n], scale f32", "for (i64 i = 0; i < n; i += 8) store(out + i, load<f32x8>(in + i) * scale);",
      "for (i64 i = 0; i < n; ++i) out[i] = in[i] * scale;", "tolerance_ulps = 1\npreconditions = [\"n % 8 == 0\"]\n"}},
    {"two_outputs",
     {"out_sin f32[n], out_cos f32[n], in f32[n]", "for (i64 i = 0; i < n; ++i) { out_sin[i] = sin(in[i]); out_cos[i] = cos(in[i]); }", "", "tolerance_ulps = 2\n"}},
};

INSTANTIATE_TEST_SUITE_P(All, HonestKernel, testing::ValuesIn(kHonest), name_of);
static_assert(std::size(kHonest) == 20);

}  // namespace
}  // namespace hearth::compute
