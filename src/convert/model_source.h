// A model as it is about to be written: metadata, and tensors that can be read row by row.
//
// Two formats are read: GGUF files, and folders in Hugging Face's layout (config.json,
// *.safetensors, tokenizer.json).  Both become this, so that what follows (choosing types,
// quantising, writing) knows neither.  Weights stay where they lie, in mapped files; what a format
// stores differently is a rule of the tensor (the order of its rows, a constant to add) and is
// applied while its rows are read.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/gguf_writer.h"
#include "tensor/dtype.h"

namespace hearth::convert {

struct SourceTensor {
  std::string name;                 // As it will be written.
  std::vector<std::uint64_t> dims;  // The contiguous one first, as GGUF lists them.
  tensor::DType type = tensor::DType::kF32;
  // The data, outermost dimension first: one part, or one per expert.  All of one size.
  std::vector<std::span<const std::byte>> parts;

  // Rows of each head come as two halves of head_rows / 2 and are written in turn, one of each (the
  // two elements of a rotary pair become neighbours); 0: as they lie.
  std::uint32_t head_rows = 0;
  // Row r is stored as row row_order[r], and column c as column col_order[c]; empty: as they lie.
  std::vector<std::uint32_t> row_order, col_order;
  float added = 0;                // To every element.
  bool is_negated_exp = false;    // -exp(x) is written of x.

  std::uint64_t n_elements() const;
  // Elements of one row, and how many there are.  A vector is rows of one element where its
  // elements are reordered, else one row.
  std::uint64_t row_elements() const;
  std::uint64_t n_rows() const { return n_elements() / row_elements(); }
  // Whether the bytes can be written as they lie.
  bool is_plain() const {
    return parts.size() == 1 && head_rows == 0 && added == 0 && row_order.empty() &&
           col_order.empty() && !is_negated_exp;
  }
};

// out [n_rows, row_elements()] = rows `first` and on.  Any thread.
void read_rows(const SourceTensor& tensor, std::uint64_t first, std::uint64_t n_rows, float* out);

struct ModelSource {
  std::string name;  // For messages.
  std::string architecture;
  std::uint32_t n_layers = 0;
  // All keys of the file to come but for those that say how it is quantised.
  gguf::GgufWriter metadata;
  std::vector<SourceTensor> tensors;
  std::vector<std::string> notes;  // What was left out or changed, a sentence each.

  // What the tensors' parts point into.
  std::vector<std::shared_ptr<const void>> files;
  std::deque<std::vector<float>> computed;
};

// A GGUF file, or a folder in Hugging Face's layout.  kNotFound, kCorrupt, kUnsupported or
// kInvalidArgument: each message names the file, the thing and the way out.
Result<ModelSource> open_source(const std::filesystem::path& path);

Result<ModelSource> open_gguf_source(const std::filesystem::path& path);
Result<ModelSource> open_hf_source(const std::filesystem::path& folder);

}  // namespace hearth::convert
