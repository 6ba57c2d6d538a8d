// What config.json says of an encoder (BERT), and how its folder says that texts are pooled, as GGUF
// metadata.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "convert/hf_config.h"
#include "gguf/gguf_writer.h"

namespace hearth::convert {

// Writes `general.architecture` and `bert.*`.  The pooling is that of a sentence-transformers
// folder (`1_Pooling/config.json`), the mean where there is none.  kCorrupt, or kUnsupported for
// positions and poolings that GGUF readers would compute otherwise.
Result<> write_hf_encoder(const std::filesystem::path& folder, const HfConfig& config,
                          gguf::GgufWriter& out);

}  // namespace hearth::convert
