// A tensor kept as what makes it of another of the same type, shape and layout: the tensor of a
// fine-tune beside that of its base.
//
//   DeltaHead, u64 ends[n_chunks], then the chunks' payloads one after another
//
// Each chunk stands for `chunk_bytes` of the tensor (the last for what is left) and is restored on
// its own, so that a model can be restored in the order in which it is computed with, by as many
// threads as there are.  Two forms:
//
//   kExact  The difference of all elements, in planes of bytes that mean the same, compressed
//           (Zstandard).  Floats are subtracted as the integers that their bits are, which keeps
//           neighbours' differences small whatever the exponent; codes of 4 bits are subtracted
//           nibble by nibble, all other blocks byte by byte.  Restored to the bit.
//   kSigns  One bit for each weight, whether it grew or shrank, and the mean of how much for each
//           row (BitDelta: Liu et al., 2024, arxiv.org/abs/2402.10193): a float, then
//           the bits, for each row.  What is restored is rounded to the tensor's own type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "tensor/dtype.h"
#include "tensor/weight_layout.h"

namespace hearth::gguf {

enum class DeltaForm : std::uint32_t { kExact = 1, kSigns = 2 };

inline constexpr std::uint32_t kDeltaVersion = 1;
inline constexpr std::uint64_t kDeltaChunkBytesMax = std::uint64_t{64} << 20;

struct DeltaHead {
  std::uint32_t version = kDeltaVersion;
  DeltaForm form = DeltaForm::kExact;
  std::uint64_t tensor_bytes = 0;
  std::uint64_t chunk_bytes = 0;
  std::uint64_t sum = 0;  // hash64 of the tensor that it restores.
  Sha256 base{};          // The key of the base's object (pack_format.h).
};
static_assert(sizeof(DeltaHead) == 64);

// How a tensor's bytes are to be read.
struct TensorForm {
  tensor::DType type = tensor::DType::kF32;
  tensor::WeightLayout layout = tensor::WeightLayout::kRows;
  std::uint64_t cols = 0;   // The contiguous dimension.
  std::uint64_t bytes = 0;  // Of all of it.
};

// Whether kSigns can be made of such a tensor: F32, F16, BF16 and Q8_0, whose rounding is one step.
bool can_keep_signs(tensor::DType type);

// What makes `tensor` of `base`; both have `form`.  Restored, it is `tensor` to the bit.
std::string exact_delta(const TensorForm& form, std::span<const std::byte> tensor,
                        std::span<const std::byte> base, const Sha256& base_key, ThreadPool& pool);

struct SignDelta {
  std::string bytes;
  double delta_squares = 0;  // Of tensor - base, summed,
  double error_squares = 0;  // and of what the signs leave of it.
};
// can_keep_signs(form.type).
SignDelta sign_delta(const TensorForm& form, std::span<const std::byte> tensor,
                     std::span<const std::byte> base, const Sha256& base_key, ThreadPool& pool);

// A delta where it lies.
//
// Threading: immutable; any thread may read, and restore other chunks than others.
class DeltaView {
 public:
  // kCorrupt for what is no delta of such a tensor, kUnsupported for one of another version.
  static Result<DeltaView> open(std::span<const std::byte> bytes, const TensorForm& form);

  const Sha256& base() const { return head_.base; }
  std::uint64_t sum() const { return head_.sum; }
  std::uint64_t chunk_bytes() const { return head_.chunk_bytes; }
  std::uint64_t n_chunks() const { return ends_.size(); }
  // Where chunk `index` lies in the tensor.
  std::uint64_t chunk_begin(std::uint64_t index) const { return index * head_.chunk_bytes; }
  std::uint64_t chunk_size(std::uint64_t index) const {
    return std::min(head_.chunk_bytes, head_.tensor_bytes - chunk_begin(index));
  }
  std::span<const std::byte> payload(std::uint64_t first, std::uint64_t end) const;

  // out [chunk_size(index)] = that chunk, made of the base's bytes at the same place.  False if the
  // payload is damaged.
  bool restore(std::uint64_t index, std::span<const std::byte> base, std::byte* out) const;

 private:
  DeltaView() = default;
  std::uint64_t payload_begin(std::uint64_t index) const;

  TensorForm form_;
  DeltaHead head_;
  std::vector<std::uint64_t> ends_;  // Of payloads, from the first one's begin.
  std::span<const std::byte> payloads_;
};

}  // namespace hearth::gguf
