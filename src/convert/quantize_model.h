// Writes a model as a GGUF file of a chosen recipe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "convert/importance.h"
#include "convert/model_source.h"
#include "convert/recipe.h"

namespace hearth::convert {

struct Progress {
  std::uint64_t done = 0, total = 0;  // Weights.
  std::string_view tensor;            // The one in work.
};

struct QuantizeOptions {
  const Recipe* recipe = nullptr;
  const Importance* importance = nullptr;  // Null where there is none.
  unsigned n_threads = 0;                  // 0: one per usable core.
  // Quantised weights may be quantised again, which adds the errors of both.
  bool allow_requantize = false;
  bool overwrite = false;
  // Called a few times a second at most, on the calling thread; false stops the work.
  std::function<bool(const Progress&)> progress;
};

struct TypeShare {
  tensor::DType type;
  std::uint32_t n_tensors = 0;
  std::uint64_t bytes = 0;
};

struct QuantizeReport {
  std::vector<TypeShare> types;  // Largest first.
  std::uint64_t source_bytes = 0, bytes = 0;
  std::uint64_t n_weights = 0;
  std::vector<std::string> notes;  // What a reader should know, a sentence each.
};

// Writes `out` (beside it first, then renamed over it) and says what it holds.  The file's bytes
// depend on the source and the options alone, not on the threads.
//
// kInvalidArgument (quantised weights, an importance matrix of another model), kOutOfBudget (the
// disk), kCorrupt (a weight that is no number), kCancelled, or the errors of writing; nothing is
// left behind then.
// Threading: one call at a time per source.  Memory: the largest tensor as written, and a few MB.
Result<QuantizeReport> quantize_model(const ModelSource& source, const std::filesystem::path& out,
                                      const QuantizeOptions& options);

}  // namespace hearth::convert
