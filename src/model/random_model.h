// Models of a real shape with random weights: to measure speed and to test, where a trained
// model would be a download.
//
// Speed does not depend on what the weights are, only on their shape and types, so quantised
// blocks are made directly: random codes under scales that give each matrix the spread of a
// freshly initialised one.  The vocabulary is synthetic and complete, so that every engine
// that reads GGUF runs the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gguf/gguf_writer.h"

namespace hearth::model {

struct RandomModelOptions {
  std::string architecture = "llama";
  std::string type = "Q4_K_M";  // F32, F16, BF16, Q8_0, Q4_0, Q4_K_M, Q5_K_M or Q6_K.
  std::uint32_t n_layers = 24;
  std::uint32_t d_model = 1024;
  std::uint32_t d_ff = 4096;
  std::uint32_t n_heads = 16;
  std::uint32_t n_kv_heads = 4;
  std::uint32_t head_dim = 64;
  std::uint32_t n_vocab = 32768;
  std::uint32_t n_context = 8192;
  bool tied_embeddings = false;
  std::uint64_t seed = 1;
};

// Everything that write_random_model would write, to be added to or changed.  kInvalidArgument
// for an unknown type or architecture, a vocabulary out of range, or rows that the type's blocks do
// not divide.
Result<gguf::GgufWriter> random_model(const RandomModelOptions& options);

Result<> write_random_model(const std::filesystem::path& path, const RandomModelOptions& options);

}  // namespace hearth::model
