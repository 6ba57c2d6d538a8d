#include "tensor/kernels/simd_avx512.h"
#include "tensor/kernels/stream_product.h"

namespace hearth::tensor {

StreamProductFn stream_product_avx512(StreamType type) {
  return find_stream_product<avx512::Simd>(type);
}

}  // namespace hearth::tensor
