// The tensors of a model that the store keeps as deltas of its base (tensor_delta.h), in memory of
// their own: address space that is taken when the model is opened, and filled piece by piece when
// somebody brings it in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/large_memory.h"
#include "base/result.h"
#include "gguf/tensor_delta.h"

namespace hearth::gguf {

// Threading: any thread may fill; two must not fill the same bytes.
class RestoredTensors {
 public:
  struct Tensor {
    std::string name;  // For errors.
    TensorForm form;
    std::span<const std::byte> delta;
  };

  // Room for `tensors`, each at a multiple of kObjectAlignment in their order; what they are deltas
  // of is found by its key in `bases`.  kOutOfBudget if there is no address space.
  static Result<std::unique_ptr<RestoredTensors>> reserve(
      std::vector<Tensor> tensors, std::map<Sha256, std::span<const std::byte>> bases);
  RestoredTensors(const RestoredTensors&) = delete;
  RestoredTensors& operator=(const RestoredTensors&) = delete;

  std::span<const std::byte> bytes() const { return {memory_.data(), size_}; }
  // Where tensor `index` will be.
  std::span<const std::byte> data(std::size_t index) const {
    return {memory_.data() + places_[index], tensors_[index].form.bytes};
  }

  // Restores what of the tensors lies in `range` of bytes().  0 or an errno: EBADMSG where a delta is
  // damaged, else those of bring_in (base/mapped_pages.h).
  int fill(std::span<const std::byte> range) const;
  // All of them, by all cores; the error names the tensor.
  Result<> fill_all() const;
  // Whether each is what it was when it was imported; asks `goes_on` after each.
  Result<> check(const std::function<bool()>& goes_on) const;

 private:
  RestoredTensors() = default;
  // Bytes [begin, end) of a tensor into `out`, which stands for its first byte.
  int restore(const Tensor& tensor, std::uint64_t begin, std::uint64_t end, std::byte* out) const;

  std::vector<Tensor> tensors_;
  std::map<Sha256, std::span<const std::byte>> bases_;
  std::vector<std::uint64_t> places_;  // Of each in the memory.
  LargeMemory memory_;
  std::size_t size_ = 0;
};

}  // namespace hearth::gguf
