// What a step of one model takes, learned from its steps.
//
// The scheduler asks before it lays prompt tokens beside decoding sessions: how long would they wait
// without, and what does a prompt token add?  Both change with the batch, the context, the machine and
// its other users, so they are measured all the time and never configured.
#pragma once

#include <array>
#include <cstdint>

namespace hearth::engine {

// Threading: externally synchronised.
class StepCosts {
 public:
  // A step of `n_decoded` tokens of decoding sessions and `n_prompt` tokens of prompts took `ms`.
  void learn(std::uint32_t n_decoded, std::uint32_t n_prompt, double ms);

  // Milliseconds of a step of so many decoded tokens and no prompt; 0: unknown.  Between what was seen,
  // rather too short than too long.
  double decode_ms(std::uint32_t n_decoded) const;

  // Milliseconds that one more token of a prompt takes; 0: unknown.
  double prompt_token_ms() const { return prompt_token_ms_; }

 private:
  // Batches of up to 1, 2, 4, ... tokens; the last one holds all larger.
  static constexpr std::uint32_t kSizes = 8;
  static std::uint32_t size_of(std::uint32_t n_tokens);

  void learn_mixed(double& decode_ms, std::uint32_t n_decoded, std::uint32_t n_prompt, double ms);

  std::array<double, kSizes> decode_ms_{};
  double prompt_token_ms_ = 0;
};

}  // namespace hearth::engine
