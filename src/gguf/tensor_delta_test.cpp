// Deltas of tensors: exact ones to the bit for every type and layout, signs within what they can
// hold, and from any bytes an error.
#include "gguf/tensor_delta.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <random>

#include "gguf/restored_tensors.h"
#include "tensor/dequantize.h"
#include "tensor/pack.h"
#include "tensor/quantize.h"
#include "tensor/testing.h"

namespace hearth::gguf {
namespace {

using tensor::DType;
using tensor::WeightLayout;

using Bytes = std::vector<std::byte>;

struct Pair {
  TensorForm form;
  Bytes base, tensor;
};

Bytes bytes_of(const tensor::MatView& w) { return {w.data, w.data + w.bytes()}; }

// A matrix, and the same with one byte of `one_in` changed by one.
Pair make_pair(DType type, std::uint32_t rows, std::uint32_t cols, bool is_packed, unsigned one_in = 9) {
  const tensor::RandomMatrix made(type, rows, cols);
  Pair pair;
  pair.base = bytes_of(made.view());
  if (is_packed) {
    ThreadPool pool(1);
    (void)tensor::pack(made.view(), pair.base.data(), pool);
  }
  pair.form = {type, is_packed ? WeightLayout::kPacked : WeightLayout::kRows, cols, pair.base.size()};
  pair.tensor = pair.base;
  std::mt19937 random(7);
  for (std::size_t i = 0; i < pair.tensor.size(); i += 2) {
    if (random() % one_in == 0) pair.tensor[i] = static_cast<std::byte>(static_cast<unsigned>(pair.tensor[i]) + 1);
  }
  return pair;
}

Bytes restore(const DeltaView& view, const Bytes& base) {
  Bytes out(base.size());
  for (std::uint64_t i = 0; i < view.n_chunks(); ++i) {
    const std::uint64_t at = view.chunk_begin(i);
    EXPECT_TRUE(view.restore(i, std::span(base).subspan(at, view.chunk_size(i)), out.data() + at));
  }
  return out;
}

std::span<const std::byte> as_bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

void expect_exact(const Pair& pair) {
  ThreadPool pool(2);
  const std::string delta = exact_delta(pair.form, pair.tensor, pair.base, sha256("base"), pool);
  const auto view = DeltaView::open(as_bytes(delta), pair.form);
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(view->base(), sha256("base"));
  EXPECT_EQ(view->sum(), hash64(pair.tensor));
  EXPECT_EQ(restore(*view, pair.base), pair.tensor);
  EXPECT_LT(delta.size(), pair.tensor.size() / 2);
}

TEST(TensorDelta, ExactOnesAreRestoredToTheBitWhateverTheType) {
  for (const DType type : tensor::kFloatTypes) expect_exact(make_pair(type, 100, 1024, false));
  for (const DType type : tensor::kQuantTypes) {
    SCOPED_TRACE(tensor::dtype_info(type).name);
    const Pair rows = make_pair(type, 80, 4096, false);
    expect_exact(rows);
    if (tensor::can_pack({type, 80, 4096, rows.base.data()})) expect_exact(make_pair(type, 80, 4096, true));
  }
}

TEST(TensorDelta, WhatHasNothingInCommonIsRestoredToo) {
  Pair pair = make_pair(DType::kF16, 64, 2048, false);
  std::mt19937 random(3);
  for (std::byte& byte : pair.tensor) byte = static_cast<std::byte>(random());
  ThreadPool pool(1);
  const std::string delta = exact_delta(pair.form, pair.tensor, pair.base, {}, pool);
  EXPECT_EQ(restore(DeltaView::open(as_bytes(delta), pair.form).value(), pair.base), pair.tensor);
}

// The restored rows lie nearer to the tensor than the base does, by as much as was said.
TEST(TensorDelta, SignsKeepWhatTheySayOfTheDifference) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0.0F, 0.003F);
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    for (const bool is_packed : {false, true}) {
      if (is_packed && type != DType::kQ8_0) continue;
      SCOPED_TRACE(tensor::dtype_info(type).name);
      constexpr std::uint32_t kRows = 96, kCols = 1024;
      std::vector<float> base(kRows * kCols), tensor(base.size());
      for (std::size_t i = 0; i < base.size(); ++i) {
        base[i] = 4 * normal(random);
        tensor[i] = base[i] + normal(random);
      }
      const auto store = [&](const std::vector<float>& values) {
        Bytes rows(kRows * tensor::row_bytes(type, kCols));
        tensor::quantize(type, values.data(), nullptr, values.size(), rows.data());
        if (!is_packed) return rows;
        Bytes packed(rows.size());
        ThreadPool pool(1);
        (void)tensor::pack({type, kRows, kCols, rows.data()}, packed.data(), pool);
        return packed;
      };
      const Bytes base_bytes = store(base), tensor_bytes = store(tensor);
      const TensorForm form{type, is_packed ? WeightLayout::kPacked : WeightLayout::kRows, kCols, base_bytes.size()};
      ThreadPool pool(2);
      const SignDelta made = sign_delta(form, tensor_bytes, base_bytes, {}, pool);
      const auto view = DeltaView::open(as_bytes(made.bytes), form);
      ASSERT_TRUE(view) << view.error().message;
      const Bytes restored = restore(*view, base_bytes);
      EXPECT_EQ(hash64(restored), view->sum());
      double delta = 0, error = 0;
      std::vector<float> a(kCols), b(kCols), c(kCols);
      for (std::uint32_t r = 0; r < kRows; ++r) {
        const auto row = [&](const Bytes& bytes, std::vector<float>& out) {
          tensor::dequantize_row({type, kRows, kCols, bytes.data(), form.layout}, r, out.data());
        };
        row(tensor_bytes, a);
        row(base_bytes, b);
        row(restored, c);
        for (std::uint32_t i = 0; i < kCols; ++i) {
          delta += std::pow(static_cast<double>(a[i] - b[i]), 2);
          error += std::pow(static_cast<double>(a[i] - c[i]), 2);
        }
      }
      EXPECT_NEAR(made.delta_squares / delta, 1, 1e-3);
      // Of normal differences, signs leave 1 - 2 / pi; rounding to the type adds a little.
      EXPECT_NEAR(made.error_squares / made.delta_squares, 1 - 2 / M_PI, 0.02);
      EXPECT_NEAR(error / made.error_squares, 1, 0.1);
      EXPECT_LT(made.bytes.size(), tensor_bytes.size() / 7);
    }
  }
}

