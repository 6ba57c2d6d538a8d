#include "tensor/kernels/simd_avx2.h"
#include "tensor/kernels/stream_product.h"

namespace hearth::tensor {

StreamProductFn stream_product_avx2(StreamType type) {
  return find_stream_product<avx2::Simd>(type);
}

}  // namespace hearth::tensor
