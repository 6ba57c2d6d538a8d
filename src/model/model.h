// A model: weights bound and checked, tokenizer, chat template.  Immutable once loaded,
// so that sessions share one copy across switches; the one place for shared_ptr.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/kv_layout.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace hearth {
class PageReader;
class PageStream;
}  // namespace hearth

namespace hearth::model {

// How rotary frequencies are stretched beyond the context that a model was first trained for.
struct RopeScaling {
  enum class Kind : std::uint8_t { kNone, kLinear, kYarn, kLongFactors };
  Kind kind = Kind::kNone;
  float theta = 10000.0F;
  float factor = 1.0F;                // How many times longer.
  float attention_factor = 1.0F;      // Cosines and sines are multiplied by it.
  std::uint32_t n_context_first = 0;  // Tokens of the context before stretching.
  float beta_fast = 32.0F;            // YaRN: turns within n_context_first that are kept as they
  float beta_slow = 1.0F;             // are, and that are stretched in full.
  float log_multiplier = 0.0F;        // YaRN: how much of its magnitude is taken back.
};

// Which rotary table a layer's queries and keys are turned by.
enum class RopeTable : std::uint8_t { kMain, kSliding, kNone };

// What a layer mixes tokens with.
enum class LayerKind : std::uint8_t { kAttention, kConvolution, kDeltaNet, kMamba, kNothing };

struct LayerPlan {
  LayerKind kind = LayerKind::kAttention;
  // Of attention: how many heads keep keys and values, and how many elements a head has.
  std::uint32_t n_kv_heads = 0, head_dim = 0;
  std::uint32_t window = 0;  // Positions that a token sees, itself among them; 0: all before it.
  RopeTable rope = RopeTable::kMain;
  std::uint32_t kv_index = 0;  // Among the layers of its kind: its place in a page or a state.
  bool borrows_kv = false;     // It reads the keys and values of an earlier layer, at that index.
  std::uint32_t d_ff = 0;      // Of the feed-forward block that every token takes; 0: none.
  bool has_experts = false;
};

// The layers that are gated delta nets (forward_delta_net.cpp).
struct DeltaNetConfig {
  std::uint32_t state_size =
      0;  // Of a head's queries, keys and values; 0: there are no such layers.
  std::uint32_t n_key_heads = 0, n_value_heads = 0;
  std::uint32_t conv_width = 0;
  bool heads_are_grouped = false;  // Those that share a key head are neighbours.

  std::uint32_t value_width() const { return n_value_heads * state_size; }
  std::uint32_t channels() const { return (2 * n_key_heads + n_value_heads) * state_size; }
  // Of one layer's state: its matrices, and with the inputs that the convolution looks back to.
  std::size_t matrix_floats() const { return std::size_t{value_width()} * state_size; }
  std::size_t state_floats() const {
    return matrix_floats() + std::size_t{conv_width - 1} * channels();
  }
};

// The layers that are Mamba-2 (forward_mamba.cpp).
struct MambaConfig {
  std::uint32_t state_size = 0;  // Of each channel; 0: there are no such layers.
  std::uint32_t n_heads = 0, n_groups = 0;
  std::uint32_t d_inner = 0;
  std::uint32_t conv_width = 0;

  std::uint32_t head_dim() const { return d_inner / n_heads; }
  // Of what the convolution mixes: values, and of each group what writes and what reads.
  std::uint32_t channels() const { return d_inner + 2 * n_groups * state_size; }
  std::size_t matrix_floats() const { return std::size_t{d_inner} * state_size; }
  std::size_t state_floats() const {
    return matrix_floats() + std::size_t{conv_width - 1} * channels();
  }
};

// The hyperparameters, in the field's letters; architectures differ by a row of
// architecture_table.h, not by code.
struct ModelConfig {
  std::string architecture;  // GGUF `general.architecture`: "llama", "qwen2", "qwen3".
  std::string name;          // GGUF `general.name`, or the file's name.
  std::uint32_t n_layers = 0;
  std::uint32_t n_further_layers = 0;  // In the file behind those, and not run.
  std::uint32_t n_heads = 0;
  // Of the layers with the most, where they differ (LayerPlan).
  std::uint32_t n_kv_heads = 0;
  std::uint32_t head_dim = 0;
  std::uint32_t d_model = 0;
  std::uint32_t d_ff = 0;
  std::uint32_t n_vocab = 0;
  std::uint32_t n_logits = 0;  // Of a token: n_vocab, or those of a classifier.
  std::uint32_t n_context_train = 0;  // Tokens of context that the model was trained for.
  std::uint32_t n_experts = 0;        // 0: one feed-forward block of d_ff instead.
  std::uint32_t n_experts_used = 0;
  std::uint32_t d_ff_expert = 0;
  float expert_scale = 1.0F;  // Of what the experts add.
  bool norms_expert_weights = true;
  std::uint32_t d_per_layer = 0;  // Of each layer's part of the second embedding; 0: there is none.
  std::uint32_t conv_width = 0;   // Tokens that a short convolution sums over.
  DeltaNetConfig delta;
  MambaConfig mamba;
  std::uint32_t rope_dim = 0;
  RopeScaling rope;                 // Of all layers but those with a theta of their own.
  float sliding_rope_theta = 0.0F;  // 0: sliding layers turn as all others do.
  std::uint32_t sliding_rope_dim = 0;
  float norm_eps = 1e-5F;
  float embedding_scale = 1.0F;
  float residual_scale = 1.0F;  // Of what a block adds.
  float logit_scale = 1.0F;
  float query_scale = 1.0F;        // Of query · key.
  float attention_softcap = 0.0F;  // 0: none.
  // Queries at position p grow by 1 + attention_growth * ln(1 + floor(p / rope.n_context_first)).
  float attention_growth = 0.0F;
  bool qk_norm_is_of_rows = false;  // The norms of queries and keys span all heads.
  bool gates_attention = false;     // Each head's query comes with a gate of its output.
  float logit_softcap = 0.0F;      // 0: none.
  std::vector<LayerPlan> layers;   // [n_layers]
  std::uint32_t last_storing_layer = 0;  // Those behind it leave nothing for later tokens.

