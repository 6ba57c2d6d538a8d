// Cuts a model into files as llama-gguf-split does.
#pragma once

#include <fmt/format.h>

#include <filesystem>

#include "base/result.h"
#include "gguf/gguf_file.h"
#include "gguf/gguf_writer.h"

namespace hearth::gguf {

inline std::filesystem::path split_path(const std::filesystem::path& folder, std::uint32_t i,
                                        std::uint32_t n) {
  return folder / fmt::format("cut-{:05}-of-{:05}.gguf", i + 1, n);
}

// Writes `n` files beside `whole`: all metadata in the first, tensors in turn.  Returns the first.
inline std::filesystem::path split(const std::filesystem::path& whole, std::uint32_t n) {
  const auto file = GgufFile::open(whole);
  HEARTH_CHECK(file);
  for (std::uint32_t i = 0; i < n; ++i) {
    GgufWriter part;
    for (const MetadataEntry& entry : file->metadata()) {
      if (i == 0) part.set_value(entry.key, entry.value);
    }
    part.set_u32("split.no", i);
    part.set_u32("split.count", n);
    part.set_u32("split.tensors.count", static_cast<std::uint32_t>(file->tensors().size()));
    const std::size_t size = file->tensors().size();
    for (const TensorInfo& info :
         file->tensors().subspan(i * size / n, (i + 1) * size / n - i * size / n)) {
      part.add_tensor(info.name, info.type, std::span(info.dims).first(info.n_dims), info.data);
    }
    HEARTH_CHECK(part.write(split_path(whole.parent_path(), i, n)));
  }
  return split_path(whole.parent_path(), 0, n);
}

}  // namespace hearth::gguf
