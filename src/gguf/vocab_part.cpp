#include "gguf/vocab_part.h"

#include <array>
#include <cstring>
#include <string_view>

#include "gguf/gguf_writer.h"
#include "gguf/pack_format.h"

namespace hearth::gguf {
namespace {

constexpr std::string_view kPrefix = "tokenizer.ggml.";
constexpr std::string_view kAlignmentKey = "general.alignment";  // The writer's own.

constexpr std::string_view kSplitPrefix = "split.";  // The model is in one piece from here on.

bool is_vocab(const MetadataEntry& entry) { return entry.key.starts_with(kPrefix); }

bool is_of_the_file(const MetadataEntry& entry) {
  return entry.key == kAlignmentKey || entry.key.starts_with(kSplitPrefix);
}

}  // namespace

Sha256 vocab_key(const GgufFile& file) {
  Sha256Stream stream;
  for (const MetadataEntry& entry : file.metadata()) {
    if (!is_vocab(entry)) continue;
    const std::array<std::uint64_t, 5> shape = {
        entry.key.size(), static_cast<std::uint64_t>(entry.value.type()),
        static_cast<std::uint64_t>(entry.value.element_type()), entry.value.count(),
        entry.value.payload().size()};
    stream.update(std::as_bytes(std::span(shape)));
    stream.update(entry.key);
    stream.update(entry.value.payload());
  }
  return stream.finish();
}

std::string vocab_file(const GgufFile& file) {
  GgufWriter writer;
  for (const MetadataEntry& entry : file.metadata()) {
    if (is_vocab(entry)) writer.set_value(entry.key, entry.value);
  }
  return writer.to_bytes();
}

std::string header_without_vocab(const GgufFile& file, std::string_view delta_of) {
  GgufWriter writer;
  if (!delta_of.empty()) writer.set_string(kDeltaOfKey, delta_of);
  for (const MetadataEntry& entry : file.metadata()) {
    if (entry.key == kDeltaOfKey || is_of_the_file(entry) || (is_vocab(entry) && entry.value.is_array())) continue;
    writer.set_value(entry.key, entry.value);
  }
  for (const TensorInfo& info : file.tensors()) {
    writer.add_tensor(info.name, info.type, std::span(info.dims).first(info.n_dims), info.data);
  }
  return writer.header();
}

}  // namespace hearth::gguf
