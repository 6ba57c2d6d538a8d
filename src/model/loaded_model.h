// The one kind of Model there is: a mapped GGUF file with its weights bound.  Internal to this
// room; others see model.h.
#pragma once

#include <span>
#include <vector>

#include "base/page_stream.h"
#include "gguf/gguf_file.h"
#include "model/architecture_table.h"
#include "model/model.h"
#include "model/packed_weights.h"
#include "model/rope.h"
#include "model/weights.h"

namespace hearth::model {

class LoadedModel final : public Model {
 public:
  // Both steps of Model::load: everything but the mapping.
  static Result<std::shared_ptr<const Model>> create(gguf::GgufFile file,
                                                     const LoadOptions& options);

  bool is_damaged() const override {
    return file_.is_damaged() || (stream_ != nullptr && stream_->has_problem());
  }
  PageStream* stream() const override { return stream_.get(); }
  std::vector<std::span<const std::byte>> mapped_ranges() const override {
    return packed_.bytes() > 0 ? std::vector<std::span<const std::byte>>{} : file_.data_ranges();
  }

  const Architecture& architecture() const { return *architecture_; }
  const Weights& weights() const { return weights_; }
  // One for each RopeTable that a layer uses, in its order.
  std::span<const Rope> ropes() const { return ropes_; }
  // The types of the model's matrices, each once: what activations must be prepared for.
  std::span<const tensor::DType> weight_types() const { return weight_types_; }

 private:
  explicit LoadedModel(gguf::GgufFile file) : file_(std::move(file)) {}
  Result<> use_classifier();
  void make_ropes();
  Result<> read_template();
  Result<> read_unsure_token();
  Result<> bring_in(const LoadOptions& options);

  gguf::GgufFile file_;  // Owns the bytes that weights_ borrows.
  const Architecture* architecture_ = nullptr;
  Weights weights_;
  PackedWeights packed_;  // Owns what weights_ borrows beside the file.
  std::vector<Rope> ropes_;
  std::vector<tensor::DType> weight_types_;
  std::unique_ptr<PageStream> stream_;  // Ends before the file that it reads.
};

// Which pages of a model are needed when: a stage for each layer, one for what follows the last, and
// one for an embedding that is not the output matrix too, of which a prompt needs some rows at once
// and the rest at leisure.
std::unique_ptr<PageStream> make_weight_stream(const gguf::GgufFile& file, const Weights& weights,
                                               std::shared_ptr<PageReader> reader);

// The weights behind a Model that Model::load made.
inline const LoadedModel& loaded(const Model& model) {
  return static_cast<const LoadedModel&>(model);
}

// Distinguishes files by their whole header, size, inode and time: reading any of the weights would
// make a model that lies on the disk wait for it.  Small files are hashed whole.
std::uint64_t identity_of(const gguf::GgufFile& file);

}  // namespace hearth::model
