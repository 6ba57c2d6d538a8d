#include "model/architecture_table.h"

#include <algorithm>
#include <array>

namespace hearth::model {
namespace {

constexpr std::array kArchitectures = std::to_array<Architecture>({
    {.name = "llama",
     .rope_pairs = RopePairs::kAdjacent,
     .qkv_bias = Presence::kOptional,
     .output_bias = Presence::kOptional,
     .ffn_bias = Presence::kOptional},
    {.name = "qwen2",
     .rope_pairs = RopePairs::kSplitHalf,
     .qkv_bias = Presence::kRequired,
     .output_bias = Presence::kOptional},
    {.name = "qwen3",
     .rope_pairs = RopePairs::kSplitHalf,
     .qkv_bias = Presence::kOptional,
     .qk_norm = Presence::kRequired},
});

}  // namespace

const Architecture* find_architecture(std::string_view name) {
  const auto row = std::ranges::find(kArchitectures, name, &Architecture::name);
  return row == kArchitectures.end() ? nullptr : row;
}

std::string supported_architectures() {
  std::string names;
  for (const Architecture& row : kArchitectures) {
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  return names;
}

}  // namespace hearth::model
