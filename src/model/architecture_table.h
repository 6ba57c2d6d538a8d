// What sets the architectures apart, as data: one row each.
//
// Decoder-only transformers differ in few ways that matter here: which rotary pairs they
// use, whether projections carry biases, whether queries and keys are normalised.  A new
// architecture is a row, and where it needs something that no other has, a flag that
// weights.cpp (what to bind) and forward.cpp (what to compute) look at.  Nothing else in
// this room asks for an architecture's name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::model {

// Which two elements of a head one rotation turns.
enum class RopePairs : std::uint8_t {
  kAdjacent,   // (0, 1), (2, 3), ...  as llama's GGUF conversion permutes them.
  kSplitHalf,  // (0, d/2), (1, d/2 + 1), ...  as GPT-NeoX laid them out.
};

// Whether a file of this architecture must, may or must not carry a tensor.
enum class Presence : std::uint8_t { kNever, kOptional, kRequired };

struct Architecture {
  std::string_view name;  // GGUF `general.architecture`.
  RopePairs rope_pairs = RopePairs::kSplitHalf;
  Presence qkv_bias = Presence::kNever;
  Presence output_bias = Presence::kNever;  // Of the attention's output projection.
  Presence ffn_bias = Presence::kNever;
  Presence qk_norm = Presence::kNever;  // RMS norm of each head's query and key.
};

// nullptr for one that this build does not run.
const Architecture* find_architecture(std::string_view name);

// "llama, qwen2, qwen3": for errors.
std::string supported_architectures();

}  // namespace hearth::model
