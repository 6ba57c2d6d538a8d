// The hyperparameters of a GGUF file, read and checked against one another.
#pragma once

#include "base/result.h"
#include "gguf/gguf_file.h"
#include "model/architecture_table.h"
#include "model/model.h"

namespace hearth::model {

// Limits on what a file may ask for; each is some times the largest that is known.
inline constexpr std::uint32_t kLayersMax = 1024;
inline constexpr std::uint32_t kHeadsMax = 1024;
inline constexpr std::uint32_t kWidthMax = 1U << 20;   // d_model, d_ff.
inline constexpr std::uint32_t kHeadDimMax = 512;      // Attention's tiles are sized for it.
inline constexpr std::uint32_t kHeadDimMultiple = 16;  // Lanes of its vectors.
inline constexpr std::uint32_t kExpertsMax = 1024;
inline constexpr std::uint32_t kPerLayerMax = 1U << 14;
inline constexpr std::uint32_t kDeltaConvMax =
    16;  // Tokens that a delta net's convolution sums over.

// The row for the file's `general.architecture`.  kUnsupported with the supported ones and the way
// out (an upstream server) for another.
Result<const Architecture*> architecture_of(const gguf::GgufFile& file);

// kCorrupt or kUnsupported naming the file, the key, its value and the limit.
Result<ModelConfig> read_config(const gguf::GgufFile& file, const Architecture& architecture);

}  // namespace hearth::model
