// LoRA adapters in PEFT's layout: a folder with adapter_config.json and adapter_model.safetensors.
//
// What such a folder says differs from a GGUF adapter in names (Hugging Face's), in the order of a
// query's and a key's rows where the base's were permuted, in the embedding's matrix (which lies
// transposed) and in how its strength is written: lora_alpha over the rank or over its root, for all
// matrices or by patterns.  What can't be run is refused: weights beside the two matrices (DoRA,
// biases, whole modules) that would be left out change the answers.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/adapter.h"

namespace hearth::convert {

inline constexpr std::size_t kPeftConfigBytesMax = std::size_t{1} << 20;

// The adapter of a file (GGUF) or a folder (PEFT) for `base`; a folder may also be named by one of
// its two files.  Errors as Adapter::load.
Result<std::shared_ptr<const model::Adapter>> load_adapter(const std::filesystem::path& path,
                                                           const model::Model& base);

// A PEFT adapter from the bytes of its two files; `name` stands for the folder.  The result borrows
// `weights`.
Result<model::AdapterSource> read_peft_adapter(std::string_view config,
                                               std::span<const std::byte> weights,
                                               const std::string& name, const model::Model& base);

}  // namespace hearth::convert
