// Bringing a model into the store: each tensor once, in the kernels' layout.
//
// The order makes every moment a good one to be killed at: the vocabulary and the pack are complete
// and synced under their names before the manifest that names them is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/gguf_file.h"
#include "gguf/manifest.h"
#include "store/delta_base.h"
#include "tensor/weight_layout.h"

namespace hearth::store {

struct ImportProgress {
  std::uint64_t done = 0, total = 0;  // Bytes of tensors.
  std::string_view tensor;            // The one in work.
};

// How a model is kept.
struct DeltaChoice {
  std::string base;  // A model of the store; empty: whole.
  // kSigns keeps matrices of types that allow it so (gguf::can_keep_signs), and all else exactly.
  gguf::DeltaForm form = gguf::DeltaForm::kExact;
};

struct ImportOptions {
  gguf::StorePaths store;
  std::string name;          // Under which requests will find it.
  std::string quantization;  // For listings: the type that most weights have.
  // How each of the file's tensors is to lie; those that are kPacked must be so packable
  // (tensor::can_pack).
  std::span<const tensor::WeightLayout> layouts;
  DeltaChoice delta = {};
  bool replace = false;    // A model of that name.
  unsigned n_threads = 0;  // 0: one per usable core.
  // Called for each tensor, on the calling thread; false stops the work.
  std::function<bool(const ImportProgress&)> progress;
};

struct ImportReport {
  std::filesystem::path manifest;
  std::uint64_t n_tensors = 0;
  std::uint64_t bytes = 0;      // Of all tensors.
  std::uint64_t new_bytes = 0;  // Of the disk, for what the store did not have.
  std::uint64_t shared_bytes = 0;  // Of tensors that it had.
  // Of a delta: tensors that are kept as one, what they take and what they would take whole.
  std::uint64_t n_deltas = 0, delta_bytes = 0, delta_whole_bytes = 0;
  std::vector<DeltaLoss> losses;  // Of tensors that are not kept exactly.
};

// kInvalidArgument if there is a model of that name and it is not to be replaced, kOutOfBudget for a
// full disk, kCancelled, the errors of DeltaBase::open, or those of writing.  The store is then as it
// was before.
Result<ImportReport> import_model(const gguf::GgufFile& source, const ImportOptions& options);

}  // namespace hearth::store
