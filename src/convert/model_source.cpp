#include "convert/model_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tensor/dequantize.h"

namespace hearth::convert {

std::uint64_t SourceTensor::n_elements() const {
  std::uint64_t n = 1;
  for (const std::uint64_t dim : dims) n *= dim;
  return n;
}

std::uint64_t SourceTensor::row_elements() const {
  return dims.size() == 1 && (head_rows != 0 || !row_order.empty()) ? 1 : dims[0];
}

namespace {

// Where row `row` of the written tensor lies in the stored one.
std::uint64_t stored_row(const SourceTensor& tensor, std::uint64_t row) {
  if (!tensor.row_order.empty()) return tensor.row_order[row];
  const std::uint64_t size = tensor.head_rows;
  if (size == 0) return row;
  const std::uint64_t within = row % size;
  return row - within + (within % 2) * (size / 2) + within / 2;
}

}  // namespace

void read_rows(const SourceTensor& tensor, std::uint64_t first, std::uint64_t n_rows, float* out) {
  const std::uint64_t cols = tensor.row_elements();
  const std::uint64_t rows_per_part = tensor.n_rows() / tensor.parts.size();
  const std::size_t bytes = tensor::row_bytes(tensor.type, cols);
  for (std::uint64_t i = 0; i < n_rows; ++i) {
    const std::uint64_t row = first + i;
    const auto& part = tensor.parts[row / rows_per_part];
    const std::uint64_t at = stored_row(tensor, row % rows_per_part);
    tensor::dequantize(tensor.type, part.data() + at * bytes, cols, out + i * cols);
  }
  if (!tensor.col_order.empty()) {
    std::vector<float> stored(cols);
    for (std::uint64_t i = 0; i < n_rows; ++i) {
      float* const row = out + i * cols;
      std::copy_n(row, cols, stored.data());
      for (std::uint64_t c = 0; c < cols; ++c) row[c] = stored[tensor.col_order[c]];
    }
  }
  for (std::uint64_t i = 0; i < n_rows * cols && tensor.added != 0; ++i) out[i] += tensor.added;
  for (std::uint64_t i = 0; i < n_rows * cols && tensor.is_negated_exp; ++i) {
    out[i] = -std::exp(out[i]);
  }
}

Result<ModelSource> open_source(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return open_hf_source(path);
  if (path.extension() == ".safetensors" || path.extension() == ".json") {
    return fail(
        Code::kInvalidArgument,
        fmt::format("'{}' is one file of a model: give the folder that it lies in, with its "
                    "config.json and tokenizer.json",
                    path.string()));
  }
  return open_gguf_source(path);
}

}  // namespace hearth::convert
