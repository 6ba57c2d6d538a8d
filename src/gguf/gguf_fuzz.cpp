// Any bytes: the parser gives an error or a file whose every view lies within the bytes.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gguf/gguf_file.h"

namespace {

void check_within(std::span<const std::byte> part, std::span<const std::byte> whole) {
  if (part.empty()) return;
  HEARTH_CHECK(part.data() >= whole.data());
  HEARTH_CHECK(part.data() + part.size() <= whole.data() + whole.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth::gguf;
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  const auto file = GgufFile::parse(bytes, "fuzz.gguf");
  if (!file) {
    HEARTH_CHECK(file.error().message.find("fuzz.gguf") != std::string::npos);
    return 0;
  }
  for (const MetadataEntry& entry : file->metadata()) {
    HEARTH_CHECK(file->find(entry.key) == &entry.value);
    check_within(entry.value.payload(), bytes);
    (void)entry.value.as_u64();
    (void)entry.value.as_f64();
    if (const auto strings = entry.value.as_strings()) {
      std::size_t count = 0;
      for (const std::string_view text : *strings) {
        check_within(std::as_bytes(std::span(text)), bytes);
        ++count;
      }
      HEARTH_CHECK(count == entry.value.count());
    }
    if (entry.value.is_array() && entry.value.count() > 0) {
      (void)entry.value.f64_at(entry.value.count() - 1);
    }
  }
  for (const TensorInfo& tensor : file->tensors()) {
    HEARTH_CHECK(file->find_tensor(tensor.name) == &tensor);
    check_within(tensor.data, bytes);
    HEARTH_CHECK(!tensor.data.empty() && !tensor.shape_text().empty());
  }
  return 0;
}
