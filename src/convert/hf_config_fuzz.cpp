// Any JSON as config.json: an error that names the file, or metadata that GGUF's parser reads.
#include <cstddef>
#include <cstdint>

#include "convert/hf_config.h"
#include "gguf/gguf_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  convert::Json root = convert::Json::parse(data, data + size, nullptr, false);
  if (root.is_discarded()) return 0;
  const auto config = convert::check_hf_config(std::move(root), "fuzz/config.json");
  if (!config) {
    HEARTH_CHECK(config.error().message.find("fuzz/config.json") != std::string::npos);
    return 0;
  }
  gguf::GgufWriter writer;
  const auto rotations = convert::write_hf_config(*config, writer);
  if (!rotations) return 0;
  for (const auto& tensor : *rotations) HEARTH_CHECK(!tensor.values.empty());
  const std::string bytes = writer.to_bytes();
  HEARTH_CHECK(gguf::GgufFile::parse(std::as_bytes(std::span(bytes)), "fuzz.gguf").has_value());
  return 0;
}
