// Fuzzes deltas of tensors: an error, or bytes that fill the tensor and nothing beside it.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "gguf/tensor_delta.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  using tensor::DType;
  using tensor::WeightLayout;
  constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_K};
  constexpr std::size_t kChoices = 3;
  if (size < kChoices) return 0;
  const DType type = kTypes[data[0] % std::size(kTypes)];
  const bool is_packed = tensor::dtype_info(type).block_elements > 1 && data[1] % 2 == 1;
  const std::uint64_t cols = 256, rows = 16 * (1 + data[2] % 4);
  const gguf::TensorForm form{type, is_packed ? WeightLayout::kPacked : WeightLayout::kRows, cols,
                              rows * tensor::row_bytes(type, cols)};
  std::vector<std::byte> bytes(size - kChoices);
  if (!bytes.empty()) std::memcpy(bytes.data(), data + kChoices, bytes.size());
  const auto view = gguf::DeltaView::open(bytes, form);
  if (!view) return 0;
  const std::vector<std::byte> base(form.bytes, std::byte{0x3C});
  for (std::uint64_t i = 0; i < view->n_chunks(); ++i) {
    std::vector<std::byte> out(view->chunk_size(i));
    const auto from = std::span(base).subspan(view->chunk_begin(i), view->chunk_size(i));
    if (!view->restore(i, from, out.data())) return 0;
    volatile std::uint64_t used = hash64(out);
    (void)used;
  }
  return 0;
}
