// Fuzzes images of tokenizers: an error, or a tokenizer that reads any text.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth::text;
  const auto image = std::make_shared<std::vector<std::byte>>(size);
  if (size > 0) std::memcpy(image->data(), data, size);
  const auto tokenizer = Tokenizer::from_image(*image, image);
  if (!tokenizer) return 0;
  const auto ids = (*tokenizer)->encode("a b hello <s>", {.parse_special = true});
  (void)(*tokenizer)->decode(ids, true);
  return 0;
}
