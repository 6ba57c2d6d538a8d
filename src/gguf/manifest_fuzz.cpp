// Fuzzes manifests of the store: an error, or views that lie within the bytes.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "gguf/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth::gguf;
  std::vector<std::byte> bytes(size);
  if (size > 0) std::memcpy(bytes.data(), data, size);
  // The sum guards everything else: mend it, or nothing behind it is ever met.
  if (bytes.size() >= sizeof(ManifestHead)) {
    ManifestHead head;
    std::memcpy(&head, bytes.data(), sizeof head);
    head.file_bytes = bytes.size();
    head.sum = sum_of(head, std::span(bytes).subspan(sizeof head));
    std::memcpy(bytes.data(), &head, sizeof head);
  }
  const auto manifest = Manifest::parse(bytes, "fuzz.model");
  if (!manifest) return 0;
  std::uint64_t sum = manifest->identity() + manifest->name().size();
  for (const char c : manifest->source_path()) sum += static_cast<unsigned char>(c);
  for (const char c : manifest->quantization()) sum += static_cast<unsigned char>(c);
  for (const TensorRef& ref : manifest->refs()) sum += manifest->packs()[ref.pack].file_bytes;
  volatile std::uint64_t used = sum;
  (void)used;
  return 0;
}
