// A copy of a model's matrices in the kernels' own layout (tensor/pack.h), in memory that the
// kernel backs with large pages.
//
// Decoding is bound by how fast weights can be read, and rows as a file has them are read slower
// than the memory allows.  The copy costs its size in memory and one pass over the weights at load.
#pragma once

#include <cstddef>
#include <vector>

#include "base/large_memory.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "model/weights.h"

namespace hearth::model {

// How each tensor of a file is to lie in the store, in the file's order: packed wherever the model
// computes with nothing of it but packable matrices.  The errors of reading and binding: what can't
// run is not worth storing.
Result<std::vector<tensor::WeightLayout>> store_layouts(const gguf::GgufFile& file);

// Owns the bytes that packed views borrow.
class PackedWeights {
 public:
  // Packs what can be packed of `weights` and points their views here.  kOutOfBudget leaves
  // `weights` as they are.
  Result<> take(Weights& weights, ThreadPool& pool);

  std::size_t bytes() const { return memory_.size(); }

 private:
  LargeMemory memory_;
};

}  // namespace hearth::model
