#include "tensor/kernels/simd_scalar.h"
#include "tensor/kernels/stream_product.h"

namespace hearth::tensor {

StreamProductFn stream_product_scalar(StreamType type, std::uint32_t parts) {
  return find_stream_product<scalar::Simd>(type, parts);
}

}  // namespace hearth::tensor
