// LoRA adapters with random weights for a given base: to test and to measure, as random_model.h
// makes models.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/gguf_writer.h"
#include "model/model.h"

namespace hearth::model {

struct RandomAdapterOptions {
  std::string name = "random";
  std::uint32_t rank = 16;
  std::string type = "F16";  // F32, F16, BF16, or Q8_0 where a matrix's rows allow it, else F16.
  float alpha = 32.0F;
  float spread = 0.02F;  // Deviation of the elements of both matrices.
  // All of the layers' linear matrices but experts; with these two also the first and the last.
  bool attention_only = false;  // Of these, those of attention: what PEFT adapts by itself.
  bool embedding = false;
  bool output = false;
  std::vector<std::int32_t> invocation_tokens;  // Of an activated adapter.
  std::uint64_t seed = 1;
};

// kInvalidArgument for an unknown type.
Result<gguf::GgufWriter> random_adapter(const Model& base, const RandomAdapterOptions& options);

Result<> write_random_adapter(const std::filesystem::path& path, const Model& base,
                              const RandomAdapterOptions& options);

}  // namespace hearth::model
