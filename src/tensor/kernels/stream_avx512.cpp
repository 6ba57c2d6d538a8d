#include "tensor/kernels/simd_avx512.h"
#include "tensor/kernels/stream_product.h"

namespace hearth::tensor {

StreamProductFn stream_product_avx512(StreamType type, std::uint32_t parts) {
  return find_stream_product<avx512::Simd>(type, parts);
}

}  // namespace hearth::tensor
