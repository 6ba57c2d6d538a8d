// safetensors, the file format of weights on Hugging Face.
//
//   u64 n  header[n]: a JSON object { NAME: {"dtype": "BF16", "shape": [rows, cols],
//                                            "data_offsets": [begin, end]}, ... }
//   data: the bytes that the offsets count, from the end of the header
//
// (github.com/huggingface/safetensors.)  Large models are cut into several files, listed by
// model.safetensors.index.json.  Files come from strangers: the header's size is limited, every
// range is checked against the file, against its shape and against the other ranges.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace hearth::convert {

inline constexpr std::uint64_t kSafetensorsHeaderBytesMax = std::uint64_t{32} << 20;
inline constexpr std::size_t kSafetensorsTensorsMax = 262'144;
inline constexpr std::size_t kSafetensorsDimsMax = 8;
inline constexpr std::size_t kSafetensorsFilesMax = 4'096;

struct Safetensor {
  std::string name;
  std::string dtype;                 // As written: "BF16".
  std::vector<std::uint64_t> shape;  // Outermost dimension first; empty for a scalar.
  std::span<const std::byte> data;
};

// The same type in GGUF's terms; nothing for those that weights don't have (F64, integers, ...).
std::optional<tensor::DType> float_type(const Safetensor& tensor);

// The tensors of one file, in the order of their data; `data` are views of `bytes`.  kCorrupt
// naming the file (`name`), the tensor and what is wrong.
Result<std::vector<Safetensor>> parse_safetensors(std::span<const std::byte> bytes,
                                                  const std::string& name);

// All tensors of a folder, from model.safetensors or the files of its index.  `files` keeps the
// mappings that they point into.
struct SafetensorsFolder {
  std::vector<Safetensor> tensors;
  std::vector<std::shared_ptr<const void>> files;
};
Result<SafetensorsFolder> open_safetensors(const std::filesystem::path& folder);

}  // namespace hearth::convert
