#include "tensor/kernels/simd_avx2.h"
#include "tensor/kernels/stream_product.h"

namespace hearth::tensor {

StreamProductFn stream_product_avx2(StreamType type, std::uint32_t parts) {
  return find_stream_product<avx2::Simd>(type, parts);
}

}  // namespace hearth::tensor
