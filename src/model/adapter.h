// LoRA adapters (Hu et al., 2021): a model's matrix W as W + s B A, with A [rank, cols] and
// B [rows, rank] so small that dozens of them are resident beside one base.
//
// They are never merged: the forward pass computes W x for the whole batch and adds s B (A x) to
// the rows of each adapter (forward_adapters.cpp).  So one batch may mix any adapters and none,
// changing the adapter changes nothing in memory, and what a row gets does not depend on the others.
//
// A and B are kept as streams of panels (tensor/panel_stream.h) one after the other, in the order of
// their use.  They have 8 bits a weight where the base's matrix is quantised, since what that rounds
// off an update is far less than what was rounded off the matrix itself, and half precision
// elsewhere.  Each is scaled by a power of two to fill half precision's range, which the pair's
// scale takes back: nothing of a file in half precision is lost, and of one in single precision no
// more than 2^-12 of each element.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/adapter_source.h"
#include "model/model.h"
#include "tensor/float_formats.h"
#include "tensor/panel_stream.h"

namespace hearth::model {

// The matrices that an adapter may change.
enum class AdapterSlot : std::uint8_t {
  kQuery,
  kKey,
  kValue,
  kAttentionOut,
  kGate,
  kUp,
  kDown,
  kRouter,
  kOutput,     // Of no layer,
  kEmbedding,  // as this.
};
inline constexpr std::size_t kAdapterLayerSlots = static_cast<std::size_t>(AdapterSlot::kOutput);

inline constexpr std::uint32_t kAdaptersPerSegment = 8;  // At most.

// How adapters are kept: in 8 bits where the base is quantised, or all of them in one way.
enum class AdapterForm : std::uint8_t { kAsBase, kHalf, kEightBit };

// One matrix's update.
struct LowRank {
  std::uint32_t rank = 0;               // 0: the matrix stays as it is.
  tensor::PanelStream a;                // [rank, cols]; of the embedding unused.
  tensor::PanelStream b;                // [rows, rank]
  const tensor::F16* picked = nullptr;  // [n_vocab, rank] of the embedding: a token picks a row.
  float scale = 1.0F;
};

// Threading: immutable; any thread may read.
class Adapter {
 public:
  // Reads a GGUF file and holds it against `base`.  kNotFound, kCorrupt, kUnsupported (a type or a
  // matrix without kernels), kInvalidArgument (no adapter, or one of another base), kOutOfBudget:
  // each message names the file, the thing and the way out.
  static Result<std::shared_ptr<const Adapter>> load(const std::filesystem::path& path,
                                                     const Model& base,
                                                     AdapterForm form = AdapterForm::kAsBase);
  // The same from what was read already; `source` may go afterwards.
  static Result<std::shared_ptr<const Adapter>> bind(const AdapterSource& source, const Model& base,
                                                     AdapterForm form = AdapterForm::kAsBase);
  virtual ~Adapter() = default;

  const std::string& name() const { return name_; }
  // Differs between adapters with different weights or settings; part of every cache key.
  std::uint64_t identity() const { return identity_; }
  std::uint64_t bytes() const { return bytes_; }  // Resident.
  std::uint32_t rank_max() const { return rank_max_; }
  // Of an activated adapter: it applies from the last place on where they stand in the prompt.
  std::span<const text::TokenId> invocation_tokens() const { return invocation_tokens_; }
  // Whether its matrices have the shapes of this model's.
  bool fits(const Model& base) const;

  // `layer` counts for the slots that layers have.
  const LowRank& at(AdapterSlot slot, std::uint32_t layer) const {
    if (slot == AdapterSlot::kOutput) return output_;
    if (slot == AdapterSlot::kEmbedding) return embedding_;
    return layers_[layer][static_cast<std::size_t>(slot)];
  }

 protected:
  Adapter() = default;

  std::string name_;
  std::uint64_t identity_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint32_t rank_max_ = 0;
  std::vector<text::TokenId> invocation_tokens_;
  ModelConfig base_;  // As far as shapes go.
  std::vector<std::array<LowRank, kAdapterLayerSlots>> layers_;
  LowRank output_, embedding_;
};

// That an adapter applies to a session: to its tokens from `first_position` on.
struct AdapterUse {
  const Adapter* adapter = nullptr;  // Must fit the model and outlive the pass.
  float weight = 1.0F;
  std::uint32_t first_position = 0;
};
// The first position of an adapter that never applies.
inline constexpr std::uint32_t kNeverAdapted = UINT32_MAX;

// Where an adapter begins to apply in a session with this prompt: 0, or of an activated one the
// last place of its invocation tokens; kNeverAdapted if they are not there.
std::uint32_t first_adapted_position(const Adapter& adapter, std::span<const text::TokenId> prompt);

}  // namespace hearth::model
