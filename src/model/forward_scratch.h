// The working memory behind ForwardScratch: internal to this room.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "model/forward.h"
#include "tensor/matmul.h"

namespace hearth::model {

// Floats that are taken once and kept; contents are not preserved when they grow.
class FloatBuffer {
 public:
  bool reserve(std::size_t n);
  float* data() const { return data_.get(); }

 private:
  static constexpr std::size_t kAlignment = 64;  // A cache line, and the widest vector.
  struct Free {
    void operator()(float* p) const { ::operator delete(p, std::align_val_t{kAlignment}); }
  };
  std::unique_ptr<float, Free> data_;
  std::size_t capacity_ = 0;
};

// Where a token of the batch belongs.
struct TokenPlace {
  std::uint32_t position = 0;
  std::byte* page = nullptr;  // Where its keys and values go.
  const std::byte* page_before = nullptr;
};

// A run of one segment's tokens whose attention is one task per key-value head.
struct Tile {
  std::uint32_t segment = 0;
  std::uint32_t first = 0;  // Token in the batch.
  std::uint32_t n_tokens = 0;
};

// That a token goes to an expert.
struct ExpertVisit {
  std::uint32_t expert = 0;
  std::uint32_t row = 0;  // Of the batch.
  float weight = 0;
};

// That a row gets an adapter's update.
struct AdaptedRow {
  const Adapter* adapter = nullptr;
  std::uint32_t row = 0;
  float weight = 1.0F;
};

// Rows of one adapter, next to one another in `adapted_rows`, that one task serves.
struct AdaptedGroup {
  const Adapter* adapter = nullptr;
  std::uint32_t first = 0;
  std::uint32_t n_rows = 0;
};

inline constexpr std::size_t kRehearsedMax = 256;        // Models, before all are forgotten.
inline constexpr std::uint32_t kAdaptedGroupRows = 8;    // At most.
inline constexpr std::uint32_t kAdaptedSplitTasks = 16;  // At most, of those that are split.

// Visits to experts that are computed together: those of one token at least.  0 without experts.
inline std::uint32_t n_visits_at_once(const ModelConfig& c, std::uint32_t n_tokens_max) {
  return c.n_experts == 0 ? 0 : std::max(n_tokens_max, c.n_experts_used);
}

struct ForwardScratch::State {
  std::uint32_t n_tokens_max = 0;
  FloatBuffer x;         // [n_tokens, d_model] the residual stream.
  FloatBuffer normed;    // [n_tokens, d_model] its norm, then a block's output.
  FloatBuffer q;         // [n_tokens, n_heads * head_dim]
  FloatBuffer k, v;      // [n_tokens, n_kv_heads * head_dim]
  FloatBuffer attended;  // [n_tokens, n_heads * head_dim, or as the layer's kind has it]
  FloatBuffer conv;      // [n_tokens, 3 (b x, c, x), d_model] of models with convolutions.
  FloatBuffer query_gate;  // [n_tokens, 2 * n_heads * head_dim] where attention is gated.
  // Of models with delta nets or Mamba: [n_tokens, channels], [n_tokens, value_width or d_inner],
  // and [n_tokens, 2 * n_value_heads] betas and alphas, or [n_tokens, n_heads].
  FloatBuffer recurrent_in, recurrent_gate, recurrent_rates;
  FloatBuffer gate, up;  // [n_tokens, d_ff], [n_visits, d_ff_expert]
  FloatBuffer angles;    // [n_tokens, n_ropes, rope_width]
  // Of models with embeddings for each layer: [n_tokens, n_layers * d_per_layer], and of one layer
  // [n_tokens, d_per_layer].
  FloatBuffer inputs, inputs_table, inputs_gate;
  tensor::Activations activations;
  std::vector<std::uint64_t> rehearsed;  // Identities of models that `activations` has room for.
  std::vector<TokenPlace> places;
  std::vector<Tile> tiles;

  // What adapters change.  A row's first adapter is in the first round, its second in the next: so
  // tasks of a round touch different rows, and a row's updates are added in their order.
  std::vector<AdaptedRow> adapted_rows;            // [n_tokens * kAdaptersPerSegment]
  std::vector<AdaptedGroup> adapted_groups;        // As many.
  std::vector<std::uint32_t> adapted_round_ends;   // In adapted_groups; [kAdaptersPerSegment]
  FloatBuffer inner;  // [kAdaptedSplitTasks, kAdaptedGroupRows, kAdapterRankMax] A x of split tasks.

  // Of models with experts.
  FloatBuffer routes;                // [n_tokens, n_experts]
  FloatBuffer gathered;              // [n_visits, d_model] experts' tokens, then outputs.
  FloatBuffer mixed;                 // [n_tokens, d_model] the experts' weighted sum.
  FloatBuffer shared;                // [n_tokens, d_model] what the block beside them gives.
  std::vector<ExpertVisit> visits;   // [n_tokens * n_experts_used]
  std::vector<ExpertVisit> choices;  // [n_experts]
};

}  // namespace hearth::model