TEST(TensorDelta, EveryPrefixAndEveryFlippedByteIsAnErrorOrHarmless) {
  const Pair pair = make_pair(DType::kF16, 16, 256, false);
  ThreadPool pool(1);
  const std::string delta = exact_delta(pair.form, pair.tensor, pair.base, {}, pool);
  const auto try_it = [&](const std::string& bytes) {
    const auto view = DeltaView::open(as_bytes(bytes), pair.form);
    if (!view) return false;
    Bytes out(pair.base.size());
    if (!view->restore(0, pair.base, out.data())) return false;
    EXPECT_EQ(out, pair.tensor);  // Some bits of a frame mean nothing.
    return true;
  };
  ASSERT_TRUE(try_it(delta));
  for (std::size_t n = 0; n < delta.size(); ++n) EXPECT_FALSE(try_it(delta.substr(0, n))) << n;
  std::size_t n_found = 0;
  for (std::size_t i = sizeof(DeltaHead); i < delta.size(); ++i) {
    std::string bad = delta;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    n_found += try_it(bad) ? 0 : 1;
  }
  EXPECT_GT(n_found, (delta.size() - sizeof(DeltaHead)) * 9 / 10);
  std::string newer = delta;
  newer[0] = 2;
  EXPECT_EQ(DeltaView::open(as_bytes(newer), pair.form).error().code, Code::kUnsupported);
  TensorForm other = pair.form;
  other.bytes *= 2;
  EXPECT_FALSE(DeltaView::open(as_bytes(delta), other));
}

// Two tensors behind one another, filled in pieces that cut both.
TEST(RestoredTensors, AnyRangeIsFilledAndNothingBesideIt) {
  const Pair first = make_pair(DType::kF16, 300, 1000, false), second = make_pair(DType::kQ8_0, 512, 2048, true);
  ThreadPool pool(2);
  const std::string deltas[] = {exact_delta(first.form, first.tensor, first.base, sha256("1"), pool),
                                exact_delta(second.form, second.tensor, second.base, sha256("2"), pool)};
  const auto made = RestoredTensors::reserve(
      {{"first", first.form, as_bytes(deltas[0])}, {"second", second.form, as_bytes(deltas[1])}},
      {{sha256("1"), first.base}, {sha256("2"), second.base}});
  ASSERT_TRUE(made) << made.error().message;
  const RestoredTensors& restored = **made;
  EXPECT_TRUE(restored.check({}));
  const auto all = restored.bytes();
  const std::size_t cut = 123'457;
  EXPECT_EQ(restored.fill(all.subspan(cut, 700'000)), 0);
  EXPECT_TRUE(std::ranges::all_of(all.first(cut), [](std::byte b) { return b == std::byte{0}; }));
  EXPECT_TRUE(std::ranges::all_of(all.subspan(cut + 700'000), [](std::byte b) { return b == std::byte{0}; }));
  EXPECT_EQ(restored.fill(all.first(cut)), 0);
  EXPECT_EQ(restored.fill(all.subspan(cut + 700'000)), 0);
  EXPECT_TRUE(std::ranges::equal(restored.data(0), first.tensor));
  EXPECT_TRUE(std::ranges::equal(restored.data(1), second.tensor));
  EXPECT_TRUE(restored.fill_all());
  EXPECT_TRUE(std::ranges::equal(restored.data(1), second.tensor));

  const auto orphan = RestoredTensors::reserve({{"first", first.form, as_bytes(deltas[0])}}, {}).value();
  EXPECT_EQ(orphan->fill(orphan->bytes()), EBADMSG);
  EXPECT_EQ(orphan->fill_all().error().code, Code::kCorrupt);
}

}  // namespace
}  // namespace hearth::gguf