  std::uint32_t d_query(const LayerPlan& layer) const { return n_heads * layer.head_dim; }
  // Floats of the angles of one token in one table.
  std::uint32_t rope_width() const { return std::max(rope_dim, sliding_rope_dim); }
  // Of the widest layer.
  std::uint32_t d_query() const { return n_heads * head_dim; }
  std::uint32_t d_key_value() const {
    std::uint32_t widest = 0;
    for (const LayerPlan& l : layers) widest = std::max(widest, l.n_kv_heads * l.head_dim);
    return widest;
  }
};

struct LoadOptions {
  // Refuse a model whose weights exceed this; 0 means the machine's available memory.
  std::uint64_t memory_bytes_max = 0;
  // Copy the matrices into the kernels' layout: decoding gets faster, loading slower, and the copy
  // takes as much memory again (of which the file's part may go where memory is short).
  bool pack = false;
  // Folder that keeps images of vocabularies, so that each is built once; empty: none does.  A model
  // of the store has its images there.
  std::filesystem::path image_folder = {};
  // Its logits are those of its classifier: of a model that ranks.
  bool as_ranker = false;
  // How keys and values are stored; part of kv_layout(), and so of every cache key.
  KvType kv_type = KvType::kF16;
  // Reads the weights while the first tokens are computed (Model::stream); null: loading ends with
  // all of them in memory.
  std::shared_ptr<PageReader> reader = nullptr;
};

// Threading: immutable; any thread may read.
class Model {
 public:
  // Maps a GGUF file or a model of the store, checks every shape and type against the architecture's row, builds the
  // tokenizer and compiles the template.  kNotFound, kCorrupt, kUnsupported (unknown architecture
  // or type), kOutOfBudget (larger than memory): each message names the file, the thing and the way
  // out.
  static Result<std::shared_ptr<const Model>> load(const std::filesystem::path& path,
                                                   const LoadOptions& options = {});

  virtual ~Model() = default;

  const ModelConfig& config() const { return config_; }
  const text::Tokenizer& tokenizer() const { return *tokenizer_; }
  // The model's own template, or ChatML if it carries none or one that does not compile.
  const text::ChatTemplate& chat_template() const { return *chat_template_; }
  // Token that this model emits first when it can't answer (GGUF `hearth.unsure_token_id`).
  std::optional<text::TokenId> unsure_token() const { return unsure_token_; }
  // Too small to work advice into an answer of its own: advice is relayed instead (GGUF
  // `hearth.relays_advice`).
  bool relays_advice() const { return relays_advice_; }
  // The temperature that this model's makers ask for (GGUF `general.sampling.temp`), in [0, 2].
  std::optional<float> preferred_temperature() const { return preferred_temperature_; }
  // Differs between any two files with different weights or settings; part of every cache key.
  std::uint64_t identity() const { return identity_; }
  std::uint64_t weight_bytes() const { return weight_bytes_; }
  KvLayout kv_layout() const;
  // Whether bytes of its files were lost under it: what it computes since then is wrong.
  virtual bool is_damaged() const { return false; }
  // How its weights come into memory and go; null if they are there as long as the model is.
  virtual PageStream* stream() const { return nullptr; }
  // Where the weights lie in mapped files; none of a model that has its own copy.
  virtual std::vector<std::span<const std::byte>> mapped_ranges() const { return {}; }

 protected:
  ModelConfig config_;
  std::unique_ptr<const text::Tokenizer> tokenizer_;
  std::shared_ptr<const text::ChatTemplate> chat_template_;
  std::optional<text::TokenId> unsure_token_;
  bool relays_advice_ = false;
  std::optional<float> preferred_temperature_;
  std::uint64_t identity_ = 0;
  std::uint64_t weight_bytes_ = 0;
  KvType kv_type_ = KvType::kF16;
};

}  // namespace hearth::model
