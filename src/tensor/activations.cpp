#include "tensor/activations.h"

#include <algorithm>
#include <cstring>

#include "base/result.h"
#include "tensor/kernels/kernels.h"

namespace hearth::tensor {
namespace {

// Below this many elements a fork and join costs more than the work.
constexpr std::size_t kForkElementsMin = 32 * 1024;

// Marks the forms that `types` are multiplied with.
void want_forms(Activations::State& s, std::span<const DType> types) {
  s.has_floats = s.has_int8 = false;
  for (auto& start : s.starts) start.wanted = false;
  for (auto& sum : s.scaled_sums) sum.wanted = false;
  for (const DType type : types) {
    HEARTH_CHECK(dtype_info(type).computable);
    const QuantTraits* traits = quant_traits(type);
    if (traits == nullptr) {
      s.has_floats = true;
      continue;
    }
    HEARTH_CHECK(s.cols % traits->block_cols == 0);
    s.has_int8 = true;
    s.start(*traits).wanted = true;
    if (traits->has_min) s.scaled_sums[traits->subs - 1].wanted = true;
  }
}

void reserve(Activations::State& s) {
  if (s.has_floats) {
    s.x_stride = (std::size_t{s.cols} + 15) / 16 * 16;
    s.x.ensure(s.n_tokens * s.x_stride);
  }
  if (!s.has_int8) return;
  s.n_groups = s.cols / kGroupCols;
  const std::size_t n = s.n_tokens * s.n_groups;
  s.q.ensure(n * kGroupCols);
  s.scale.ensure(n);
  s.sums_16.ensure(n * 2);
  for (auto& start : s.starts) {
    if (start.wanted) start.values.ensure(n * start.subs);
  }
  for (auto& sum : s.scaled_sums) {
    if (sum.wanted) sum.values.ensure(n * sum.subs);
  }
}

void copy_floats(Activations::State& s, std::uint32_t token, const float* x) {
  float* out = s.x.data() + token * s.x_stride;
  std::memcpy(out, x, s.cols * sizeof(float));
  std::fill(out + s.cols, out + s.x_stride, 0.0F);
}

// The sum of sub-group `i`: two groups of 16 make one of 32.
std::uint32_t sub_sum(const std::int32_t* sums_16, std::uint32_t subs, std::size_t i) {
  if (subs == 2) return static_cast<std::uint32_t>(sums_16[i]);
  return static_cast<std::uint32_t>(sums_16[2 * i]) +
         static_cast<std::uint32_t>(sums_16[2 * i + 1]);
}

void quantize_token(Activations::State& s, std::uint32_t token, const float* x) {
  float* scale = s.scale.data() + token * s.n_groups;
  std::int32_t* sums_16 = s.sums_16.data() + token * s.n_groups * 2;
  kernels().quantize(x, s.cols, s.q.data() + std::size_t{token} * s.cols, scale, sums_16);
  for (auto& start : s.starts) {
    if (!start.wanted) continue;
    std::int32_t* out = start.values.data() + token * s.n_groups * start.subs;
    for (std::size_t i = 0; i < s.n_groups * start.subs; ++i) {
      // Unsigned, since a group that is no number may hold anything.
      out[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(kMagicBits) -
                                         static_cast<std::uint32_t>(start.offset) *
                                             sub_sum(sums_16, start.subs, i));
    }
  }
  for (auto& sum : s.scaled_sums) {
    if (!sum.wanted) continue;
    float* out = sum.values.data() + token * s.n_groups * sum.subs;
    for (std::size_t group = 0; group < s.n_groups; ++group) {
      for (std::uint32_t sub = 0; sub < sum.subs; ++sub, ++out) {
        const std::size_t i = group * sum.subs + sub;
        *out = scale[group] *
               static_cast<float>(static_cast<std::int32_t>(sub_sum(sums_16, sum.subs, i)));
      }
    }
  }
}

}  // namespace

Activations::Activations() : state_(std::make_unique<State>()) {}
Activations::~Activations() = default;
Activations::Activations(Activations&&) noexcept = default;
Activations& Activations::operator=(Activations&&) noexcept = default;

Activations::State::Start& Activations::State::start(const QuantTraits& traits) {
  for (Start& start : starts) {
    if (start.subs == traits.subs && start.offset == traits.offset) return start;
  }
  check_failed("every quantised type has its start array");
}

const Activations::State::Start& Activations::State::start(const QuantTraits& traits) const {
  return const_cast<State*>(this)->start(traits);
}

void Activations::assign(const float* x, std::size_t x_stride, std::uint32_t n_tokens,
                         std::uint32_t cols, std::span<const DType> types, ThreadPool& pool) {
  State& s = *state_;
  s.n_tokens = n_tokens;
  s.cols = cols;
  want_forms(s, types);
  reserve(s);
  const auto take = [&](std::uint32_t token) {
    const float* row = x + token * x_stride;
    if (s.has_floats) copy_floats(s, token, row);
    if (s.has_int8) quantize_token(s, token, row);
  };
  if (std::size_t{n_tokens} * cols >= kForkElementsMin) {
    pool.run(n_tokens, take);
  } else {
    for (std::uint32_t token = 0; token < n_tokens; ++token) take(token);
  }
}

}  // namespace hearth::tensor
