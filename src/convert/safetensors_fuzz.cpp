// Any bytes: an error that names the file, or tensors whose data lie in it, apart and full size.
#include <cstddef>
#include <cstdint>

#include "convert/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto tensors = convert::parse_safetensors(bytes, "fuzz.safetensors");
  if (!tensors) {
    HEARTH_CHECK(tensors.error().message.find("fuzz.safetensors") != std::string::npos);
    return 0;
  }
  const std::byte* end = bytes.data();
  for (const convert::Safetensor& tensor : *tensors) {
    std::uint64_t n = 1;
    for (const std::uint64_t dim : tensor.shape) n *= dim;
    if (const auto type = convert::float_type(tensor)) {
      HEARTH_CHECK(tensor.data.size() == n * tensor::dtype_info(*type).block_bytes);
    }
    if (tensor.data.empty()) continue;
    HEARTH_CHECK(tensor.data.data() >= end);
    end = tensor.data.data() + tensor.data.size();
    HEARTH_CHECK(end <= bytes.data() + bytes.size());
  }
  return 0;
}
