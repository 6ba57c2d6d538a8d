// The model that another one is kept as a delta of: its tensors by name, and how many bytes a delta
// must save to be worth being restored at each load.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "gguf/gguf_file.h"
#include "gguf/manifest.h"
#include "gguf/tensor_delta.h"

namespace hearth::store {

// What a tensor loses in a lossy form.
struct DeltaLoss {
  std::string tensor;
  double relative = 0;  // |restored - tensor| / |tensor - base|, in Frobenius norms.
};

// Threading: externally synchronised.
class DeltaBase {
 public:
  // A model of the store by its name.  kNotFound, kInvalidArgument for one that is a delta itself, or
  // the errors of opening.
  static Result<DeltaBase> open(const gguf::StorePaths& store, const std::string& name);

  const std::string& name() const { return name_; }

  struct Delta {
    std::string bytes;
    gguf::TensorRef base;  // Its `pack` is an index of packs().
    std::optional<DeltaLoss> loss;
  };
  // The delta of a tensor, whose bytes lie in `layout`; absent where the base has none of that name,
  // type, shape and layout, where it is small, or where a delta would save less than an eighth.
  std::optional<Delta> delta_of(const gguf::TensorInfo& info, tensor::WeightLayout layout,
                                std::span<const std::byte> bytes, gguf::DeltaForm form,
                                ThreadPool& pool) const;
  std::span<const gguf::PackRef> packs() const { return file_.manifest()->packs(); }

 private:
  DeltaBase(std::string name, gguf::GgufFile file)
      : name_(std::move(name)), file_(std::move(file)) {}

  std::string name_;
  gguf::GgufFile file_;
};

// The name of the model that a manifest's tensors are deltas of; empty if none are.
std::string delta_base_of(const gguf::Manifest& manifest);
// Of an adapter that was made as one; empty for all others.
std::string delta_base_of(const std::filesystem::path& adapter);

// The names of what the store keeps as deltas of model `name`, adapters among them.
std::vector<std::string> deltas_of(const gguf::StorePaths& store, std::string_view name);

// The adapters that lie in a store, sorted.
std::vector<std::filesystem::path> stored_adapters(const gguf::StorePaths& store);
// Puts one there: a GGUF file's bytes under its name.  kInvalidArgument if there is one and it is not
// to be replaced, or the errors of writing.
Result<std::filesystem::path> store_adapter(const gguf::StorePaths& store, std::string_view name,
                                            std::string_view bytes, bool replace);

}  // namespace hearth::store
