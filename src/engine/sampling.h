// How the next token is chosen from the logits.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace hearth::engine {

// Each field's neutral value leaves its stage out.  Stages run in the order of the fields.
struct SamplingOptions {
  std::vector<std::pair<text::TokenId, float>> logit_bias;  // Added to the logit.
  float repetition_penalty = 1.0F;  // > 1 divides positive and multiplies negative logits.
  float frequency_penalty = 0.0F;   // Subtracted per earlier occurrence.
  float presence_penalty = 0.0F;    // Subtracted once if it occurred.
  std::uint32_t penalty_window_tokens = 64;  // Generated tokens that penalties look back on.
  float temperature = 1.0F;         // 0 is greedy: the stages below are left out.
  std::uint32_t top_k = 0;          // 0: all.
  float typical_p = 1.0F;
  float top_p = 1.0F;
  float min_p = 0.0F;
  std::uint64_t seed = 0;           // The same seed, prompt and model give the same text.

  // kInvalidArgument that names the field, its value and its limits.
  Result<> validate() const;
};

}  // namespace hearth::engine
