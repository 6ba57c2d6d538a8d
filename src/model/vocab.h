// The vocabulary in a GGUF file's metadata.
#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"
#include "gguf/gguf_file.h"
#include "text/tokenizer.h"

namespace hearth::model {

// Copies the vocabulary out of `tokenizer.ggml.*`.  kCorrupt naming the key for one that is missing
// or of another kind; the sizes and ids are checked by text::Tokenizer::create.
Result<text::VocabSpec> vocab_from_gguf(const gguf::GgufFile& file);

// The tokenizer of a model file, or of a file that has a vocabulary and no weights.  With an image
// folder, or for a model of the store, its image is mapped if there is one (text/vocab_image.h), and
// else kept for the next time.
Result<std::unique_ptr<const text::Tokenizer>> load_tokenizer(const std::filesystem::path& path);
Result<std::unique_ptr<const text::Tokenizer>> load_tokenizer(
    const gguf::GgufFile& file, const std::filesystem::path& image_folder = {});

}  // namespace hearth::model
