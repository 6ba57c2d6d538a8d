#include "model/kv_page.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/config.h"
#include "tensor/float_formats.h"
#include "tensor/vector_ops.h"

namespace hearth::model {
namespace {

using tensor::F16;

constexpr F16 kNotANumber = 0x7E00;
constexpr float kF16Max = 65504.0F;
constexpr std::uint32_t kHalfGroup = kKvGroup / 2;

// What codes there are: code - kZero runs from -kBelow to kAbove.
struct Codes {
  float below, above;
  int zero;
};
constexpr Codes kBytes{127, 127, 128};
constexpr Codes kNibbles{8, 7, 8};

F16 f16_within_range(float x) {
  return tensor::f16_from_f32(std::clamp(x, -kF16Max, kF16Max));
}

// The codes of up to kKvGroup numbers; returns their scale.  The largest number meets an end of the
// codes: of nibbles the lower one, which reaches further, so that their scale may be negative.
F16 quantize(const Codes& codes, const float* x, std::uint32_t n, std::uint8_t* out) {
  float largest = 0.0F;
  bool is_number = true;
  for (std::uint32_t i = 0; i < n; ++i) {
    if (std::fabs(x[i]) > std::fabs(largest)) largest = x[i];
    is_number &= std::isfinite(x[i]);
  }
  if (!is_number || largest == 0.0F) {
    std::memset(out, codes.zero, n);
    return is_number ? F16{0} : kNotANumber;
  }
  const bool is_even = codes.below == codes.above;
  const F16 scale = f16_within_range((is_even ? std::fabs(largest) : -largest) / codes.below);
  const float stored = tensor::f32_from_f16(scale);
  const float inverse = stored == 0.0F ? 0.0F : 1.0F / stored;
  for (std::uint32_t i = 0; i < n; ++i) {
    const float code = std::clamp(x[i] * inverse, -codes.below, codes.above);
    out[i] = static_cast<std::uint8_t>(static_cast<int>(code + (code < 0 ? -0.5F : 0.5F)) +
                                       codes.zero);
  }
  return scale;
}

// Calls put(first dimension, n, codes) for each group, and stores the scales.
template <class Put>
void store_groups(const KvLayout& layout, const float* x, std::uint32_t slot, std::byte* block,
                  Put&& put) {
  const Codes& range = layout.type == KvType::kQ8_0 ? kBytes : kNibbles;
  auto* const scales = reinterpret_cast<F16*>(block + layout.code_bytes());
  for (std::uint32_t d = 0; d < layout.head_dim; d += kKvGroup) {
    const std::uint32_t n = std::min(kKvGroup, layout.head_dim - d);
    std::uint8_t codes[kKvGroup] = {};
    scales[d / kKvGroup * kPageTokens + slot] = quantize(range, x + d, n, codes);
    put(d, n, codes);
  }
}

std::byte joined(std::uint8_t low, std::uint8_t high) {
  return static_cast<std::byte>(low | (high << 4));
}

}  // namespace

void store_key(const KvLayout& layout, const float* key, std::uint32_t slot, std::byte* block) {
  const std::size_t head_dim = layout.head_dim;
  if (layout.type == KvType::kF16) {
    F16 column[kHeadDimMax];
    tensor::f16_from_f32(key, head_dim, column);
    auto* const out = reinterpret_cast<F16*>(block) + slot;
    for (std::size_t d = 0; d < head_dim; ++d) out[d * kPageTokens] = column[d];
    return;
  }
  const bool is_bytes = layout.type == KvType::kQ8_0;
  store_groups(layout, key, slot, block, [&](std::size_t d, std::size_t n, const auto* codes) {
    std::byte* out = block + (is_bytes ? d : d / 2) * kPageTokens + slot;
    for (std::size_t i = 0; i < n; i += is_bytes ? 1 : 2, out += kPageTokens) {
      *out = is_bytes ? std::byte{codes[i]} : joined(codes[i], codes[i + 1]);
    }
  });
}

void store_value(const KvLayout& layout, const float* value, std::uint32_t slot,
                 std::byte* block) {
  const std::size_t head_dim = layout.head_dim;
  if (layout.type == KvType::kF16) {
    tensor::f16_from_f32(value, head_dim, reinterpret_cast<F16*>(block) + slot * head_dim);
    return;
  }
  std::byte* const row = block + slot * (layout.code_bytes() / kPageTokens);
  if (layout.type == KvType::kQ8_0) {
    store_groups(layout, value, slot, block, [&](std::size_t d, std::size_t n, const auto* codes) {
      std::memcpy(row + d, codes, n);
    });
    return;
  }
  store_groups(layout, value, slot, block, [&](std::size_t d, std::size_t, const auto* codes) {
    for (std::size_t i = 0; i < kHalfGroup; ++i) {
      row[d / 2 + i] = joined(codes[i], codes[i + kHalfGroup]);
    }
  });
}

void clear_slots(const KvLayout& layout, std::uint32_t first, std::byte* page) {
  if (first >= kPageTokens) return;
  const std::size_t n_slots = kPageTokens - first;
  // Zeroes the slots from `first` on of rows of kPageTokens entries each.
  const auto clear_columns = [&](std::byte* rows, std::size_t n_rows, std::size_t entry_bytes) {
    for (std::size_t row = 0; row < n_rows; ++row) {
      std::memset(rows + (row * kPageTokens + first) * entry_bytes, 0, n_slots * entry_bytes);
    }
  };
  const std::size_t key_entry_bytes = layout.type == KvType::kF16 ? 2 : 1;
  const std::size_t n_key_rows = layout.code_bytes() / (kPageTokens * key_entry_bytes);
  const std::size_t value_bytes = layout.code_bytes() / kPageTokens;
  const std::size_t n_scale_rows = layout.scale_bytes() / (kPageTokens * 2);
  for (std::uint32_t layer = 0; layer < layout.n_layers; ++layer) {
    for (std::uint32_t head = 0; head < layout.n_kv_heads; ++head) {
      std::byte* const keys = page + layout.key_offset(layer, head);
      std::byte* const values = page + layout.value_offset(layer, head);
      clear_columns(keys, n_key_rows, key_entry_bytes);
      std::memset(values + first * value_bytes, 0, n_slots * value_bytes);
      clear_columns(keys + layout.code_bytes(), n_scale_rows, 2);
      clear_columns(values + layout.code_bytes(), n_scale_rows, 2);
    }
  }
  for (std::uint32_t memory = 0; memory < layout.n_memories; ++memory) {
    std::memset(page + layout.memory_offset(memory, first), 0, n_slots * layout.memory_width * 2);
  }
}

}  // namespace hearth::model
