// config.json of a model in Hugging Face's layout, as GGUF metadata.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "convert/hf_family.h"
#include "convert/json_reader.h"
#include "gguf/gguf_writer.h"

namespace hearth::convert {

// Limits on what a file may claim, before the loader's own.
inline constexpr std::uint32_t kHfLayersMax = 1'024;
inline constexpr std::uint32_t kHfHeadsMax = 1'024;

struct HfConfig {
  std::string path;  // Of config.json, for errors.
  const HfFamily* family = nullptr;
  Json root;

  std::uint32_t n_layers = 0, n_heads = 0, n_kv_heads = 0, head_dim = 0;
  std::uint32_t n_experts = 0;
  bool ties_output = false;
  std::vector<bool> has_attention;  // [n_layers]; the others have what the family has instead.
  // Of delta nets: heads, and the size of each.
  std::uint32_t n_key_heads = 0, n_value_heads = 0, delta_size = 0;

  // A value of the text model: from `text_config` if there is one, else from the root.
  const Json* find(std::string_view key) const;
  // The same as a number, with the family's default.
  std::optional<double> number(std::string_view key) const;
};

// A small tensor that GGUF keeps where Hugging Face has numbers in config.json.
struct RopeTensor {
  std::string name;
  std::vector<float> values;
};

// kNotFound, kCorrupt, or kUnsupported for what GGUF readers would compute otherwise.
Result<HfConfig> read_hf_config(const std::filesystem::path& folder);

// The same for a parsed config.json; `path` stands for the file in errors.
Result<HfConfig> check_hf_config(Json root, std::string path);

// Writes `general.architecture` and `ARCH.*`; gives the tensors of scaled rotations.
Result<std::vector<RopeTensor>> write_hf_config(const HfConfig& config, gguf::GgufWriter& out);

}  // namespace hearth::convert
