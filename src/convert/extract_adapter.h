// A full fine-tune as a LoRA adapter of its base: of each matrix that differs, what of the difference
// a low rank holds.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/gguf_file.h"

namespace hearth::convert {

struct ExtractOptions {
  std::string name;      // Of the adapter.
  std::string base;      // What the base is called where this adapter will be asked for.
  std::uint32_t rank = 16;
  unsigned n_threads = 0;  // 0: one per usable core.
  // Called for each tensor; false stops the work.
  std::function<bool(std::uint64_t done, std::uint64_t total, std::string_view tensor)> progress;
};

struct MatrixLoss {
  std::string tensor;
  double relative = 0;  // |difference - factors| / |difference|, in Frobenius norms.
};

struct ExtractedAdapter {
  std::string bytes;  // A GGUF file.
  std::vector<MatrixLoss> losses;
  // Vectors (norms, biases) that differ by no more than kVectorDifferenceMax and stay the base's.
  std::vector<MatrixLoss> left_out;
};

// An adapter has no place for vectors.  What is rounding of a short training may go; more may not.
inline constexpr double kVectorDifferenceMax = 0.01;

// kInvalidArgument where `base` is not of the same shape or differs in what no adapter can hold,
// kUnsupported for a rank above model::kAdapterRankMax, kCancelled.  Each message names the tensor
// and the way out.
Result<ExtractedAdapter> extract_adapter(const gguf::GgufFile& fine_tune,
                                         const gguf::GgufFile& base, const ExtractOptions& options);

}  // namespace hearth::convert
