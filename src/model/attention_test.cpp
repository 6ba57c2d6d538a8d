// The attention kernel: every instruction set against a plain twin in double, and against each
// other to the bit, with garbage wherever nothing may be read.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "model/attention_kernel.h"
#include "model/kv_page.h"
#include "model/kv_page_for_test.h"
#include "tensor/vector_ops.h"

namespace hearth::model {
namespace {

// One head's pages with random keys and values in the first `n_positions` slots and NaN elsewhere.
class Cache {
 public:
  Cache(std::uint32_t n_positions, std::uint32_t head_dim, KvType type, std::mt19937& random)
      : layout_{.n_layers = 1, .n_kv_heads = 1, .head_dim = head_dim, .type = type} {
    // All bits set: halves, and scales, that are no numbers.
    const std::uint32_t n_pages = (n_positions + kPageTokens - 1) / kPageTokens;
    storage_.assign(n_pages, std::vector<std::byte>(layout_.page_bytes(), std::byte{0xFF}));
    for (auto& page : storage_) pages_.push_back(page.data());
    std::normal_distribution<float> normal(0.0F, 1.0F);
    std::vector<float> numbers(head_dim);
    for (std::uint32_t t = 0; t < n_positions; ++t) {
      for (float& x : numbers) x = normal(random);
      store_key(layout_, numbers.data(), t % kPageTokens, block(t, 0));
      for (float& x : numbers) x = normal(random);
      store_value(layout_, numbers.data(), t % kPageTokens, block(t, 1));
    }
  }

  AttentionHead head() const {
    return {pages_, layout_.key_offset(0, 0), layout_.value_offset(0, 0), layout_};
  }
  double key(std::uint32_t t, std::uint32_t d) const {
    return key_in_slot(layout_, block(t, 0), t % kPageTokens, d);
  }
  double value(std::uint32_t t, std::uint32_t d) const {
    return value_in_slot(layout_, block(t, 1), t % kPageTokens, d);
  }

 private:
  std::byte* block(std::uint32_t t, int which) const {
    return pages_[t / kPageTokens] +
           (which == 0 ? layout_.key_offset(0, 0) : layout_.value_offset(0, 0));
  }

