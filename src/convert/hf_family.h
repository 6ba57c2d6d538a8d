// Which models in Hugging Face's layout can be read, as data: one row each.
//
// Their folders differ in three ways: which configuration keys say what, what the tensors are
// called, and a few facts that GGUF stores in another form (norms that are stored less one, rotary
// pairs that lie apart).  A new model is a row here, and where its tensors have new names, rows of
// the name table.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::convert {

// A number that the models' code assumes where config.json does not say.
struct ConfigDefault {
  std::string_view key;
  double value;
};

// What the tensors of a family's layers are called beside the usual names.
enum class HfNames : std::uint8_t { kUsual, kLfm2, kDeltaNets };

struct HfFamily {
  std::string_view name;               // An entry of config.json's `architectures`.
  std::string_view architecture;       // GGUF `general.architecture`.
  std::string_view activation;         // The only `hidden_act` that this architecture computes.
  bool pairs_become_adjacent = false;  // Query and key rows, per head (SourceTensor::head_rows).
  bool norms_lack_one = false;         // Stored as w for 1 + w.
  bool sandwich_norms = false;  // Norms of each block's output, beside or without its input's.
  bool ties_output = false;            // Whatever the files say.
  bool slides =
      false;  // `sliding_window` is used; without it, a window bounds the context instead.
  HfNames names = HfNames::kUsual;
  bool is_encoder = false;           // Embeds texts: other tensors, other keys (hf_encoder.h).
  bool ranks = false;                // An encoder with a classifier, which scores pairs of texts.
  std::uint32_t no_rope_period = 0;  // Every so many layers there is no rotation.
  std::uint32_t sliding_period = 0;  // The period that GGUF readers assume.
  std::span<const ConfigDefault> defaults = {};
};

// nullptr for one that is not known.
const HfFamily* find_family(std::string_view name);
// The first that becomes this GGUF architecture; nullptr if none does.
const HfFamily* find_family_of(std::string_view architecture);
// "LlamaForCausalLM, ...": for errors.
std::string known_families();

// What a tensor of a checkpoint is in GGUF.
// What of a delta net lies in the order of its value heads.
enum class ByValueHead : std::uint8_t { kNothing, kRows, kLastRows, kRowEach, kCols };

struct MappedName {
  std::string name;
  std::optional<std::uint32_t> layer;
  std::optional<std::uint32_t> expert;  // One matrix of a stack that GGUF keeps as one tensor.
  bool is_query = false, is_key = false;
  ByValueHead by_value_head = ByValueHead::kNothing;
};

// Nothing for tensors that GGUF does not keep (vision towers, precomputed rotations); kUnsupported
// for a name that is not known, since leaving a tensor out gives wrong answers.
Result<std::optional<MappedName>> map_name(const HfFamily& family, std::string_view name);

}  // namespace hearth::convert