  KvLayout layout_;
  std::vector<std::vector<std::byte>> storage_;
  std::vector<std::byte*> pages_;
};

std::vector<double> plain(const Cache& cache, const AttentionRow& row, std::uint32_t head_dim,
                          const AttentionScale& scale) {
  std::vector<double> weights(row.n_visible);
  double max = row.sink;
  for (std::uint32_t t = row.first_visible; t < row.n_visible; ++t) {
    for (std::uint32_t d = 0; d < head_dim; ++d) {
      weights[t] += static_cast<double>(row.query[d]) * cache.key(t, d);
    }
    weights[t] *= static_cast<double>(scale.factor);
    const double cap = scale.softcap;
    if (cap > 0) weights[t] = cap * std::tanh(weights[t] / cap);
    max = std::max(max, weights[t]);
  }
  double sum = std::exp(row.sink - max);
  for (std::uint32_t t = row.first_visible; t < row.n_visible; ++t) {
    sum += weights[t] = std::exp(weights[t] - max);
  }
  std::vector<double> out(head_dim);
  for (std::uint32_t t = row.first_visible; t < row.n_visible; ++t) {
    for (std::uint32_t d = 0; d < head_dim; ++d) out[d] += weights[t] / sum * cache.value(t, d);
  }
  return out;
}

struct Shape {
  std::uint32_t head_dim, n_rows, group, first_position;
  std::uint32_t window = 0;  // 0: all that came before.
  float softcap = 0;
  bool has_sinks = false;
  KvType type = KvType::kF16;
};

class AttentionKernels : public ::testing::TestWithParam<Shape> {};

TEST_P(AttentionKernels, MatchThePlainTwinAndOneAnother) {
  const Shape shape = GetParam();
  std::mt19937 random(shape.head_dim * 1000 + shape.n_rows);
  const std::uint32_t n_visible_max = shape.first_position + (shape.n_rows - 1) / shape.group + 1;
  const Cache cache(n_visible_max, shape.head_dim, shape.type, random);
  std::normal_distribution<float> normal(0.0F, 2.0F);
  std::vector<float> queries(std::size_t{shape.n_rows} * shape.head_dim);
  for (float& q : queries) q = normal(random);
  const AttentionScale scale{1.0F / std::sqrt(static_cast<float>(shape.head_dim)), shape.softcap};

  std::vector<float> first;
  for (const tensor::Isa isa : tensor::available_isas()) {
    const AttendPage attend_page = attend_page_for(isa);
    const std::string_view name = tensor::isa_name(isa);
    std::vector<float> out(queries.size(), std::numeric_limits<float>::quiet_NaN());
    std::vector<AttentionRow> rows;
    for (std::uint32_t r = 0; r < shape.n_rows; ++r) {
      const std::size_t at = std::size_t{r} * shape.head_dim;
      AttentionRow row{.query = queries.data() + at,
                       .out = out.data() + at,
                       .n_visible = shape.first_position + r / shape.group + 1};
      if (shape.window > 0 && row.n_visible > shape.window) {
        row.first_visible = row.n_visible - shape.window;
      }
      if (shape.has_sinks) row.sink = static_cast<float>(r % 5) - 2.0F;
      rows.push_back(row);
    }
    attend_with(attend_page, rows, cache.head(), scale);
    for (std::uint32_t r = 0; r < shape.n_rows; ++r) {
      const auto expected = plain(cache, rows[r], shape.head_dim, scale);
      for (std::uint32_t d = 0; d < shape.head_dim; ++d) {
        ASSERT_NEAR(rows[r].out[d], expected[d], 6e-6) << name << " row " << r;
      }
    }
    if (first.empty()) first = out;
    EXPECT_EQ(out, first) << name << " and scalar differ";

    // A row alone gives the bits that it gives in the tile.
    std::vector<float> alone(shape.head_dim);
    AttentionRow last = rows.back();
    last.out = alone.data();
    attend_with(attend_page, std::span(&last, 1), cache.head(), scale);
    EXPECT_TRUE(std::ranges::equal(alone, std::span(out).last(shape.head_dim))) << name;
  }
}

std::vector<Shape> shapes() {
  std::vector<Shape> list;
  for (const std::uint32_t head_dim : {16U, 32U, 64U, 80U, 96U, 128U, 256U, 512U}) {
    for (const std::uint32_t n_rows : {1U, 3U, 8U, 13U, 37U, 64U}) {
      list.push_back({head_dim, n_rows, n_rows % 4 == 0 ? 4U : 1U, n_rows * 7 % 71});
    }
  }
  for (std::uint32_t position = 0; position < 66; ++position) list.push_back({64, 4, 4, position});
  list.push_back({64, 64, 4, 2000});
  for (const std::uint32_t window : {1U, 8U, 31U, 32U, 33U, 100U}) {
    for (const std::uint32_t first : {0U, 5U, 31U, 32U, 200U}) {
      list.push_back({32, 64, 1, first, window});
      list.push_back({32, 7, 1, first, window, 2.0F, true});
    }
  }
  list.push_back({64, 8, 4, 100, 0, 50.0F});
  list.push_back({64, 8, 4, 100, 0, 0, true});
  const std::size_t n = list.size();
  for (const KvType type : {KvType::kQ8_0, KvType::kQ4_0}) {
    for (std::size_t i = 0; i < n; ++i) {
      list.push_back(list[i]);
      list.back().type = type;
    }
  }
  return list;
}

INSTANTIATE_TEST_SUITE_P(Shapes, AttentionKernels, ::testing::ValuesIn(shapes()));

}  // namespace
}  // namespace hearth::model
